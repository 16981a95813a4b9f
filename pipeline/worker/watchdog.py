"""Ends a process that no longer gets anywhere, and says before why it looks dead.

A lane that knows why it waits is alive. One that has work, gives no reason and stands is not; neither is an input that
is no longer fetched, a lane that the group has forgotten, or an event loop that no longer runs. Looked at from a thread
of its own, which a stuck loop cannot stop. docs/decisions says of which known bugs (stuck consumers).
"""

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from pipeline.log import flush

log = structlog.get_logger(__name__)

EVERY_S = 1.0
LEAVE_AFTER_S = 5.0
"""Between the first failing /livez and the end: time to read /status."""
EXIT_CODE = 70


FORGOTTEN: Final = "membership"
"""The one reason of a lane that a restart mends: the group goes on without it, and nobody tells it."""


@dataclass(frozen=True, slots=True)
class InputSight:
    """An input with nothing of it in memory: its `position`, and how many records wait in Kafka `behind` that."""

    topic: str
    position: int
    behind: int


@dataclass(frozen=True, slots=True)
class LaneSight:
    """One lane: `moved` changes with every step forward, `work` counts what waits, `reason` is why it waits itself."""

    partition: int
    moved: float
    work: int
    reason: str
    inputs: Sequence[InputSight] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a worker at one moment. `beats` change while their loops run; `flowing` while it is read."""

    beats: Sequence[tuple[str, float]]
    lanes: Sequence[LaneSight]
    flowing: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a thing may stand: a lane or input with work, a loop, a worker or lane outside of its group."""

    lane_s: float
    loop_s: float
    group_s: float


class Stalls:
    """Adds up how long each thing has stood, in the time that the watchdog itself saw pass."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._seen: dict[Hashable, float] = {}
        self._stood: dict[Hashable, float] = {}

    def look(self, sight: Sight, elapsed: float) -> list[str]:
        """What has stood too long, in words; `elapsed` is seconds since the last look."""
        complaints = [
            f"the {name} loop has not run for {stood:.0f} s"
            for name, beat in sight.beats
            if (stood := self._standing(("loop", name), beat, elapsed)) > self._patience.loop_s
        ]
        for lane in sight.lanes:
            complaints += self._look_at_lane(lane, elapsed)
        stood = self._forget("group") if sight.flowing else self._standing("group", 0.0, elapsed)
        if stood > self._patience.group_s:
            complaints.append(f"the worker has had no place in its consumer group for {stood:.0f} s")
        for gone in self._seen.keys() - self._keys(sight):
            self._forget(gone)
        return complaints

    def _look_at_lane(self, lane: LaneSight, elapsed: float) -> Iterator[str]:
        idle = lane.reason or not lane.work
        key: Hashable = ("lane", lane.partition)
        stood = self._forget(key) if idle else self._standing(key, lane.moved, elapsed)
        if stood > self._patience.lane_s:
            yield f"lane {lane.partition} has {lane.work} records to do and has not moved for {stood:.0f} s"
        for each in lane.inputs:
            key = ("input", lane.partition, each.topic)
            stood = self._forget(key) if idle or not each.behind else self._standing(key, each.position, elapsed)
            if stood > self._patience.lane_s:
                yield (
                    f"lane {lane.partition} has got nothing of {each.topic} for {stood:.0f} s, "
                    f"where {each.behind} records wait behind {each.position}"
                )
        key = (FORGOTTEN, lane.partition)
        stood = self._standing(key, 0.0, elapsed) if lane.reason == FORGOTTEN else self._forget(key)
        if stood > self._patience.group_s:
            yield f"lane {lane.partition} has not been in its consumer group for {stood:.0f} s"

    def _standing(self, key: Hashable, mark: float, elapsed: float) -> float:
        if self._seen.get(key) != mark:
            self._seen[key], self._stood[key] = mark, 0.0
        else:
            self._stood[key] += elapsed
        return self._stood[key]

    def _forget(self, key: Hashable) -> float:
        self._seen.pop(key, None)
        self._stood.pop(key, None)
        return 0.0

    def _keys(self, sight: Sight) -> set[Hashable]:
        lanes = {(kind, lane.partition) for lane in sight.lanes for kind in ("lane", FORGOTTEN)}
        inputs = {("input", lane.partition, each.topic) for lane in sight.lanes for each in lane.inputs}
        return {"group"} | {("loop", name) for name, _ in sight.beats} | lanes | inputs


class Watchdog:
    """The thread that looks each second. `complaints` is what /livez tells; `leave` gets them when time is up."""

    def __init__(
        self,
        look: Callable[[], Sight],
        patience: Patience,
        leave: Callable[[Sequence[str]], None] | None = None,
        every_s: float = EVERY_S,
        leave_after_s: float = LEAVE_AFTER_S,
    ) -> None:
        self._look = look
        self._stalls = Stalls(patience)
        self._leave = leave or end_process
        self._every_s = every_s
        self._leave_after_s = leave_after_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.complaints: Sequence[str] = ()

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stops looking; returns once the thread has ended."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        last, bad = time.monotonic(), 0.0
        while not self._stopped.wait(self._every_s):
            now = time.monotonic()
            # After SIGSTOP or a suspended machine all clocks have jumped; nobody was slow in a time that nobody had.
            elapsed, last = min(now - last, 2 * self._every_s), now
            self.complaints = self._stalls.look(self._look(), elapsed)
            bad = bad + elapsed if self.complaints else 0.0
            if bad > self._leave_after_s:
                self._leave(self.complaints)
                return


def end_process(complaints: Sequence[str]) -> None:
    """Ends the process with a failure, without asking its loops, which may be the ones that hang."""
    log.critical("worker.stuck", why=list(complaints), exit_code=EXIT_CODE)
    flush()
    os._exit(EXIT_CODE)
