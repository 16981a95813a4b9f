"""How much is done for an event, counted and not timed: a small run of real lanes that is the same each time.

The events, and which of them are in one transaction, are fixed: the lanes read from a log in memory and are handed the
next fetch when the one before is committed. All else is real: transactions on Kafka, tables in Redis.
"""

import asyncio
import gc
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.batches import Batch
from pipeline.adapters.kafka.changelog import ChangelogReader
from pipeline.adapters.kafka.connection import Cluster, Connection, connection
from pipeline.adapters.kafka.metadata import TopicPartition
from pipeline.adapters.kafka.sender import home_partition
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.adapters.redis.table import RedisTable
from pipeline.application.intake import Intake
from pipeline.application.lane import Lane
from pipeline.application.metrics import NoMetrics
from pipeline.application.ports import Outgoing
from pipeline.application.progress import Watermark
from pipeline.application.settings import LanePorts
from pipeline.config import Settings
from pipeline.dev.stack import Stack
from pipeline.domain.stitching import MOST_HOPS
from pipeline.domain.touches import TouchTable
from pipeline.worker.wiring import lane_settings, limits, rulebook_of
from tests.benchmarks import common_work
from tests.benchmarks.oracle import expected
from tests.benchmarks.systems.system import Assignment
from tests.benchmarks.systems.worker import settings_of
from tests.fakes.kafka import FakeInputs, FakeKafka
from tests.fakes.pipeline import RealTime

EVENTS: Final = 10_000
CUSTOMERS: Final = 1_000
LANES: Final = 2
A_FETCH: Final = 1_000
"""Events in a fetch, and thus in a transaction."""
CACHED: Final = 350
"""Profiles a lane keeps in memory: fewer than it has, so that Redis is read as well."""
APPLIED_S: Final = 30.0
OURS: Final = ("config", "info", "client", "hello", "auth", "select")
"""Commands of Redis that are of the counting, or of connecting."""


@dataclass(slots=True)
class Sent:
    """What the lanes' producers sent."""

    requests: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        for counter in (self.requests, self.records, self.sizes):
            counter.clear()


class CountedCluster(Cluster):
    """Counts the requests by their names."""

    def __init__(self, to: Connection, sent: Sent) -> None:
        super().__init__(to)
        self._sent = sent

    async def ask(self, node: int, request: Any, *, coordinator: bool = False) -> Any:
        self._sent.requests[type(request).__name__.strip("_").removesuffix("Request")] += 1
        return await super().ask(node, request, coordinator=coordinator)


class CountedWriter(TransactionalWriter):
    """Counts records and the bytes of their batches by topic."""

    def __init__(self, settings: Settings, lane: int, clock: RealTime, sent: Sent) -> None:
        to = connection(settings, f"writer-{lane}")
        super().__init__(to, settings.transactional_id(lane), settings.transaction_timeout_ms, clock.now)
        self._cluster = CountedCluster(to, sent)
        self._sent = sent
        self._prefix = settings.prefix

    def _cut(self, outgoing: Sequence[Outgoing]) -> dict[TopicPartition, list[Batch]]:
        cut = super()._cut(outgoing)
        for (topic, _), batches in cut.items():
            name = topic.removeprefix(self._prefix)
            self._sent.records[name] += sum(batch.count for batch in batches)
            self._sent.sizes[name] += sum(len(batch.data) for batch in batches)
        return cut


def count(stack: Stack, directory: Path) -> Mapping[str, float]:
    """Each count by its name, over all EVENTS unless the name says otherwise."""
    settings = settings_of(Assignment(stack, "counts-", LANES, directory))
    return asyncio.run(_count(settings))


