"""What proves a lane's progress, and when the watermark rises (tests/property/test_watermark.py has the worlds)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from pipeline.application.ports import ProgressRecord
from pipeline.application.progress import LaneProgress, Watermark, punctuated

WORLD = "journey:a"


@dataclass(frozen=True)
class Tick:
    """Acknowledged at `at` with `offset`; the ends that were answered after that."""

    at: int
    offset: int
    ends: Mapping[str, int | None]


@dataclass(frozen=True)
class Commit:
    """Positions that are committed, and append times of the last records."""

    positions: Mapping[str, int]
    appended: Mapping[str, int]


Step = Tick | Commit


def commit(appended: Mapping[str, int] | None = None, **positions: int) -> Commit:
    return Commit(positions, appended or {})


def tick(at: int, offset: int | None = None, **ends: int | None) -> Tick:
    return Tick(at, at if offset is None else offset, ends)


def play(steps: Sequence[Step]) -> tuple[int | None, int | None]:
    """What is proven of raw and of events, for a lane of two raw topics `a` and `b`, and `e` for events."""
    progress = LaneProgress(["a", "b"], "e")
    for step in steps:
        if isinstance(step, Tick):
            progress.ticked(step.at, step.offset, step.ends)
        else:
            progress.committed(step.positions, step.appended)
    return progress.raw()[0], progress.events()


BEHIND = tick(100, a=5, b=3, e=7)

PROOFS: dict[str, tuple[list[Step], int | None, int | None]] = {
    "nothing": ([], None, None),
    "a tick alone": ([BEHIND], None, None),
    "a commit alone": ([commit(a=5, b=3, e=7)], None, None),
    "all is read": ([BEHIND, commit(a=5, b=3, e=7)], 100, 100),
    "more than all is read": ([BEHIND, commit(a=9, b=9, e=9)], 100, 100),
    "a commit before the tick proves nothing yet": ([commit(a=5, b=3, e=7), BEHIND], None, None),
    "nothing was ever sent": ([tick(100, a=0, b=0, e=0), commit()], 100, 100),
    "one raw topic is behind": ([BEHIND, commit(a=4, b=3, e=7)], None, 100),
    "events are behind": ([BEHIND, commit(a=5, b=3, e=6)], 100, None),
    "one has no answer": ([tick(100, a=None, b=0, e=0), commit()], None, 100),
    "one was not asked for": ([tick(100, a=0, e=0), commit()], None, 100),
    "the least of the raw topics counts": (
        [tick(100, a=1, b=1, e=1), tick(200, a=1, b=9, e=1), commit(a=1, b=1, e=1)],
        100,
        200,
    ),
    "several ticks are proven at once": (
        [tick(100, a=1, b=1, e=1), tick(200, a=2, b=2, e=2), commit(a=2, b=2, e=2)],
        200,
        200,
    ),
    "the older tick is proven first": (
        [tick(100, a=1, b=1, e=1), tick(200, a=2, b=2, e=2), commit(a=1, b=1, e=1)],
        100,
        100,
    ),
    "a tick whose clock stepped back proves no less": (
        [tick(200, 1, a=0, b=0, e=0), commit(), tick(150, 2, a=0, b=0, e=0), commit()],
        200,
        2,
    ),
    "the last record of a raw topic proves its own time": ([commit({"a": 50, "b": 60}, a=1, b=1)], 50, None),
    "but only of raw topics": ([commit({"a": 50, "b": 60, "e": 99}, a=1, b=1, e=1)], 50, None),
    "the better of both counts": ([BEHIND, commit({"a": 150, "b": 60}, a=5, b=3)], 100, None),
    "progress never steps back": ([commit({"a": 50, "b": 60}), commit({"a": 40, "b": 60})], 50, None),
    "positions that step back take nothing back": ([BEHIND, commit(a=5, b=3, e=7), commit(a=0, b=0, e=0)], 100, 100),
    "the topic of ticks was made anew": (
        [tick(100, 90, a=0, b=0, e=0), commit(), tick(200, 3, a=0, b=0, e=9), commit()],
        200,
        None,
    ),
    "a proof of the former topic of ticks": (
        [tick(100, 90, a=0, b=0, e=1), tick(200, 3, a=0, b=0, e=1), commit(e=1)],
        200,
        3,
    ),
}


@pytest.mark.parametrize("name", PROOFS)
def test_progress_is_what_is_proven(name: str) -> None:
    steps, raw, events = PROOFS[name]
    assert play(steps) == (raw, events)


def test_it_says_which_topic_holds_it() -> None:
    progress = LaneProgress(["a", "b"], "e")
    progress.ticked(100, 1, {"a": 1, "b": 0})
    progress.committed({}, {})
    assert progress.raw() == (None, "a")
    progress.committed({"a": 1}, {"a": 500})
    assert progress.raw() == (100, "b")


def test_a_long_backlog_keeps_the_oldest_proofs_and_the_newest() -> None:
    progress = LaneProgress(["a"], "e")
    for number in range(1, 1001):
        progress.ticked(number, number, {"a": number, "e": number})
    progress.committed({"a": 1, "e": 1}, {})
    assert (progress.raw()[0], progress.events()) == (1, 1)
    progress.committed({"a": 1000, "e": 1000}, {})
    assert (progress.raw()[0], progress.events()) == (1000, 1000)


@pytest.mark.parametrize(
    ("punctuation", "expected"),
    [
        ({}, (None, "a")),
        ({"a": 5}, (None, "b")),
        ({"b": 5}, (None, "a")),
        ({"a": 5, "b": 3}, (3, "b")),
        ({"a": 0, "b": 3}, (0, "a")),
    ],
)
def test_by_an_event_clock_the_least_punctuation_counts(
    punctuation: dict[str, int], expected: tuple[int | None, str]
) -> None:
    assert punctuated(("a", "b"), punctuation) == expected


# ---- the watermark


def said(lane: int, raw: int | None, events: int | None, world: str = WORLD) -> ProgressRecord:
    return ProgressRecord(lane, world, raw, events, "", "", "", "")


def rises(
    records: Sequence[tuple[int, ProgressRecord]], lanes: int = 2, hops: int = 1, world: str = WORLD
) -> list[int | None]:
    """The watermark after each record."""
    watermark = Watermark(lanes, hops)
    watermark.enter(world)
    found = []
    for offset, record in records:
        watermark.observe(offset, record)
        found.append(watermark.value)
    return found


FIRST = [(10, said(0, 100, 1)), (11, said(1, 90, 1))]
"""Everybody has said something: the least is 90, and what was routed by then has to arrive."""

WATERMARKS: dict[str, tuple[list[tuple[int, ProgressRecord]], list[int | None]]] = {
    "one lane is silent": ([(10, said(0, 100, 1)), (12, said(0, 200, 9))], [None, None]),
    "a hop is waited for": (FIRST, [None, None]),
    "until all have read their events since": (
        [*FIRST, (12, said(0, 200, 11)), (13, said(1, 190, 10)), (14, said(1, 190, 11))],
        [None, None, None, None, 90],
    ),
    "and then for the next": (
        [
            *FIRST,
            (12, said(0, 200, 11)),
            (13, said(1, 190, 11)),
            (14, said(1, 190, 11)),
            (15, said(0, 300, 14)),
            (16, said(1, 290, 14)),
        ],
        [None, None, None, 90, 90, 90, 190],
    ),
    "nothing proven is no time": (
        [(10, said(0, None, 1)), (11, said(1, 90, 1)), (12, said(0, None, 11)), (13, said(1, 95, 11))],
        [None] * 4,
    ),
    "a lane that says less than before": (
        [*FIRST, (12, said(0, 200, 11)), (13, said(0, None, None)), (14, said(1, 190, 11))],
        [None, None, None, None, 90],
    ),
    "another world is not heard": ([FIRST[0], (11, said(1, 90, 1, "journey:b")), (12, said(0, 200, 11))], [None] * 3),
    "lanes that there are not": ([FIRST[0], (11, said(2, 90, 1)), (12, said(-1, 90, 1))], [None] * 3),
    "an offset ahead of its own record is of a topic that is gone": (
        [*FIRST, (12, said(0, 200, 99)), (13, said(1, 190, 99)), (14, said(0, 200, 11)), (15, said(1, 190, 11))],
        [None, None, None, None, None, 90],
    ),
    "a topic that begins again is believed only as a whole": (
        [
            *FIRST,
            (12, said(0, 200, 11)),
            (0, said(1, 190, None)),
            (1, said(0, 200, 0)),
            (2, said(1, 190, 1)),
            (3, said(0, 210, 2)),
        ],
        [None, None, None, None, None, None, 190],
    ),
}


@pytest.mark.parametrize("name", WATERMARKS)
def test_the_watermark_rises_when_all_is_read_and_has_arrived(name: str) -> None:
    records, expected = WATERMARKS[name]
    assert rises(records) == expected


def test_without_hops_the_least_counts_at_once() -> None:
    assert rises(FIRST, hops=0) == [None, 90]


def test_each_hop_is_waited_for() -> None:
    rounds = [(20 + number, said(number % 2, 100 + number, 19 + number)) for number in range(12)]
    found = {hops: rises([*FIRST, *rounds], hops=hops) for hops in (0, 1, 2, 3)}
    waited = [values.count(None) for _, values in sorted(found.items())]
    assert waited == sorted(set(waited))
    assert all(next(filter(None, values)) == 90 for values in found.values())


def test_it_never_falls() -> None:
    watermark = Watermark(1, 0)
    watermark.enter(WORLD)
    watermark.observe(1, said(0, 100, 0))
    watermark.observe(0, said(0, 50, None))
    assert watermark.value == 100


def test_another_world_begins_with_nothing() -> None:
    watermark, found = Watermark(1, 0), list[int | None]()
    for offset, (entered, heard, raw) in enumerate(
        [(WORLD, WORLD, 100), (WORLD, "journey:b", 900), ("journey:b", WORLD, 200), ("journey:b", "journey:b", 70)]
    ):
        watermark.enter(entered)
        watermark.observe(offset, said(0, raw, None, heard))
        found.append(watermark.value)
    assert found == [100, 100, None, 70]


@pytest.mark.parametrize(
    ("records", "holder"),
    [
        ([], 0),
        ([said(0, 5, 0)], 1),
        ([said(1, 5, 0), said(2, 5, 0)], 0),
        ([said(0, 9, 0), said(1, 5, 0), said(2, 7, 0)], 1),
        ([said(0, 9, 0), said(1, 5, 0), said(2, None, 0)], 2),
        ([said(0, 9, 0), said(1, 5, 0), said(2, 7, 0), said(1, 8, 0)], 2),
    ],
)
def test_who_holds_the_timers(records: list[ProgressRecord], holder: int) -> None:
    watermark = Watermark(3, 1)
    watermark.enter(WORLD)
    for offset, record in enumerate(records):
        watermark.observe(offset, record)
    assert watermark.holder() == holder
