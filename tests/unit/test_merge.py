"""Inputs of a lane in append-time order, and the chain of positions that nothing may break."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest

from pipeline.application.intake import Source
from pipeline.application.merge import InputQueue, Merge
from pipeline.application.ports import Fetched, Headers, Record

WEB, STORE, EVENTS = Source("web", "raw", "web"), Source("store", "raw", "store"), Source("events", "events")


@dataclass(frozen=True)
class Read:
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()


def fetched(
    start: int, end: int, offsets: Iterable[int] | None = None, *, topic: str = "web", caught_up: bool = False
) -> Fetched:
    """The positions [start, end) with records at `offsets` (all of them), appended at ten times their offset."""
    records = [Read(offset, offset * 10) for offset in (range(start, end) if offsets is None else offsets)]
    return Fetched(topic, 0, start, end, records, caught_up)


def stamped(topic: str, *stamps: int, start: int = 0) -> Fetched:
    records = [Read(offset, stamp) for offset, stamp in enumerate(stamps, start)]
    return Fetched(topic, 0, start, start + len(stamps), records, caught_up=False)


def queue(position: int | None = 0) -> InputQueue:
    made = InputQueue(WEB)
    made.restart(position)
    return made


def drain(from_queue: InputQueue, most: int = 1 << 30) -> list[int]:
    found: list[int] = []
    while from_queue.queued:
        found += [record.offset for record in from_queue.take(1 << 62, most)]
    return found


# ---- one input: only what joins on


@dataclass(frozen=True)
class Chain:
    """Fetches that are offered to a queue at `start`: whether each joins on, and what is in it in the end."""

    offers: Sequence[tuple[Fetched, bool]]
    offsets: Sequence[int]
    reached: int | None
    start: int | None = 0


CHAINS = {
    "one after the other": Chain([(fetched(0, 2), True), (fetched(2, 4), True)], [0, 1, 2, 3], 4),
    "from the middle of the log": Chain([(fetched(7, 9), True)], [7, 8], 9, start=7),
    "a hole": Chain([(fetched(0, 2), True), (fetched(3, 5), False)], [0, 1], 2),
    "a hole, and then what was missing": Chain(
        [(fetched(3, 5), False), (fetched(0, 3), True), (fetched(3, 5), True)], [0, 1, 2, 3, 4], 5
    ),
    "a hole of markers is one too": Chain([(fetched(1, 2, []), False)], [], 0),
    "the same again": Chain([(fetched(0, 3), True), (fetched(0, 3), True)], [0, 1, 2], 3),
    "an older part again": Chain([(fetched(0, 3), True), (fetched(0, 2), True)], [0, 1, 2], 3),
    "an overlap": Chain([(fetched(0, 3), True), (fetched(1, 5), True)], [0, 1, 2, 3, 4], 5),
    "an overlap of markers": Chain([(fetched(0, 3), True), (fetched(1, 5, []), True)], [0, 1, 2], 5),
    "an overlap of what is known": Chain([(fetched(0, 3), True), (fetched(1, 5, [1, 2]), True)], [0, 1, 2], 5),
    "nothing": Chain([(fetched(0, 0), True)], [], 0),
    "markers only": Chain([(fetched(0, 5, []), True), (fetched(5, 6), True)], [5], 6),
    "holes in the offsets": Chain([(fetched(0, 9, [1, 4]), True), (fetched(9, 12, [11]), True)], [1, 4, 11], 12),
    "before the lane has sought": Chain([(fetched(0, 2), True), (fetched(5, 6), True)], [], None, start=None),
}


@pytest.mark.parametrize("name", CHAINS)
def test_only_what_joins_on_is_taken(name: str) -> None:
    chain = CHAINS[name]
    here = queue(chain.start)
    assert [here.offer(each) for each, _ in chain.offers] == [joins for _, joins in chain.offers]
    assert here.reached == chain.reached
    assert here.queued == len(chain.offsets)
    assert [record.offset for record in here.records()] == list(chain.offsets)
    assert drain(here) == list(chain.offsets)
    if chain.reached is not None:
        assert here.position == chain.reached


def test_the_position_is_behind_what_was_taken_and_passes_markers_with_the_last_record() -> None:
    here = queue()
    here.offer(fetched(0, 6, [1, 3]))
    here.offer(fetched(6, 9, []))
    assert here.position == 0
    assert [record.offset for record in here.take(1 << 62, 1)] == [1]
    assert here.position == 2
    assert [record.offset for record in here.records()] == [3]
    assert [record.offset for record in here.take(1 << 62, 1)] == [3]
    assert here.position == 9
    here.offer(fetched(9, 11, []))
    assert here.position == 11


def test_a_restart_forgets_what_was_queued() -> None:
    here = queue()
    here.offer(fetched(0, 5, caught_up=True))
    here.take(1 << 62, 2)
    here.restart(3)
    assert (here.queued, here.reached, here.position, here.caught_up, here.head()) == (0, 3, 3, False, None)
    here.offer(fetched(3, 5))
    assert drain(here) == [3, 4]
    here.restart(None)
    assert here.offer(fetched(90, 95))
    assert (here.queued, here.reached, here.position) == (0, None, 5)


@pytest.mark.parametrize(
    ("offers", "caught_up"),
    [
        ([], False),
        ([fetched(0, 2)], False),
        ([fetched(0, 2, caught_up=True)], True),
        ([fetched(0, 0, caught_up=True)], True),
        ([fetched(0, 2, caught_up=True), fetched(2, 4)], False),
        ([fetched(0, 2, caught_up=True), fetched(2, 2)], False),
        ([fetched(0, 2), fetched(2, 2, caught_up=True)], True),
        ([fetched(0, 4), fetched(0, 2, caught_up=True)], False),
        ([fetched(0, 4), fetched(5, 6, caught_up=True)], False),
    ],
)
def test_it_is_caught_up_as_the_newest_fetch_that_joined_on_says(offers: list[Fetched], caught_up: bool) -> None:
    here = queue()
    for each in offers:
        here.offer(each)
    assert here.caught_up == caught_up


@pytest.mark.parametrize(
    ("until", "most", "taken"),
    [(0, 9, [0]), (25, 9, [0, 1, 2]), (30, 9, [0, 1, 2, 3]), (99, 9, [0, 1, 2, 3]), (99, 2, [0, 1]), (-5, 9, [0])],
)
def test_a_run_is_taken_up_to_a_time_and_a_number(until: int, most: int, taken: list[int]) -> None:
    here = queue()
    here.offer(fetched(0, 4))
    here.offer(fetched(4, 6))
    assert [record.offset for record in here.take(until, most)] == taken


# ---- all inputs


def merge(*offers: Fetched) -> Merge:
    """Three inputs, all sought at 0."""
    made = Merge((WEB, STORE, EVENTS))
    for each in made.queues.values():
        each.restart(0)
    for each_fetched in offers:
        assert made.queues[each_fetched.topic].offer(each_fetched)
    return made


def stamps(runs: Sequence[tuple[Source, Sequence[Record]]]) -> list[tuple[str, int]]:
    return [(source.topic, record.timestamp) for source, records in runs for record in records]


def test_records_come_in_append_time_order_over_all_inputs() -> None:
    made = merge(stamped("web", 1, 2, 9), stamped("store", 3, 4), stamped("events", 2, 5))
    runs = made.take(100)
    assert stamps(runs) == [
        ("web", 1),
        ("web", 2),
        ("events", 2),
        ("store", 3),
        ("store", 4),
        ("events", 5),
        ("web", 9),
    ]
    assert not made.ready()
    assert made.positions() == {"web": 3, "store": 2, "events": 2}


def test_equal_times_keep_each_input_together() -> None:
    made = merge(stamped("web", 5, 5, 5), stamped("store", 5, 5))
    assert [(source.topic, len(records)) for source, records in made.take(100)] == [("store", 2), ("web", 3)]


def test_no_more_than_asked_for_is_taken_and_the_rest_follows() -> None:
    made = merge(stamped("web", 1, 4, 5), stamped("store", 2, 3, 6))
    first = made.take(3)
    assert stamps(first) == [("web", 1), ("store", 2), ("store", 3)]
    assert made.positions() == {"web": 1, "store": 2, "events": 0}
    assert stamps(made.take(100)) == [("web", 4), ("web", 5), ("store", 6)]
    assert made.take(100) == []


def test_a_clock_that_steps_back_within_an_input_loses_nothing() -> None:
    made = merge(stamped("web", 10, 3, 11, 2), stamped("store", 5, 1, 20))
    taken = stamps(made.take(100))
    assert [stamp for topic, stamp in taken if topic == "web"] == [10, 3, 11, 2]
    assert [stamp for topic, stamp in taken if topic == "store"] == [5, 1, 20]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_cuts_all_of_each_input_comes_once_and_in_order(seed: int) -> None:
    chance = Random(seed)
    logs = {topic: sorted(chance.randrange(300) for _ in range(120)) for topic in ("web", "store", "events")}
    made, offered, taken = merge(), dict.fromkeys(logs, 0), list[tuple[str, int]]()
    while any(offered[topic] < 120 for topic in logs) or made.ready():
        topic = chance.choice(list(logs))
        start = max(0, offered[topic] - chance.choice((0, 0, 3)))
        end = min(120, offered[topic] + chance.randint(0, 30))
        made.queues[topic].offer(stamped(topic, *logs[topic][start:end], start=start))
        offered[topic] = max(offered[topic], end)
        taken += stamps(made.take(chance.randint(1, 40)))
        for each, here in made.queues.items():
            assert here.queued == len(here.records())
            assert made.positions()[each] == offered[each] - here.queued
    for topic, log in logs.items():
        assert [stamp for name, stamp in taken if name == topic] == log


@pytest.mark.parametrize(
    ("offers", "missing"),
    [
        ([], True),
        ([fetched(0, 2)], True),
        ([fetched(0, 2), *(fetched(0, 0, topic=t, caught_up=True) for t in ("store", "events"))], False),
        ([fetched(0, 2), fetched(0, 1, topic="store"), fetched(0, 3, [], topic="events", caught_up=True)], False),
        ([fetched(0, 2), fetched(0, 1, topic="store"), fetched(0, 3, [], topic="events")], True),
    ],
)
def test_an_empty_input_is_missing_until_it_says_that_it_has_nothing(offers: list[Fetched], missing: bool) -> None:
    assert bool(merge(*offers).missing()) == missing


def test_an_input_that_is_not_read_is_not_missing() -> None:
    made = merge(fetched(0, 2))
    for topic in ("store", "events"):
        made.queues[topic].restart(None)
    assert made.ready()
    assert not made.missing()


def test_a_backlog_of_one_input_does_not_run_ahead_of_the_others() -> None:
    made = merge(stamped("web", *range(100)), stamped("store", *range(50, 60)))
    taken = stamps(made.take(70))
    assert all(before <= after for (_, before), (_, after) in pairwise(taken))
    assert made.positions() == {"web": 60, "store": 10, "events": 0}
