"""What all built-in journeys at once cost beside one, as a user meets it: a worker and its Redis on the real Kafka.

Each journey alone and then all of them work off the same traffic of the simulator, in turn, another one first in each
round. A tenth of it is sent first; what counts begins when that is done, and the rest is sent as fast as can be.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean

from pipeline.adapters.journey_files import built_in_journeys
from pipeline.dev.simulator import BEGINNING, SEED
from pipeline.dev.stack import Stack
from pipeline.dev.traffic import Delivery, traffic
from tests.benchmarks import common_work
from tests.benchmarks.models import EVENTS_A_CUSTOMER
from tests.benchmarks.results import System, Together
from tests.benchmarks.simulated import send, working

FIRST = 0.1
"""The share of the events that warm the worker up, its start-up with them."""


def measure(stack: Stack, events: int, rounds: int, directory: Path, say: Callable[[str], None]) -> Iterator[Together]:
    """One figure a round; SystemExit if an event got lost or was none, or the worker stands still."""
    names = [path.stem for path in built_in_journeys()]
    choices: list[Sequence[str]] = [*([name] for name in names), names]
    say("making the simulator's traffic")
    deliveries = list(islice(traffic(SEED, BEGINNING, events // EVENTS_A_CUSTOMER), events))
    for number in range(rounds):
        load_average = os.getloadavg()[0]
        ran: dict[int, System] = {}
        for step in range(len(choices)):
            place = (step + number) % len(choices)
            say(f"round {number + 1} of {rounds}: {', '.join(choices[place])}")
            ran[place] = run(stack, f"t{number}-{place}-", choices[place], deliveries, directory)
        *alone, together = [ran[place] for place in range(len(choices))]
        yield Together(
            round=number,
            events=events,
            journeys=len(names),
            lanes=common_work.LANES,
            alone=System(
                mean(each.worker_us for each in alone),
                mean(each.redis_us for each in alone),
                mean(each.broker_us for each in alone),
                mean(each.events_per_transaction for each in alone),
            ),
            together=together,
            load_average=load_average,
        )


def run(stack: Stack, prefix: str, journeys: Sequence[str], deliveries: Sequence[Delivery], directory: Path) -> System:
    """One worker over all of it."""
    first = int(len(deliveries) * FIRST)
    watched = len(deliveries) - first
    own = {"partitions": common_work.LANES, "journeys": list(journeys)}
    with working(stack, prefix, own, deliveries[:first], directory) as worker:
        worker.wait(first)
        before = worker.parts.use()
        asyncio.run(send(worker.settings, deliveries[first:]))
        worker.wait(len(deliveries), deliveries[-1].complete)
        used = worker.parts.use().since(before)
        return System(
            used.worker / watched * 1e6,
            used.redis / watched * 1e6,
            used.broker / watched * 1e6,
            worker.running.facts().get("events_per_transaction", 0.0),
        )
