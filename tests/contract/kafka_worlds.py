"""The two Kafkas that must keep the same promises: one in memory, and the session's real one under a prefix."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from pipeline.adapters.kafka.changelog import ChangelogReader
from pipeline.adapters.kafka.connection import Connection
from pipeline.adapters.kafka.progress import ProgressTopic
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.application.ports import Changelog, Entry, ProgressLog, Writer
from tests.fakes.kafka import FakeChangelog, FakeKafka, FakeProgress, FakeWriter

STEP_S = 3.0
PATIENCE_S = 0.5
"""How long a replay waits for an open transaction, and a question about a topic that is not there."""

Stored = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Offset, key, value, headers."""


class World(Protocol):
    """A Kafka, and what else goes on in it. Topics are named without the test's prefix, and returned with it."""

    async def topic(self, name: str, partitions: int = 1, *, append_time: bool = True) -> str: ...
    async def delete(self, topic: str) -> None: ...
    async def append(self, topic: str, partition: int, values: Sequence[bytes]) -> None: ...
    async def leave_open(self, transactional_id: str, topic: str, values: Sequence[bytes]) -> None:
        """A producer that dies in mid-transaction, on partition 0."""

    def open_transaction(self, topic: str, values: Sequence[bytes]) -> AbstractAsyncContextManager[None]:
        """Open within the block, on partition 0; aborted at its end."""

    async def committed(self, topic: str, partition: int = 0) -> list[Stored]:
        """What a read_committed consumer that is not ours finds, once the transactions that have ended are seen to."""

    def now(self) -> int:
        """The brokers' clock, in ms."""

    def writer(self, transactional_id: str) -> Writer: ...
    def changelog(self, topic: str) -> Changelog: ...
    def progress(self, topic: str) -> ProgressLog: ...


@dataclass
class FakeWorld:
    kafka: FakeKafka

    async def topic(self, name: str, partitions: int = 1, *, append_time: bool = True) -> str:
        self.kafka.create_topic(name, partitions, append_time=append_time)
        return name

    async def delete(self, topic: str) -> None:
        self.kafka.delete_topic(topic)

    async def append(self, topic: str, partition: int, values: Sequence[bytes]) -> None:
        self.kafka.append(topic, partition, _entries(values))

    async def leave_open(self, transactional_id: str, topic: str, values: Sequence[bytes]) -> None:
        epoch = self.kafka.take_over(transactional_id)
        self.kafka.write(transactional_id, epoch, topic, 0, _entries(values), self.kafka.now())

    @asynccontextmanager
    async def open_transaction(self, topic: str, values: Sequence[bytes]) -> AsyncIterator[None]:
        await self.leave_open("somebody", topic, values)
        yield
        self.kafka.take_over("somebody")

    async def committed(self, topic: str, partition: int = 0) -> list[Stored]:
        records, _ = self.kafka.log(topic, partition).read(0, 1 << 30, committed=True)
        return [(found.offset, found.key, found.value, list(found.headers)) for found in records]

    def now(self) -> int:
        return self.kafka.now()

    def writer(self, transactional_id: str) -> Writer:
        return FakeWriter(self.kafka, transactional_id)

    def changelog(self, topic: str) -> Changelog:
        return FakeChangelog(self.kafka, topic)

    def progress(self, topic: str) -> ProgressLog:
        return FakeProgress(self.kafka, topic)


@dataclass
class RealWorld:
    prefix: str
    bootstrap: str
    admin: AIOKafkaAdminClient
    topics: list[str] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    progresses: list[ProgressTopic] = field(default_factory=list)
    producers: list[AIOKafkaProducer] = field(default_factory=list)

    async def topic(self, name: str, partitions: int = 1, *, append_time: bool = True) -> str:
        topic = name if name.startswith(self.prefix) else self.prefix + name
        configs = {"message.timestamp.type": "LogAppendTime" if append_time else "CreateTime"}
        answer = await self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        assert answer.topic_errors[0][1] == 0, answer
        self.topics.append(topic)
        return topic

    async def delete(self, topic: str) -> None:
        await self.admin.delete_topics([topic])
        self.topics.remove(topic)
        deadline = time.monotonic() + STEP_S
        while (await self.admin.describe_topics([topic]))[0]["error_code"] != UnknownTopicOrPartitionError.errno:
            assert time.monotonic() < deadline, f"{topic} is still there"
            await asyncio.sleep(0.01)  # deleted by the controller, and learned of by the broker a moment later

    async def append(self, topic: str, partition: int, values: Sequence[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(topic, value, key=b"k", partition=partition)

    async def leave_open(self, transactional_id: str, topic: str, values: Sequence[bytes]) -> None:
        await self._begin(self.prefix + transactional_id, topic, values)

    @asynccontextmanager
    async def open_transaction(self, topic: str, values: Sequence[bytes]) -> AsyncIterator[None]:
        producer = await self._begin(f"{self.prefix}somebody", topic, values)
        yield
        await producer.abort_transaction()
        await self._settled_end(TopicPartition(topic, 0))

    async def committed(self, topic: str, partition: int = 0) -> list[Stored]:
        tp = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", enable_auto_commit=False
        )
        found: list[Stored] = []
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, 0)
            end = await self._settled_end(tp)
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [(each.offset, each.key, each.value, list(each.headers)) for each in records]
        finally:
            await consumer.stop()
        return found

    async def _settled_end(self, tp: TopicPartition) -> int:
        """The last stable offset when no marker is outstanding; EndTxn is answered before they are written."""
        async with (
            AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as everything,
            AIOKafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed") as stable,
        ):
            written = (await everything.end_offsets([tp]))[tp]
            deadline = time.monotonic() + PATIENCE_S
            while True:
                end: int = (await stable.end_offsets([tp]))[tp]
                if end >= written or time.monotonic() > deadline:
                    return end

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def writer(self, transactional_id: str) -> Writer:
        writer = TransactionalWriter(self._connection(), self.prefix + transactional_id, 10_000, self.now)
        self.writers.append(writer)
        return writer

    def changelog(self, topic: str) -> Changelog:
        return ChangelogReader(self._connection(), topic, patience_s=PATIENCE_S)

    def progress(self, topic: str) -> ProgressLog:
        progress = ProgressTopic(self._connection(), topic)
        self.progresses.append(progress)
        return progress

    def _connection(self) -> Connection:
        return Connection(self.bootstrap, f"{self.prefix}contract", STEP_S)

    async def _begin(self, transactional_id: str, topic: str, values: Sequence[bytes]) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=transactional_id)
        self.producers.append(producer)
        await producer.start()
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
        return producer

    async def close(self) -> None:
        for writer in self.writers:
            await writer.close()
        for progress in self.progresses:
            await progress.close()
        for producer in self.producers:
            await producer.stop()
        if self.topics:
            await self.admin.delete_topics(self.topics)


@pytest.fixture(params=["fake", "real"])
async def world(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[World]:
    if request.param == "fake":
        clock = itertools.count(1_700_000_000_000)
        yield FakeWorld(FakeKafka(now=lambda: next(clock)))
        return
    bootstrap: str = request.getfixturevalue("bootstrap")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    real = RealWorld(prefix, bootstrap, admin)
    try:
        yield real
    finally:
        await real.close()
        await admin.close()


def _entries(values: Sequence[bytes]) -> list[Entry]:
    return [(b"k", value, ()) for value in values]
