"""`journey run`: stack, topics, workers, simulator and feed, started in order and stopped in order."""

import asyncio
import contextlib
import json
import signal as signals
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.feed_reader import FeedReader, FeedRecord
from pipeline.adapters.kafka.sender import RawSender
from pipeline.adapters.lanes_seen import lane_records
from pipeline.adapters.published import Published, PublishedTransition, signal, transition
from pipeline.config import Settings, is_path, load
from pipeline.dev import stack as stacks
from pipeline.dev.simulator import Sent, Simulator, go_on
from pipeline.dev.stack_net import bindable
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.workers import WorkerProcess
from pipeline.domain.event import CHANNELS
from pipeline.domain.identity import ANONYMOUS
from pipeline.errors import UserError

_FIRST_HTTP_PORT: Final = 9464
_TOTALS_S: Final = 0.5
_WORTH_A_LOOK: Final = 4
"""Stage changes after which a customer has a story."""
_SETTINGS: Final = """\
# Written by `journey run`. Commands that are called in this folder use it if they are told no other.
brokers: {brokers}
redis_url: {redis_url}
partitions: {partitions}
clock: event # the simulated time, not the machine's
journeys: {journeys}
tick_s: 0.2 # a second is a day here, and timers wait for it
log_format: pretty
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is run. `speed`: simulated seconds a real second. `stack` False: Kafka and Redis of `config` are used."""

    folder: Path
    workers: int
    speed: float
    seed: int | None
    customers: int | None
    partitions: int
    kafka_port: int
    redis_port: int
    journeys: tuple[str, ...]
    stack: bool
    fresh: bool
    config: Path | None


@dataclass(slots=True)
class Totals:
    """What happened in this run. `watermark`: simulated ms. `seconds`: since the simulator began."""

    sent: Sent = field(default_factory=Sent)
    folded: int = 0
    late: int = 0
    dead: int = 0
    watermark: int | None = None
    stages: Counter[str] = field(default_factory=Counter)
    """Transitions by the stage that was entered."""
    signals: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Transitions and signals by kind."""
    seconds: float = 0.0
    worth_a_look: str = ""


class Audience(Protocol):
    """Whoever looks on."""

    def step(self, what: str) -> None:
        """What is being done now."""

    def trouble(self, what: str) -> None: ...
    def published(self, change: Published) -> None: ...
    def totals(self, totals: Totals) -> None: ...


async def run(options: Options, audience: Audience, stop: asyncio.Event) -> Totals:
    """Runs until `stop` is set. UserError if a part cannot start or fails for good. Leaves nothing running."""
    async with contextlib.AsyncExitStack() as owned:
        own = options.folder / "settings.yaml"
        config = own if options.stack else options.config
        reaper = Reaper()
        owned.callback(reaper.dismiss)
        workers = [_worker(number, options, config, reaper, audience) for number in range(options.workers)]
        # Loading its code takes a worker as long as Kafka takes to start, so one of them does so meanwhile.
        await workers[0].prepare()
        owned.push_async_callback(workers[0].stop)
        if options.stack:
            audience.step("starting Kafka and Redis")
            await owned.enter_async_context(_stack(options))
            _write_settings(options, own)
        settings = load(config)
        audience.step("making the topics")
        await topics.apply(settings)
        reader = await owned.enter_async_context(
            FeedReader(settings.brokers, [settings.topic("journey.transitions"), settings.topic("journey.signals")])
        )
        sender = await owned.enter_async_context(RawSender(settings.brokers, settings.input_topics))
        simulator = _simulator(options, settings, sender)
        audience.step(f"starting {options.workers} workers and {simulator.story.customers} customers")
        return await _Run(settings, simulator, workers, reader, audience).until(stop)


class _Run:
    """The parts while they run."""

    def __init__(
        self,
        settings: Settings,
        simulator: Simulator,
        workers: list[WorkerProcess],
        reader: FeedReader,
        audience: Audience,
    ) -> None:
        self._settings = settings
        self._simulator = simulator
        self._workers = workers
        self._reader = reader
        self._audience = audience
        self._totals = Totals(sent=simulator.sent)
        self._before: Counter[str] | None = None
        self._halt = asyncio.Event()
        self._changes: Counter[str] = Counter()
        self._signals = settings.topic("journey.signals")

    async def until(self, stop: asyncio.Event) -> Totals:
        """Ends in order: the simulator first, then the workers, then whoever looks on."""
        began = time.monotonic()
        await self._count()
        running = [asyncio.create_task(worker.run(), name=worker.name) for worker in self._workers]
        simulating = asyncio.create_task(self._simulator.run(self._halt), name="simulator")
        watching = [_endless(self._follow(), "feed"), _endless(self._count_on(began), "totals")]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([stopping, simulating, *watching, *running], return_when=asyncio.FIRST_COMPLETED)
            broken = not stop.is_set()
            self._halt.set()
            self._audience.step("stopping the simulator, then the workers")
            await asyncio.wait([simulating])
            codes = await asyncio.gather(*(worker.stop() for worker in self._workers))
            await asyncio.gather(*running)
        finally:
            for task in (stopping, simulating, *watching, *running):
                task.cancel()
            await asyncio.gather(*(worker.stop() for worker in self._workers))
            ended = await asyncio.gather(simulating, *watching, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        await self._take_what_is_left()
        if broken:
            raise UserError("a worker ended for good", 1)
        if any(code not in (0, -signals.SIGTERM) for code in codes):
            self._audience.trouble(f"workers ended with status {', '.join(map(str, codes))}; 0 is expected")
        return self._totals

    async def _follow(self) -> None:
        while True:
            self._tell(await self._reader.read(0.5))

    async def _take_what_is_left(self) -> None:
        ends = await self._reader.ends()
        while not await self._reader.reached(ends):
            self._tell(await self._reader.read(0.2))
        await self._count()
        self._audience.totals(self._totals)

    def _tell(self, records: list[FeedRecord]) -> None:
        totals = self._totals
        for record in records:
            change: Published = signal(record) if record.topic == self._signals else transition(record)
            totals.kinds[change.kind] += 1
            if not isinstance(change, PublishedTransition):
                totals.signals[change.signal] += 1
            elif change.kind != "retracted":
                totals.stages[change.to or ""] += 1
                self._remember(change.customer_id)
            self._audience.published(change)

    def _remember(self, customer: str) -> None:
        self._changes[customer] += 1
        known = not customer.startswith(f"{ANONYMOUS}:")
        if not self._totals.worth_a_look and known and self._changes[customer] >= _WORTH_A_LOOK:
            self._totals.worth_a_look = customer

    async def _count_on(self, began: float) -> None:
        while True:
            await asyncio.sleep(_TOTALS_S)
            try:
                await self._count()
            except UserError as error:
                self._audience.trouble(error.message)
            self._totals.seconds = time.monotonic() - began
            self._audience.totals(self._totals)

    async def _count(self) -> None:
        """What the lanes have counted, less what they had when this run began."""
        records = [record for _, record in (await asyncio.to_thread(lane_records, self._settings)).values()]
        now: Counter[str] = Counter()
        for record in records:
            for tally in record.totals.values() if record else ():
                now.update(folded=tally.folded, late=tally.late, dead=tally.dead)
        if self._before is None:
            self._before = now
        before, totals = self._before, self._totals
        totals.folded, totals.late, totals.dead = (now[name] - before[name] for name in ("folded", "late", "dead"))
        watermarks = [record.watermark if record else None for record in records]
        known = [watermark for watermark in watermarks if watermark is not None]
        totals.watermark = min(known) if known and len(known) == len(records) else None


def _endless(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


def _data(options: Options) -> Path:
    """What a stack keeps, the simulator's state included: `journey dev reset` removes all of it together."""
    return options.folder / "stack"


