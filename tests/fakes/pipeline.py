"""A whole pipeline in memory: the real lanes and keeper on simulated Kafka and Redis, moved on by hand."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.intake import Intake, Limits, Source
from pipeline.application.keeper import Keeper
from pipeline.application.lane import Lane
from pipeline.application.lane_record import LaneRecord, decode_lane, first_lane_record
from pipeline.application.metrics import Metrics, NoMetrics
from pipeline.application.progress import Watermark
from pipeline.application.rulebook import Rulebook
from pipeline.application.settings import LanePorts, LaneSettings, Topics
from pipeline.domain.fold import Fold
from pipeline.domain.moments import format_moment
from pipeline.domain.spec import EntrySpec, JourneySpec, SilenceSpec, StageSpec, TouchSpec
from pipeline.domain.touches import TouchTable
from pipeline.errors import UserError
from tests.fakes.kafka import FakeChangelog, FakeInputs, FakeKafka, FakeProgress, FakeWriter
from tests.fakes.table import FakeRedis, FakeTable

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_750_000_000_000
PARTITIONS = 2
TOPICS = Topics(
    transitions="journey.transitions",
    signals="journey.signals",
    customers="journey.customers",
    profiles="journey.profiles",
    events="journey.events",
    commands="journey.commands",
    dead_letters="journey.dlq",
)
SOURCES = (
    Source("raw.web", "raw", "web"),
    Source("raw.store", "raw", "store"),
    Source(TOPICS.events, "events"),
    Source(TOPICS.commands, "commands"),
)


def journey(version: int = 1, fingerprint: str = "f1") -> JourneySpec:
    """Seen -> bought, lapsed after 90 days without an order; a cart without an order within an hour is a signal."""
    return JourneySpec(
        name="shop",
        version=version,
        stages=tuple(StageSpec(stage, ()) for stage in ("seen", "bought", "lapsed")),
        entries=(
            EntrySpec("seen", "seen", ("viewed",), ("",), 1, None, ()),
            EntrySpec("bought", "bought", ("ordered",), ("", "seen", "lapsed"), 1, None, ()),
        ),
        silences=(
            SilenceSpec("lapsed", "lapsed", 90 * DAY, ("ordered",), ("bought",), (), 5 * MINUTE, None),
            SilenceSpec("cart_left", None, HOUR, ("cart",), None, ("ordered",), 5 * MINUTE, DAY),
        ),
        fingerprint=fingerprint,
    )


TOUCHES = tuple(
    TouchSpec(name, frozenset([kind]), None, None, "customer", ())
    for name, kind in (("viewed", "page_viewed"), ("cart", "cart_updated"), ("ordered", "order_placed"))
)


class RealTime:
    """The port's clock: a wall clock moved by hand, and pauses that are only turns of the event loop."""

    def __init__(self) -> None:
        self.ms = START

    def monotonic(self) -> float:
        return self.ms / 1000

    def now(self) -> int:
        return self.ms

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)
        await asyncio.sleep(0)


