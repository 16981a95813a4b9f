"""A run of chaos: builds all of it, does what the seed says, heals, and judges what is left."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from pipeline.dev.stack import Stack
from pipeline.dev.stack_reaper import Reaper
from tests.chaos.faults import FAULTS, Fault, perform
from tests.chaos.judgement import judge
from tests.chaos.pool import Pool
from tests.chaos.readers import Follower, RedisReader
from tests.chaos.report import Report, recoveries
from tests.chaos.table_watch import TableWatch
from tests.chaos.traffic import JOURNEY, Traffic
from tests.chaos.world import World
from tests.harness.application import Application
from tests.harness.waiting import until

SETTINGS = {
    "partitions": 6,
    "session_timeout_s": 3.0,
    "rebalance_timeout_s": 4.0,
    "touches": "touches",
    "journeys": ["five-stage", "journey.yaml"],
    "max_batch_events": 1_000,
    # Few enough that profiles are forgotten, and loaded from Redis again.
    "cache_profiles": 300,
}
START_S = 120.0
BOTH = 0.3
"""Share of the faults in whose midst another part is hurt too."""

HURRY = 0.2
"""Share of the faults that do not wait until the workers which were killed before are there again."""

SNAPSHOT = 0.3
"""Share of the faults before which a snapshot of Redis is taken."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. `faults`: names; empty for all. `rate`: events a second. `bug`: planted in the workers.

    `most`: how many faults, if time does not end it. `preloaded`: workers that start in no time (see the harness).
    """

    seed: int
    seconds: float
    rate: float = 200.0
    faults: Sequence[str] = ()
    bug: str = ""
    most: int | None = None
    preloaded: bool = False


@dataclass
class Chaos:
    """One run in `directory`, whose logs and data stay there. `tell` hears of every step, `stop` ends it early."""

    plan: Plan
    directory: Path
    tell: Callable[[str], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    world: World | None = None
    began: float = 0.0

    def run(self) -> Report:
        """Does it all. Whatever happens, no process is left behind."""
        plan = self.plan
        with ExitStack() as ending:
            reaper = Reaper()
            ending.callback(reaper.dismiss)
            # With `no` each write is with the kernel before its answer is: a killed server loses nothing by itself.
            stack = ending.enter_context(Stack(self.directory / "stack", redis_props={"appendfsync": "no"}))
            app = ending.enter_context(Application(stack, self.directory, "chaos-", JOURNEY, **SETTINGS))
            environment = {"JOURNEY_BUG": plan.bug, "JOURNEY_PURE": "1"} if plan.bug else {}
            pool = Pool(app, reaper, environment, preloaded=plan.preloaded)
            traffic = Traffic(app, plan.seed, plan.rate)
            watch = TableWatch()
            reader = RedisReader(app.settings, traffic, app.sender.home, watch, plan.seed)
            follower = Follower(app.settings, watch)
            self.world = world = World(
                stack, app, pool, traffic, watch, reader, follower,
                random.Random(f"{plan.seed}/faults"), self.directory, self.stop,
            )  # fmt: skip
            for ours in (traffic, follower, reader):
                ending.callback(ours.stop)
            self._begin(world)
            measured = self._hurt(world)
            seconds = time.monotonic() - self.began
            self.tell("all is healed; waiting until it is done, then judging")
            judgement = judge(world)
            self._write_ledger(app)
            return Report(
                seed=plan.seed,
                bug=plan.bug,
                seconds=round(seconds, 1),
                counts={"faults": len(measured), **dict(sorted(world.counts.items()))},
                events=judgement.events,
                published=judgement.published,
                checked=judgement.checked,
                looks=watch.looks,
                compared=watch.compared,
                recoveries=recoveries(measured),
                wrong=judgement.wrong,
            )

    def _begin(self, world: World) -> None:
        self.began = time.monotonic()
        world.traffic.begin_veterans()
        world.pool.complete()
        until(lambda: self.stop.is_set() or world.pool.all_run(), world.app.tails, START_S)
        world.app.until_accounted(START_S)
        for ours in (world.follower, world.reader, world.traffic):
            ours.start()
        until(lambda: world.follower.transitions > 0, world.app.tails, START_S)

    def _hurt(self, world: World) -> list[tuple[str, float | None]]:
        """Does one thing after the other until the time is over; what was done, and how long the recovery took."""
        measured: list[tuple[str, float | None]] = []
        deadline = time.monotonic() + self.plan.seconds
        deck = [FAULTS[name] for name in self.plan.faults]
        deck = deck or [fault for fault in FAULTS.values() for _ in range(fault.cards)]
        alone = True
        for fault, other in islice(_drawn(world.chance, deck), self.plan.most):
            if self.stop.is_set() or time.monotonic() > deadline:
                break
            if world.chance.random() < SNAPSHOT:
                world.take_snapshot()
            perform(world, fault, other)
            seconds = world.recovered()
            if not self.stop.is_set():
                names = fault.name if other is None else f"{fault.name}, with {other.name}"
                measured.append((fault.name if alone and other is None else "two at once", seconds))
                self.tell(f"{names}: " + ("not as before in time" if seconds is None else f"{seconds:.1f} s"))
            alone = world.chance.random() > HURRY
            if alone:
                world.until_whole()
            world.wait(world.chance.uniform(0.0, 2.0))
        return measured

    def _write_ledger(self, app: Application) -> None:
        """All that counts as sent, one record a line, for whoever looks into what was wrong."""
        with (self.directory / "sent.jsonl").open("wb") as out:
            for sent in app.sender.ledger:
                out.write(msgspec.json.encode(sent) + b"\n")


def _drawn(chance: random.Random, deck: Sequence[Fault]) -> Iterator[tuple[Fault, Fault | None]]:
    """Faults without end: the deck, shuffled anew each time; in the midst of some another one of another part."""
    while True:
        for fault in chance.sample(deck, len(deck)):
            others = [other for other in deck if other.part != fault.part]
            yield fault, chance.choice(others) if others and chance.random() < BOTH else None
