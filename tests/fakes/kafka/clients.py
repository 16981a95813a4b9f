"""ports.Writer, ports.Changelog and ports.ProgressLog on a FakeKafka."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from pipeline.application.ports import (
    KafkaDoubt,
    LogBounds,
    OpenTransaction,
    Outgoing,
    ProgressRecord,
    Record,
)
from tests.fakes.kafka.broker import FakeKafka, Operation

Answer = TypeVar("Answer")


class FakeWriter:
    """The transactional producer of one lane."""

    def __init__(self, kafka: FakeKafka, transactional_id: str) -> None:
        self._kafka = kafka
        self._id = transactional_id
        self._usable = False
        self.epoch = -1

    async def start(self) -> None:
        self._usable = False
        self.epoch = await exchange(self._kafka, "start", self._id, lambda: self._kafka.take_over(self._id))
        self._usable = True

    async def commit(self, outgoing: Sequence[Outgoing]) -> Mapping[tuple[str, int], int]:
        if not self._usable:
            raise KafkaDoubt(f"producer {self._id} is not usable: it was not started, or has been in doubt since")
        self._usable = False
        kafka = self._kafka
        fault = kafka.fault_of("commit")
        await kafka.reach("commit", "sent", self._id)
        last: dict[tuple[str, int], int] = {}

        def write() -> None:
            now = kafka.now()
            for part in outgoing:
                if part.entries:
                    first = kafka.write(self._id, self.epoch, part.topic, part.partition, part.entries, now)
                    last[part.topic, part.partition] = first + len(part.entries) - 1

        if fault == "stray":
            kafka.later(write)
        if fault in {"lost", "stray"}:
            raise KafkaDoubt(f"commit: no answer ({fault})")
        write()
        await kafka.reach("commit", "written", self._id)
        if fault == "late":
            kafka.commit_later(self._id, self.epoch)
        if fault in {"open", "late"}:
            raise KafkaDoubt(f"commit: no answer ({fault})")
        kafka.end(self._id, self.epoch, committed=True)
        await kafka.reach("commit", "answered", self._id)
        if fault == "unanswered":
            raise KafkaDoubt("commit: no answer (unanswered)")
        self._usable = True
        return last

    async def close(self) -> None:
        self._usable = False


class FakeChangelog:
    """Reads one topic. `patience`: how often replay looks again for an open transaction to end."""

    def __init__(self, kafka: FakeKafka, topic: str, records_a_fetch: int = 500, patience: int = 3) -> None:
        self._kafka = kafka
        self._topic = topic
        self._most = records_a_fetch
        self._patience = patience

    async def bounds(self, partition: int) -> LogBounds:
        def read() -> LogBounds:
            log = self._kafka.log(self._topic, partition)
            return LogBounds(self._kafka.topics[self._topic].id, log.start, log.end)

        return await exchange(self._kafka, "bounds", f"{self._topic}-{partition}", read)

    async def replay(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        where = f"{self._topic}-{partition}"
        position, stalls = start, 0

        def fetch() -> tuple[Sequence[Record], int]:
            log = self._kafka.log(self._topic, partition)
            if not log.start <= position <= log.end:
                raise KafkaDoubt(f"{where}@{position} is outside of the log, {log.start} to {log.end}")
            return log.read(position, self._most, committed=True)

        while position < end:
            found, reached = await exchange(self._kafka, "replay", where, fetch)
            stalls = stalls + 1 if reached == position else 0
            if stalls > self._patience:
                raise OpenTransaction(f"{where}: a transaction is open at offset {position}")
            position = reached
            if records := [record for record in found if record.offset < end]:
                yield records


class FakeProgress:
    """`journey.progress`, as one process reads it. Records pass through JSON, as they do on the real topic."""

    def __init__(self, kafka: FakeKafka, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._position: int | None = None

    async def publish(self, record: ProgressRecord) -> tuple[int, int]:
        def send() -> tuple[int, int]:
            entry = (b"%d" % record.lane, msgspec.json.encode(record), ())
            log = self._kafka.log(self._topic, 0)
            if not self._kafka.topics[self._topic].append_time:
                raise KafkaDoubt(f"{self._topic} must have message.timestamp.type=LogAppendTime")
            offset = self._kafka.append(self._topic, 0, [entry])
            return log.slots[-1].record.timestamp if log.slots[-1].record else 0, offset

        return await exchange(self._kafka, "publish", f"lane {record.lane}", send)

    async def ends(self, partitions: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int | None]:
        def look() -> Mapping[tuple[str, int], int | None]:
            return {tp: self._end(*tp) for tp in partitions}

        try:
            return await exchange(self._kafka, "ends", "inputs", look)
        except KafkaDoubt:
            return dict.fromkeys(partitions)

    async def read(self) -> Sequence[tuple[int, ProgressRecord]]:
        def fetch() -> Sequence[tuple[int, ProgressRecord]]:
            log = self._kafka.log(self._topic, 0)
            start = log.start if self._position is None else self._position
            records, self._position = log.read(start, len(log.slots), committed=False)
            return [(record.offset, said) for record in records if (said := _parse(record)) is not None]

        return await exchange(self._kafka, "read", self._topic, fetch)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _end(self, topic: str, partition: int) -> int | None:
        try:
            return self._kafka.log(topic, partition).end
        except KafkaDoubt:
            return None


def _parse(record: Record) -> ProgressRecord | None:
    try:
        return msgspec.json.decode(record.value or b"", type=ProgressRecord)
    except msgspec.MsgspecError:
        return None


async def exchange(kafka: FakeKafka, operation: Operation, subject: str, act: Callable[[], Answer]) -> Answer:
    """One question to a broker: `act` happens between the two steps, unless a fault has it otherwise."""
    fault = kafka.fault_of(operation)
    await kafka.reach(operation, "sent", subject)
    if fault == "late":
        kafka.later(act)
    if fault is not None and fault != "unanswered":
        raise KafkaDoubt(f"{operation}: no answer ({fault})")
    answer = act()
    await kafka.reach(operation, "answered", subject)
    if fault == "unanswered":
        raise KafkaDoubt(f"{operation}: no answer (unanswered)")
    return answer
