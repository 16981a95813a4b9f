"""What must hold at every moment, looked at whenever a transaction is decided or Redis changes.

I1, I2, I3, I7 and I9 at each commit; I4 and I5 for a reader of Redis at each change of it.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pipeline.application.lane_models import KEY as MODELS
from pipeline.application.lane_models import LaneModels, decode_models
from pipeline.application.lane_record import KEY, POSITION, LaneRecord, decode_lane
from pipeline.application.ports import Record
from pipeline.checker.net_history import Subscriber
from pipeline.domain.encoding import decode
from pipeline.domain.messages import Seen, decode_message
from pipeline.domain.moments import parse_moment
from pipeline.domain.packing import Names
from pipeline.domain.remembered import recent_of
from tests.fakes.kafka import FakeKafka, Log, Transaction
from tests.fakes.pipeline import TOPICS
from tests.fakes.table import FakeRedis
from tests.simulation.ledger import Ledger
from tests.simulation.models import models, plain_shop
from tests.simulation.worker import APPLICATION, INPUTS

GRACES: Final = {(j.name, s.rule): s.grace for j in (*models().plain, plain_shop(True)) for s in j.silences}
"""ms by journey and rule."""


class Wrong(Exception):
    """What must always be true is not."""


@dataclass(slots=True)
class Shown:
    """A lane's committed state at one of its positions, and the floor under which a reader must not see it again."""

    states: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    newest: dict[bytes, bytes] = field(default_factory=dict)
    floor: int = -1
    record: LaneRecord | None = None


