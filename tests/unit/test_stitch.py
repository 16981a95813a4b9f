"""A batch through the fold and through what holds a lane: totals, poison events, timers that raise, what is written."""

import json
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.application.intake import Arrival, Batch, Intake, Limits, Source
from pipeline.application.lane_record import first_lane_record
from pipeline.application.ports import Headers
from pipeline.application.stitch import (
    PARKED_KEPT,
    SLICE,
    Effects,
    FoldRaised,
    Stitch,
    TimerRaised,
    bring_up_to_date,
    write_out,
)
from pipeline.domain.compile import compile_journey
from pipeline.domain.encoding import decode
from pipeline.domain.feed import Feed
from pipeline.domain.fold import Fold, Outcome
from pipeline.domain.packing import NO_NAMES
from pipeline.domain.profile import Event, Profile
from pipeline.domain.touches import TouchTable
from tests.fakes.pipeline import DAY, MINUTE, START, TOUCHES, journey

NOW = "2025-06-15T15:06:41.000Z"
WEB, EVENTS = Source("raw.web", "raw", "web"), Source("journey.events", "events")
LATE = START + 3 * DAY
"""A watermark by which a forgotten cart is told of."""


@dataclass(frozen=True)
class Read:
    offset: int
    value: bytes | None
    headers: Headers = ()
    timestamp: int = START
    key: bytes | None = None


