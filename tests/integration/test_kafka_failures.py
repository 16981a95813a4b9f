"""What a lane's Kafka ports do while the broker is away, hangs or dies: a doubt in time, and nothing left behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.adapters.kafka.changelog import ChangelogReader
from pipeline.adapters.kafka.connection import Connection, step
from pipeline.adapters.kafka.progress import ProgressTopic
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.application.ports import Doubt, Fenced, KafkaDoubt, Outgoing, ProgressRecord
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import free_port

STEP_S = 2.0
SLACK_S = 1.5
"""What a busy machine may add to a step."""

TOPIC = "profiles"
SAID = ProgressRecord(3, "journey:AAA", None, None, "worker-1", "running", "", "")


def now() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Ports:
    """All Kafka ports of a lane, on one broker."""

    connection: Connection
    writer: TransactionalWriter
    changelog: ChangelogReader
    progress: ProgressTopic

    @classmethod
    def on(cls, bootstrap: str) -> "Ports":
        connection = Connection(bootstrap, "lane", STEP_S)
        return cls(
            connection,
            TransactionalWriter(connection, "lane", 10_000, now),
            ChangelogReader(connection, TOPIC),
            ProgressTopic(connection, "progress"),
        )

    async def commit(self, value: bytes) -> object:
        return await self.writer.commit([Outgoing(TOPIC, 0, [(b"k", value, ())])])

    async def commit_anew(self, value: bytes) -> None:
        """As a lane after a doubt: what an earlier producer left open is aborted before this one begins."""
        await self.writer.start()
        await self.commit(value)

    async def close(self) -> None:
        await self.writer.close()
        await self.progress.close()


@pytest.fixture
async def ports(own_stack: Stack) -> AsyncIterator[Ports]:
    admin = AIOKafkaAdminClient(bootstrap_servers=own_stack.bootstrap)
    await admin.start()
    append_time = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(TOPIC, 1, 1), NewTopic("progress", 1, 1, topic_configs=append_time)])
    await admin.close()
    ports = Ports.on(own_stack.bootstrap)
    yield ports
    await ports.close()


async def doubtful(attempt: Awaitable[object], steps: int = 1) -> Doubt:
    """The doubt that it ends in, within so many steps."""
    began = time.monotonic()
    with pytest.raises(Doubt) as doubt:
        await attempt
    assert time.monotonic() - began < steps * STEP_S + SLACK_S
    return doubt.value


async def soon(attempt: Callable[[], Awaitable[object]], within_s: float = 20.0) -> None:
    """Again and again, as a lane does, until it succeeds."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            await attempt()
        except KafkaDoubt:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)  # the back-off of a lane
        else:
            return


async def seen(bootstrap: str) -> list[bytes]:
    tp = TopicPartition(TOPIC, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([tp])
        found: list[bytes] = []
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            found += [record.value for record in (await consumer.getmany(timeout_ms=100)).get(tp, [])]
        return found


async def test_where_nobody_listens_every_step_is_a_doubt() -> None:
    ports = Ports.on(f"127.0.0.1:{free_port()}")
    await doubtful(ports.writer.start())
    await doubtful(ports.changelog.bounds(0))
    await doubtful(anext(aiter(ports.changelog.replay(0, 0, 10))))
    await doubtful(ports.progress.publish(SAID))
    await doubtful(ports.progress.read())
    assert await ports.progress.ends([(TOPIC, 0)]) == {(TOPIC, 0): None}
    await ports.close()


async def test_a_broker_that_hangs_ends_every_step_in_time(own_stack: Stack, ports: Ports) -> None:
    await ports.writer.start()
    await ports.commit(b"before")
    await ports.progress.publish(SAID)
    own_stack.pause("kafka")
    try:
        assert "transaction" in str(await doubtful(ports.commit(b"hanging")))
        await doubtful(ports.progress.publish(SAID))
        await doubtful(ports.changelog.bounds(0))
        began = time.monotonic()
        assert await ports.progress.ends([(TOPIC, 0)]) == {(TOPIC, 0): None}
        await ports.writer.close()
        assert time.monotonic() - began < 2 * STEP_S + SLACK_S
    finally:
        own_stack.resume("kafka")
    await soon(lambda: ports.commit_anew(b"after"))
    await soon(lambda: ports.progress.publish(SAID))
    assert await seen(own_stack.bootstrap) == [b"before", b"after"]


async def test_a_broker_that_dies_and_comes_back_keeps_what_was_committed(own_stack: Stack, ports: Ports) -> None:
    await ports.writer.start()
    await ports.commit(b"before")
    await ports.progress.publish(SAID)
    await asyncio.to_thread(own_stack.kill_kafka)
    assert not isinstance(await doubtful(ports.commit(b"into nothing")), Fenced)
    await doubtful(ports.progress.publish(SAID))
    await asyncio.to_thread(own_stack.start_kafka)
    await soon(lambda: ports.commit_anew(b"after"))
    await soon(lambda: ports.progress.publish(SAID))
    assert await seen(own_stack.bootstrap) == [b"before", b"after"]


async def test_a_commit_that_nobody_answers_is_whole_or_not_there(own_stack: Stack, ports: Ports) -> None:
    await ports.writer.start()
    await ports.commit(b"before")
    end = ports.writer._end

    async def hang_then_end() -> None:
        own_stack.pause("kafka")
        await end()

    ports.writer._end = hang_then_end  # type: ignore[method-assign]  # the moment between the last record and the commit
    try:
        assert "commit" in str(await doubtful(ports.commit(b"in doubt"), steps=2))
    finally:
        own_stack.resume("kafka")
    del ports.writer._end
    await soon(ports.writer.start)
    await soon(lambda: ports.changelog.bounds(0))  # a broker that was paused so long has to register anew
    bounds = await ports.changelog.bounds(0)
    replayed = [record.value async for records in ports.changelog.replay(0, 0, bounds.end) for record in records]
    assert replayed in ([b"before"], [b"before", b"in doubt"])
    await soon(lambda: ports.commit_anew(b"after"))
    assert await seen(own_stack.bootstrap) == [*replayed, b"after"]


async def test_a_cancellation_that_nobody_asked_for_is_a_doubt() -> None:
    async def consumer_stop() -> None:
        raise asyncio.CancelledError  # as aiokafka's consumer.stop() does right after assign()

    async def bounded() -> None:
        async with step("replay", 5.0):
            await consumer_stop()

    with pytest.raises(KafkaDoubt, match="replay"):
        await asyncio.create_task(bounded())


async def test_a_cancellation_that_somebody_asked_for_stays_one() -> None:
    async def bounded() -> None:
        async with step("replay", 5.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(bounded())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