class Audit:
    """`skew`: ms by which the brokers' clocks may differ. `on_problem` hears of what is found; the lanes do not."""

    def __init__(self, kafka: FakeKafka, redis: FakeRedis, ledger: Ledger, partitions: int, skew: int) -> None:
        self._kafka = kafka
        self._redis = redis
        self._ledger = ledger
        self._skew = skew
        self._names: dict[Log, tuple[str, int]] = {
            log: (name, number) for name, topic in kafka.topics.items() for number, log in enumerate(topic.logs)
        }
        self._lanes = [Shown() for _ in range(partitions)]
        self._remembered: dict[str, dict[str, int]] = {}
        self._routed: list[dict[int, str]] = [{} for _ in range(partitions)]
        self._subscriber = Subscriber()
        self.found_by: dict[str, int] = {}
        """By event, how many switches of its lane there had been when it was folded."""
        self.on_problem: Callable[[Wrong], None] = lambda wrong: None
        self.transactions = self.aborted = self.routed = self.timers = self.reads = 0

    def decided(self, transaction: Transaction) -> None:
        """A transaction was committed or aborted."""
        if not transaction.committed:
            self.aborted += 1
            return
        written = {self._names[log]: list(_records(log, transaction)) for log in transaction.logs}
        lanes = [partition for topic, partition in written if topic == TOPICS.profiles]
        if lanes:
            self.transactions += 1
            self._guard(lambda: self._committed(lanes[0], written))

    def changed(self, key: str) -> None:
        """A key of Redis was written."""
        lane = key.removeprefix(f"{APPLICATION}:{{").removesuffix("}")
        if lane.isdecimal():
            self._guard(lambda: self._read(int(lane)))

    def lost(self) -> None:
        """Redis was made to lose data: a reader may see an older state, but never a wrong one."""
        for shown in self._lanes:
            shown.floor = -1
        for lane in range(len(self._lanes)):
            self._guard(lambda lane=lane: self._read(lane))  # type: ignore[misc]

    def _guard(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Wrong as wrong:
            self.on_problem(wrong)

    def table_is_current(self, lane: int) -> bool:
        """Whether Redis holds the newest committed state."""
        shown = self._lanes[lane]
        stored = self._redis.tables.get(f"{APPLICATION}:{{{lane}}}")
        newest = next(reversed(shown.states.values()), {})
        return (stored.fields if stored is not None else {}) == newest

    def models(self, lane: int) -> LaneModels:
        """The journeys that were promoted there, as committed."""
        return decode_models(self._lanes[lane].newest.get(MODELS))

    def record(self, lane: int) -> LaneRecord | None:
        """The newest committed lane record."""
        return self._lanes[lane].record

    # ---- commits

    def _committed(self, lane: int, written: dict[tuple[str, int], list[Record]]) -> None:
        profiles = written[TOPICS.profiles, lane]
        if profiles[-1].key != KEY or sum(record.key == KEY for record in profiles) != 1:
            raise Wrong(f"I1: a transaction of lane {lane} does not end with its one lane record")
        record = decode_lane(profiles[-1].value or b"")
        own = self.models(lane).journeys.get("shop")
        switches = 0 if own is None else len(own.switches)
        self._show(lane, profiles)
        names = Names(record.names)
        for each in profiles[:-1]:
            if each.key != MODELS:
                self._profile(each, switches, names)
        self._positions(lane, record, written)
        self._feeds(lane, written)

    def _show(self, lane: int, profiles: list[Record]) -> None:
        shown = self._lanes[lane]
        shown.newest = {**shown.newest, **{each.key or b"": each.value or b"" for each in profiles}}
        position = f"{self._kafka.topics[TOPICS.profiles].id}:{profiles[-1].offset}".encode()
        shown.states[position] = {**shown.newest, POSITION: position}

    def _profile(self, record: Record, switches: int, names: Names) -> None:
        """I1, I2: what a profile has folded stays folded."""
        found = decode(record.value or b"", names)
        events = {event.id: event.at for strand in found.strands for event in recent_of(strand)}
        before = self._remembered.get(found.key, {})
        if gone := before.keys() - events.keys():
            raise Wrong(f"I1: {sorted(gone)} were folded into {found.key} and are no longer")
        self._remembered[found.key] = events
        for identifier in events.keys() - before.keys():
            self.found_by[identifier] = switches
            self._ledger.fold(identifier)

    def _positions(self, lane: int, record: LaneRecord, written: dict[tuple[str, int], list[Record]]) -> None:
        """I1: all that lies before the position is folded, late, dead or sent on by this transaction at the latest."""
        shown = self._lanes[lane]
        before, shown.record = shown.record, record
        sent_on = {
            _sent_on(each) for (topic, _), records in written.items() if topic == TOPICS.events for each in records
        }
        for topic in INPUTS:
            start = 0 if before is None else before.next.get(topic, 0)
            end = record.next.get(topic, start)
            if end < start:
                raise Wrong(f"I2: lane {lane} goes back on {topic} from {start} to {end}")
            for offset in range(start, end):
                self._passed(topic, lane, offset, sent_on)
        for (topic, home), records in written.items():
            if topic == TOPICS.events:
                self.routed += len(records)
                self._routed[home].update((each.offset, _sent_on(each)) for each in records)
        if before is not None and before.watermark is not None and (record.watermark or 0) < before.watermark:
            raise Wrong(f"I9: the watermark of lane {lane} falls from {before.watermark} to {record.watermark}")
        if (
            before is not None
            and record.paused is not None
            and before.paused == record.paused
            and record.totals != before.totals
        ):
            raise Wrong(f"lane {lane} takes input though it is paused")
        for channel, tally in record.totals.items():
            if tally.read != tally.folded + tally.duplicate + tally.routed + tally.late + tally.dead:
                raise Wrong(f"I7: lane {lane} {channel}: {tally}")

    def _passed(self, topic: str, lane: int, offset: int, sent_on: set[str]) -> None:
        if topic == TOPICS.events:
            passed = self._routed[lane].get(offset)
        else:
            sent = self._ledger.by_place.get((topic, lane), {}).get(offset)
            real = sent is not None and sent.dead is None and not sent.late and sent.acknowledged is not None
            passed = sent.id if sent is not None and real else None
        if passed is not None and passed not in self._ledger.folded and passed not in sent_on:
            raise Wrong(f"I1: lane {lane} passes {topic}@{offset}, and {passed} is neither folded nor sent on")

    def _feeds(self, lane: int, written: dict[tuple[str, int], list[Record]]) -> None:
        for record in written.get((TOPICS.transitions, lane), ()):
            said = json.loads(record.value or b"")
            self._subscriber.transition(said)
            timer = said["cause"].get("timer")
            if timer is not None and said["kind"] != "retracted":
                self._silence(said, timer, overtaken=True)
        for record in written.get((TOPICS.signals, lane), ()):
            said = json.loads(record.value or b"")
            self._subscriber.signal(said)
            if said["kind"] == "fired":
                self._silence(said, said["cause"]["timer"], overtaken=False)
        if self._subscriber.problems:
            raise Wrong(f"I2, I3: {self._subscriber.problems[0]}")

    def _silence(self, said: dict[str, object], timer: dict[str, str], *, overtaken: bool) -> None:
        """I9. A stage timer that the customer's own later event has settled needs no time to pass."""
        self.timers += 1
        due = parse_moment(timer["due"])
        customer = f"c:{said['customer_id']}"
        if overtaken and any(at > due for at in self._remembered.get(customer, {}).values()):
            return
        until = due + GRACES[str(said["journey"]), timer["rule"]] - self._skew
        early = min(((at, number) for number, at in self._ledger.unfolded.items() if at < until), default=None)
        if early is not None:
            raise Wrong(
                f"I9: {said['id']} fires by the silence until {until}, and {early[1]} of {early[0]} is unfolded"
            )

    # ---- readers of Redis

    def _read(self, lane: int) -> None:
        """I4, I5: what is there is what was committed at its position, and the position does not go back."""
        self.reads += 1
        shown = self._lanes[lane]
        stored = self._redis.tables.get(f"{APPLICATION}:{{{lane}}}")
        if stored is None or not stored.fields:
            return
        position = stored.fields.get(POSITION)
        if position is None:
            raise Wrong(f"I4: the table of lane {lane} has data without a position")
        state = shown.states.get(position)
        if state is None:
            raise Wrong(f"I4: the table of lane {lane} is at {position!r}, which was never committed")
        if state != stored.fields:
            differ = sorted(
                key for key in state.keys() | stored.fields.keys() if state.get(key) != stored.fields.get(key)
            )
            raise Wrong(f"I5: the table of lane {lane} at {position!r} differs from the changelog in {differ}")
        offset = int(position.rpartition(b":")[2])
        if offset < shown.floor:
            raise Wrong(f"I4: a reader of lane {lane} sees {offset} after {shown.floor}")
        shown.floor = offset


def _records(log: Log, transaction: Transaction) -> Iterator[Record]:
    """What it wrote there; its marker is not written yet."""
    first = bisect_left(log.slots, log._open[transaction], key=lambda slot: slot.offset)
    for slot in log.slots[first:]:
        if slot.transaction is transaction and slot.record is not None:
            yield slot.record


def _sent_on(record: Record) -> str:
    """The id of the event in a record of `journey.events`; nobody names two identities together in these worlds."""
    message = decode_message(record.value or b"")
    assert isinstance(message, Seen), "no customer claims anybody"
    return message.id
