"""One worker process: the real lanes, lane set and keeper, and what the consumer's thread and Faust do around them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.intake import Intake, Limits, Source
from pipeline.application.keeper import Keeper
from pipeline.application.lane import Lane
from pipeline.application.metrics import NoMetrics
from pipeline.application.ports import Fetched, KafkaDoubt, LaneHandle
from pipeline.application.progress import Watermark
from pipeline.application.settings import LanePorts, LaneSettings
from pipeline.domain.touches import TouchTable
from pipeline.worker.lanes import LaneSet
from tests.fakes.kafka import FakeChangelog, FakeInputs, FakeProgress, FakeWriter
from tests.fakes.kafka.clients import exchange
from tests.fakes.pipeline import START, TOPICS
from tests.fakes.table import FakeTable
from tests.simulation.cases import Shape
from tests.simulation.cluster import SimulatedKafka, SimulatedRedis
from tests.simulation.event_loop import Process, SimulatedLoop
from tests.simulation.group import Group
from tests.simulation.models import rulebook

APPLICATION: Final = "journey"
PROGRESS: Final = "journey.progress"
SOURCES: Final = (
    Source("raw.web", "raw", "web"),
    Source("raw.store", "raw", "store"),
    Source(TOPICS.events, "events"),
    Source(TOPICS.commands, "commands"),
)
INPUTS: Final = tuple(source.topic for source in SOURCES)
LOST_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the workers of a world share. `found`: to be told of what must not be."""

    loop: SimulatedLoop
    chance: Random
    shape: Shape
    kafka: SimulatedKafka
    redis: SimulatedRedis
    group: Group
    happened: Counter[str]
    found: Callable[[str], None]


class SkewedClock:
    """ports.Clock with virtual time; the wall clock of each machine is off by something."""

    def __init__(self, around: Surroundings) -> None:
        self._loop = around.loop
        self._chance = around.chance
        self._off = around.chance.randint(-5_000, 5_000)

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> int:
        return START + int(self._loop.time() * 1000) + self._off

    def random(self) -> float:
        return self._chance.random()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Consumer(FakeInputs):
    """The inputs of one member of the group. `lag_s`: how long a fetch may be under way to its lane."""

    def __init__(self, around: Surroundings, member: str) -> None:
        super().__init__(around.kafka, INPUTS, around.shape.fetch)
        self.around = around
        self.member = member
        self.lag_s = 0.0
        self.find_lane: Callable[[int], LaneHandle | None] = lambda partition: None

    def lane(self, partition: int) -> LaneHandle | None:
        return self.find_lane(partition)

    async def confirm_membership(self, generation: int) -> str | None:
        try:
            return await self.heartbeat(generation)
        except KafkaDoubt as doubt:
            return str(doubt)

    async def heartbeat(self, generation: int) -> str | None:
        """KafkaDoubt if there is no answer."""
        group = self.around.group
        return await exchange(
            self.kafka, "heartbeat", self.member, lambda: self.refusal or group.heartbeat(self.member, generation)
        )

    async def read_on(self) -> None:
        """Fetches and hands on until cancelled, now quickly, now slowly."""
        chance = self.around.chance
        while True:
            moved = False
            for topic, partition in list(self._readings):
                haul = self.fetch(topic, partition)
                if haul is None:
                    continue
                moved = True
                if self.lag_s:
                    await asyncio.sleep(chance.random() * self.lag_s)
                self._arrive(*haul)
            await asyncio.sleep(0.02 * chance.random() if moved else 0.1 + 0.3 * chance.random())

    def _arrive(self, fetched: Fetched, arrives: bool) -> None:
        if arrives and self.flow.is_set():
            self.hand_on(fetched, arrives)
        else:
            self.around.happened["fetch dropped"] += 1
            self.around.loop.call_later(LOST_AGAIN_S, self.hand_on, fetched, False)


