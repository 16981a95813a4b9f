"""The cluster: topics, transactional producers with their epochs, and what may go wrong with them."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from pipeline.application.ports import Doubt, Entry, Fenced, KafkaDoubt
from tests.fakes.kafka.log import Log, Transaction

Operation = Literal[
    "start", "commit", "bounds", "replay", "publish", "ends", "read", "seek", "pause", "log_starts", "heartbeat"
]
Moment = Literal["sent", "written", "answered"]
"""`written` is in a commit only: its records are in the logs, its end is not yet sent."""

Fault = Literal["lost", "open", "unanswered", "late", "stray"]
"""What a client sees as a doubt: the call never arrived; (commit) the records did and the commit did not; it was done
and its answer was lost; (commit, start, publish) the call arrives later, at `FakeKafka.deliver_late`, and counts if it
still may; (commit) the same of its records, which are then in a transaction that nobody ends."""

BATCH_OVERHEAD, RECORD_OVERHEAD = 61, 12


async def AT_ONCE(operation: Operation, moment: Moment, subject: str) -> None:  # noqa: N802  # reads as a constant
    """The default step: other tasks get a turn, nothing else happens."""
    await asyncio.sleep(0)


@dataclass
class Topic:
    """`append_time`: the broker dates the records (LogAppendTime), else their sender does."""

    id: str
    logs: list[Log]
    append_time: bool
    max_message_bytes: int


@dataclass
class Producer:
    """A transactional id. Who holds a lower epoch than `epoch` is fenced. `ended`: its last transaction before."""

    epoch: int = -1
    transaction: Transaction | None = None
    ended: Transaction | None = None


@dataclass
class FakeKafka:
    """`now`: the brokers' clock, in ms. `step` is awaited before, within and after whatever a client does.

    `slow_markers`: a commit is answered before it can be read, as on the real Kafka, until `write_markers`. `skew`: by
    how many ms the clock of a partition's leader is ahead of `now`.
    """

    now: Callable[[], int]
    step: Callable[[Operation, Moment, str], Awaitable[None]] = AT_ONCE
    away: bool = False
    slow_markers: bool = False
    topics: dict[str, Topic] = field(default_factory=dict)
    producers: dict[str, Producer] = field(default_factory=dict)
    _topic_numbers: "count[int]" = field(default_factory=lambda: count(1))
    _faults: list[tuple[Operation, Fault]] = field(default_factory=list)
    skew: dict[tuple[str, int], int] = field(default_factory=dict)
    _late: list[Callable[[], object]] = field(default_factory=list)
    _unmarked: list[tuple[Transaction, Log]] = field(default_factory=list)

    # ---- topics

    def create_topic(
        self, name: str, partitions: int = 1, *, append_time: bool = True, max_message_bytes: int = 1_048_588
    ) -> Topic:
        if name in self.topics:
            raise ValueError(f"topic {name} exists")
        number = next(self._topic_numbers)
        identity = urlsafe_b64encode(number.to_bytes(16, "big")).rstrip(b"=").decode()
        topic = Topic(identity, [Log() for _ in range(partitions)], append_time, max_message_bytes)
        self.topics[name] = topic
        return topic

    def delete_topic(self, name: str) -> None:
        del self.topics[name]

    def log(self, topic: str, partition: int) -> Log:
        found = self.topics.get(topic)
        if found is None or not 0 <= partition < len(found.logs):
            raise KafkaDoubt(f"{topic}-{partition} does not exist")
        return found.logs[partition]

    def append(self, topic: str, partition: int, entries: Sequence[Entry], timestamp: int | None = None) -> int:
        """Written by anybody, outside of transactions. The offset of the first record."""
        return self.log(topic, partition).append(entries, self._dated(topic, partition, timestamp))

    # ---- transactions

    def take_over(self, transactional_id: str) -> int:
        """InitProducerId: fences earlier holders, aborts what they left open. The new epoch."""
        producer = self.producers.setdefault(transactional_id, Producer())
        producer.epoch += 1
        self._end(producer, committed=False)
        self.write_markers(producer.ended)  # a new epoch is given out only when the old one has ended everywhere
        return producer.epoch

    def write(
        self, transactional_id: str, epoch: int, topic: str, partition: int, entries: Sequence[Entry], timestamp: int
    ) -> int:
        """Into the open transaction of this producer, which begins with it. The offset of the first record."""
        producer = self._unfenced(transactional_id, epoch)
        log = self.log(topic, partition)
        limit = self.topics[topic].max_message_bytes
        largest = max(batch_bytes([entry]) for entry in entries)
        if largest > limit:
            raise KafkaDoubt(f"{topic}-{partition} refused a batch of {largest} bytes, at most {limit} are allowed")
        if producer.transaction is None:
            self.write_markers(producer.ended)
            producer.transaction = Transaction()
            self.begun(transactional_id, producer.transaction)
        return log.append(entries, self._dated(topic, partition, timestamp), producer.transaction)

    def end(self, transactional_id: str, epoch: int, *, committed: bool) -> None:
        """EndTxn."""
        self._end(self._unfenced(transactional_id, epoch), committed=committed)

    def write_markers(self, of: Transaction | None = None, to: Log | None = None) -> None:
        """What has ended can be seen to have ended: everything, or only one transaction, in one log."""
        unmarked, self._unmarked = self._unmarked, []
        for transaction, log in unmarked:
            if of in {None, transaction} and (to is None or to is log):
                log.mark(transaction)
            else:
                self._unmarked.append((transaction, log))

    def open_transaction(self, transactional_id: str) -> Transaction | None:
        return self.producers.setdefault(transactional_id, Producer()).transaction

    def expire(self, transactional_id: str) -> None:
        """The transaction timeout: the coordinator aborts what is open and fences who left it so."""
        if self.open_transaction(transactional_id) is not None:
            self.take_over(transactional_id)

    # ---- for a simulation to override

    def begun(self, transactional_id: str, transaction: Transaction) -> None:
        """A transaction begins, empty."""

    def ended(self, transaction: Transaction) -> None:
        """It is decided what becomes of a transaction; its markers may not be written yet."""

    # ---- faults

    def fail_next(self, operation: Operation, fault: Fault) -> None:
        """The next such operation ends as a doubt, several ones in turn."""
        self._faults.append((operation, fault))

    def deliver_late(self) -> None:
        """What was sent by `late` and `stray` calls arrives now."""
        late, self._late = self._late, []
        for act in late:
            with suppress(Doubt):
                act()

    def fault_of(self, operation: Operation) -> Fault | None:
        for at, (name, fault) in enumerate(self._faults):
            if name == operation:
                del self._faults[at]
                return fault
        return None

    def later(self, act: Callable[[], object]) -> None:
        self._late.append(act)

    def commit_later(self, transactional_id: str, epoch: int) -> None:
        """The commit counts if it is the same transaction of the same epoch then."""
        producer = self.producers[transactional_id]
        transaction = producer.transaction

        def end() -> None:
            if transaction is not None and producer.epoch == epoch and producer.transaction is transaction:
                self._end(producer, committed=True)

        self.later(end)

    async def reach(self, operation: Operation, moment: Moment, subject: str) -> None:
        """A point where a client waits for a broker; raises KafkaDoubt while they are away."""
        await self.step(operation, moment, subject)
        if self.away:
            raise KafkaDoubt(f"{operation}: Kafka is away")

    # ---- within

    def _unfenced(self, transactional_id: str, epoch: int) -> Producer:
        producer = self.producers.setdefault(transactional_id, Producer())
        if epoch != producer.epoch:
            raise Fenced(f"{transactional_id}: epoch {epoch} was overtaken by {producer.epoch}")
        return producer

    def _end(self, producer: Producer, *, committed: bool) -> None:
        transaction, producer.transaction = producer.transaction, None
        if transaction is not None:
            transaction.committed = committed
            producer.ended = transaction
            self._unmarked += [(transaction, log) for log in transaction.logs]
            if not self.slow_markers:
                self.write_markers(transaction)
            self.ended(transaction)

    def _dated(self, topic: str, partition: int, timestamp: int | None) -> int:
        if timestamp is not None and not self.topics[topic].append_time:
            return timestamp
        return self.now() + self.skew.get((topic, partition), 0)


def batch_bytes(entries: Sequence[Entry]) -> int:
    """About what Kafka needs for them."""
    return BATCH_OVERHEAD + sum(
        RECORD_OVERHEAD
        + len(key or b"")
        + len(value or b"")
        + sum(len(name) + len(text or b"") + 2 for name, text in headers)
        for key, value, headers in entries
    )
