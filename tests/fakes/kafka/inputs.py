"""ports.Inputs on a FakeKafka: the consumer of one worker, which hands fetches to its lanes when it is told to."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.application.ports import Fetched, KafkaDoubt, LaneHandle
from tests.fakes.kafka.broker import FakeKafka
from tests.fakes.kafka.clients import exchange

TopicPartition = tuple[str, int]


@dataclass
class Reading:
    """Where a partition is read. `told`: something was handed out since it was sought."""

    position: int = 0
    paused: bool = True
    told: bool = True


@dataclass
class FakeInputs:
    """`lanes` are those of this worker, by partition; `generation` is the one in which it is a member.

    `deliver` does one round of what the consumer's thread and Faust do. `flow` is Faust's: while it is clear, what is
    fetched is dropped and the lanes are told so.
    """

    kafka: FakeKafka
    topics: Sequence[str]
    records_a_fetch: int = 500
    generation: int = 0
    lanes: dict[int, LaneHandle] = field(default_factory=dict)
    flow: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: str | None = None
    """What a heartbeat is answered, `rebalancing` say; None if this worker is a good member."""
    silent: set[TopicPartition] = field(default_factory=set)
    """Partitions whose fetches go unanswered."""
    _readings: dict[TopicPartition, Reading] = field(default_factory=dict)
    _drops: int = 0

    # ---- the group's side

    def assign(self, partitions: Sequence[int], generation: int) -> None:
        """A rebalance: these partitions of every topic are read here, paused until a lane seeks."""
        self.generation = generation
        self._readings = {(topic, partition): Reading() for partition in sorted(partitions) for topic in self.topics}

    def deliver(self) -> bool:
        """One fetch of every partition that is not paused, offered to its lane. False if there was nothing."""
        moved = False
        for topic, partition in list(self._readings):
            haul = self.fetch(topic, partition)
            if haul is not None:
                self.hand_on(*haul)
                moved = True
        return moved

    def fetch(self, topic: str, partition: int) -> tuple[Fetched, bool] | None:
        """What one fetch finds and whether it will reach its lane; None if there is nothing to tell."""
        reading = self._readings.get((topic, partition))
        if reading is None or reading.paused or self.kafka.away or (topic, partition) in self.silent:
            return None
        log, start = self.kafka.log(topic, partition), reading.position
        if not log.start <= start <= log.end:  # a lane that has lost something looks where the log starts
            reading.paused = True
            return Fetched(topic, partition, start, start + 1, (), caught_up=False), False
        records, end = log.read(start, self.records_a_fetch, committed=True)
        if end == start and reading.told:
            return None
        reading.position, reading.told = end, True
        arrives = self._drops == 0
        self._drops = max(0, self._drops - 1)
        return Fetched(topic, partition, start, end, records, caught_up=end >= log.stable_end), arrives

    def hand_on(self, fetched: Fetched, arrives: bool) -> None:
        """Offers it to its lane, or tells it what it lost."""
        lane = self.lane(fetched.partition)
        reading = self._readings.get((fetched.topic, fetched.partition))
        if lane is None:
            return
        if arrives and self.flow.is_set():
            lane.offer(fetched)
            if reading is not None and lane.full(fetched.topic):
                reading.paused = True
        else:
            lane.lost(fetched)

    def drop_next(self, fetches: int = 1) -> None:
        """So many of the next fetches are drained and never reach their lane."""
        self._drops += fetches

    def lane(self, partition: int) -> LaneHandle | None:
        return self.lanes.get(partition)

    # ---- the lane's side: ports.Inputs

    async def flowing(self) -> None:
        await self.flow.wait()

    async def seek(self, topic: str, partition: int, offset: int) -> None:
        def move() -> None:
            reading = self._assigned(topic, partition)
            reading.position, reading.paused, reading.told = offset, False, False

        await exchange(self.kafka, "seek", f"{topic}-{partition}", move)

    async def pause(self, topic: str, partition: int) -> None:
        def stop() -> None:
            if (topic, partition) in self._readings:
                self._readings[topic, partition].paused = True

        await exchange(self.kafka, "pause", f"{topic}-{partition}", stop)

    def resume(self, topic: str, partition: int) -> None:
        if (topic, partition) in self._readings:
            self._readings[topic, partition].paused = False

    async def log_starts(self, topics: Sequence[str], partition: int) -> Mapping[str, int]:
        def look() -> Mapping[str, int]:
            return {topic: self.kafka.log(topic, partition).start for topic in topics}

        return await exchange(self.kafka, "log_starts", f"partition {partition}", look)

    async def confirm_membership(self, generation: int) -> str | None:
        def beat() -> str | None:
            if generation != self.generation:
                return f"the group is at generation {self.generation}, not {generation}"
            return self.refusal

        try:
            return await exchange(self.kafka, "heartbeat", f"generation {generation}", beat)
        except KafkaDoubt as doubt:
            return str(doubt)

    # ---- within

    def _assigned(self, topic: str, partition: int) -> Reading:
        reading = self._readings.get((topic, partition))
        if reading is None:
            raise KafkaDoubt(f"{topic}-{partition} is not assigned to this worker")
        return reading
