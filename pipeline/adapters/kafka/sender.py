"""Raw records into Kafka as a channel's own system would send them, and the punctuation of event-time runs."""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from pipeline.application.intake import PUNCTUATION
from pipeline.errors import UserError

END_MARK = "journey.end"
_BATCH_BYTES = 512 * 1024
_REMEMBERED_KEYS = 200_000


def home_partition(key: bytes, partitions: int) -> int:
    """The partition that the Java client's default partitioner gives to a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class RawSender:
    """Sends to some topics, in order for each partition. `add` only collects; `flush` sends and awaits the answers.

    Use it as an async context manager. What goes wrong with Kafka is a UserError (exit code 1); the sender is then of
    no further use, and what was added since the last flush may or may not have been sent.
    """

    def __init__(self, brokers: str, topics: Iterable[str]) -> None:
        self._brokers = brokers
        self.partitions: dict[str, int] = dict.fromkeys(topics, 0)
        """How many partitions each topic has; known once started."""
        self.pending = 0
        """Bytes of keys and values added since the last flush."""
        self._producer: AIOKafkaProducer | None = None
        self._filled: dict[tuple[str, int], list[Any]] = {}
        self._homes: dict[tuple[bytes, int], int] = {}

    async def __aenter__(self) -> Self:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers,
            client_id="journey-sender",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            retry_backoff_ms=20,
        )
        try:
            await producer.start()
            metadata = await producer.client.fetch_all_metadata()
        except KafkaError as error:
            await producer.stop()
            raise UserError(f"Kafka does not answer at {self._brokers} ({error}); is it running?", 1) from None
        self._producer = producer
        missing = [topic for topic in self.partitions if not metadata.partitions_for_topic(topic)]
        if missing:
            await self.close()
            raise UserError(
                f"no topic {', '.join(missing)} at {self._brokers}; `journey topics apply` makes what is missing", 1
            )
        self.partitions = {topic: len(metadata.partitions_for_topic(topic)) for topic in self.partitions}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connections; what was added and not flushed is dropped."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def add(self, topic: str, key: bytes, value: bytes) -> None:
        """Collects one record for the partition that the key belongs to."""
        count = self.partitions[topic]
        home = self._homes.get((key, count))
        if home is None:
            if len(self._homes) >= _REMEMBERED_KEYS:
                self._homes.clear()
            home = self._homes[key, count] = home_partition(key, count)
        self.put(topic, home, key, value)

    def put(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        """Collects one record for this very partition."""
        self._append(topic, partition, key, value, [])
        self.pending += len(key) + len(value)

    async def flush(self) -> None:
        """Sends all that was added; returns once every record is acknowledged."""
        filled, self._filled, self.pending = self._filled, {}, 0
        await asyncio.gather(*(self._send(*place, batches) for place, batches in filled.items()))

    async def punctuate(self, at: int, *, end: bool = False) -> None:
        """Promises on every partition of every topic that all up to and including `at` (ms) is sent; flushes first.

        Nothing may be added afterwards that happened at `at` or before.
        """
        await self.flush()
        headers: list[tuple[str, bytes]] = [(PUNCTUATION, b"%d" % at)]
        if end:
            headers.append((END_MARK, b"1"))
        for topic, count in self.partitions.items():
            for partition in range(count):
                self._append(topic, partition, None, b'{"punctuation": %d}' % at, headers)
        await self.flush()

    def _append(
        self, topic: str, partition: int, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        assert self._producer is not None, "used before it was started"
        batches = self._filled.setdefault((topic, partition), [])
        if not batches or batches[-1].append(timestamp=None, key=key, value=value, headers=headers) is None:
            batches.append(self._producer.create_batch())
            batches[-1].append(timestamp=None, key=key, value=value, headers=headers)

    async def _send(self, topic: str, partition: int, batches: Sequence[Any]) -> None:
        assert self._producer is not None, "used before it was started"
        try:
            answers = [await self._producer.send_batch(batch, topic, partition=partition) for batch in batches]
            await asyncio.gather(*answers)
        except KafkaError as error:
            raise UserError(f"Kafka did not take records for {topic}-{partition}: {error!r}", 1) from None
