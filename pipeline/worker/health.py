"""What a worker tells orchestrators and people about itself; answered from any thread, without asking anybody."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.application.ports import LaneReport
from pipeline.worker.beat import Beat
from pipeline.worker.lag import Lag
from pipeline.worker.lanes import LaneSet
from pipeline.worker.transport import LaneConsumer
from pipeline.worker.watchdog import InputSight, LaneSight, Patience, Sight, Watchdog

Answer = tuple[bool, Mapping[str, Any]]
Wait = dict[str, Any]
"""What is not ready: `lane` (None: the whole worker), `reason` in one word, `detail` for people, `seconds` of it."""

WORKS = ("running", "waiting")
CATCHING_UP = "catching_up"
SPLIT = "split"

LOOP_SILENT_S = 30.0
OUT_OF_GROUP_TIMES = 5
"""Outside the group is usual while Kafka is away, so the patience with it is this many times that with a lane."""


def patience(stuck_after_s: float) -> Patience:
    """How long things may stand, from the setting of the same name."""
    return Patience(stuck_after_s, max(LOOP_SILENT_S, stuck_after_s / 2), OUT_OF_GROUP_TIMES * stuck_after_s)


class Health:
    """Answers /livez, /readyz, /startupz and /status; before the parts are there it is alive and not ready.

    `ready_lag`: the most records that a lane may have left to read and still have caught up.
    """

    def __init__(self, ready_lag: int) -> None:
        self.loop_beat = Beat()
        self.started = False
        self.waiting_for = "start"
        self._ready_lag = ready_lag
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
        """Ready: in the group, and every lane here is taken, runs, stands where its table stands, and has caught up."""
        waits = list(self._waits())
        return not waits, {"waits": waits}

    def status(self) -> Answer:
        """Everything, for people."""
        alive, _ = self.livez()
        ready, waits = self.readyz()
        lag = self._lag.by_lane() if self._lag else {}
        lanes = [asdict(report) | {"lag": lag.get(report.partition)} for report in self._reports()]
        return alive, {"live": alive, "ready": ready, "started": self.started, **waits, "lanes": lanes}

    def look(self) -> Sight:
        """What the watchdog sees. The consumer's loop is one to look at once the worker has started."""
        beats = [("main", self.loop_beat.at)]
        if self._consumer is not None and self.started:
            beats.append(("consumer", self._consumer.thread_beat.at))
        behind = self._lag.all() if self._lag else {}
        lanes = [_sight(report, behind) for report in self._reports()]
        return Sight(beats, lanes, self._consumer is not None and self._consumer.flowing.is_set())

    def _waits(self) -> Iterator[Wait]:
        if not self.started:
            yield _wait(None, "start", self.waiting_for)
        elif self._consumer is not None and not self._consumer.flowing.is_set():
            yield _wait(None, "rebalance", "the consumer group is being put together")
        elif self._lag is not None and self._lag.unanswered:
            yield _wait(None, "kafka", "no answer about the ends of the inputs")
        now, lags = time.monotonic(), self._lag.by_lane() if self._lag else {}
        for report in self._reports():
            if report.reason or report.state not in WORKS:
                yield _wait(report.partition, report.reason or report.state, report.detail, now - report.since)
            elif (lag := lags.get(report.partition)) is None:
                yield _wait(report.partition, CATCHING_UP, "how much is left to read is not known yet")
            elif lag > self._ready_lag:
                yield _wait(
                    report.partition, CATCHING_UP, f"{lag} records are left to read; ready_lag is {self._ready_lag}"
                )
        for partition, missing in (self._consumer.split if self._consumer else {}).items():
            yield _wait(partition, SPLIT, f"inputs of other workers: {', '.join(sorted(missing))}")

    def _reports(self) -> list[LaneReport]:
        return self._lanes.reports() if self._lanes else []


def _sight(report: LaneReport, behind: Mapping[tuple[str, int], int]) -> LaneSight:
    left = {topic: behind.get((topic, report.partition), 0) for topic in report.next}
    inputs = [InputSight(topic, report.next[topic], left[topic]) for topic in report.next if topic in report.empty]
    return LaneSight(report.partition, report.moved, report.queued + sum(left.values()), report.reason, inputs)


def _wait(lane: int | None, reason: str, detail: str, seconds: float | None = None) -> Wait:
    return {"lane": lane, "reason": reason, "detail": detail, "seconds": None if seconds is None else round(seconds, 1)}
