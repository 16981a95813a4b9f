"""Compiles the hot path: `python -m pipeline.dev.compiling`. Where that cannot be done it says why, and nothing breaks.

The sources are plain Python, and the .pxd files beside them give Cython the C types of what they hold.
"""

import ast
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import _compiled

FLAGS = ["-O2", "-g0"]
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # the sources' annotations are for readers and mypy
    "boundscheck": False,
    "initializedcheck": False,
    "cdivision": True,
    "binding": False,
}
PARALLEL = 2
_CIMPORT = re.compile(r"^from pipeline\S+ cimport (.+)$", re.MULTILINE)


def compile_modules() -> Path | str:
    """The directory of the extensions, made unless they are there; or why that cannot be done here."""
    found = _compiled.directory()
    if found.is_dir():
        return found
    found.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=found.parent) as scratch:
        try:
            made = _build(Path(scratch))
        except ImportError as error:
            return f"{error.name} is not installed"
        except BaseException as error:  # noqa: BLE001  # setuptools ends in many ways, SystemExit among them
            return f"{type(error).__name__}: {error}"
        for old in found.parent.iterdir():
            if old != Path(scratch):
                shutil.rmtree(old)
        made.rename(found)
    return found


def _build(scratch: Path) -> Path:
    """A directory with all extensions."""
    import Cython.Build
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    sources = _prepare(scratch / "sources")
    extensions = [Extension(name, [str(file)], extra_compile_args=FLAGS) for name, file in sources.items()]
    cythonize: Any = Cython.Build.cythonize
    in_c = cythonize(
        extensions,
        include_path=[str(scratch / "sources")],
        compiler_directives=DIRECTIVES,
        nthreads=PARALLEL,
        quiet=True,
    )
    command = build_ext(Distribution({"name": "pipeline", "ext_modules": in_c, "packages": []}))
    command.build_lib, command.build_temp, command.parallel = str(scratch / "built"), str(scratch), PARALLEL
    command.ensure_finalized()
    command.run()
    made = scratch / "made"
    made.mkdir()
    for name in _compiled.MODULES:
        path = scratch.joinpath("built", *name.split("."))
        path.with_name(path.name + _compiled.SUFFIX).rename(made / f"{name}{_compiled.SUFFIX}")
    return made


def _prepare(directory: Path) -> dict[str, Path]:
    """A copy of the sources, by module, that does not import what the .pxd files know in C.

    Cython would take such a name for the Python object that the import gives, and call through that.
    """
    shutil.copytree(_compiled.PACKAGE, directory / "pipeline", ignore=lambda _, names: _not_needed(names))
    sources = {name: directory.joinpath(*name.split(".")).with_suffix(".py") for name in _compiled.MODULES}
    for file in sources.values():
        known = set(re.findall(r"\w+", " ".join(_CIMPORT.findall(file.with_suffix(".pxd").read_text()))))
        text = file.read_text()
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
                end = node.end_lineno or node.lineno
                kept = [alias.name for alias in node.names if alias.name not in known]
                lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
                if kept:
                    lines[node.lineno - 1] = f"from {node.module} import {', '.join(kept)}"
        file.write_text("\n".join(lines) + "\n")
    return sources


def _not_needed(names: list[str]) -> list[str]:
    return [name for name in names if name == "_native" or ("." in name and not name.endswith((".py", ".pxd")))]


def main() -> None:
    made = compile_modules()
    if isinstance(made, str):
        print(f"The hot path stays uncompiled, and folds half as fast: {made}.", file=sys.stderr)


if __name__ == "__main__":
    main()
