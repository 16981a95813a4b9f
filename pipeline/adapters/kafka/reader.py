"""Reading one partition by plain fetch requests: no group, no background task, one position."""

from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import RecordTooLargeError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from pipeline.adapters.kafka.connection import Cluster, check
from pipeline.adapters.kafka.records import drain
from pipeline.application.ports import Fetched

AT_LEAST_ONE_BYTE = 1


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
        """One fetch; empty if nothing can be read within `wait_ms`. Raises aiokafka's errors."""
        node = await self._cluster.leader(self._topic, self._partition)
        wanted = [(self._topic, [(self._partition, self.position, self._max_bytes)])]
        answer = await self._cluster.ask(
            node, FetchRequest(wait_ms, AT_LEAST_ONE_BYTE, self._max_bytes, self._isolation, wanted)
        )
        ((_, (row,)),) = answer.topics
        _, code, high_watermark, stable, _, aborted, *_, data = row  # v5 to v11
        check(code, f"{self._topic}-{self._partition}@{self.position}")
        return self._parse(data or b"", aborted, stable if self._isolation == READ_COMMITTED else high_watermark)

    def _parse(self, data: bytes, aborted: Any, readable_end: int) -> Fetched:
        records = MemoryRecords(data)
        if data and not records.has_next():
            raise RecordTooLargeError(f"a batch at {self._topic}-{self._partition}@{self.position} exceeds the fetch")
        tp = TopicPartition(self._topic, self._partition)
        fetch = PartitionRecords(tp, records, aborted, self.position, None, None, True, self._isolation)
        found, error = drain(fetch)
        start, end = self.position, fetch.next_fetch_offset
        if error is not None and end == start:
            raise error
        self.position = end
        return Fetched(self._topic, self._partition, start, end, found, end >= readable_end)
