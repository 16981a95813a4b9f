"""The work for an event does not grow unnoticed: counts, not times, against tests/benchmarks/budget.json."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import budget

ROOT = Path(__file__).parents[2]


def test_nothing_is_done_more_often_than_the_budget_allows() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "counts"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_budget_covers_all_that_is_counted() -> None:
    starts = ("transactions", "records to", "bytes to", "bytes from", "Kafka requests", "Redis commands", "Python")
    names = budget.read().keys()
    assert [start for start in starts if not any(name.startswith(start) for name in names)] == []


@pytest.mark.parametrize("name", budget.read())
def test_each_count_that_rises_is_named(name: str) -> None:
    allowed = budget.read()
    (line,) = budget.exceeded({**allowed, name: allowed[name] * 1.12}, allowed)
    assert line.startswith(f"{name} went up from {allowed[name]:,} to ")


def test_what_was_never_counted_before_is_too_much() -> None:
    assert budget.exceeded({"Redis commands: eval": 1}, budget.read()) == [
        "Redis commands: eval went up from 0 to 1, and may by 0%"
    ]


def test_what_jitters_may_and_what_falls_may_too() -> None:
    allowed = {"Kafka requests: EndTxn": 100.0, "transactions": 100.0}
    assert budget.exceeded({"Kafka requests: EndTxn": 109.0, "transactions": 90.0}, allowed) == []
    assert len(budget.exceeded({"Kafka requests: EndTxn": 111.0, "transactions": 100.5}, allowed)) == 2
