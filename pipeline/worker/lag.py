"""How far the lanes of this worker are behind, for people: lag tools, metrics, the watchdog."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

import structlog

from pipeline.application.metrics import Metrics, NoMetrics
from pipeline.application.ports import KafkaDoubt
from pipeline.worker.inputs import ConsumerInputs
from pipeline.worker.lanes import LaneSet

log = structlog.get_logger(__name__)

EVERY_S = 5.0
"""Between two looks."""

UNKNOWN_S = 0.5
"""As long as a lane here has never been looked at."""


class Lag:
    """What every lane here had still to read when last asked for; `all` and `by_lane` are safe from any thread."""

    def __init__(self, inputs: ConsumerInputs, lanes: LaneSet, metrics: Metrics | None = None) -> None:
        self._inputs = inputs
        self._metrics: Metrics = metrics or NoMetrics()
        self._lanes = lanes
        self._ends: Mapping[tuple[str, int], int] = {}
        self.unanswered = False
        """Whether Kafka gave no answer the last time: without this an idle worker would not notice that it is away."""

    async def look_on(self) -> NoReturn:
        """Looks until cancelled."""
        while True:
            await self.look()
            known = self.by_lane()
            new = any(report.next and report.partition not in known for report in self._lanes.reports())
            await asyncio.sleep(UNKNOWN_S if new else EVERY_S)

    async def look(self) -> None:
        """Asks for the ends of all inputs here and publishes the group's offsets; failures are only logged."""
        positions = self._positions()
        if not positions:
            self._ends, self.unanswered = {}, False
            return
        try:
            self._ends = await self._inputs.ends(list(positions))
            self.unanswered = False
            for (topic, partition), behind in self.all().items():
                self._metrics.set("lane_readable_lag_records", behind, str(partition), topic)
            await self._inputs.publish_offsets(self._positions())
        except KafkaDoubt as doubt:
            self.unanswered = True
            log.debug("lag.unknown", why=str(doubt))

    def all(self) -> dict[tuple[str, int], int]:
        """Positions still to be read by (topic, partition); what is not known is left out."""
        ends = self._ends
        return {place: max(0, ends[place] - position) for place, position in self._positions().items() if place in ends}

    def by_lane(self) -> dict[int, int]:
        """Positions that each lane has still to read, over all its inputs; a lane is left out if that is not known."""
        known: dict[int, int] = {}
        for (_, partition), behind in self.all().items():
            known[partition] = known.get(partition, 0) + behind
        return known

    def _positions(self) -> dict[tuple[str, int], int]:
        return {
            (topic, report.partition): offset
            for report in self._lanes.reports()
            for topic, offset in report.next.items()
        }
