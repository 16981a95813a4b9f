"""The budgets of the service levels: a fast burn pages, a slow one informs, and little of either says nothing."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from pipeline.dev import slo_rules
from tests.alerts.application import (
    WORKERS,
    always,
    between,
    counting,
    gone,
    growing,
    healthy,
    named,
    of_lane,
    standing,
    state,
    without,
)
from tests.alerts.promtool import MINUTE, RECORDING, SCRAPE_S, SLO, Course, check

A, B = WORKERS
FIRING = 'group by (slo) (ALERTS{alertstate="firing",severity="page"})'


def now_and_then(first: float, last: float) -> Course:
    """Not there for a quarter of a minute, every ten minutes."""
    return between(first, last, lambda second: None if second % (10 * MINUTE) < SCRAPE_S else 1, always(1))


@dataclass(frozen=True)
class Case:
    """What is changed of a healthy application, and which service levels page at each of these minutes.

    `steady`: minutes between which the level of the first page fires without a gap.
    """

    what: str
    series: dict[str, Course]
    pages: dict[float, set[str]]
    steady: tuple[float, float] | None = None


CASES = [
    Case("all is well", {}, {1: set(), 20: set()}),
    Case(
        "a deployment: each worker is gone for half a minute",
        without(A, first=5, last=5.5) | without(B, first=7, last=7.5),
        {6: set(), 8: set(), 15: set()},
    ),
    Case(
        "a first start: lanes are taken for three quarters of a minute",
        {state(lane): between(0, 0.75, gone, always(1)) for lane in WORKERS.values()},
        {0.5: set(), 1: set(), 10: set()},
    ),
    Case(
        "no lane is fresh for five minutes",
        {of_lane("journey_lane_progress_timestamp_seconds", lane): standing(5, 10) for lane in WORKERS.values()},
        {5.5: set(), 6.75: {"freshness"}, 20: {"freshness"}, 50: set()},
        (6.75, 40),
    ),
    Case(
        "one of two lanes waits for ten minutes",
        {state("0"): between(5, 15, gone, always(1))},
        {6: set(), 7.5: {"availability"}, 20: {"availability"}, 55: set()},
        (7.5, 45),
    ),
    Case(
        "a lane stumbles every ten minutes",
        {state(lane): now_and_then(5, 110) for lane in WORKERS.values()},
        {30: set(), 45: {"availability"}, 110: {"availability"}, 150: set()},
        (45, 110),
    ),
    Case(
        "silences cannot be proven for a quarter of an hour",
        {named("journey_watermark_timestamp_seconds", instance=A): between(5, 20, always(300), growing(1, -2))},
        {9: set(), 12: {"silence"}, 25: {"silence"}, 65: set()},
        (12, 50),
    ),
    Case(
        "one event fails where few come",
        {of_lane("journey_events_read_total", lane, channel="web"): growing(0.01) for lane in WORKERS.values()}
        | {of_lane("journey_dead_letters_total", "0", reason="fold_error"): lambda s: float(s >= 600)},
        {11: set(), 15: set(), 30: set()},
    ),
    Case(
        "one event in twenty fails for five minutes",
        {of_lane("journey_dead_letters_total", "0", reason="fold_error"): counting(5, 10, 1)},
        {5: set(), 10: {"completeness"}, 20: {"completeness"}, 50: set()},
        (10, 38),
    ),
    Case(
        "unread events are given up",
        {of_lane("journey_skipped_records_total", "1", topic="raw.web"): lambda s: 5000.0 * (s >= 600)},
        {9: set(), 12: {"completeness"}, 55: set()},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what.replace(" ", "-"))
def test_a_fast_burn_pages_and_clears(case: Case, tmp_path: Path) -> None:
    expected = {
        (minute, FIRING): {f'{{slo="{level}"}}': 1.0 for level in levels} for minute, levels in case.pages.items()
    }
    if case.steady:
        first, last = case.steady
        seconds = round((last - first) * MINUTE)
        (level,) = next(levels for levels in case.pages.values() if levels)
        fired = f'ALERTS{{slo="{level}",severity="page",alertstate="firing"}}'
        expected[last, f"max(count_over_time({fired}[{seconds}s]))"] = {"{}": seconds / SCRAPE_S + 1}
    check(tmp_path, [RECORDING, SLO], healthy() | case.series, expected, round(max(case.pages)) + 1)


def test_every_level_is_seen_to_page_and_to_clear() -> None:
    cleared = [case for case in CASES if not case.pages[max(case.pages)]]
    told = {level for case in cleared for levels in case.pages.values() for level in levels}
    assert told == {level.name for level in slo_rules.load().levels}


def test_a_slow_burn_informs_for_as_long_as_it_matters(tmp_path: Path) -> None:
    """A tenth of the month's budget is gone at once: a page for half an hour, then a note for six hours."""
    levels = slo_rules.load()
    only = msgspec.structs.replace(levels, levels=[level for level in levels.levels if level.name == "availability"])
    rules = tmp_path / "rules.yaml"
    rules.write_text(slo_rules.rules(only))
    series = {
        state("0"): between(5, 15, gone, always(1)),
        state("1"): always(1),
        named("journey_lanes", instance=A, clock="live"): always(2),
    }
    told = 'group by (severity) (ALERTS{alertstate="firing"})'
    page, note = '{severity="page"}', '{severity="inform"}'
    firing = {20.0: [page, note], 60.0: [note], 360.0: [note], 390.0: []}
    expected = {(minute, told): dict.fromkeys(severities, 1.0) for minute, severities in firing.items()}
    check(tmp_path, [RECORDING, rules], series, expected, 391)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("period: 30d\nwindows: []\n", "missing required field `levels`"),
        ("period: 30d\nwindows: [{severity: wake, burn: 1, long: 1h, short: 5m}]\nlevels: []\n", "Invalid enum value"),
        ("period: 30d\nwindows: []\nlevels: []\ntarget: 1\n", "unknown field `target`"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, mistake: str, tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text(text)
    with pytest.raises(msgspec.ValidationError, match=mistake):
        slo_rules.load(file)
