"""Broken YAML files that say in their first lines, `# expect: line:column: message`, what a reader must say of them."""

from pathlib import Path

import pytest

from pipeline.errors import UserError

_EXPECT = "# expect: "
_FOLDER = Path(__file__).parent / "broken"


def broken_files(kind: str) -> list[pytest.ParameterSet]:
    return [pytest.param(path, id=path.stem) for path in sorted((_FOLDER / kind).glob("*.yaml"))]


def expected(path: Path) -> list[str]:
    """All the messages, in order, as they begin with the path."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [f"{path}:{line.removeprefix(_EXPECT)}" for line in lines if line.startswith(_EXPECT)]


def messages(path: Path, refusal: UserError) -> list[str]:
    """The messages of a refusal, without the excerpts."""
    return [line for line in refusal.message.splitlines() if line.startswith(str(path))]
