"""What the pages tell people to type or to open is there."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import typer

from pipeline.cli.main import COMMANDS, load

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
PAGES = [ROOT / name for name in TRACKED]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"(?:^ {4}|`)(?:\.venv/bin/)?(journey|make) ([^`\n#]+)", re.MULTILINE)


def commands(tool: str) -> list[tuple[str, str]]:
    return [
        (page.name, " ".join(found.split()))
        for page in PAGES
        for name, found in COMMAND.findall(page.read_text())
        if name == tool
    ]


def test_there_are_pages_and_commands_to_check() -> None:
    assert len(PAGES) > 10
    assert len(commands("journey")) > 10
    assert len(commands("make")) > 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize(("page", "target"), commands("make"))
def test_make_has_the_target(page: str, target: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert target.split(maxsplit=1)[0] in targets, f"{page} says: make {target}"


@pytest.mark.parametrize(("page", "line"), commands("journey"))
def test_the_prompt_knows_the_command_and_its_options(page: str, line: str) -> None:
    words = [word for word in shlex.split(line.rstrip("\\")) if word != "..."]
    assert words[0] in COMMANDS, f"{page} says: journey {line}"
    command = load(words[0])
    rest = words[1:]
    while isinstance(command, click.Group | typer.core.TyperGroup) and rest and "|" not in rest[0]:
        found = command.commands.get(rest[0])
        if found is None:
            break
        command, rest = found, rest[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in {*known, "--help"}]
    assert unknown == [], f"{page} says: journey {line}"
