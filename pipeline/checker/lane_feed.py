"""What one lane has published: transitions, signals, customers. What the feed promises (I2, I3) is judged at once."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from pipeline.checker.findings import Findings
from pipeline.checker.lane_versions import Versions
from pipeline.checker.net_history import Subscriber, Track
from pipeline.checker.plain_journey import Silence
from pipeline.checker.rules import Record, Rules

SKEW_MS = 500
"""How far two brokers' clocks may be apart: the watermark is one's time, a record's append time another's."""


FAR = 1 << 62


class Fired(NamedTuple):
    """A timer as it was published. `entry`: of the history, or the id of a signal; `appended`: by the broker, in ms."""

    journey: str
    silence: Silence
    since: str
    due: str
    entry: str
    appended: int
    where: str
    signal: bool


@dataclass(slots=True)
class CustomerSaid:
    """The last record of a customer in journey.customers: (stage, seq) by journey, and whom they have joined."""

    offset: int
    positions: dict[str, tuple[str | None, int]]
    into: str | None
    epoch: int = 0


@dataclass(slots=True)
class Feed:
    """Takes the three topics' records of one lane, in log order. `starts`: first offsets of the logs of both feeds.

    `counted`: transitions and signals taken, by topic. `cut` says how many lie before the cut; those behind it are
    looked at only if it turns out that the lane has stood still: then nothing may be there.
    """

    rules: Rules
    lane: int
    cut: dict[str, int]
    starts: dict[str, int]
    findings: Findings
    versions: Mapping[str, Versions]
    subscriber: Subscriber = field(init=False)
    counted: Counter[str] = field(default_factory=Counter)
    fired: dict[str, list[Fired]] = field(default_factory=dict)
    customers: dict[str, CustomerSaid] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    other_versions: set[str] = field(default_factory=set)
    _behind: dict[str, list[Record]] = field(default_factory=lambda: {"transitions": [], "signals": []})
    _silences: dict[tuple[str, int, str], Silence] = field(init=False)

    def __post_init__(self) -> None:
        self.subscriber = Subscriber(self.starts["transitions"] > 0, self.starts["signals"] > 0)
        self._silences = {
            (name, version, silence.rule): silence
            for name, each in self.versions.items()
            for version, journey in each.journeys.items()
            for silence in journey.silences
        }

    def transitions(self, records: Sequence[Record]) -> None:
        """The next of journey.transitions."""
        for record in self._before_cut("transitions", records):
            said = self._said("transitions", record)
            if said is None:
                continue
            where = self._where("transitions", record)
            customer, journey = said["customer_id"], said["journey"]
            before = self.subscriber.tracks.get((customer, journey))
            again = (
                before is not None
                and said["seq"] <= before.seq
                and said["id"].startswith(f"{customer}:{journey}:{before.epoch}:")
            )
            self._listen(where, again, said, self.subscriber.transition)
            if journey in self.versions and said["version"] not in self.versions[journey].journeys:
                self.other_versions.add(journey)
            timer = said["cause"].get("timer")
            if timer is not None and said["kind"] != "retracted":
                self._note(customer, said, timer, said["entry"], record, where, signal=False)

    def signals(self, records: Sequence[Record]) -> None:
        """The next of journey.signals."""
        for record in self._before_cut("signals", records):
            said = self._said("signals", record)
            if said is None:
                continue
            where = self._where("signals", record)
            customer, journey = said["customer_id"], said["journey"]
            before = self.subscriber.signals.get((customer, journey, said["signal"]))
            again = (
                said["kind"] == "fired"
                and before is not None
                and said["occurrence"] <= before.occurrence
                and f":{before.epoch}:" in said["id"]
            )
            self._listen(where, again, said, self.subscriber.signal)
            if said["kind"] == "fired":
                self._note(customer, said, said["cause"]["timer"], said["id"], record, where, signal=True)

    def states(self, records: Sequence[Record]) -> None:
        """The next of journey.customers."""
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:
                self.customers.pop(key, None)
                self.gone.add(key)
                continue
            try:
                said = orjson.loads(record.value)
                journeys = {name: (each["stage"], each["seq"]) for name, each in said["journeys"].items()}
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                self.findings.add("customer", self._where("customers", record), f"cannot be read: {error!r}")
                continue
            self.findings.checked["customer records"] += 1
            if said["customer_id"] != key:
                self.findings.add("customer", self._where("customers", record), f"is of {said['customer_id']}")
            self.customers[key] = CustomerSaid(record.offset, journeys, said["merged_into"], said["epoch"])
            self.gone.discard(key)

    def finish(self, last: dict[str, int], at_rest: bool) -> None:
        """Compares with what the lane records count: `last` is the newest of them, read after these topics."""
        for name, take in (("transitions", self.transitions), ("signals", self.signals)):
            if at_rest and self._behind[name]:
                self.cut[name], self.counted[name] = FAR, self.counted[name] - len(self._behind[name])
                take(self._behind[name])
            where, found = f"{self.rules.topic(name)}-{self.lane}", self.counted[name]
            if self.starts[name] > 0:
                self.findings.unjudged[f"how many {name}: the log of {where} has lost its beginning"] += 1
            elif found < (least := min(self.cut[name], last[name])):
                self.findings.add("torn", where, f"{found} records, the lane record counts {least}")
            elif found > last[name]:
                self.findings.add("torn", where, f"{found} records, the newest lane record counts {last[name]}")
        for (customer, journey), track in self.subscriber.tracks.items():
            if why := track.unsettled():
                self.findings.add("gap", f"{customer}:{journey}", why)

    def check_customers(self, at_rest: bool) -> None:
        """journey.customers against the last transitions; with `at_rest` it must not be ahead of them either."""
        topic = f"{self.rules.topic('customers')}-{self.lane}"
        for (customer, journey), track in self.subscriber.tracks.items():
            said = self.customers.get(customer)
            where = f"{topic} {customer}"
            if not self.is_of_now(customer, track):
                continue
            if said is None:
                self.findings.add("customer", where, f"no record, though {journey} is at seq {track.seq}")
                continue
            stage, seq = said.positions.get(journey, (None, 0))
            if seq > track.seq and not at_rest:
                continue
            if (stage, seq) != (track.stage, track.seq):
                told = f"the last transition {track.stage} at seq {track.seq}"
                self.findings.add("customer", f"{where}@{said.offset}", f"{journey} is {stage} at seq {seq}, {told}")
        for customer, journey, name in self.subscriber.signals:
            if customer not in self.customers and customer not in self.gone:
                self.findings.add("customer", f"{topic} {customer}", f"no record, though {journey} told {name}")

    def is_of_now(self, customer: str, track: Track) -> bool:
        """Whether the track is of a customer who is there, and not of a life that was erased."""
        said = self.customers.get(customer)
        return customer not in self.gone and (said is None or track.epoch >= said.epoch)

    def only(self, names: Collection[str]) -> "Feed":
        """What was published of these, but for which timers fired."""
        feed = Feed(self.rules, self.lane, {}, self.starts, Findings(), self.versions)
        feed.other_versions, feed.gone = self.other_versions, self.gone
        told = self.subscriber
        feed.subscriber.tracks = {key: track for key, track in told.tracks.items() if key[0] in names}
        feed.customers = {key: said for key, said in self.customers.items() if key in names}
        feed.subscriber.signals = {key: signals for key, signals in told.signals.items() if key[0] in names}
        return feed

    def _before_cut(self, name: str, records: Sequence[Record]) -> Sequence[Record]:
        taken = max(0, self.cut[name] - self.counted[name]) if self.starts[name] == 0 else len(records)
        self.counted[name] += len(records)
        self._behind[name] += records[taken:]
        return records[:taken]

    def _said(self, name: str, record: Record) -> dict[str, Any] | None:
        """The record, decoded; None if it cannot be read."""
        self.findings.checked[name] += 1
        try:
            said: dict[str, Any] = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError as error:
            self.findings.add("wrong", self._where(name, record), f"not JSON: {error}")
            return None
        if record.key != said["customer_id"].encode():
            self.findings.add("wrong", self._where(name, record), f"the key is not {said['customer_id']}")
        return said

    def _listen(self, where: str, again: bool, said: dict[str, Any], take: Any) -> None:
        problems = self.subscriber.problems
        take(said)
        if problems:
            self.findings.add("doubled" if again else "gap", where, "; ".join(problems))
            problems.clear()

    def _note(
        self,
        customer: str,
        said: dict[str, Any],
        timer: dict[str, str],
        entry: str,
        record: Record,
        where: str,
        *,
        signal: bool,
    ) -> None:
        journey = said["journey"]
        silence = self._silences.get((journey, said["version"], timer["rule"]))
        if silence is None:
            return
        self.findings.checked["timers fired"] += 1
        self.fired.setdefault(customer, []).append(
            Fired(journey, silence, timer["since"], timer["due"], entry, record.timestamp, where, signal)
        )

    def _where(self, name: str, record: Record) -> str:
        return f"{self.rules.topic(name)}-{self.lane}@{record.offset}"
