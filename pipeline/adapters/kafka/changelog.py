"""Reading a lane's changelog: its bounds, and what is committed in it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiokafka.errors import KafkaError

from pipeline.adapters.kafka.connection import Cluster, Connection, step, until_settled
from pipeline.adapters.kafka.metadata import EARLIEST, LATEST, log_offsets, topic_id
from pipeline.adapters.kafka.reader import committed_records
from pipeline.application.ports import LogBounds, Record


class ChangelogReader:
    """`ports.Changelog` on one topic. Keeps no connection between calls, so any number of lanes may share it.

    `patience_s`: how long a replay waits for an open transaction to end; a step's time if it is not given.
    """

    def __init__(self, connection: Connection, topic: str, patience_s: float | None = None) -> None:
        self._connection = connection
        self._topic = topic
        self._limit = connection.step_timeout_s
        self._patience = connection.step_timeout_s if patience_s is None else patience_s

    async def bounds(self, partition: int) -> LogBounds:
        tp = (self._topic, partition)
        async with step(f"bounds of {self._topic}-{partition}", self._limit), Cluster(self._connection) as cluster:

            async def ask() -> LogBounds:
                identity, start, end = await asyncio.gather(
                    topic_id(cluster, self._topic),
                    log_offsets(cluster, [tp], EARLIEST),
                    log_offsets(cluster, [tp], LATEST),
                )
                return LogBounds(identity, _offset(start[tp]), _offset(end[tp]))

            return await until_settled(cluster, self._limit, ask)

    async def replay(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        if start >= end:
            return
        cluster = Cluster(self._connection)
        async with step(f"replay of {self._topic}-{partition}", self._limit):
            await cluster.open()
        try:
            log = committed_records(cluster, self._topic, partition, start, end, self._limit, self._patience)
            async for records in log:
                yield records
        finally:
            await cluster.close()


def _offset(found: int | KafkaError) -> int:
    if isinstance(found, KafkaError):
        raise found
    return found
