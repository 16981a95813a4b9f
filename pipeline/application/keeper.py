"""The tick of a worker: proves the progress of its lanes, publishes it, and reads everybody's into the watermark."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from pipeline.application import failpoints
from pipeline.application.failpoints import Failpoint
from pipeline.application.metrics import Metrics
from pipeline.application.ports import Clock, Doubt, ProgressLog, ProgressRecord
from pipeline.application.progress import Watermark

log = structlog.get_logger(__name__)


class TickingLane(Protocol):
    """What the keeper needs of a lane."""

    @property
    def partition(self) -> int: ...
    def progress_record(self) -> ProgressRecord: ...
    def passed(self) -> int | None: ...
    def ticked(self, ticked_at: int, offset: int, ends: Mapping[str, int | None]) -> None: ...
    def watermark_rose(self) -> None: ...
    def cached(self) -> int: ...


class Keeper:
    """One a worker. `lanes` are those here now, `topics` the inputs whose ends are asked for."""

    def __init__(
        self,
        progress: ProgressLog,
        watermark: Watermark,
        clock: Clock,
        metrics: Metrics,
        lanes: Callable[[], Sequence[TickingLane]],
        topics: Sequence[str],
        tick: float,
        event_clock: bool,
    ) -> None:
        self._progress = progress
        self._watermark = watermark
        self._clock = clock
        self._metrics = metrics
        self._lanes = lanes
        self._topics = tuple(topics)
        self._tick = tick
        self._event_clock = event_clock
        self._holder: int | None = None

    async def tick_on(self) -> None:
        """Ticks until cancelled; a broker that is away costs ticks, not the worker."""
        while True:
            began = self._clock.monotonic()
            try:
                await self.tick()
            except Doubt as doubt:
                log.warning("tick.failed", reason=doubt.reason, why=str(doubt)[:300])
            await self._clock.sleep(max(0.05, self._tick - (self._clock.monotonic() - began)))

    async def read_on(self) -> None:
        """Reads what all lanes say until cancelled; the watermark follows at once."""
        while True:
            try:
                await self.read()
            except Doubt as doubt:
                log.warning("progress.unread", reason=doubt.reason, why=str(doubt)[:300])
                await self._clock.sleep(self._tick)

    async def tick(self) -> None:
        """One round: records out, ends after their acknowledgement, everybody's records in."""
        lanes = list(self._lanes())
        said = [lane.progress_record() for lane in lanes]
        for record in said:
            if record.world:
                self._watermark.enter(record.world)
        await failpoints.reached(Failpoint.TICK_BEFORE)
        asked = self._clock.now()
        ticks = await asyncio.gather(*(self._progress.publish(record) for record in said))
        if ticks:
            self._metrics.set("clock_offset_seconds", self._ahead(asked, ticks[0][0]) / 1000)
        await failpoints.reached(Failpoint.TICK_ACKNOWLEDGED)
        if lanes:
            wanted = [(topic, lane.partition) for lane in lanes for topic in self._topics]
            ends = await self._progress.ends(wanted)
            await failpoints.reached(Failpoint.TICK_ENDS)
            for lane, (ticked_at, offset) in zip(lanes, ticks, strict=True):
                lane.ticked(ticked_at, offset, {topic: ends.get((topic, lane.partition)) for topic in self._topics})
        here = {lane.partition for lane in self._lanes()}  # a lane that has left meanwhile must leave no series here
        for lane, record in zip(lanes, said, strict=True):
            # A lane that was just taken, or stands, proves nothing itself: what had passed before is true all the same.
            raw = record.raw if record.raw is not None else lane.passed()
            if raw is not None and record.lane in here:
                self._metrics.set("lane_progress_timestamp_seconds", raw / 1000, str(record.lane))
        self._metrics.set("cache_profiles", sum(lane.cached() for lane in lanes))

    def _ahead(self, asked: int, appended: int) -> int:
        """How far the broker's clock is ahead of ours, in ms; what may be the way there and back is no difference."""
        return appended - min(max(appended, asked), self._clock.now())

    async def read(self) -> None:
        """Takes what is new on the topic, waiting a moment for it; wakes the lanes if the watermark rose."""
        before = self._watermark.value
        found = await self._progress.read()
        await failpoints.reached(Failpoint.PROGRESS_READ)
        for offset, record in found:
            self._watermark.observe(offset, record)
        holder = self._watermark.holder()
        if holder != self._holder:
            if self._holder is not None:
                self._metrics.set("timers_held", 0, str(self._holder))
            self._metrics.set("timers_held", 1, str(holder))
            self._holder = holder
        value = self._watermark.value
        if value is None:
            return
        if value != before:
            for lane in self._lanes():
                lane.watermark_rose()
            self._metrics.set("watermark_timestamp_seconds", value / 1000)
        if not self._event_clock:
            self._metrics.set("watermark_delay_seconds", max(0.0, (self._clock.now() - value) / 1000))
