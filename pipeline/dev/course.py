"""A local run under way: people act, workers fold, whoever looks on is told; then all of it stops in order."""

import asyncio
import contextlib
import signal as signals
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pipeline.adapters.identity_kinds import identities_of, kinds_of
from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.feed_reader import FeedReader, FeedRecord
from pipeline.adapters.kafka.sender import RawSender
from pipeline.adapters.lanes_seen import lane_records
from pipeline.adapters.published import Published, PublishedTransition, signal, transition
from pipeline.config import Settings
from pipeline.dev.audience import Audience, Totals
from pipeline.dev.orders import Orders
from pipeline.dev.run import Options, data_of
from pipeline.dev.simulator import Simulator, go_on
from pipeline.dev.workers import WorkerProcess
from pipeline.domain.event import CHANNELS
from pipeline.domain.identity import reads_like
from pipeline.errors import UserError

DAY_A_SECOND: Final = 86_400.0
_TOTALS_S: Final = 0.5
_LATER_S: Final = 5.0
_WORTH_A_LOOK: Final = 4
"""Stage changes in one journey after which a customer has a story."""


class Course:
    """The parts of a run while they run."""

    def __init__(
        self, options: Options, settings: Settings, workers: Sequence[WorkerProcess], audience: Audience
    ) -> None:
        self._options = options
        self._settings = settings
        self._workers = workers
        self._audience = audience
        self._totals = Totals()
        self._before: Counter[str] | None = None
        self._changes: Counter[tuple[str, str]] = Counter()
        self._something_happened = asyncio.Event()
        self._feeds = [settings.topic("journey.transitions"), settings.topic("journey.signals")]

    async def until(self, stop: asyncio.Event) -> Totals:
        """Makes the topics, lets everything begin, and ends it once `stop` is set or a part has failed."""
        settings = self._settings
        self._audience.step("making the topics")
        await topics.apply(settings)
        async with (
            FeedReader(settings.brokers, self._feeds) as reader,
            RawSender(settings.brokers, settings.input_topics) as sender,
            RawSender(settings.brokers, [settings.topic("journey.commands")]) as commands,
        ):
            orders = Orders(commands, settings.topic("journey.commands"), identities_of(settings))
            simulator = simulator_of(self._options, settings, sender, orders)
            people = simulator.story.customers
            self._audience.step(f"starting {len(self._workers)} workers and {people} customers")
            self._totals.sent = simulator.sent
            await self._count()
            failed = await self._go(simulator, reader, stop)
            await self._take_what_is_left(reader)
        if failed:
            raise UserError("a worker ended for good", 1)
        return self._totals

    async def _go(self, simulator: Simulator, reader: FeedReader, stop: asyncio.Event) -> bool:
        """Whether a worker failed. Ends in order: the simulator first, then the workers, then whoever looks on."""
        halt = asyncio.Event()
        first, *others = self._workers
        running = [asyncio.create_task(first.run(), name=first.name)]
        running += [asyncio.create_task(self._run_later(worker), name=worker.name) for worker in others]
        simulating = asyncio.create_task(simulator.run(halt), name="simulator")
        watching = [
            asyncio.create_task(self._follow(reader), name="feed"),
            asyncio.create_task(self._count_on(), name="totals"),
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([stopping, simulating, *watching, *running], return_when=asyncio.FIRST_COMPLETED)
            failed = not stop.is_set()
            halt.set()
            self._something_happened.set()
            self._audience.step("stopping the simulator, then the workers")
            await asyncio.wait([simulating])
            codes = await asyncio.gather(*(worker.stop() for worker in self._workers))
            await asyncio.gather(*running)
        finally:
            for task in (stopping, simulating, *watching):
                task.cancel()
            ended = await asyncio.gather(simulating, *watching, return_exceptions=True)
            await asyncio.gather(*(worker.stop() for worker in self._workers))
            for task in running:
                task.cancel()
        for error in ended:
            if isinstance(error, Exception):
                raise error
        if any(code not in (0, -signals.SIGTERM) for code in codes) and not failed:
            self._audience.trouble(f"workers ended with status {', '.join(map(str, codes))}; 0 is expected")
        return failed

    async def _run_later(self, worker: WorkerProcess) -> None:
        """Runs a further worker once there is something to see: its start would only slow down the first one's."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something_happened.wait(), _LATER_S)
        await worker.run()

    async def _follow(self, reader: FeedReader) -> None:
        while True:
            self._tell(await reader.read(0.5))

    async def _take_what_is_left(self, reader: FeedReader) -> None:
        ends = await reader.ends()
        while not await reader.reached(ends):
            self._tell(await reader.read(0.2))
        await self._count()
        self._audience.totals(self._totals)

    def _tell(self, records: list[FeedRecord]) -> None:
        totals = self._totals
        for record in records:
            change: Published = signal(record) if record.topic == self._feeds[1] else transition(record)
            totals.kinds[change.kind] += 1
            if not isinstance(change, PublishedTransition):
                totals.signals[change.signal] += 1
            elif change.kind != "retracted" and change.to is not None:
                totals.stages[change.journey, change.to] += 1
                self._remember(change.customer_id, change.journey)
            self._audience.published(change)
            self._something_happened.set()

    def _remember(self, customer: str, journey: str) -> None:
        self._changes[customer, journey] += 1
        known = not reads_like(customer, kinds_of(self._settings))
        if not self._totals.worth_a_look and known and self._changes[customer, journey] >= _WORTH_A_LOOK:
            self._totals.worth_a_look = customer

    async def _count_on(self) -> None:
        began = time.monotonic()
        trouble = ""
        while True:
            await asyncio.sleep(_TOTALS_S)
            try:
                await self._count()
                trouble = ""
            except UserError as error:
                if error.message != trouble:
                    trouble = error.message
                    self._audience.trouble(trouble)
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


def simulator_of(options: Options, settings: Settings, sender: RawSender, orders: Orders) -> Simulator:
    """The simulator on the inputs of the settings, with the story that was begun here, if one was."""
    now = time.time_ns() // 1_000_000
    path = (data_of(options) if options.stack else options.folder) / "simulator.json"
    story = go_on(path, settings.clock, options.seed, options.customers, now)
    by_channel = {item.channel: settings.topic(item.topic) for item in settings.inputs if item.channel}
    missing = [channel for channel in CHANNELS if channel not in by_channel]
    if missing:
        raise UserError(f"the simulator needs an input topic for each channel; there is none for {', '.join(missing)}")
    if settings.clock == "live" and options.speed not in (None, 1.0):
        raise UserError("on the live clock a second lasts a second; --speed needs settings with `clock: event`")
    usual = 1.0 if settings.clock == "live" else DAY_A_SECOND
    return Simulator(story, sender, by_channel, speed=options.speed or usual, path=path, orders=orders)
