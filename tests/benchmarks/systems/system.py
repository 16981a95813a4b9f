"""What a measured system is to the benchmark: a command on a topic, with its output and what it needs beforehand."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pipeline.dev.stack import Stack
from tests.benchmarks.oracle import Transition

ROOT: Final = Path(__file__).parents[3]
BUILT: Final = ROOT / "build/benchmarks"
"""Where what other systems are built of is kept between runs."""


class Unavailable(Exception):
    """This system cannot be had here; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a system works on. `prefix` begins every topic, group and key of it; the input has the work already."""

    stack: Stack
    prefix: str
    lanes: int
    directory: Path
    live: bool = False
    """Time is the clock's: for latency. Else it is what the events say."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Over the worker's own."""


class System(Protocol):
    """A stream processor with the rules of the common work."""

    name: str
    share: float
    """How much of the work it is given, so that a slow one is done in the same minutes."""
    uses_redis: bool
    variant: str
    """What its prefix carries, where it cannot share its input with another system."""

    def prepare(self) -> None:
        """Builds or installs what it needs; Unavailable if that cannot be had."""

    def version(self) -> str:
        """Of the software measured."""

    def output(self, given: Assignment) -> str:
        """The topic that its transitions come to."""

    def start(self, given: Assignment) -> "Running":
        """Starts it; returns at once."""

    def read(self, value: bytes) -> Transition:
        """A record of its output."""


class Running:
    """A started system: a process, its log, and what it can tell about itself while it runs."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        facts: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.log = log
        self.facts = facts
        with log.open("ab") as lines:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )

    def stop(self, within_s: float = 20.0) -> None:
        """Asks it to end, and kills it if it does not."""
        self.process.terminate()
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def work_environment(given: Assignment, name: str, topic: str, output: str) -> dict[str, str]:
    """What every other system's program reads; its state folder exists and is empty."""
    state = given.directory / f"{given.prefix}{name}"
    state.mkdir()
    return {
        "WORK_BROKER": given.stack.bootstrap,
        "WORK_INPUT": topic,
        "WORK_OUTPUT": output,
        "WORK_ID": f"{given.prefix}{name}",
        "WORK_STATE": str(state),
        "WORK_LANES": str(given.lanes),
    }
