"""Each alert has its runbook and each runbook its alert, and what a runbook tells people to type is there."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from pipeline.cli.main import COMMANDS, load
from tests.alerts.promql import shown
from tests.alerts.promtool import DEPLOY
from tests.alerts.test_rules import TOLD

FOLDER = DEPLOY / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))
BOOKS = [page for page in PAGES if page.name != "README.md"]
PARTS = ["## Look", "## Do", "## If that does not help", "## Wake", "## It is over when"]
METRICS = set(shown()) | {name.removesuffix("_bucket") for name in shown()}
HEALTH = ("livez", "readyz", "startupz", "status", "metrics")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
each_book = pytest.mark.parametrize("page", BOOKS, ids=lambda page: page.stem)


def commands(text: str) -> list[str]:
    """Whole lines of code, and what stands in code within a sentence."""
    lines = re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)
    return [command.strip() for command in (*lines, *re.findall(r"`([^`\n]+)`", text))]


def test_alerts_and_runbooks_are_the_same() -> None:
    assert {page.stem for page in BOOKS} == {alert["alert"] for alert in TOLD}


@each_book
def test_a_runbook_has_its_parts_in_order(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n**What users feel.** ")
    assert "\n**How sure we are.** " in text
    assert re.findall(r"^## .+$", text, re.MULTILINE) == PARTS
    assert all(len(part.strip()) > 5 for part in re.split(r"^## .+$", text, flags=re.MULTILINE))
    look = text[text.index("## Look") : text.index("## Do")]
    assert any(command.startswith(("journey ", "curl ")) for command in commands(look)), "something to look at"


@each_page
def test_the_commands_of_a_runbook_are_there(page: Path) -> None:
    for command in commands(page.read_text()):
        if command.startswith("journey "):
            assert unknown(command) is None, f"{page.name}: {command}"
        if command.startswith("curl "):
            called = re.fullmatch(r"curl -s -m 5 \$WORKER/(\w+)( \| grep .+)?", command)
            assert called, f"{page.name}: {command}"
            assert called[1] in HEALTH, f"{page.name}: {command}"


@each_page
def test_the_variables_of_a_command_are_set_by_the_first_page(page: Path) -> None:
    first = (FOLDER / "README.md").read_text()
    used = {name for command in commands(page.read_text()) for name in re.findall(r"\$(\w+)", command)}
    assert used <= set(re.findall(r"^ {4}(?:export )?([A-Z_]+)=", first, re.MULTILINE))


@each_page
def test_the_metrics_of_a_runbook_are_there(page: Path) -> None:
    named = set(re.findall(r"\bjourney_\w+", page.read_text()))
    # A grep may look for the beginning of several.
    assert {name for name in named if not any(metric.startswith(name) for metric in METRICS)} == set(), page.name


@pytest.mark.parametrize(
    "command",
    [
        "journey state",
        "journey lane resum --lane 3 --reason x",
        "journey lane resume --lanes 3 --reason x",
        "journey tail dql",
        "journey check now",
    ],
)
def test_a_command_that_is_not_there_is_seen(command: str) -> None:
    assert unknown(command) is not None


def unknown(command: str) -> str | None:
    """Why the prompt would not take this, if it would not; placeholders for numbers are fine."""
    words = shlex.split(command, comments=True)[1:]
    words = [re.sub(r"^[A-Z]$", "0", word) for word in words]
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    found: Any = load(words[0])
    rest = words[1:]
    while isinstance(found, click.Group | typer.core.TyperGroup) and rest:
        if rest[0] not in found.commands:
            return f"no command {rest[0]}"
        found, rest = found.commands[rest[0]], rest[1:]
    if not rest:
        return None  # a mention
    try:
        found.make_context("journey", rest)
    except Exception as refused:  # noqa: BLE001  # typer brings a click of its own
        return str(refused)
    return None
