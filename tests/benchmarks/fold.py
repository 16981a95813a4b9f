"""What the fold and what surrounds it cost, without Kafka and Redis, in µs of CPU an event.

python -m tests.benchmarks.fold                     100,000 events of 10,000 customers
python -m tests.benchmarks.fold --customers 200     few enough that all of them stay in the processor's cache
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.application.ports import Headers
from pipeline.application.stitch import Effects, Stitch, write_out
from pipeline.config import load
from pipeline.worker.wiring import compile_rules
from tests.benchmarks import common_work

SETTINGS = Path(__file__).parents[2] / "examples/work/settings.yaml"
APPENDED = 1_800_000_000_000
BATCH = 15_000


@dataclass(slots=True)
class Read:
    """A record as a fetch hands it out."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Stopwatch:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--customers", type=int, default=10_000)
    given = parser.parse_args()
    rules = compile_rules(load(SETTINGS, {}))
    stitch = Stitch(rules.fold, Intake(0, rules.table, Limits(), lambda _: 0, True), "benchmark")
    source = Source("work.events", "raw")
    work = common_work.events(given.count, given.customers)
    records = [Read(number, APPENDED, None, value, ()) for number, (_, value) in enumerate(work)]
    stored: dict[str, bytes | None] = {}
    watch = Stopwatch()
    for first in range(0, given.count, BATCH):
        batch, effects = Batch(), Effects("2026-01-01T00:00:00.000Z")
        with watch.stage("intake"):
            stitch.intake.take(source, records[first : first + BATCH], batch)
        theirs: dict[str, bytes | None] = {arrival.key: stored.get(arrival.key) for arrival in batch.arrivals}
        with watch.stage("fold and encode"):
            for _ in stitch.fold(batch.arrivals, theirs, None, batch, effects):
                pass
        with watch.stage("records"):
            write_out(effects)
        stored |= effects.profiles
    stages = {name: spent / given.count * 1e6 for name, spent in watch.spent.items()}
    print("  ".join(f"{name} {cost:.2f}" for name, cost in stages.items()), f" all {sum(stages.values()):.2f} µs")


if __name__ == "__main__":
    main()
