"""Every case of the semantics, through both folds."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from pipeline.adapters.schemas import mistakes
from pipeline.domain.moments import parse_moment
from tests.cases.page import PAGE, with_tables
from tests.cases.reading import TOUCHES, Case, read_cases, written
from tests.property.two_folds import Models, TwoFolds, read_models

FILES = read_cases()
CASES = [pytest.param(case, id=f"{file.name}: {case.name}") for file in FILES for case in file.cases]
RULES = 31
LINKS = range(27, 32)
"""The rules about links: `tests/property/test_fold_strands.py` plays them, since these cases know one identity."""
SWITCHES = range(22, 27)
"""The rules on versions: tests/property/test_fold_switches.py and tests/unit/test_lane_switches.py show them."""


def entry(identifier: str) -> str:
    """An entry's id as a case writes it: `keen by a`, `lapsed at +90d`."""
    _, _, rule, cause = identifier.split(":")
    return f"{rule} at {written(int(cause))}" if cause.isdecimal() else f"{rule} by {cause}"


def said(record: Mapping[str, Any]) -> str:
    """A published record as a case writes it."""
    if "signal" in record:
        notes = "".join(f", {note}" for note in ("overtaken", "expired") if record[note] and record["kind"] == "fired")
        due = written(parse_moment(record["due_at"]))
        return f"{record['kind']} {record['signal']} #{record['occurrence']}, due {due}{notes}"
    superseded = ", ".join(map(entry, record["supersedes"]))
    ends = f"{record['from'] or 'start'} > {record['to'] or 'start'}"
    return f"{record['kind']} {ends}: {entry(record['entry'])}" + (f" for {superseded}" if superseded else "")


@cache
def models(journey: str, grace: str) -> Models:
    """Both readings of a journey and the graces, given as JSON; all cases of a file share them."""
    return read_models(TOUCHES, [json.loads(journey)], json.loads(grace))


def play(case: Case) -> TwoFolds:
    """Leads the customer of a case through it; AssertionError where a fold, or the feed, is not as the case says."""
    folds = TwoFolds(models(json.dumps(case.journey), json.dumps(case.grace)), case.lateness, case.limit)
    for step in case.steps:
        if step.sent is None:
            folds.rise(step.watermark)
        else:
            assert folds.arrive(step.sent) == step.outcome, step.told
        assert [said(record) for record in folds.published] == list(step.says), step.told
        for record in folds.published:
            assert mistakes(record, "signal" if "signal" in record else "transition") == []
    return folds


@pytest.mark.parametrize("case", CASES)
def test_case(case: Case) -> None:
    folds = play(case)
    (position,) = folds.positions()
    history = [entry(step.id("customer", "case")) for step in position.history]
    assert history == list(case.history)
    holds = sorted(f"{firing.rule} due {written(firing.due)}" for firing in position.signals)
    assert holds == sorted(case.holds)


def test_every_rule_has_a_case() -> None:
    shown = {rule for file in FILES for case in file.cases for rule in case.rules}
    without = {6: "the counters are no part of the feed", 18: "what each case compares"}
    assert shown | set(without) | set(SWITCHES) | set(LINKS) == set(range(1, RULES + 1))


def test_the_page_has_as_many_rules() -> None:
    rules = [int(number) for number in re.findall(r"^(\d+)\. \*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)]
    assert rules == list(range(1, RULES + 1))


def test_the_page_shows_the_cases() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "run `python -m tests.cases.page`"
