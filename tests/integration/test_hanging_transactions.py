"""Transactions that Kafka holds for ended, on partitions where it never wrote how they ended."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
import structlog.testing
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ClusterAuthorizationFailedError

from pipeline.adapters.kafka import hanging
from pipeline.adapters.kafka.batches import Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, Connection
from pipeline.adapters.kafka.producing import produce
from pipeline.adapters.kafka.transactions import EndTxnRequest
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.application.ports import Outgoing
from pipeline.dev.stack import Stack

STEP_S = 5.0
PARTITIONS = [("one", 0), ("two", 0)]


@pytest.fixture(scope="module")
def trusting() -> Iterator[Stack]:
    """A broker that takes a batch of a transaction which its coordinator does not know, so that it hangs for good."""
    with Stack(props={"transaction.partition.verification.enable": "false"}) as running:
        yield running


@pytest.fixture
async def connection(trusting: Stack) -> AsyncIterator[Connection]:
    admin = AIOKafkaAdminClient(bootstrap_servers=trusting.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1) for topic, _ in PARTITIONS])
    yield Connection(trusting.bootstrap, "test", STEP_S)
    await admin.delete_topics([topic for topic, _ in PARTITIONS])
    await admin.close()


def a_writer(connection: Connection) -> TransactionalWriter:
    return TransactionalWriter(connection, "lane", 60_000, lambda: 1, partitions=PARTITIONS)


async def left_on_two(connection: Connection, producer: int, epoch: int, value: bytes) -> None:
    """A batch on `two` which the coordinator has not noted, as if it had passed that partition over."""
    [batch] = cut([(b"k", value, ())], 1, Stamp(producer, epoch, 0, True))
    async with Cluster(connection) as cluster:
        await produce(cluster, {("two", 0): batch}, STEP_S, "lane")


async def readable(connection: Connection, topic: str) -> tuple[list[bytes | None], bool]:
    """The committed values of a topic, and whether a reader comes to its end."""
    tp = TopicPartition(topic, 0)
    async with (
        AIOKafkaConsumer(bootstrap_servers=connection.brokers) as everything,
        AIOKafkaConsumer(bootstrap_servers=connection.brokers, isolation_level="read_committed") as stable,
    ):
        written, end = (await everything.end_offsets([tp]))[tp], (await stable.end_offsets([tp]))[tp]
        stable.assign([tp])
        stable.seek(tp, 0)
        found: list[bytes | None] = []
        while await stable.position(tp) < end:
            for records in (await stable.getmany(timeout_ms=100)).values():
                found += [record.value for record in records]
        return found, end == written


@pytest.fixture(params=["markers", "transaction"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mended in both ways. Our brokers refuse nobody, so the one refusal is played."""
    if request.param == "transaction":
        monkeypatch.setattr(hanging, "mark", AsyncMock(side_effect=ClusterAuthorizationFailedError))


@pytest.mark.usefixtures("by")
async def test_the_missing_end_of_a_committed_transaction_is_written(connection: Connection) -> None:
    writer = a_writer(connection)
    await writer.start()
    producer, epoch = writer._producer, writer.epoch
    await writer.commit([Outgoing("one", 0, [(b"k", b"a", ())])])
    await left_on_two(connection, producer, epoch, b"b")
    assert await readable(connection, "two") == ([], False)
    await writer.close()

    heir = a_writer(connection)
    with structlog.testing.capture_logs() as logged:
        await heir.start()
    assert [(line["event"], line["partitions"], line["committed"]) for line in logged] == [
        ("transaction.mended", ["two-0"], True)
    ]
    assert await readable(connection, "two") == ([b"b"], True)
    await heir.commit([Outgoing(topic, 0, [(b"k", b"c", ())]) for topic, _ in PARTITIONS])
    assert await readable(connection, "one") == ([b"a", b"c"], True)
    assert await readable(connection, "two") == ([b"b", b"c"], True)
    await heir.close()


@pytest.mark.usefixtures("by")
async def test_the_missing_end_of_an_aborted_transaction_is_written(connection: Connection) -> None:
    writer = a_writer(connection)
    await writer.start()
    producer, epoch = writer._producer, writer.epoch
    await aborted_on_one(connection, writer)
    await left_on_two(connection, producer, epoch, b"b")
    assert await readable(connection, "two") == ([], False)
    await writer.close()

    heir = a_writer(connection)
    with structlog.testing.capture_logs() as logged:
        await heir.start()
    assert [(line["event"], line["committed"]) for line in logged] == [("transaction.mended", False)]
    await heir.commit([Outgoing(topic, 0, [(b"k", b"c", ())]) for topic, _ in PARTITIONS])
    assert await readable(connection, "one") == ([b"c"], True)
    assert await readable(connection, "two") == ([b"c"], True)
    await heir.close()


async def test_a_producer_gives_way_to_one_that_has_started_and_still_mends(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decided is known to nobody but the one that asked before it started."""
    writer = a_writer(connection)
    await writer.start()
    producer, epoch = writer._producer, writer.epoch
    await writer.commit([Outgoing("one", 0, [(b"k", b"a", ())])])
    await left_on_two(connection, producer, epoch, b"b")
    await writer.close()

    started, may_mend, gave_way = asyncio.Event(), asyncio.Event(), asyncio.Event()
    mark, left_open = hanging.mark, hanging.left_open

    async def held_up(*args: Any) -> None:
        started.set()
        await may_mend.wait()
        await mark(*args)

    async def looked(*args: Any) -> Any:
        left = await left_open(*args)
        if started.is_set():
            gave_way.set()
        return left

    monkeypatch.setattr(hanging, "mark", held_up)
    monkeypatch.setattr(hanging, "left_open", looked)
    first, second = a_writer(connection), a_writer(connection)
    with structlog.testing.capture_logs() as logged:
        starting = asyncio.create_task(first.start())
        await started.wait()
        following = asyncio.create_task(second.start())
        await gave_way.wait()
        may_mend.set()
        await starting
        await following
    assert [(line["event"], line["committed"]) for line in logged] == [("transaction.mended", True)]
    assert await readable(connection, "two") == ([b"b"], True)
    await second.commit([Outgoing("two", 0, [(b"k", b"c", ())])])
    assert await readable(connection, "two") == ([b"b", b"c"], True)
    await first.close()
    await second.close()


async def test_what_nobody_can_know_any_more_is_left_to_a_person(connection: Connection) -> None:
    writer = a_writer(connection)
    await writer.start()
    producer, epoch = writer._producer, writer.epoch
    await writer.commit([Outgoing("one", 0, [(b"k", b"a", ())])])
    await writer.commit([Outgoing("one", 0, [(b"k", b"b", ())])])
    await left_on_two(connection, producer, epoch, b"x")
    await writer.close()

    heir = a_writer(connection)
    with structlog.testing.capture_logs() as logged:
        await heir.start()
    assert [(line["event"], line["partitions"]) for line in logged] == [("transaction.hangs", ["two-0"])]
    assert await readable(connection, "two") == ([], False)
    await heir.close()


async def aborted_on_one(connection: Connection, writer: TransactionalWriter) -> None:
    """A transaction of the writer, ended by its coordinator with an abort; the writer is of no use after that."""
    [batch] = cut([(b"k", b"a", ())], 1, Stamp(writer._producer, writer.epoch, 0, True))
    async with Cluster(connection) as cluster:
        await produce(cluster, {("one", 0): batch}, STEP_S, "lane", begin=True)
        coordinator = await cluster.coordinator("lane")
        answer = await cluster.ask(coordinator, EndTxnRequest("lane", writer._producer, writer.epoch, False))
    assert answer.error_code == 0
