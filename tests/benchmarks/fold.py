"""What the fold and what surrounds it cost, without Kafka and Redis, in µs of CPU an event.

python -m tests.benchmarks.fold                     100,000 events of 10,000 customers
python -m tests.benchmarks.fold --customers 200     few enough that all of them stay in the processor's cache
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.application.ports import Entry, Headers
from pipeline.application.posting import bury_astray, by_home
from pipeline.application.rulebook import Rules
from pipeline.application.stitch import Effects, Stitch
from pipeline.application.tracing import NoTraces, Traces
from pipeline.config import load
from pipeline.domain.encoding import decode
from pipeline.domain.identity import ANONYMOUS_ONLY, Identities
from pipeline.domain.packing import Names
from pipeline.domain.profile import Profile
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


@dataclass(frozen=True, slots=True)
class Fetch:
    """The records of one transaction by their input, and the watermark that is known by then, ms."""

    runs: Sequence[tuple[Source, Sequence[Read]]]
    watermark: int | None


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a fetch. `sent`: records for identities by their home lane."""

    batch: Batch
    effects: Effects
    sent: Mapping[int, Sequence[Entry]]


class InProcess:
    """One lane's work on fetches, less Kafka and Redis. `stored`: everybody's profile; `due`: the index of timers.

    `home` maps the bytes of a public key to its home lane.
    """

    def __init__(
        self,
        rules: Rules,
        identities: Identities = ANONYMOUS_ONLY,
        partition: int = 0,
        home: Callable[[bytes], int] = lambda _: 0,
        traces: Traces | None = None,
    ) -> None:
        intake = Intake(partition, rules.table, Limits(future_ms=None), home, True, identities)
        self._stitch = Stitch(rules.fold, intake, "benchmark")
        self._stitch.names = Names(self._stitch.vocabulary())
        self._traces = traces or NoTraces()
        self.stored: dict[str, bytes | None] = {}
        self.due: dict[str, int] = {}
        self.spent: dict[str, float] = {}
        """CPU seconds by stage."""

    def play(self, fetch: Fetch) -> Done:
        """Folds it, and lets time pass up to the watermark."""
        stitch, watermark = self._stitch, fetch.watermark
        batch, effects = Batch(), Effects("2026-01-01T00:00:00.000Z")
        with self._stage("intake"):
            for source, records in fetch.runs:
                stitch.intake.take(source, records, batch)
        theirs: dict[str, bytes | None] = {arrival.key: self.stored.get(arrival.key) for arrival in batch.arrivals}
        with self._stage("fold and encode"):
            for _ in stitch.fold(batch.arrivals, theirs, watermark, batch, effects, ()):
                pass
        if watermark is not None:
            scores: dict[str, int | None] = {**self.due, **effects.feed.due}
            due = [key for key, at in scores.items() if at is not None and at <= watermark]
            theirs = {key: self.stored.get(key) for key in due}
            with self._stage("timers"):
                for _ in stitch.let_time_pass(due, theirs, watermark, effects):
                    pass
        with self._stage("records"):
            self._traces.write_out(batch, effects)
            self._traces.committed()
        self.stored |= effects.profiles
        for key, at in effects.feed.due.items():
            if at is None:
                self.due.pop(key, None)
            else:
                self.due[key] = at
        with self._stage("messages"):
            bury_astray(batch, effects, stitch.intake)
            sent = by_home(batch, effects, stitch.intake)
        return Done(batch, effects, sent)

    def profile(self, key: str) -> Profile:
        """Somebody's profile as it was last written; KeyError if there is none."""
        data = self.stored[key]
        assert data is not None
        return decode(data, self._stitch.names)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--customers", type=int, default=10_000)
    given = parser.parse_args()
    lane = InProcess(compile_rules(load(SETTINGS, {})))
    source = Source(common_work.TOPIC, "raw")
    work = common_work.events(given.count, given.customers)
    records = [Read(number, APPENDED, None, value, ()) for number, (_, value) in enumerate(work)]
    for first in range(0, given.count, BATCH):
        lane.play(Fetch([(source, records[first : first + BATCH])], None))
    stages = {name: spent / given.count * 1e6 for name, spent in lane.spent.items()}
    print("  ".join(f"{name} {cost:.2f}" for name, cost in stages.items()), f" all {sum(stages.values()):.2f} µs")


if __name__ == "__main__":
    main()
