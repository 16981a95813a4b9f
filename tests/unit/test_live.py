"""The feed of `journey run` stays readable, and says what it leaves out."""

import json
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.adapters.kafka.feed_reader import FeedRecord
from pipeline.adapters.published import Published, transition
from pipeline.cli.live import Thinner, totals_line
from pipeline.cli.main import app
from pipeline.cli.run import _speed, _sum_up
from pipeline.dev.audience import Totals
from pipeline.errors import UserError


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def change(customer: str, to: str) -> Published:
    content = {
        "id": "i",
        "customer_id": customer,
        "journey": "five-stage",
        "version": 1,
        "seq": 1,
        "kind": "entered",
        "from": None,
        "to": to,
        "entry": "e",
        "supersedes": [],
        "occurred_at": "2025-01-06T09:00:00.000Z",
        "published_at": "2025-01-06T09:00:00.000Z",
        "cause": {"rule": "r"},
    }
    return transition(FeedRecord("t", 0, 0, 0, None, json.dumps(content).encode(), []))


def test_shows_no_more_lines_than_people_can_read_and_counts_the_rest() -> None:
    clock = Clock()
    thinner = Thinner(5, clock)
    shown = 0
    for number in range(1000):
        clock.seconds = number * 0.01
        thinner.offer(change(f"c{number}", "awareness"))
        shown += thinner.take() is not None
    assert 45 <= shown <= 51
    assert shown + thinner.hidden == pytest.approx(1000, abs=20)


def test_everything_is_shown_of_a_quiet_feed() -> None:
    clock = Clock()
    thinner = Thinner(5, clock)
    for number in range(20):
        clock.seconds += 1.0
        thinner.offer(change(f"c{number}", "awareness"))
        assert thinner.take() is not None
    assert thinner.hidden == 0


def test_rare_changes_are_preferred() -> None:
    clock = Clock()
    thinner = Thinner(1, clock)
    stages = []
    for number in range(10):
        clock.seconds = number * 1.01
        for customer in range(50):
            thinner.offer(change(f"c{customer}", "awareness"))
        thinner.offer(change("c99", f"rare-{number}"))
        taken = thinner.take()
        stages.append(getattr(taken, "to", None))
    assert sum(str(stage).startswith("rare") for stage in stages) >= 9


@pytest.mark.parametrize(("text", "seconds"), [("1d", 86_400.0), ("6h", 21_600.0), ("3600", 3_600.0), ("0.5", 0.5)])
def test_speed_is_simulated_time_a_second(text: str, seconds: float) -> None:
    assert _speed(text) == seconds


@pytest.mark.parametrize("text", ["fast", "0", "-1d", "1 day", ""])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        _speed(text)


@pytest.mark.parametrize("arguments", [["--config", "x.yaml"], ["--no-stack", "--fresh"]])
def test_options_that_contradict_each_other_are_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["run", *arguments])
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 2


def test_totals_are_one_line_before_anything_has_happened() -> None:
    assert "events 0 sent 0 folded" in totals_line(Totals(), 0)


def test_a_run_is_summed_up_by_journey() -> None:
    totals = Totals()
    totals.stages.update({("five-stage", "awareness"): 1200, ("buying", "purchase"): 3, ("buying", "awareness"): 7})
    console = Console(record=True, width=120, file=StringIO())
    _sum_up(console, totals)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["buying", "awareness", "7", "purchase", "3"] in lines
    assert ["five-stage", "awareness", "1,200"] in lines