async def _count(settings: Settings) -> Mapping[str, float]:
    await topics.apply(settings)
    server: Any = redis.Redis.from_url(settings.redis_url)
    sent = Sent()
    async with _lanes(settings, sent) as (lanes, inputs, kafka):
        wanted = _fill(kafka, settings)
        await _until(lanes, lambda lane: lane.report().state == "running")
        server.config_resetstat()
        sent.clear()
        gc.collect()
        blocks = sys.getallocatedblocks()
        tracemalloc.start()
        (topic,) = settings.input_topics

        def committed(lane: Lane) -> bool:
            return lane.report().next.get(topic) == inputs._readings[topic, lane.partition].position

        while inputs.deliver():
            await _until(lanes, committed)
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        blocks = sys.getallocatedblocks() - blocks
        commands, traffic = server.info("commandstats"), server.info("stats")
    if sent.records["journey.transitions"] != wanted:
        raise SystemExit(f"wrong: {sent.records['journey.transitions']} transitions, and {wanted} are right")
    found: dict[str, float] = {"transactions": sent.requests["EndTxn"]}
    found |= {f"records to {topic}": number for topic, number in sent.records.items() if number}
    found |= {f"bytes to {topic}": size for topic, size in sent.sizes.items() if size}
    found |= {f"Kafka requests: {name}": number for name, number in sent.requests.items()}
    for name, stat in commands.items():
        command = name.removeprefix("cmdstat_").partition("|")[0]
        if command not in OURS:
            found[f"Redis commands: {command}"] = found.get(f"Redis commands: {command}", 0) + stat["calls"]
    found["bytes to Redis"] = traffic["total_net_input_bytes"]
    found["bytes from Redis"] = traffic["total_net_output_bytes"]
    found["Python blocks kept a cached profile"] = round(blocks / (CACHED * LANES), 1)
    found["Python bytes kept a cached profile"] = round(kept / (CACHED * LANES))
    found["Python bytes at the peak"] = peak
    return found


def _fill(kafka: FakeKafka, settings: Settings) -> int:
    """Appends the events; how many transitions they bring about."""
    (topic,) = settings.input_topics
    work = list(common_work.events(EVENTS, CUSTOMERS))
    for customer, value in work:
        key = customer.encode()
        kafka.append(topic, home_partition(key, LANES), [(key, value, ())])
    return len(expected(work))


@asynccontextmanager
async def _lanes(settings: Settings, sent: Sent) -> AsyncIterator[tuple[Sequence[Lane], FakeInputs, FakeKafka]]:
    """The lanes of one worker, wired as the worker does it but for their inputs, started and stopped."""
    rulebook, clock = rulebook_of(settings), RealTime()
    shared = lane_settings(settings, "counts")
    kafka = FakeKafka(now=clock.now)
    for source in shared.sources:
        kafka.create_topic(source.topic, LANES)
    inputs = FakeInputs(kafka, [source.topic for source in shared.sources], A_FETCH)
    inputs.flow.set()
    watermark, turn = Watermark(LANES, MOST_HOPS), asyncio.Semaphore(1)

    def lane(number: int) -> Lane:
        def new_writer() -> CountedWriter:
            return CountedWriter(settings, number, clock, sent)

        def new_intake(table: TouchTable) -> Intake:
            return Intake(number, table, limits(settings), lambda key: home_partition(key, LANES), event_clock=True)

        ports = LanePorts(
            inputs=inputs,
            changelog=ChangelogReader(connection(settings, "changelog"), shared.topics.profiles),
            clock=clock,
            metrics=NoMetrics(),
            new_writer=new_writer,
            new_table=lambda: RedisTable(settings.application, number, settings.redis_url, settings.step_timeout_s),
            cache_share=lambda: CACHED,
            queue_share=lambda: 2 * A_FETCH,
            turn=turn,
        )
        return Lane(number, shared, ports, rulebook, new_intake, watermark)

    lanes = [lane(number) for number in range(LANES)]
    inputs.lanes = {lane.partition: lane for lane in lanes}
    inputs.assign(range(LANES), 1)
    async with asyncio.TaskGroup() as tasks:
        for each in lanes:
            tasks.create_task(each.run(1))
        try:
            yield lanes, inputs, kafka
        finally:
            for each in lanes:
                each.stop()
    for each in lanes:
        await each.release()


async def _until(lanes: Sequence[Lane], there: Callable[[Lane], bool]) -> None:
    deadline = time.monotonic() + APPLIED_S
    while not all(there(lane) for lane in lanes):
        if time.monotonic() > deadline:
            raise SystemExit(f"the lanes do not move: {[lane.report() for lane in lanes]}")
        await asyncio.sleep(0.001)
