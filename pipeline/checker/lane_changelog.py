"""One lane's changelog: every lane record judged as it comes (I7), and each key's value at any position."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.checker.findings import Findings
from pipeline.checker.rules import Record, Rules

LANE = b"@lane"
MARK = b"@erased:"
"""How the keys of what is remembered of the erased begin."""
ENDS = ("folded", "duplicate", "routed", "late", "erased", "dead")
"""What becomes of an event that was read."""


def read_record(value: bytes) -> dict[str, Any]:
    """A lane record; ValueError if the bytes are none."""
    said = orjson.loads(value)
    if not isinstance(said, dict) or not isinstance(said.get("next"), dict) or not isinstance(said.get("totals"), dict):
        raise ValueError("no lane record")
    return said


def summed(record: Mapping[str, Any], outcome: str) -> int:
    """Events of all channels with this outcome."""
    return sum(tally.get(outcome, 0) for tally in record["totals"].values())


def published(record: Mapping[str, Any], name: str) -> int:
    """How many `transitions` or `signals` the lane has published since it began."""
    return sum(number for by_kind in record[name].values() for number in by_kind.values())


def accounts(record: Mapping[str, Any]) -> list[str]:
    """I7: the channels whose events are not all accounted for."""
    return [
        f"{channel}: {tally['read']} read, {became} accounted for"
        for channel, tally in record["totals"].items()
        if tally["read"] != (became := sum(tally.get(end, 0) for end in ENDS))
    ]


@dataclass(slots=True)
class Changelog:
    """Takes the records of a lane's changelog in log order.

    `cut`: offset of the lane record up to which the lane is judged; `since`: values are wanted from this position on.
    """

    rules: Rules
    lane: int
    cut: int
    since: int
    findings: Findings
    at_cut: dict[str, Any] | None = None
    newest: dict[str, Any] | None = None
    newest_at: int = -1
    positions: set[int] = field(default_factory=set)
    _values: dict[bytes, bytes] = field(default_factory=dict)
    _later: dict[bytes, list[tuple[int, bytes | None]]] = field(default_factory=dict)
    _open: int = 0

    def take(self, records: Sequence[Record]) -> None:
        """The next records; one that goes back in the log cannot come from Kafka, so it is not looked for."""
        for record in records:
            key = record.key or b""
            if key == LANE:
                self._record(record)
                self._open = 0
            else:
                self._open += 1
            if record.offset > self.since:
                self._later.setdefault(key, []).append((record.offset, record.value))
            elif record.value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = record.value

    def finish(self) -> None:
        """Nothing more is to come: every transaction ends with a lane record."""
        if self._open:
            self.findings.add(
                "torn", self.topic, f"{self._open} profiles behind the last lane record @{self.newest_at}"
            )

    @property
    def topic(self) -> str:
        """The changelog's partition, for people."""
        return f"{self.rules.topic('profiles')}-{self.lane}"

    def value(self, key: bytes, position: int) -> bytes | None:
        """The key's value once everything up to `position` (included) has been applied."""
        found = self._values.get(key)
        for offset, value in self._later.get(key, ()):
            if offset > position:
                break
            found = value
        return found

    def values_between(self, key: bytes, first: int, last: int) -> list[bytes | None]:
        """What the key may hold in a table that goes from position `first` to `last` while it is read."""
        later = self._later.get(key, ())
        return [self.value(key, first), *(value for offset, value in later if first < offset <= last)]

    def changed_after(self, position: int) -> set[bytes]:
        """The keys of whom something was written since."""
        return {key for key, later in self._later.items() if key != LANE and later[-1][0] > position}

    def __iter__(self) -> Iterator[bytes]:
        """All keys, those included whose value is gone by now."""
        yield from self._values
        yield from (key for key in self._later if key not in self._values)

    def _record(self, record: Record) -> None:
        where = f"{self.topic}@{record.offset}"
        try:
            said = read_record(record.value or b"")
        except ValueError as error:
            self.findings.add("totals", where, f"the lane record cannot be read: {error}")
            return
        self.findings.checked["lane records"] += 1
        for problem in accounts(said):
            self.findings.add("totals", where, problem)
        before = self.newest
        if before is not None:
            for what, was, now in _fell(before, said):
                self.findings.add("totals", where, f"{what} goes back from {was} to {now}")
        self.newest, self.newest_at = said, record.offset
        self.positions.add(record.offset)
        if record.offset == self.cut:
            self.at_cut = said


def _fell(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Counts and positions that may only rise, and did not."""
    for topic, position in before["next"].items():
        if now["next"].get(topic, 0) < position:
            yield f"the position on {topic}", position, now["next"].get(topic)
    for outcome in ("read", *ENDS):
        if summed(now, outcome) < summed(before, outcome):
            yield outcome, summed(before, outcome), summed(now, outcome)
    if (now["watermark"] or 0) < (before["watermark"] or 0):
        yield "the watermark", before["watermark"], now["watermark"]


def customers_by_stage(record: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """How many customers the lane counts in each stage, by (journey, stage)."""
    return Counter({(j, stage): n for j, stages in record["stages"].items() for stage, n in stages.items() if n})
