"""Workers that fight for one lane count together, while their broker hangs and dies: no number is missing or twice.

The lane here is the least there can be: its state is the last number in its changelog. It goes through the same ports
and the same protocol as the real one.
"""

import asyncio
import random
import time
from asyncio import FIRST_COMPLETED
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.adapters.kafka.changelog import ChangelogReader
from pipeline.adapters.kafka.connection import Connection
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.application.ports import Doubt, Entry, Fenced, Outgoing
from pipeline.dev.stack import Stack

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(180)]

TOPIC = "numbers"
PARTITIONS = [(TOPIC, 0), (TOPIC, 1)]
STEP_S = 1.5
PER_COMMIT = 40
VALUE_BYTES = 60_000
"""So that a transaction has several batches, and may hang between them."""

TAIL = 500
"""Offsets; a worker that read the whole log each time would be fenced before it is through."""


@dataclass
class Counter:
    """One worker. `doubts` are the kinds of doubt it went through, `failed` is how many since its last commit; `again`
    is set by each commit."""

    bootstrap: str
    chance: random.Random
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    doubts: list[str] = field(default_factory=list)
    failed: int = 0

    async def run(self) -> None:
        while not self.stop.is_set():
            writer = TransactionalWriter(
                Connection(self.bootstrap, "counter", STEP_S),
                "lane",
                5_000,
                lambda: time.time_ns() // 1_000_000,
                partitions=PARTITIONS,
            )
            try:
                await self._count(writer)
            except Doubt as doubt:
                self.doubts.append(type(doubt).__name__)
                self.failed += 1
                await asyncio.sleep(self.chance.uniform(0.05, min(2.0, 0.2 * 2**self.failed)))  # as the lane does
            finally:
                await writer.close()

    async def _count(self, writer: TransactionalWriter) -> None:
        await writer.start()
        following = await self._following()
        while not self.stop.is_set():
            numbers = range(following, following + self.chance.randint(1, PER_COMMIT))
            entries: list[Entry] = [(b"n", b"%d " % number + bytes(VALUE_BYTES), ()) for number in numbers]
            await writer.commit([Outgoing(TOPIC, 0, entries), Outgoing(TOPIC, 1, entries[:1])])
            following = numbers.stop
            self.again.set()
            self.failed = 0

    async def _following(self) -> int:
        changelog = ChangelogReader(Connection(self.bootstrap, "counter", STEP_S), TOPIC)
        bounds = await changelog.bounds(0)
        for start in (max(bounds.start, bounds.end - TAIL), bounds.start):
            last = -1
            async for records in changelog.replay(0, start, bounds.end):
                last = number(records[-1].value)
            if last >= 0:
                return last + 1
        return 0


def number(value: bytes | None) -> int:
    return int((value or b"").split()[0])


async def counted(bootstrap: str) -> list[int]:
    tp = TopicPartition(TOPIC, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([tp])
        found: list[int] = []
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            found += [number(record.value) for record in (await consumer.getmany(timeout_ms=200)).get(tp, [])]
        return found


async def test_workers_that_fight_for_a_lane_lose_and_double_nothing(own_stack: Stack) -> None:
    chance = random.Random(20)
    admin = AIOKafkaAdminClient(bootstrap_servers=own_stack.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 2, 1)])
    await admin.close()
    workers = [Counter(own_stack.bootstrap, random.Random(seed)) for seed in (1, 2)]
    running = [asyncio.create_task(worker.run()) for worker in workers]

    for _ in range(6):
        await asyncio.sleep(chance.uniform(0.3, 1.0))
        own_stack.pause("kafka")
        await asyncio.sleep(chance.choice([0.2, 1.0, 2.0]))
        own_stack.resume("kafka")
    await asyncio.to_thread(own_stack.kill_kafka)
    await asyncio.to_thread(own_stack.start_kafka)
    for worker in workers:
        worker.again.clear()
    await asyncio.wait([asyncio.create_task(worker.again.wait()) for worker in workers], return_when=FIRST_COMPLETED)
    for worker in workers:
        worker.stop.set()
    await asyncio.gather(*running)
    for worker in workers:  # in turn, since two that fight may both get nowhere for long
        worker.stop.clear()
        worker.again.clear()
        alone = asyncio.create_task(worker.run())
        await worker.again.wait()
        worker.stop.set()
        await alone

    heir = TransactionalWriter(Connection(own_stack.bootstrap, "heir", 5.0), "lane", 5_000, lambda: 0)
    await heir.start()
    await heir.close()
    found = await counted(own_stack.bootstrap)
    assert found == list(range(len(found)))
    kinds = {kind for worker in workers for kind in worker.doubts}
    assert {Fenced.__name__, "KafkaDoubt"} <= kinds, "the test must have had something to survive"
