"""One partition: records and markers at rising offsets, with holes where something was compacted or cut away."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.application.ports import Entry, Headers


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """ports.Record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(eq=False, slots=True)
class Transaction:
    """`committed`: None while it is open. `logs`: where it has written."""

    committed: bool | None = None
    logs: "list[Log]" = field(default_factory=list)


@dataclass(slots=True)
class Slot:
    """What takes an offset: a record, of a transaction or of none, or (without one) a transaction's marker."""

    offset: int
    record: FakeRecord | None
    transaction: Transaction | None


@dataclass(eq=False)
class Log:
    """`start`: the first offset that is kept. `end`: the high watermark."""

    start: int = 0
    end: int = 0
    slots: list[Slot] = field(default_factory=list)
    _open: dict[Transaction, int] = field(default_factory=dict)

    @property
    def stable_end(self) -> int:
        """The last stable offset: where a read_committed reader stops for now."""
        return min(self._open.values(), default=self.end)

    def append(self, entries: Iterable[Entry], timestamp: int, transaction: Transaction | None = None) -> int:
        """The offset of the first."""
        first = self.end
        for key, value, headers in entries:
            record = FakeRecord(self.end, timestamp, key, value, tuple(headers))
            self._take_offset(record, transaction)
        if transaction is not None and transaction not in self._open:
            transaction.logs.append(self)
            self._open[transaction] = first
        return first

    def mark(self, transaction: Transaction) -> None:
        """Appends the marker of a transaction that has ended."""
        del self._open[transaction]
        self._take_offset(None, transaction)

    def read(self, position: int, most: int, *, committed: bool) -> tuple[list[FakeRecord], int]:
        """Readable records from `position` on out of the next `most` offsets in use, and the position behind them."""
        stop = self.stable_end if committed else self.end
        first = bisect_left(self.slots, position, key=lambda slot: slot.offset)
        found: list[FakeRecord] = []
        for slot in self.slots[first : first + most]:
            if slot.offset >= stop:
                break
            position = slot.offset + 1
            if slot.record is not None and (not committed or _visible(slot)):
                found.append(slot.record)
        if first + most >= len(self.slots):
            position = max(position, stop)
        return found, position

    def compact(self, *, tombstones: bool = False) -> None:
        """Keeps the newest committed record of each key and drops aborted ones; open transactions are not touched.

        `tombstones`: deletions go too, as they do after `delete.retention.ms`.
        """
        below = self.stable_end
        newest = {
            slot.record.key: slot.offset
            for slot in self.slots
            if slot.offset < below and slot.record is not None and _visible(slot)
        }

        def kept(slot: Slot) -> bool:
            if slot.offset >= below or slot.record is None:
                return True
            gone = tombstones and slot.record.value is None
            return newest.get(slot.record.key) == slot.offset and not gone

        self.slots = [slot for slot in self.slots if kept(slot)]

    def cut(self, start: int) -> None:
        """Retention: everything before `start` is gone."""
        self.start = max(self.start, min(start, self.end))
        self.slots = [slot for slot in self.slots if slot.offset >= self.start]

    def _take_offset(self, record: FakeRecord | None, transaction: Transaction | None) -> None:
        self.slots.append(Slot(self.end, record, transaction))
        self.end += 1


def _visible(slot: Slot) -> bool:
    return slot.transaction is None or slot.transaction.committed is True
