"""Many cases, over all cores: how many were run, what was done to them, and which fail."""

import gc
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

from tests.mutants.registry import planted
from tests.simulation.cases import Case
from tests.simulation.world import run

CHUNK = 20
"""Seeds that a process takes at once."""

COLLECT = 10
"""Runs between two garbage collections."""


@dataclass(slots=True)
class Tally:
    """What came of some cases. `wrong`: case -> what is not as it must be."""

    cases: int = 0
    events: int = 0
    transactions: int = 0
    timers: int = 0
    reads: int = 0
    seconds: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        self.cases += other.cases
        self.events += other.events
        self.transactions += other.transactions
        self.timers += other.timers
        self.reads += other.reads
        self.seconds += other.seconds
        self.happened.update(other.happened)
        self.wrong.update(other.wrong)


def take(seeds: range, bug: str | None = None) -> Tally:
    """Runs these seeds here, one after the other."""
    tally = Tally()
    with planted(bug):
        for place, seed in enumerate(seeds, 1):
            outcome = run(Case(seed))
            tally.cases += 1
            tally.events += outcome.events
            tally.transactions += outcome.transactions
            tally.timers += outcome.timers
            tally.reads += outcome.reads
            tally.seconds += outcome.seconds
            tally.happened.update(outcome.happened)
            if outcome.wrong is not None:
                tally.wrong[str(outcome.case)] = outcome.wrong
            if place % COLLECT == 0:
                gc.collect()
    return tally


def hunt(
    seeds: range,
    bug: str | None = None,
    jobs: int = 0,
    most_wrong: int = 20,
    minutes: float = math.inf,
    told: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Runs the seeds in `jobs` processes (0: one a core) until all are done, `most_wrong` fail or time is up.

    `told` hears of the sum after each chunk.
    """
    total, until = Tally(), time.monotonic() + 60 * minutes
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        chunks = _chunks(seeds)
        running: set[Future[Tally]] = set()
        while len(total.wrong) < most_wrong and time.monotonic() < until:
            for chunk in islice(chunks, 2 * (jobs or os.cpu_count() or 1) - len(running)):
                running.add(pool.submit(take, chunk, bug))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                total.add(future.result())
                told(total)
        for future in running:
            future.cancel()
    return total


def _chunks(seeds: range) -> Iterator[range]:
    for start in range(0, len(seeds), CHUNK):
        yield seeds[start : start + CHUNK]
