"""Raw records as the channels send them, and a ledger of all that was acknowledged."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message, Producer

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.intake import PUNCTUATION
from pipeline.config import Settings
from pipeline.domain.moments import format_moment

FLUSH_S = 30.0
TRANSACTION_S = 20.0

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(slots=True)
class Sent:
    """One record of an input (`topic` without prefix), and once it is acknowledged its offset and append time (ms).

    `event` is what it says, if it is an event; `dead` the reason for which it must become a dead letter.
    """

    topic: str
    channel: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    event: dict[str, Any] | None = None
    dead: str | None = None
    offset: int = -1
    appended: int = -1

    @property
    def is_command(self) -> bool:
        """Commands are counted apart from events."""
        return self.topic == "journey.commands"


@dataclass(slots=True)
class Sender:
    """Sends for one application; `ledger` holds what counts, in the order of sending."""

    settings: Settings
    ledger: list[Sent] = field(default_factory=list)
    _producer: Any = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def event(self, channel: str, customer: str, kind: str, at: int, /, **more: Any) -> Sent:
        """Sends what `make` makes of the same; it is acknowledged once `flush` returns."""
        return self.put(self.make(channel, customer, kind, at, **more))

    def make(
        self,
        channel: str,
        customer: str,
        kind: str,
        at: int,
        /,
        *,
        topic: str | None = None,
        partition: int | None = None,
        identifier: str | None = None,
        dead: str | None = None,
        **fields: Any,
    ) -> Sent:
        """An event at `at` (ms) for the topic of its channel and the partition at home, or for others."""
        said = {
            "id": identifier or f"e{next(self._numbers)}",
            "type": kind,
            "occurred_at": format_moment(at),
            "customer_id": customer,
            **fields,
        }
        place = self.home(customer) if partition is None else partition
        topic = topic or f"raw.{channel}"
        return Sent(topic, channel, place, customer.encode(), json.dumps(said).encode(), event=said, dead=dead)

    def put(self, sent: Sent) -> Sent:
        """Sends it, and enters it in the ledger."""
        self.ledger.append(sent)
        self._produce(self.producer, sent)
        return sent

    def home(self, customer: str) -> int:
        """The partition where this customer is at home."""
        return home_partition(customer.encode(), self.settings.partitions)

    def elsewhere(self, customer: str) -> int:
        """A partition that is not this customer's home."""
        return (self.home(customer) + 1) % self.settings.partitions

    def residents(self, lane: int, prefix: str, count: int) -> list[str]:
        """So many customers who are at home in this lane."""
        named = (f"{prefix}{number}" for number in itertools.count())
        return list(itertools.islice((name for name in named if self.home(name) == lane), count))

    def flush(self) -> None:
        """Returns once all that was sent is acknowledged."""
        left = self.producer.flush(FLUSH_S)
        assert left == 0, f"{left} records were not acknowledged within {FLUSH_S:g} s"

    def punctuate(self, at: int) -> None:
        """Says on every partition of every raw topic that all up to `at` (ms) is sent."""
        self.flush()
        for topic in self.settings.input_topics:
            for partition in range(self.settings.partitions):
                self.punctuate_one(topic, partition, at)
        self.flush()

    def punctuate_one(self, topic: str, partition: int, at: int) -> None:
        """Says so on one partition only; `topic` is the full name."""
        value = json.dumps({"punctuation": at}).encode()
        self.producer.produce(topic, value, partition=partition, headers=[(PUNCTUATION, str(at).encode())])

    @contextmanager
    def transaction(self, name: str) -> Iterator["Transaction"]:
        """An open transaction of the producer `name`, aborted at the end unless it was committed."""
        transaction = Transaction(self, name)
        try:
            yield transaction
        finally:
            transaction.abort()

    @property
    def producer(self) -> Any:
        if self._producer is None:
            # Compressed, a record may be much larger than a topic's limit; Kafka takes it, so lanes meet it.
            large = {"message.max.bytes": 20_000_000, "compression.type": "gzip"}
            self._producer = Producer({**_common(self.settings), **large, "enable.idempotence": True, "linger.ms": 2})
        return self._producer

    def _produce(self, producer: Any, sent: Sent) -> None:
        def acknowledged(error: object, message: Message) -> None:
            assert error is None, f"{sent.topic}-{sent.partition}: {error}"
            sent.offset = message.offset()
            _, sent.appended = message.timestamp()

        topic, headers = self.settings.topic(sent.topic), list(sent.headers)
        while True:
            try:
                producer.produce(
                    topic, sent.value, sent.key, partition=sent.partition, headers=headers, on_delivery=acknowledged
                )
            except BufferError:
                producer.poll(0.1)
            else:
                producer.poll(0)
                return


class Transaction:
    """Records that nobody may see before `commit`, nor ever after `abort`; only what is committed is in the ledger."""

    def __init__(self, sender: Sender, name: str) -> None:
        self._sender = sender
        self._producer = fencing_producer(sender.settings, f"{sender.settings.prefix}{name}")
        self._producer.begin_transaction()
        self._put: list[Sent] = []
        self._open = True

    def put(self, sent: Sent) -> None:
        """Returns once the broker has the record."""
        self._sender._produce(self._producer, sent)
        assert self._producer.flush(FLUSH_S) == 0
        self._put.append(sent)

    def commit(self) -> None:
        self._producer.commit_transaction(TRANSACTION_S)
        self._open = False
        self._sender.ledger += self._put

    def ended_by_another(self) -> None:
        """Somebody has fenced it, so there is nothing to end."""
        self._open = False

    def abort(self) -> None:
        """Nothing if it has ended already."""
        if self._open:
            self._producer.abort_transaction(TRANSACTION_S)
            self._open = False


def fencing_producer(settings: Settings, transactional_id: str, timeout_ms: int = 60_000) -> Any:
    """A transactional producer, whose start has fenced every other one of this id.

    Kafka aborts what it leaves open for longer than `timeout_ms`.
    """
    own = {"transactional.id": transactional_id, "transaction.timeout.ms": timeout_ms, "linger.ms": 0}
    producer = Producer({**_common(settings), **own})
    producer.init_transactions(TRANSACTION_S)
    return producer


def _common(settings: Settings) -> dict[str, Any]:
    return {"bootstrap.servers": settings.brokers, "log_level": 0}
