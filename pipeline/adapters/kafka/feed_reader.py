"""Reading published topics as a subscriber does: committed records only, without a group."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError

from pipeline.adapters.kafka.sender import home_partition
from pipeline.errors import UserError

_NEVER_MORE = 50_000
"""Records looked at from the end of a partition before `last` reads it whole."""

_FETCH_WAIT_MS = 50


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One record as read; `timestamp` is the broker's append time in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class FeedReader:
    """Reads some topics, all partitions or, with `key`, the one that this key belongs to. An async context manager.

    It stands at the end of each partition until `rewind` moves it. Trouble with Kafka is a UserError (exit code 1).
    """

    def __init__(self, brokers: str, topics: Iterable[str], key: bytes | None = None) -> None:
        self._brokers = brokers
        self._topics = tuple(topics)
        self._key = key
        self._consumer: AIOKafkaConsumer | None = None
        self._places: list[TopicPartition] = []

    async def __aenter__(self) -> Self:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            client_id="journey-reader",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            retry_backoff_ms=50,
            # A rewind takes effect only when the fetch under way has come back.
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            # What the consumer tells publicly of a topic, it knows only once it reads it.
            metadata = await consumer._client.fetch_all_metadata()
        except KafkaError as error:
            await consumer.stop()
            raise UserError(f"Kafka does not answer at {self._brokers} ({error}); is it running?", 1) from None
        except BaseException:  # given up while it waited
            await consumer.stop()
            raise
        self._consumer = consumer
        try:
            await self._stand_at_the_end(metadata)
        except BaseException:
            await self.close()
            raise
        return self

    async def _stand_at_the_end(self, metadata: ClusterMetadata) -> None:
        for topic in self._topics:
            count = len(metadata.partitions_for_topic(topic) or ())
            if not count:
                raise UserError(f"no topic {topic} at {self._brokers}; `journey topics apply` makes what is missing", 1)
            only = range(count) if self._key is None else (home_partition(self._key, count),)
            self._places += [TopicPartition(topic, partition) for partition in only]
        self._reader.assign(self._places)
        for place, end in (await self.ends()).items():
            self._reader.seek(TopicPartition(*place), end)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def ends(self) -> dict[tuple[str, int], int]:
        """Where each partition's committed records end now."""
        with self._reading():
            ends: dict[TopicPartition, int] = await self._reader.end_offsets(self._places)
        return {(place.topic, place.partition): end for place, end in ends.items()}

    async def rewind(self, back: int | None = None) -> None:
        """Goes to the beginning, or `back` offsets before the end, of every partition."""
        with self._reading():
            starts: dict[TopicPartition, int] = await self._reader.beginning_offsets(self._places)
        ends = await self.ends()
        for place, start in starts.items():
            self._reader.seek(place, start if back is None else max(start, ends[place] - back))

    async def read(self, timeout_s: float) -> list[FeedRecord]:
        """What has come, oldest first, waiting up to `timeout_s` for it; empty if nothing came."""
        with self._reading():
            fetched = await self._reader.getmany(timeout_ms=int(timeout_s * 1000), max_records=5000)
        found = [
            FeedRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for records in fetched.values()
            for r in records
        ]
        # Sorting is stable, so a partition's records stay in the order of their offsets.
        return sorted(found, key=lambda record: record.timestamp)

    async def reached(self, ends: dict[tuple[str, int], int]) -> bool:
        """Whether everything below `ends` has been read (markers of transactions included)."""
        for place, end in ends.items():
            if await self._reader.position(TopicPartition(*place)) < end:
                return False
        return True

    async def everything(self) -> list[FeedRecord]:
        """All that is committed now, from the beginning, in order of append time."""
        await self.rewind()
        return await self._up_to(await self.ends())

    async def everything_of(self, key: bytes, since: int = 0) -> list[FeedRecord]:
        """All that is committed now under one key, of what was appended at `since` (ms) or later."""
        ends = await self.ends()
        starts = await self._reader.offsets_for_times(dict.fromkeys(self._places, since))
        for place, start in starts.items():
            self._reader.seek(place, ends[place.topic, place.partition] if start is None else start.offset)
        return await self._up_to(ends, key)

    async def last(self, count: int) -> list[FeedRecord]:
        """The newest `count` records of all partitions together, in order of append time; goes on from there."""
        ends = await self.ends()
        back: int | None = 2 * count + 100
        while True:
            await self.rewind(back)
            found = await self._up_to(ends)
            if back is None or len(found) >= count:
                return found[-count:] if count else []
            # Markers and aborted records take offsets too, so fewer records than offsets may lie there.
            back = back * 10 if back * 10 < _NEVER_MORE else None

    async def _up_to(self, ends: dict[tuple[str, int], int], key: bytes | None = None) -> list[FeedRecord]:
        found: list[FeedRecord] = []
        while not await self.reached(ends):
            found += [record for record in await self.read(0.2) if key is None or record.key == key]
        return sorted(found, key=lambda record: record.timestamp)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            raise UserError(f"Kafka at {self._brokers} cannot be read: {error!r}", 1) from None

    @property
    def _reader(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("used before it was started")
        return self._consumer
