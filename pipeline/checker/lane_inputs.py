"""What one lane has read: every record becomes an act of a customer at home here, a hop, or a dead letter."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.checker.findings import Findings
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_event import MOST_HOPS, EventReader, NoEvent, Said, check_carried
from pipeline.checker.plain_home import home_lane
from pipeline.checker.rules import Input, Record, Rules

PUNCTUATION = "journey.punctuation"
PLACE_BITS = 44
"""A place (topic, partition, offset) as one number: the offset in the low bits, below 17 * 10^12."""
LANE_BITS = 12


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


@dataclass(slots=True)
class LaneInputs:
    """Takes the records of lane `lane`, input by input, in log order and below the lane's positions only.

    `arrivals` by customer. `sent_on`: places of raw records that are at home elsewhere, each with its home lane;
    `came`: places that routed records name as their origin. `dead`: places that belong into the dead letters.
    """

    rules: Rules
    lane: int
    findings: Findings
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    read: Counter[str] = field(default_factory=Counter)
    records: int = 0
    hops: int = 0
    commands: int = 0
    sent_on: dict[int, "array[int]"] = field(default_factory=dict)
    came: "array[int]" = field(default_factory=lambda: array("Q"))
    dead: dict[tuple[str, int], str] = field(default_factory=dict)
    first_append: dict[str, int] = field(default_factory=dict)
    _reader: EventReader = field(init=False)
    _homes: dict[str, int] = field(default_factory=dict)
    _topics: dict[str, int] = field(init=False)
    _punctuation: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = EventReader(self.rules)
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
            if home != lane:
                self.hops += 1
                self.sent_on.setdefault(home, array("Q")).append(place_number(number, lane, record.offset))
                continue
            acknowledged = self._punctuation.get(source.topic, 0) if event_clock else record.timestamp
            self._arrive(said, record, number, acknowledged)

    def routed(self, records: Sequence[Record]) -> None:
        """The next of this lane's partition of journey.events."""
        topic, number = self.rules.topic("events"), len(self._topics)
        for record in records:
            self.first_append.setdefault(topic, record.timestamp)
            try:
                found = self._reader.routed(record)
                if found is None:
                    continue
                said, hops = found
                home = self._home(said.customer)
                if home != self.lane and hops >= MOST_HOPS:
                    raise NoEvent(f"{hops} hops, and lane {home} is its home")
                if home != self.lane:
                    check_carried(record)
            except NoEvent as why:
                self.records += 1
                self.dead[topic, record.offset] = str(why)
                continue
            self.records += 1
            self.read[said.act.channel] += 1
            if home != self.lane:
                self.hops += 1
                continue
            self._arrive(said, record, number, None if self.rules.event_clock else said.act.appended)

    def origins(self, records: Sequence[Record]) -> None:
        """The next of journey.events, those behind the lane's position included: only where they came from."""
        for record in records:
            origin = (dict(record.headers).get("journey.origin") or b"").decode(errors="replace")
            place, _, offset = origin.rpartition("@")
            topic, _, partition = place.rpartition("-")
            number = self._topics.get(topic)
            if number is not None and partition.isdecimal() and offset.isdecimal():
                self.came.append(place_number(number, int(partition), int(offset)))

    def orders(self, records: Sequence[Record]) -> None:
        """The next of this lane's partition of journey.commands."""
        topic = self.rules.topic("commands")
        for record in records:
            self.commands += not (self.rules.event_clock and self._punctuated(topic, record))

    def _arrive(self, said: Said, record: Record, source: int, acknowledged: int | None) -> None:
        arrival = Arrival(record.timestamp, source, record.offset, acknowledged, said.act)
        found = self.arrivals.get(said.customer)
        if found is None:
            self.arrivals[said.customer] = [arrival]
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
