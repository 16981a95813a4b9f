"""The schemas of what is on the topics: `schemas/<record>/v1.schema.json`, JSON Schema 2020-12.

For tests and tools. The lanes check events with their own decoder, which is faster and knows more.
"""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

from jsonschema import Draft202012Validator


@cache
def folder() -> Path:
    """Where the schemas and topic files are: beside the package in the repository, inside it once installed."""
    package = Path(str(files("pipeline")))
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


@cache
def validator(name: str, version: int = 1) -> Draft202012Validator:
    """The validator of one record, such as `transition`; formats are checked too. LookupError if there is none."""
    path = folder() / name / f"v{version}.schema.json"
    if not path.is_file():
        known = ", ".join(sorted(found.parent.name for found in folder().glob(f"*/v{version}.schema.json")))
        raise LookupError(f"no schema {name}/v{version}; known: {known}")
    return Draft202012Validator(json.loads(path.read_bytes()), format_checker=Draft202012Validator.FORMAT_CHECKER)


def mistakes(record: object, name: str, version: int = 1) -> list[str]:
    """What is wrong with a decoded record, each with its place (`$.cause.rule: ...`); empty if nothing is."""
    return [f"{error.json_path}: {error.message}" for error in validator(name, version).iter_errors(record)]