def _stack(options: Options) -> stacks.Stack:
    data = _data(options)
    if options.fresh:
        stacks.reset(data)
    return stacks.Stack(data, options.kafka_port, options.redis_port)


def _write_settings(options: Options, path: Path) -> None:
    """The settings of the run, for the workers and for whoever calls commands in this folder."""
    text = _SETTINGS.format(
        brokers=f"127.0.0.1:{options.kafka_port}",
        redis_url=f"redis://127.0.0.1:{options.redis_port}/0",
        partitions=options.partitions,
        journeys=json.dumps([str(Path(name).absolute()) if is_path(name) else name for name in options.journeys]),
    )
    path.write_text(text)


def _simulator(options: Options, settings: Settings, sender: RawSender) -> Simulator:
    now = time.time_ns() // 1_000_000
    path = _data(options) / "simulator.json"
    story = go_on(path, settings.clock, options.seed, options.customers, now)
    by_channel = {item.channel: settings.topic(item.topic) for item in settings.inputs if item.channel}
    missing = [channel for channel in CHANNELS if channel not in by_channel]
    if missing:
        raise UserError(f"the simulator needs an input topic for each channel; there is none for {', '.join(missing)}")
    return Simulator(story, sender, by_channel, speed=options.speed, path=path)


def _worker(number: int, options: Options, config: Path | None, reaper: Reaper, audience: Audience) -> WorkerProcess:
    name = f"worker-{number + 1}"
    port = _FIRST_HTTP_PORT + number
    return WorkerProcess(
        name,
        config,
        options.folder / "logs" / f"{name}.log",
        reaper,
        audience.trouble,
        {"JOURNEY_HTTP_PORT": str(port if bindable(port) else 0)},
    )
