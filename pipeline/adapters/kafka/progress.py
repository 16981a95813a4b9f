"""What the lanes tell each other of their progress, on a topic of one partition."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pipeline.adapters.kafka.batches import Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, Connection, step, until_settled
from pipeline.adapters.kafka.metadata import EARLIEST, LATEST, log_offsets
from pipeline.adapters.kafka.producing import produce
from pipeline.adapters.kafka.reader import PartitionReader
from pipeline.application.ports import Entry, KafkaDoubt, ProgressRecord, Record

log = structlog.get_logger(__name__)

THE_PARTITION = 0
FETCH_BYTES = 4 << 20
FETCH_WAIT_MS = 500


class ProgressTopic:
    """`ports.ProgressLog`, shared by all lanes of a process. `now` (ms) dates what is sent until the broker does.

    A record may be in the log twice if an acknowledgement was lost; it says the same both times.
    """

    def __init__(
        self, connection: Connection, topic: str, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ):
        self._topic = topic
        self._limit = connection.step_timeout_s
        self._now = now
        # A fetch that waits for news holds up everything else on its connection.
        self._asking, self._reading = Cluster(connection), Cluster(connection)
        self._reader: PartitionReader | None = None
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(ProgressRecord).decode

    async def publish(self, record: ProgressRecord) -> tuple[int, int]:
        tp = (self._topic, THE_PARTITION)
        entry: Entry = (b"%d" % record.lane, self._encode(record), [])
        (batch,) = cut([entry], self._now(), Stamp())
        async with step(f"progress of lane {record.lane}", self._limit):
            await self._asking.open()
            taken = (await produce(self._asking, {tp: batch}, self._limit))[tp]
        if taken.appended < 0:
            raise KafkaDoubt(
                f"{self._topic} must have message.timestamp.type=LogAppendTime: progress is the broker's time"
            )
        return taken.appended, taken.offset

    async def ends(self, partitions: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int | None]:
        found: Mapping[tuple[str, int], int | KafkaError] = {}
        try:
            async with step("ends of the inputs", self._limit):
                await self._asking.open()
                found = await log_offsets(self._asking, partitions, LATEST)
        except KafkaDoubt as error:
            log.info("progress.ends_unknown", reason=error.reason, why=str(error))
        return {tp: end if isinstance(end := found.get(tp), int) else None for tp in partitions}

    async def read(self) -> Sequence[tuple[int, ProgressRecord]]:
        async with step(f"reading {self._topic}", self._limit):
            await self._reading.open()
            fetched = await until_settled(self._reading, self._limit, self._fetch)
        return [(record.offset, found) for record in fetched if (found := self._parse(record)) is not None]

    async def close(self) -> None:
        await asyncio.gather(self._asking.close(), self._reading.close())

    async def _fetch(self) -> Sequence[Record]:
        if self._reader is None:
            tp = (self._topic, THE_PARTITION)
            start = (await log_offsets(self._reading, [tp], EARLIEST))[tp]
            if isinstance(start, KafkaError):
                raise start
            self._reader = PartitionReader(self._reading, *tp, start, committed=False, max_bytes=FETCH_BYTES)
        try:
            return (await self._reader.fetch(FETCH_WAIT_MS)).records
        except OffsetOutOfRangeError:
            self._reader = None  # made anew, or cut: from its beginning, next time
            raise

    def _parse(self, record: Record) -> ProgressRecord | None:
        if record.value is None:
            return None
        try:
            return self._decode(record.value)
        except msgspec.MsgspecError as error:
            position = f"{self._topic}-{THE_PARTITION}@{record.offset}"
            log.warning("progress.foreign", position=position, why=str(error))
            return None
