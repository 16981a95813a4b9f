"""What a process and all that it started have used, by the operating system's account. Linux only."""

from contextlib import suppress
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
