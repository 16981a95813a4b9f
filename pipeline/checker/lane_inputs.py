"""What one lane has read: every record becomes an act of a customer at home here, a hop, or a dead letter."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.checker.findings import Findings
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_event import EventReader, NoEvent, check_carried
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Erase, Order, is_customer
from pipeline.checker.plain_messages import Message, digest
from pipeline.checker.plain_orders import read_erase, read_order
from pipeline.checker.rules import Input, Record, Rules

PUNCTUATION = "journey.punctuation"
PLACE_BITS = 44
"""A place (topic, partition, offset) as one number: the offset in the low bits, below 17 * 10^12."""
LANE_BITS = 12
MOST_HOPS = 5
"""An event that has been sent on so often may go to the dead letters instead of being sent on once more."""


class Arrival(NamedTuple):
    """An act as it came to its home lane: appended to input `source` (by number) at `at` ms, in order of `offset`.

    `acknowledged`: ms before which nobody may have let time pass over it; None if that cannot be known.
    """

    at: int
    source: int
    offset: int
    acknowledged: int | None
    act: Act


def place_number(topic: int, partition: int, offset: int) -> int:
    """A place in the raw topics as one number that sorts like it."""
    return (topic << LANE_BITS | partition) << PLACE_BITS | offset


class Carried(NamedTuple):
    """An event that was sent on, at `offset` of journey.events: where it was first, to whom, whose it is, how often."""

    offset: int

    place: int
    target: str
    primary: str
    hops: int
    act: Act


@dataclass(slots=True)
class LaneInputs:
    """Takes the records of lane `lane`, input by input, in log order and below the lane's positions only.

    `elsewhere`: the positions of all lanes by topic, to tell what came from beyond them. `arrivals` by the primary
    identity. `sent_on`: places of raw records that are at home elsewhere, with their digests, by home lane; `came`:
    those that were sent to the home of their primary, `carried`: those that were sent further. `told`: how many of both
    were read. `dead`: places that belong into the dead letters.

    `named`: (customer, identity) that a raw event names together; `linked`: whoever that, or a message, is about;
    `moving`: of whom something lies beyond the positions. `first_named` and `last_said`: append times (ms) of the first
    that names two together, and of the last that names somebody.
    """

    rules: Rules
    lane: int
    findings: Findings
    elsewhere: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    read: Counter[str] = field(default_factory=Counter)
    first_read: Counter[str] = field(default_factory=Counter)
    records: int = 0
    hops: int = 0
    commands: int = 0
    sent_on: dict[int, "array[int]"] = field(default_factory=dict)
    came: "array[int]" = field(default_factory=lambda: array("Q"))
    carried: list[Carried] = field(default_factory=list)
    dead: dict[tuple[str, int], str] = field(default_factory=dict)
    told: int = 0
    first_append: dict[str, int] = field(default_factory=dict)
    named: set[tuple[str, str]] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)
    moving: set[str] = field(default_factory=set)
    orders: list[Order] = field(default_factory=list)
    erasures: list[Erase] = field(default_factory=list)
    first_named: dict[tuple[str, str], int] = field(default_factory=dict)
    last_said: dict[str, int] = field(default_factory=dict)
    _reader: EventReader = field(init=False)
    _kinds: frozenset[str] = field(init=False)
    _homes: dict[str, int] = field(default_factory=dict)
    _topics: dict[str, int] = field(init=False)
    _punctuation: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = EventReader(self.rules)
        self._kinds = frozenset(kind.name for kind in self.rules.identities.kinds)
        self._topics = {source.topic: number for number, source in enumerate(self.rules.inputs)}

    def raw(self, source: Input, records: Sequence[Record]) -> None:
        """The next of this lane's partition of a raw topic."""
        number, lane, event_clock = self._topics[source.topic], self.lane, self.rules.event_clock
        for record in records:
            self.first_append.setdefault(source.topic, record.timestamp)
            if event_clock and self._punctuated(source.topic, record):
                continue
            self.records += 1
            try:
                said = self._reader.raw(record, source, lane)
                home = self._home(said.customer)
                if home != lane:
                    check_carried(record)
            except NoEvent as why:
                self.dead[source.topic, record.offset] = str(why)
                continue
            self.read[said.act.channel] += 1
            self.first_read[said.act.channel] += 1
            if said.named and is_customer(said.customer, self._kinds):
                self.named.update((said.customer, other) for other in said.named)
                self.linked.add(said.customer)
                for other in said.named:
                    self.first_named.setdefault((said.customer, other), record.timestamp)
            self._say(record.timestamp, said.customer, *said.named)
            if said.same:
                customer, identity = sorted((said.customer, said.same))
                self.orders.append(Order("link", identity, customer, record.timestamp))
                self._say(record.timestamp, customer, identity)
                self.linked.update((customer, identity))
            if home != lane:
                self.hops += 1
                sent = self.sent_on.setdefault(home, array("Q"))
                sent.append(place_number(number, lane, record.offset))
                sent.append(digest(said.customer, said.named, said.act))
                continue
            acknowledged = self._punctuation.get(source.topic, 0) if event_clock else record.timestamp
            self._arrive(said.customer, said.act, record, number, acknowledged)

    def messages(self, records: Sequence[Record], position: int) -> None:
        """The next of this lane's partition of journey.events; those from `position` on it has not read yet."""
        topic, event_clock = self.rules.topic("events"), self.rules.event_clock
        for record in records:
            ahead = record.offset >= position
            if not ahead:
                self.first_append.setdefault(topic, record.timestamp)
            try:
                message = self._reader.message(record)
            except NoEvent as why:
                if not ahead:
                    self.records += 1
                    self.dead[topic, record.offset] = str(why)
                continue
            if ahead or self._is_from_beyond(record):
                self.moving.update(message.names)
            act = message.act
            if act is None:
                self.linked.add(message.names[0])
                continue
            self._note_origin(record, message)
            if ahead:
                continue
            self.records += 1
            self.told += 1
            self.read[act.channel] += 1
            if message.named and is_customer(message.primary, self._kinds):
                self.linked.add(message.primary)
            if message.names[0] != message.primary:
                self.linked.add(message.names[0])
            else:
                acknowledged = None if event_clock else act.appended
                self._arrive(message.primary, act, record, len(self._topics), acknowledged)

    @property
    def astray(self) -> set[tuple[str, int]]:
        """Places of events that may be dead letters, since they have been sent on so often."""
        topic = self.rules.topic("events")
        return {(topic, each.offset) for each in self.carried if each.hops >= MOST_HOPS}

    def obey(self, records: Sequence[Record], position: int) -> None:
        """The next of this lane's partition of journey.commands; those from `position` on it has not read yet."""
        topic = self.rules.topic("commands")
        for record in records:
            if self.rules.event_clock and self._punctuated(topic, record):
                continue
            erase = read_erase(record.value, record.timestamp, self.lane, self.rules.partitions)
            if erase is not None:
                if record.offset >= position:
                    self.moving.add(erase.name)
                else:
                    self.commands += 1
                    self.erasures.append(erase)
                    self.linked.add(erase.name)
                continue
            order = read_order(record.value, self.lane, self.rules.partitions, self._kinds, record.timestamp)
            names = (order.identity, order.customer) if order else ()
            if record.offset >= position:
                self.moving.update(names)
                continue
            self.commands += 1
            if order is not None:
                self.orders.append(order)
                self._say(record.timestamp, *names)
                self.linked.update(name for name in names if self._home(name) == self.lane)

    def _say(self, at: int, *names: str) -> None:
        for name in names:
            self.last_said[name] = max(at, self.last_said.get(name, 0))

    def _note_origin(self, record: Record, message: Message) -> None:
        assert message.act is not None
        topic, lane, offset = _origin(record)
        number = self._topics.get(topic)
        if number is None:
            return
        place = place_number(number, lane, offset)
        if message.names[0] == message.primary and message.hops == 1:
            self.came.append(place)
            self.came.append(digest(message.primary, message.named, message.act))
        else:
            self.carried.append(
                Carried(record.offset, place, message.names[0], message.primary, message.hops, message.act)
            )

    def _is_from_beyond(self, record: Record) -> bool:
        """Whether it was sent because of something behind the position up to which its first lane is judged."""
        topic, lane, offset = _origin(record)
        return bool(topic) and lane in self.elsewhere and offset >= self.elsewhere[lane].get(topic, 0)

    def _arrive(self, primary: str, act: Act, record: Record, source: int, acknowledged: int | None) -> None:
        arrival = Arrival(record.timestamp, source, record.offset, acknowledged, act)
        found = self.arrivals.get(primary)
        if found is None:
            self.arrivals[primary] = [arrival]
        else:
            found.append(arrival)

    def _home(self, customer: str) -> int:
        found = self._homes.get(customer)
        if found is None:
            found = self._homes[customer] = home_lane(customer, self.rules.partitions)
        return found

    def _punctuated(self, topic: str, record: Record) -> bool:
        for name, text in record.headers:
            if name == PUNCTUATION and text is not None and text.isdigit():
                self._punctuation[topic] = max(self._punctuation.get(topic, 0), int(text))
                return True
        return False


def _origin(record: Record) -> tuple[str, int, int]:
    """Topic, partition and offset where the event of a record was first; an empty topic if it does not say."""
    place, _, offset = (dict(record.headers).get("journey.origin") or b"").decode(errors="replace").rpartition("@")
    topic, _, partition = place.rpartition("-")
    return (topic, int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else ("", 0, 0)
