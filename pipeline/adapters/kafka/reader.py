"""Reading one partition by plain fetch requests: no group, no background task, one position."""

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import RecordTooLargeError
from aiokafka.protocol.fetch import FetchRequest

from pipeline.adapters.kafka.connection import Cluster, check
from pipeline.adapters.kafka.parsing import parse
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
