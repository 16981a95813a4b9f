"""The schema that editors use says what the loader says of the form of a journey."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.journey_files import built_in_journeys
from pipeline.adapters.journey_schema import journey_schema, written
from pipeline.adapters.schemas import folder, mistakes
from pipeline.adapters.yaml_documents import Source, parse, read

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "journeys.md").read_text(encoding="utf-8")
WHOLE = re.findall(r"```yaml journey\n(.*?)```", PAGE, re.DOTALL)

FORM = {
    "all_in_one_run": 5,
    "missing_label": 1,
    "count_out_of_range": 1,
    "number_as_duration": 1,
    "unknown_keys": 4,
    "empty_values": 1,
}
"""Broken journeys whose form is wrong, and how many places at least the schema has to mark in them."""


def plain(value: Any) -> Any:
    """Lists for tuples."""
    if isinstance(value, dict):
        return {key: plain(found) for key, found in value.items()}
    return [plain(found) for found in value] if isinstance(value, tuple) else value


def test_the_file_is_what_the_words_make() -> None:
    path = folder() / "journey" / "v1.schema.json"
    assert path.read_text(encoding="utf-8") == written(), "run `python -m pipeline.adapters.journey_schema`"


@pytest.mark.parametrize("path", built_in_journeys(), ids=lambda path: path.stem)
def test_the_built_in_journeys_fit(path: Path) -> None:
    assert mistakes(plain(read(path).value), "journey") == []


def test_the_journeys_of_the_page_fit() -> None:
    assert len(WHOLE) > 2
    for text in WHOLE:
        assert mistakes(plain(parse(Source("page", text)).value), "journey") == []


@pytest.mark.parametrize("name", FORM)
def test_a_wrong_form_is_seen(name: str) -> None:
    document = read(ROOT / "tests" / "unit" / "broken" / "journeys" / f"{name}.yaml")
    assert len(mistakes(plain(document.value), "journey")) >= FORM[name]


def test_every_word_is_explained() -> None:
    schema = journey_schema()
    for section in (schema, *schema["$defs"].values()):
        assert all(form["description"].endswith(".") for form in section["properties"].values())
