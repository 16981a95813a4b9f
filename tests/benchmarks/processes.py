"""What a process and all that it started have used, by the operating system's account. Linux only."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


class Tree:
    """A process and its descendants; the peaks are of those that `cpu_s` has seen."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._peaks: dict[int, int] = {}

    def cpu_s(self) -> float:
        """User and system seconds up to now, to the clock tick (10 ms); those of ended children too."""
        spent = 0.0
        for process in (self._root, *self._root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                times = process.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
                self._peaks[process.pid] = _peak_kb(process.pid)
        return spent

    @property
    def peak_mb(self) -> float:
        """Sum of the peak resident sizes, in MB (2^20 bytes)."""
        return sum(self._peaks.values()) / 1024


def _peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


@dataclass(frozen=True, slots=True)
class Use:
    """CPU seconds of the three parts at one moment, in seconds of a clock that only goes on."""

    at: float
    worker: float
    redis: float
    broker: float

    def since(self, before: "Use") -> "Use":
        """What was used from then to now."""
        return Use(
            self.at - before.at,
            self.worker - before.worker,
            self.redis - before.redis,
            self.broker - before.broker,
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """The processes of a worker, its Redis and its Kafka."""

    worker: Tree
    redis: Tree
    broker: Tree

    def use(self) -> Use:
        return Use(time.monotonic(), self.worker.cpu_s(), self.redis.cpu_s(), self.broker.cpu_s())
