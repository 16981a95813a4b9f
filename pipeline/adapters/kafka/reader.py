"""Reading one partition by plain fetch requests: no group, no background task, one position."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import RecordTooLargeError
from aiokafka.protocol.fetch import FetchRequest

from pipeline.adapters.kafka.connection import Cluster, check, step, until_settled
from pipeline.adapters.kafka.parsing import parse
from pipeline.application.ports import Fetched, OpenTransaction, Record

AT_LEAST_ONE_BYTE = 1
FETCH_BYTES = 4 << 20
FETCH_WAIT_MS = 50


class PartitionReader:
    """Reads on at `position`, which moves with every fetch, past markers and aborted records too."""

    def __init__(
        self, cluster: Cluster, topic: str, partition: int, position: int, *, committed: bool, max_bytes: int
    ) -> None:
        self.position = position
        self._cluster = cluster
        self._topic, self._partition = topic, partition
        self._isolation = READ_COMMITTED if committed else READ_UNCOMMITTED
        self._max_bytes = max_bytes

    async def fetch(self, wait_ms: int) -> Fetched:
        """One fetch; empty if nothing can be read within `wait_ms`. Raises KafkaError."""
        node = await self._cluster.leader(self._topic, self._partition)
        wanted = [(self._topic, [(self._partition, self.position, self._max_bytes)])]
        answer = await self._cluster.ask(
            node, FetchRequest(wait_ms, AT_LEAST_ONE_BYTE, self._max_bytes, self._isolation, wanted)
        )
        ((_, (row,)),) = answer.topics
        _, code, high_watermark, stable, _, aborted, *_, data = row  # v5 to v11
        check(code, f"{self._topic}-{self._partition}@{self.position}")
        start = self.position
        tp = TopicPartition(self._topic, self._partition)
        found, self.position, error = parse(tp, data or b"", aborted, start, self._isolation)
        if self.position == start:
            if error is not None:
                raise error
            if data:
                raise RecordTooLargeError(f"a batch at {self._topic}-{self._partition}@{start} exceeds the fetch")
        readable_end = stable if self._isolation == READ_COMMITTED else high_watermark
        return Fetched(self._topic, self._partition, start, self.position, found, self.position >= readable_end)


async def committed_records(
    cluster: Cluster, topic: str, partition: int, start: int, end: int, limit: float, patience: float
) -> AsyncIterator[Sequence[Record]]:
    """All committed records of [start, end) in log order, fetch by fetch; ends once the position is at `end`.

    `limit`: seconds that one fetch may take; `patience`: that an open transaction may stand in the way. Raises
    KafkaDoubt, and OpenTransaction when the patience is over.
    """
    reader = PartitionReader(cluster, topic, partition, start, committed=True, max_bytes=FETCH_BYTES)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while reader.position < end:
        async with step(f"replay of {topic}-{partition} at {reader.position}", limit):
            fetched = await until_settled(cluster, limit, lambda: reader.fetch(FETCH_WAIT_MS))
        if fetched.end > fetched.start:
            deadline = loop.time() + patience
        elif loop.time() > deadline:
            raise OpenTransaction(
                f"{topic}-{partition}: a transaction has been open at offset {reader.position} for {patience:g} s, "
                f"so the log cannot be read to its end at {end}"
            )
        if records := _before(end, fetched.records):
            yield records


def _before(end: int, records: Sequence[Record]) -> Sequence[Record]:
    if not records or records[-1].offset < end:
        return records
    return [record for record in records if record.offset < end]
