"""The hot path runs compiled where it could be compiled, from these very sources, and uncompiled everywhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import _compiled
from pipeline.dev.compiling import compile_modules

WHERE = "from pipeline.domain import fold; from pipeline import _compiled; print(fold.__file__, _compiled.compiled())"


def ran(**environment: str) -> tuple[str, str]:
    """The file that `fold` is run from in a new process, and whether the process says that it runs compiled."""
    known = {name: value for name, value in os.environ.items() if name != _compiled.PURE}
    done = subprocess.run(
        [sys.executable, "-c", WHERE], env={**known, **environment}, capture_output=True, text=True, check=True
    )
    file, compiled = done.stdout.split()
    return Path(file).suffix, compiled


@pytest.mark.skipif(not _compiled.directory().is_dir(), reason="nothing is compiled here: run `make setup` with gcc")
def test_a_process_runs_compiled_unless_it_is_told_otherwise() -> None:
    assert ran() == (".so", "True")
    assert ran(JOURNEY_PURE="0") == (".so", "True")
    assert ran(JOURNEY_PURE="1") == (".py", "False")


def test_other_sources_are_not_what_was_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = _compiled.directory()
    changed = tmp_path / "fold.py"
    changed.write_text("")
    changed.with_suffix(".pxd").write_text("")
    monkeypatch.setattr(_compiled, "source", lambda module: changed)
    assert _compiled.directory() != before


def test_every_module_has_its_c_types() -> None:
    listed = {_compiled.source(module).with_suffix(".pxd") for module in (*_compiled.MODULES, *_compiled.IN_C)}
    there = set(_compiled.PACKAGE.rglob("*.pxd"))
    assert {file for file in there if "_native" not in file.parts} == listed


def test_without_a_compiler_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_compiled, "directory", lambda: tmp_path / "native" / "none")
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    monkeypatch.setattr(_compiled, "MODULES", ("pipeline.domain.compile",))
    said = compile_modules()
    assert isinstance(said, str)
    assert "no-such-compiler" in said
    assert list((tmp_path / "native").iterdir()) == []