class BuggyFold(Fold):
    """Raises on events called `boom`, and on the timers of `tic`; after it has changed the profile."""

    def event(self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        outcome = super().event(profile, identity, event, watermark, feed)
        if event.id.startswith("boom"):
            raise ValueError(f"cannot fold {event.id}")
        return outcome

    def time(self, profile: Profile, watermark: int, feed: Feed) -> None:
        super().time(profile, watermark, feed)
        if profile.key == "c:tic":
            raise KeyError("stage")


def stitch(
    code: str = "1",
    fold: Callable[..., Fold] = BuggyFold,
    home: Callable[[bytes], int] = lambda key: int(key.startswith(b"away")),
) -> Stitch:
    table = TouchTable(TOUCHES)
    rules = fold([compile_journey(journey(), table.company)], table.company, DAY, 64)
    intake = Intake(0, table, Limits(), home, False)
    return Stitch(rules, intake, code)


@dataclass
class Lane:
    """As much of a lane as a batch needs: profiles by key, encoded, as they were last written."""

    stitch: Stitch = field(default_factory=stitch)
    stored: dict[str, bytes] = field(default_factory=dict)

    def take(self, *events: tuple[str, str, str, int], source: Source = WEB) -> Batch:
        """(id, customer, type, minute) each."""
        batch = Batch()
        reads = []
        for offset, (number, customer, kind, minute) in enumerate(events):
            at = START + minute * MINUTE
            value = {"id": number, "type": kind, "occurred_at": at, "customer_id": customer}
            reads.append(Read(offset, json.dumps(value).encode(), timestamp=max(START, at)))
        self.stitch.intake.take(source, reads, batch)
        return batch

    def profiles(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        return {key: self.stored.get(key) for key in keys}

    def fold(self, batch: Batch, watermark: int | None = None, parked: Container[str] | None = None) -> Effects:
        effects = Effects(NOW)
        profiles = self.profiles(arrival.key for arrival in batch.arrivals)
        for _ in self.stitch.fold(batch.arrivals, profiles, watermark, batch, effects, parked):
            pass
        return effects

    def pass_time(self, keys: Sequence[str], watermark: int) -> Effects:
        effects = Effects(NOW)
        for _ in self.stitch.let_time_pass(keys, self.profiles(keys), watermark, effects):
            pass
        return effects

    def store(self, effects: Effects) -> None:
        self.stored |= {key.decode(): value for key, value in write_out(effects).profiles if value}


# ---- folding


def test_outcomes_are_counted_by_channel() -> None:
    lane = Lane()
    batch = lane.take(
        ("1", "anna", "page_viewed", 0),
        ("1", "anna", "page_viewed", 0),
        ("2", "anna", "order_placed", 60 * 48),
        ("3", "anna", "order_placed", 1),
        ("4", "ben", "page_viewed", 0),
        ("5", "away1", "page_viewed", 0),
    )
    effects = lane.fold(batch)
    counts = batch.counts["web"]
    assert (counts.read, counts.folded, counts.duplicate, counts.late, counts.routed) == (6, 3, 1, 1, 1)
    assert list(effects.profiles) == ["c:anna", "c:ben"]


def test_a_duplicate_alone_touches_nothing() -> None:
    lane = Lane()
    lane.store(lane.fold(lane.take(("1", "anna", "page_viewed", 0))))
    effects = lane.fold(lane.take(("1", "anna", "page_viewed", 0)))
    assert (effects.profiles, effects.feed.transitions) == ({}, [])
    assert write_out(effects).profiles == []


def test_each_customers_events_are_folded_in_their_order() -> None:
    lane = Lane()
    batch = lane.take(
        ("1", "anna", "page_viewed", 0),
        ("2", "ben", "page_viewed", 0),
        ("3", "anna", "order_placed", 1),
        ("4", "ben", "order_placed", 1),
    )
    written = write_out(lane.fold(batch))
    records = [json.loads(value or b"") for _, value, _ in written.transitions]
    for customer in ("anna", "ben"):
        assert [(r["seq"], r["to"]) for r in records if r["customer_id"] == customer] == [(1, "seen"), (2, "bought")]


def test_the_event_loop_gets_its_turns() -> None:
    lane = Lane(stitch(fold=Fold))
    many = [(str(n), f"c{n % 700}", "page_viewed", n) for n in range(2 * SLICE + 500)]
    batch = lane.take(*many)
    profiles = lane.profiles(arrival.key for arrival in batch.arrivals)
    effects = Effects(NOW)
    turns = sum(1 for _ in lane.stitch.fold(batch.arrivals, profiles, None, batch, effects))
    assert turns >= 2
    assert sum(1 for _ in lane.stitch.let_time_pass(list(profiles), profiles, LATE, effects)) >= 1


def with_a_cart(lane: Lane, customer: str) -> Batch:
    """The lane knows the customer's cart of three days ago; the batch has a newer one, so that nothing is due any more
    when the index says that they are to be looked at."""
    lane.store(lane.fold(lane.take(("1", customer, "cart_updated", 0)), START))
    return lane.take(("2", customer, "cart_updated", 60 * 71))


def test_who_is_due_is_looked_at_with_their_events_as_they_would_be_after_them() -> None:
    apart, at_once = Lane(stitch(fold=Fold)), Lane(stitch(fold=Fold))
    one = apart.fold(with_a_cart(apart, "anna"), LATE)
    other = at_once.fold(with_a_cart(at_once, "anna"), LATE, ())
    assert other.profiles != one.profiles
    for _ in apart.stitch.let_time_pass(["c:anna"], {}, LATE, one):
        pass
    assert (other.profiles, other.customers, other.feed) == (one.profiles, one.customers, one.feed)
    assert (other.due, other.feed.due["c:anna"]) == (1, LATE + 5 * MINUTE)


# ---- bugs


def test_an_event_that_raises_is_named() -> None:
    lane = Lane()
    batch = lane.take(
        ("1", "anna", "page_viewed", 0), ("boom", "anna", "order_placed", 1), ("2", "ben", "cart_updated", 1)
    )
    with pytest.raises(FoldRaised, match="ValueError: cannot fold boom") as raised:
        lane.fold(batch)
    assert raised.value.arrival.event.id == "boom"
    assert "in event" in raised.value.trace


def test_timers_that_raise_are_named_and_parked_by_this_code() -> None:
    lane = Lane()
    lane.store(lane.fold(lane.take(("1", "tic", "cart_updated", 0), ("2", "anna", "cart_updated", 0))))
    with pytest.raises(TimerRaised, match="KeyError: 'stage'") as raised:
        lane.pass_time(["c:anna", "c:tic"], LATE)
    assert raised.value.key == "c:tic"
    effects = Effects(NOW)
    lane.stitch.park("c:tic", lane.profiles(["c:tic"]), str(raised.value), effects)
    assert (effects.parked, effects.feed.due) == (["c:tic"], {"c:tic": None})
    lane.store(effects)
    assert decode(lane.stored["c:tic"], NO_NAMES).parked == "1 KeyError: 'stage'"
    assert lane.pass_time(["c:tic"], LATE).feed.signals == []


def test_timers_that_raise_with_the_events_are_named_and_left_alone_once_they_are_parked() -> None:
    lane = Lane()
    batch = with_a_cart(lane, "tic")
    with pytest.raises(TimerRaised, match="KeyError: 'stage'") as raised:
        lane.fold(batch, LATE, ())
    assert raised.value.key == "c:tic"
    effects = lane.fold(batch, LATE, {"c:tic"})
    assert (list(effects.profiles), effects.due) == (["c:tic"], 0)


def parked_lane() -> Lane:
    lane = Lane()
    lane.store(lane.fold(lane.take(("1", "tic", "cart_updated", 0))))
    effects = Effects(NOW)
    lane.stitch.park("c:tic", lane.profiles(["c:tic"]), "KeyError", effects)
    lane.store(effects)
    return lane


@pytest.mark.parametrize(("code", "parked"), [("1", True), ("1.1", False), ("11", False), ("2", False)])
def test_another_version_of_the_code_takes_parked_timers_up_again(code: str, parked: bool) -> None:
    lane = parked_lane()
    lane.stitch = stitch(code, Fold)
    signals = lane.pass_time(["c:tic"], LATE).feed.signals
    assert [signal.signal for signal in signals] == ([] if parked else ["cart_left"])


def test_a_parked_customers_events_are_folded_and_fire_nothing() -> None:
    lane = parked_lane()
    effects = lane.fold(lane.take(("2", "tic", "order_placed", 60 * 20)), LATE)
    assert [transition.to for transition in effects.feed.transitions] == ["bought"]
    assert effects.feed.signals == []


# ---- what is written


def test_everything_is_written_once_as_it_is_in_the_end() -> None:
    lane = Lane(stitch(fold=Fold))
    batch = lane.take(("1", "anna", "cart_updated", 0), ("2", "ben", "page_viewed", 0))
    effects = lane.fold(batch)
    for _ in lane.stitch.let_time_pass(["c:anna"], {}, LATE, effects):
        pass
    written = write_out(effects)
    stored = dict(written.profiles)
    assert list(stored) == [b"c:anna", b"c:ben"]
    assert decode(stored[b"c:anna"] or b"", NO_NAMES).positions[0].fired
    assert [json.loads(value or b"")["signal"] for _, value, _ in written.signals] == ["cart_left"]
    assert [key for key, _, _ in written.customers] == [b"ben", b"anna"]
    assert {key for key, _, _ in (*written.transitions, *written.signals)} == {b"anna", b"ben"}
    assert all(json.loads(value or b"")["published_at"] == NOW for _, value, _ in written.transitions)


def test_a_customer_is_shown_as_after_the_last_change() -> None:
    lane = Lane(stitch(fold=Fold))
    effects = lane.fold(lane.take(("1", "anna", "order_placed", 0)))
    for _ in lane.stitch.let_time_pass(["c:anna"], {}, START + 100 * DAY, effects):
        pass
    ((_, value, _),) = write_out(effects).customers
    assert json.loads(value or b"")["journeys"]["shop"]["stage"] == "lapsed"


def test_a_batch_is_added_to_the_totals_exactly() -> None:
    lane, record = Lane(), first_lane_record("journey", 2)
    batches = [
        lane.take(("1", "anna", "cart_updated", 0), ("1", "anna", "cart_updated", 0), ("2", "ben", "page_viewed", 0)),
        lane.take(("3", "ben", "order_placed", 1), ("4", "ben", "something", 2)),
    ]
    lane.stitch.intake.take(WEB, [Read(9, b"{"), Read(10, None)], batches[1])
    for batch in batches:
        effects = lane.fold(batch)
        bring_up_to_date(record, batch, effects, "1")
        lane.store(effects)
    web = record.totals["web"]
    assert (web.read, web.folded, web.duplicate, web.dead, web.late, web.routed) == (7, 4, 1, 2, 0, 0)
    assert record.dead == {"not_json": 2}
    assert record.transitions == {"shop": {"entered": 2}}
    assert record.stages == {"shop": {"seen": 0, "bought": 1}}
    assert record.unclassified == 1
    timed = lane.pass_time(["c:anna"], LATE)
    bring_up_to_date(record, Batch(), timed, "1")
    assert record.signals == {"shop": {"cart_left:fired": 1}}


def test_punctuation_never_steps_back() -> None:
    record = first_lane_record("journey", 2)
    for moments in ({"raw.web": 7}, {"raw.web": 5, "raw.store": 3}):
        batch = Batch()
        batch.punctuation |= moments
        bring_up_to_date(record, batch, Effects(NOW), "1")
    assert record.punctuation == {"raw.web": 7, "raw.store": 3}


def test_the_lane_record_names_whose_timers_are_parked_and_forgets_who_returned() -> None:
    record = first_lane_record("journey", 2)
    effects = Effects(NOW)
    effects.parked += [f"c:{n}" for n in range(PARKED_KEPT + 5)]
    bring_up_to_date(record, Batch(), effects, "1")
    assert (record.parked, len(record.parked_by)) == (PARKED_KEPT + 5, PARKED_KEPT)
    effects = Effects(NOW)
    effects.returned += ["c:7", "c:8", "c:not there"]
    effects.parked += ["c:8"]
    bring_up_to_date(record, Batch(), effects, "2")
    assert "c:7" not in record.parked_by
    assert (record.parked_by["c:8"], record.parked_by["c:9"]) == ("2", "1")
    assert record.parked == PARKED_KEPT + 6


def test_an_arrival_remembers_where_it_came_from() -> None:
    (arrival,) = Lane().take(("1", "anna", "page_viewed", 0)).arrivals
    assert isinstance(arrival, Arrival)
    assert (arrival.source, arrival.record.offset) == (WEB, 0)
