"""What a worker tells orchestrators and people about itself; answered from any thread, without asking anybody."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline.application.ports import LaneReport
from pipeline.worker.beat import Beat
from pipeline.worker.lag import Lag
from pipeline.worker.lanes import LaneSet
from pipeline.worker.transport import LaneConsumer
from pipeline.worker.watchdog import LaneSight, Patience, Sight, Watchdog

Answer = tuple[bool, Mapping[str, Any]]

WORKS = ("running", "waiting")

LOOP_SILENT_S = 30.0
OUT_OF_GROUP_TIMES = 5
"""Outside the group is usual while Kafka is away, so the patience with it is this many times that with a lane."""


def patience(stuck_after_s: float) -> Patience:
    """How long things may stand, from the setting of the same name."""
    return Patience(stuck_after_s, max(LOOP_SILENT_S, stuck_after_s / 2), OUT_OF_GROUP_TIMES * stuck_after_s)


class Health:
    """Answers /livez, /readyz, /startupz and /status; before the parts are there it is alive and not ready."""

    def __init__(self) -> None:
        self.loop_beat = Beat()
        self.started = False
        self.waiting_for = "start"
        self._consumer: LaneConsumer | None = None
        self._lanes: LaneSet | None = None
        self._lag: Lag | None = None
        self._watchdog: Watchdog | None = None

    def attach(self, consumer: LaneConsumer, lanes: LaneSet, lag: Lag, watchdog: Watchdog) -> None:
        """Says whom to look at."""
        self._consumer, self._lanes, self._lag, self._watchdog = consumer, lanes, lag, watchdog

    def livez(self) -> Answer:
        """Alive: nothing stands that does not know why."""
        complaints = list(self._watchdog.complaints) if self._watchdog else []
        return not complaints, {"complaints": complaints}

    def startupz(self) -> Answer:
        """Started: the worker has had a place in its consumer group once."""
        return self.started, {"waiting_for": self.waiting_for}

    def readyz(self) -> Answer:
        """Ready: in the group, and every lane here runs."""
        waits: dict[str, str] = {}
        if not self.started:
            waits["worker"] = self.waiting_for
        elif self._consumer is not None and not self._consumer.flowing.is_set():
            waits["worker"] = "rebalance"
        elif self._lag is not None and self._lag.unanswered:
            waits["worker"] = "kafka"
        for report in self._reports():
            if report.reason or report.state not in WORKS:
                waits[f"lane {report.partition}"] = report.reason or report.state
        for partition, missing in (self._consumer.split if self._consumer else {}).items():
            waits[f"lane {partition}"] = f"inputs of other workers: {', '.join(sorted(missing))}"
        return not waits, {"waits": waits}

    def status(self) -> Answer:
        """Everything, for people."""
        alive, _ = self.livez()
        ready, waits = self.readyz()
        lanes = [asdict(report) | {"lag": self._lag_of(report)} for report in self._reports()]
        return alive, {"live": alive, "ready": ready, "started": self.started, **waits, "lanes": lanes}

    def look(self) -> Sight:
        """What the watchdog sees."""
        lanes = [
            LaneSight(report.partition, report.moved, report.queued + self._lag_of(report), report.reason)
            for report in self._reports()
        ]
        beats = [("main", self.loop_beat.at)]
        if self._consumer is not None:
            beats.append(("consumer", self._consumer.thread_beat.at))
        return Sight(beats, lanes, self._consumer is not None and self._consumer.flowing.is_set())

    def _reports(self) -> list[LaneReport]:
        return self._lanes.reports() if self._lanes else []

    def _lag_of(self, report: LaneReport) -> int:
        return self._lag.of(report.partition) if self._lag else 0
