"""The systems by name."""

from collections.abc import Iterable, Sequence
from typing import Final

from tests.benchmarks.systems.kafka_streams import KafkaStreams
from tests.benchmarks.systems.python_systems import PythonSystem
from tests.benchmarks.systems.system import System, Unavailable
from tests.benchmarks.systems.worker import Worker

SYSTEMS: Final[dict[str, System]] = {
    system.name: system
    for system in (
        Worker(),
        Worker(pure=True),
        KafkaStreams(),
        PythonSystem("quix-streams", "quixstreams", 1.0),
        PythonSystem("stock-faust", "faust-streaming", 0.1),
    )
}


def available(names: Iterable[str]) -> tuple[Sequence[System], Sequence[str]]:
    """Those of the named systems that can be had here, ready to start, and a line about each other one."""
    ready, absent = [], []
    for name in names:
        system = SYSTEMS[name]
        try:
            system.prepare()
        except Unavailable as reason:
            absent.append(f"{name} is not measured: {reason}")
        else:
            ready.append(system)
    return ready, absent