class Workers:
    """One worker with all lanes. `settle` runs it until nothing moves any more."""

    def __init__(
        self,
        spec: JourneySpec | None = None,
        fold: Callable[[Fold], Fold] = lambda fold: fold,
        metrics: Metrics | None = None,
    ) -> None:
        self.metrics: Metrics = metrics or NoMetrics()
        self.clock = RealTime()
        self.kafka = FakeKafka(now=self.clock.now)
        self.redis = FakeRedis()
        for topic in (*(s.topic for s in SOURCES), TOPICS.transitions, TOPICS.signals, TOPICS.customers):
            self.kafka.create_topic(topic, PARTITIONS)
        self.kafka.create_topic(TOPICS.profiles, PARTITIONS, max_message_bytes=8 << 20)
        self.kafka.create_topic(TOPICS.dead_letters, PARTITIONS)
        self.kafka.create_topic("journey.progress", 1)
        self.sent = 0
        self.texts: dict[str, JourneySpec] = {}
        self._wrap = fold
        self.start(spec or journey())

    def start(self, spec: JourneySpec, code: str = "1") -> None:
        """A new process: nothing of the old one's memory is left."""
        self.code = code
        self.rulebook = Rulebook(
            [(repr(spec), spec)],
            self.read_text,
            lambda specs: TOUCHES,
            lambda journeys, company, carries: self._wrap(Fold(journeys, company, DAY, 64, carries)),
            code,
        )
        self.inputs = FakeInputs(self.kafka, [s.topic for s in SOURCES])
        self.inputs.flow.set()
        self.watermark = Watermark(PARTITIONS, 1)
        self.turn = asyncio.Semaphore(2)
        self.progress = FakeProgress(self.kafka, "journey.progress")
        self.lanes = {p: self._lane(p) for p in range(PARTITIONS)}
        self.inputs.lanes = dict(self.lanes)
        topics = [s.topic for s in SOURCES]
        metrics = self.metrics
        self.keeper = Keeper(
            self.progress, self.watermark, self.clock, metrics, lambda: list(self.lanes.values()), topics, 1.0, False
        )
        self.tasks: list[asyncio.Task[None]] = []

    def _lane(self, partition: int) -> Lane:
        settings = LaneSettings(
            application="journey",
            owner="test",
            code=self.code,
            partitions=PARTITIONS,
            topics=TOPICS,
            sources=SOURCES,
            event_clock=False,
        )
        ports = LanePorts(
            inputs=self.inputs,
            changelog=FakeChangelog(self.kafka, TOPICS.profiles),
            clock=self.clock,
            metrics=self.metrics,
            new_writer=lambda: FakeWriter(self.kafka, f"journey-{partition}"),
            new_table=lambda: FakeTable(self.redis, "journey", partition),
            cache_share=lambda: 1000,
            queue_share=lambda: 1000,
            turn=self.turn,
        )

        def new_intake(table: TouchTable) -> Intake:
            return Intake(partition, table, Limits(), lambda key: home_partition(key, PARTITIONS), False)

        return Lane(partition, settings, ports, self.rulebook, new_intake, self.watermark)

    def read_text(self, text: str) -> JourneySpec:
        """A text of these journeys is the name under which one was put into `texts`."""
        found = self.texts.get(text)
        if found is None:
            raise UserError("it is no journey")
        return found

    def run(self, generation: int = 1) -> None:
        self.inputs.assign(range(PARTITIONS), generation)
        self.tasks = [asyncio.create_task(lane.run(generation)) for lane in self.lanes.values()]

    async def park(self) -> None:
        for lane in self.lanes.values():
            lane.stop()
        await asyncio.gather(*self.tasks)

    async def kill(self) -> None:
        """What a crash leaves: tasks gone, nothing released."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def settle(self, turns: int = 400) -> None:
        """Lets fetches, lanes and ticks go on until all of it is quiet for a while."""
        quiet = 0
        for _ in range(turns):
            moved = self.inputs.deliver()
            for _ in range(40):
                await asyncio.sleep(0)
            quiet = 0 if moved else quiet + 1
            if quiet > 12:
                return

    async def tick(self, times: int = 6) -> None:
        for _ in range(times):
            self.clock.ms += 1000
            await self.keeper.tick()
            await self.keeper.read()
            await self.settle()

    def send(
        self, customer: str, kind: str, at: int, *, topic: str = "raw.web", number: str = "", away: bool = False
    ) -> None:
        """One raw event, appended at the clock's time; `away` puts it on a partition that is not its home."""
        self.sent += 1
        value = {
            "id": number or f"e{self.sent}",
            "type": kind,
            "occurred_at": format_moment(at),
            "customer_id": customer,
        }
        partition = home_partition(customer.encode(), PARTITIONS)
        self.append(topic, (partition + 1) % PARTITIONS if away else partition, json.dumps(value).encode())

    def append(self, topic: str, partition: int, value: bytes | None) -> None:
        self.kafka.append(topic, partition, [(None, value, [])])

    def feed(self, topic: str) -> list[dict[str, Any]]:
        """What a read_committed subscriber has seen, partition by partition."""
        return [json.loads(record.value or b"") for record in self.records(topic)]

    def records(self, topic: str) -> Sequence[Any]:
        found: list[Any] = []
        for log in self.kafka.topics[topic].logs:
            records, _ = log.read(0, 1_000_000, committed=True)
            found += records
        return found

    def stages(self) -> list[tuple[str, str | None, str]]:
        return [(t["customer_id"], t["to"], t["kind"]) for t in self.feed(TOPICS.transitions)]

    def record(self, partition: int) -> LaneRecord:
        """The lane record in the table."""
        table = self.redis.tables.get(f"journey:{{{partition}}}")
        if table is None:
            return first_lane_record("journey", PARTITIONS)
        return decode_lane(table.fields[b"@lane"])

    def totals(self, outcome: str) -> int:
        return sum(getattr(tally, outcome) for p in range(PARTITIONS) for tally in self.record(p).totals.values())

    def table_equals_changelog(self) -> bool:
        """I5: what Redis has is what the changelog says up to `@pos`."""
        for partition in range(PARTITIONS):
            log = self.kafka.log(TOPICS.profiles, partition)
            records, _ = log.read(0, 1_000_000, committed=True)
            if not records:
                continue
            wanted = {record.key: record.value for record in records}
            stored = self.redis.tables[f"journey:{{{partition}}}"]
            position = f"{self.kafka.topics[TOPICS.profiles].id}:{records[-1].offset}".encode()
            if stored.fields != {**wanted, b"@pos": position}:
                return False
        return True
