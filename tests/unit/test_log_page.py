"""The list of log events is what the package logs: every call of a logger is held against it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import log_page
from pipeline.log_page import EVENTS, FIELDS, LEVELS

ROOT = Path(__file__).parents[2]
OWN_WORDS = {"anonymised", "flush"}


@dataclass(frozen=True)
class Call:
    """One call of a logger: `event` is None where it is no text that stands there."""

    place: str
    levels: frozenset[str]
    event: str | None
    fields: frozenset[str]


def calls_in(source: str, name: str) -> Iterator[Call]:
    """Every call of a method of `log`, also by a name that was given one of two of them."""
    tree = ast.parse(source)
    names: dict[str, frozenset[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp) and isinstance(node.targets[0], ast.Name):
            both = frozenset(level for side in (node.value.body, node.value.orelse) if (level := of_log(side)))
            if both:
                names[node.targets[0].id] = both
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        level = of_log(node.func)
        levels = {level} if level else names.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if not levels:
            continue
        first = node.args[0] if node.args else None
        event = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        fields = frozenset(word.arg or "**" for word in node.keywords)
        yield Call(f"{name}:{node.lineno}", frozenset(levels), event, fields)


def of_log(node: ast.expr) -> str:
    """The level of `log.level`, else nothing."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "log":
        return {"exception": "error"}.get(node.attr, node.attr) if node.attr not in OWN_WORDS else ""
    return ""


CALLS = [
    call
    for path in sorted((ROOT / "pipeline").rglob("*.py"))
    if "import structlog" in path.read_text()
    for call in calls_in(path.read_text(), str(path.relative_to(ROOT)))
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.place)
def test_what_is_logged_is_in_the_list_at_its_level(call: Call) -> None:
    assert call.event in EVENTS, "add it to pipeline/log_page.py, with what it means"
    assert call.levels <= set(EVENTS[call.event].level)


def test_what_is_in_the_list_is_logged_at_each_of_its_levels() -> None:
    logged = {(call.event, level) for call in CALLS for level in call.levels}
    listed = {(name, level) for name, event in EVENTS.items() for level in event.level}
    assert listed - logged == set()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.place)
def test_a_line_has_its_lane_and_fields_by_their_names(call: Call) -> None:
    event = call.event or ""
    assert "lane" in call.fields or not event.startswith(("lane.", "event", "timers.", "kafka.unreadable"))
    assert not call.fields & {"detail", "error", "message", "msg", "at", "where", "what", "hint"}, sorted(FIELDS)


def test_nothing_is_logged_past_structlog() -> None:
    odd = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "pipeline").rglob("*.py")
        if "logging.getLogger(__name__)" in path.read_text()
    ]
    assert odd == []


def test_an_error_says_what_to_do() -> None:
    assert [name for name, event in EVENTS.items() if {"error", "critical"} & set(event.level) and not event.do] == []
    assert {level for event in EVENTS.values() for level in event.level} == set(LEVELS)


def test_the_scan_sees_what_is_not_in_order() -> None:
    planted = 'tell = log.info if calm else log.warning\ntell("a", why=1)\nlog.exception(f"b {x}")\nother.info("c")\n'
    assert list(calls_in(planted, "x.py")) == [
        Call("x.py:2", frozenset({"info", "warning"}), "a", frozenset({"why"})),
        Call("x.py:3", frozenset({"error"}), None, frozenset()),
    ]


def test_the_page_is_made_from_the_list() -> None:
    written = (ROOT / "docs/logs.md").read_text()
    assert written == log_page.page(), "write it again: python -m pipeline.log_page > docs/logs.md"