class Worker:
    """`number` counts all workers that there ever were in a world."""

    def __init__(self, around: Surroundings, number: int) -> None:
        self.name = f"w{number}"
        self.process = Process(self.name)
        self.lanes: LaneSet | None = None
        self.gave_up = ""
        self._around = around
        self._clock = SkewedClock(around)
        self.inputs = Consumer(around, self.name)
        self.watermark = Watermark(around.shape.partitions, 1)
        self._turn = asyncio.Semaphore(2)
        self._leaving = asyncio.Event()
        self._rulebook = rulebook()
        self.main = around.loop.start(self.process, self._live())

    @property
    def alive(self) -> bool:
        return not self.process.dead and not self.main.done()

    def leave(self) -> None:
        """SIGTERM."""
        self._leaving.set()

    def kill(self) -> None:
        """SIGKILL: not one step more, nothing is released."""
        self.process.dead = True

    def lane(self, partition: int) -> Lane | None:
        found = None if self.lanes is None else self.lanes.get(partition)
        return found if isinstance(found, Lane) else None

    def here(self) -> list[Lane]:
        return [lane for p in range(self._around.shape.partitions) if (lane := self.lane(p)) is not None]

    # ---- within

    async def _live(self) -> None:
        around = self._around
        lanes = self.lanes = LaneSet(self._make_lane)
        self.inputs.find_lane = lanes.get
        progress = FakeProgress(around.kafka, PROGRESS)
        tick = around.shape.tick / 1000
        keeper = Keeper(progress, self.watermark, self._clock, NoMetrics(), self.here, INPUTS, tick, False)
        service = [
            asyncio.create_task(coroutine)
            for coroutine in (keeper.tick_on(), keeper.read_on(), self.inputs.read_on(), self._take_part(lanes))
        ]
        leaving = asyncio.create_task(self._leaving.wait())
        awaited: list[asyncio.Future[Any]] = [leaving, lanes.failure, *service]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        for task in service:
            if task.done():
                around.found(f"{self.name} ends with {task.exception()!r}")
        if lanes.failure.done():
            self.gave_up = str(lanes.failure.result())
        self.inputs.flow.clear()
        await lanes.stop("exit", final=True)
        for each in (*service, leaving):
            each.cancel()
        await asyncio.wait((*service, leaving))
        around.group.leave(self.name)

    async def _take_part(self, lanes: LaneSet) -> None:
        """Joins, works, and joins again whenever the group says so."""
        around, inputs = self._around, self.inputs
        session = around.shape.session / 1000
        while True:
            generation, partitions = await around.group.join(self.name)
            inputs.assign(partitions, generation)
            lanes.start(partitions, generation)
            answer = around.group.heartbeat(self.name, generation) if around.chance.random() < 0.3 else None
            if answer is None:
                await asyncio.sleep(around.chance.random())
                inputs.flow.set()
            while answer is None:
                await asyncio.sleep(session / 4)
                with suppress(KafkaDoubt):
                    answer = await inputs.heartbeat(generation)
            inputs.flow.clear()
            await lanes.stop("rebalance")

    def _make_lane(self, partition: int) -> Lane:
        around, shape = self._around, self._around.shape
        kafka = around.kafka
        settings = LaneSettings(
            application=APPLICATION,
            owner=self.name,
            code="1",
            partitions=shape.partitions,
            topics=TOPICS,
            sources=SOURCES,
            event_clock=False,
            most=shape.most,
            oldest_ms=shape.oldest,
            fences=shape.fences,
        )
        ports = LanePorts(
            inputs=self.inputs,
            changelog=FakeChangelog(kafka, TOPICS.profiles, patience=20),
            clock=self._clock,
            metrics=NoMetrics(),
            new_writer=lambda: FakeWriter(kafka, f"{APPLICATION}-{partition}"),
            new_table=lambda: FakeTable(around.redis, APPLICATION, partition),
            cache_share=lambda: shape.cache,
            queue_share=lambda: shape.queue,
            turn=self._turn,
        )
        partitions = shape.partitions

        def new_intake(table: TouchTable) -> Intake:
            return Intake(partition, table, Limits(), lambda key: home_partition(key, partitions), False)

        return Lane(partition, settings, ports, self._rulebook, new_intake, self.watermark)
