"""The page about the benchmarks says what the results say, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import charts, report, results
from tests.benchmarks.report import GOALS, PAGES, PUBLISHED, Goal, Published
from tests.benchmarks.results import Circumstances, Cost, Growth, Latency, Line, SecondHalf

AROUND = Circumstances(
    session="20260101T000000Z",
    at="2026-01-01T00:00:00Z",
    commit="abc",
    machine="a processor",
    cores=2,
    memory_gb=8,
    system="Linux 6",
    python="3.11.7",
    kafka="4.3.1",
    redis="Valkey 9",
    java="17",
)


def cost(system: str, number: int, us: float) -> Line:
    figure = Cost(
        system=system,
        version="1",
        round=number,
        events=1_000,
        customers=100,
        lanes=4,
        transitions=225,
        correct=True,
        seconds=1.0,
        events_per_second=1_000.0,
        worker_us=us,
        redis_us=0.0,
        broker_us=1.0,
        peak_mb=100.0,
        load_average=0.5,
        second_half=SecondHalf(400, 1_000.0, us / 2, 0.0, 1.0),
    )
    return Line(figure, AROUND)


PAIRS = [
    cost(*run)
    for run in (("worker", 0, 5.0), ("kafka-streams", 0, 20.0), ("worker", 1, 9.5), ("kafka-streams", 1, 10.0))
]


def test_the_page_is_made_of_the_published_results() -> None:
    assert (PAGES / "README.md").read_text() == report.render(results.read(PUBLISHED)), (
        "make it anew: python -m tests.benchmarks publish --results-file docs/benchmarks/results.jsonl"
    )


def test_every_published_output_was_right() -> None:
    figures = [line.figure for line in results.read(PUBLISHED)]
    assert figures
    assert all(figure.correct for figure in figures if isinstance(figure, Cost | Latency | Growth))


def test_ratios_are_of_the_same_round() -> None:
    page = report.render(PAIRS)
    assert "| worker | 0.25 0.95 | 0.60 | 0.25 0.95 | 0.60 |" in page


def test_a_busy_machine_is_said() -> None:
    busy = [Line(msgspec.structs.replace(line.figure, load_average=7.0), AROUND) for line in PAIRS]
    assert "busy with other work (load average up to 7)" in report.render(busy)
    assert "busy" not in report.render(PAIRS)


def test_what_was_not_measured_is_said() -> None:
    page = report.render([])
    assert page.count("not measured") == len(GOALS)
    assert "✓" not in page
    assert "✗" not in page


@pytest.mark.parametrize(
    ("least", "found", "shown"),
    [(False, 5.0, ["≤ 6 ✓", "≤ 4 ✗"]), (False, 7.0, ["≤ 6 ✗", "≤ 4 ✗"]), (True, 5.0, ["≥ 6 ✗", "≥ 4 ✓"])],
)
def test_a_goal_is_reached_or_not(least: bool, found: float, shown: Sequence[str]) -> None:
    row = Goal("what", 6.0, 4.0, lambda _: found, least).row(Published([]))
    assert row == ("what", *shown, f"{found:.3g}")


def test_the_newest_call_of_each_figure_is_published() -> None:
    later = [Line(line.figure, msgspec.structs.replace(AROUND, session="later")) for line in PAIRS[:2]]
    assert report.newest([*PAIRS, *later]) == later


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    for line in PAIRS:
        results.append(tmp_path / "results.jsonl", line)
    assert list(results.read(tmp_path / "results.jsonl")) == PAIRS


def test_a_chart_is_drawn(tmp_path: Path) -> None:
    charts.draw(charts.cost_chart(Published(PAIRS).figures(Cost)), tmp_path / "cost.svg")
    drawn = (tmp_path / "cost.svg").read_text()
    assert drawn.startswith("<svg")
    assert "kafka-streams" in drawn
