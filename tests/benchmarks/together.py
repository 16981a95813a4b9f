"""What all built-in journeys at once cost beside one, as a user meets it: a worker and its Redis on the real Kafka.

Each journey alone and then all of them work off the same traffic of the simulator, in turn, another one first in each
round. A tenth of it is sent first; what counts begins when that is done, and the rest is sent as fast as can be.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean

from pipeline.adapters.journey_files import built_in_journeys
from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.sender import RawSender
from pipeline.config import Settings, load
from pipeline.dev.simulator import BEGINNING, SEED
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import free_port
from pipeline.dev.traffic import Delivery, traffic
from pipeline.domain.event import CHANNELS
from tests.benchmarks import common_work
from tests.benchmarks.lane_tables import LaneTables
from tests.benchmarks.loading import remove_topics
from tests.benchmarks.models import A_FETCH, EVENTS_A_CUSTOMER
from tests.benchmarks.processes import Tree
from tests.benchmarks.results import System, Together
from tests.benchmarks.systems.system import Running
from tests.benchmarks.systems.worker import facts

LOOK_S = 0.05
PATIENCE_S = 180.0
FIRST = 0.1
"""The share of the events that warm the worker up, its start-up with them."""


@dataclass(frozen=True, slots=True)
class Use:
    """CPU seconds of the three processes."""

    worker: float
    redis: float
    broker: float


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
    path, port = directory / f"{prefix}settings.yaml", free_port()
    path.write_text(json.dumps(_settings(stack, prefix, journeys, port)))
    settings = load(path, {})
    tables, count = LaneTables(settings), len(deliveries)
    first = int(count * FIRST)
    asyncio.run(_send(settings, deliveries[:first]))
    running = Running(
        [sys.executable, "-m", "pipeline", "worker", "--config", str(path)],
        {},
        directory / f"{prefix}worker.log",
        lambda: facts(port),
    )
    try:
        trees = [Tree(pid) for pid in (running.process.pid, stack.redis_pid, stack.kafka_pid)]

        def use() -> Use:
            return Use(*(tree.cpu_s() for tree in trees))

        before = _wait(running, tables, first, use)
        asyncio.run(_send(settings, deliveries[first:]))
        after = _wait(running, tables, count, use, deliveries[-1].complete)
        watched = count - first
        if dead := tables.dead():
            raise SystemExit(f"the worker is wrong: it took {dead:,} of {count:,} events for none")
        return System(
            (after.worker - before.worker) / watched * 1e6,
            (after.redis - before.redis) / watched * 1e6,
            (after.broker - before.broker) / watched * 1e6,
            running.facts().get("events_per_transaction", 0.0),
        )
    finally:
        running.stop()
        tables.forget_all()
        remove_topics(stack.bootstrap, prefix)


def _settings(stack: Stack, prefix: str, journeys: Sequence[str], port: int) -> dict[str, object]:
    return {
        "app_id": f"{prefix}together",
        "prefix": prefix,
        "partitions": common_work.LANES,
        "clock": "event",
        "journeys": list(journeys),
        "brokers": stack.bootstrap,
        "redis_url": stack.redis_url,
        "http_port": port,
        "identity_key": "a key for measuring, made up by nobody",
    }


async def _send(settings: Settings, deliveries: Sequence[Delivery]) -> None:
    """Makes the topics if there are none, and sends; after each thousand events comes what is complete by then."""
    await topics.apply(settings)
    named = dict(zip(CHANNELS, settings.input_topics, strict=True))
    async with RawSender(settings.brokers, settings.input_topics) as sender:
        for first in range(0, len(deliveries), A_FETCH):
            portion = deliveries[first : first + A_FETCH]
            for delivery in portion:
                sender.add(named[delivery.channel], delivery.key, delivery.value)
            await sender.punctuate(portion[-1].complete)


def _wait(running: Running, tables: LaneTables, goal: int, use: Callable[[], Use], time_ms: int = 0) -> Use:
    """What was used when `goal` events had found their end, and all that `time_ms` makes due had fired; SystemExit if
    the worker stands still for long."""
    best, since = -1, time.monotonic()
    while (now := tables.settled()) < goal or (time_ms and not tables.fired_until(time_ms)):
        if now > best:
            best, since = now, time.monotonic()
        if running.process.poll() is not None or time.monotonic() - since > PATIENCE_S:
            raise SystemExit(f"the worker stands at {now:,} of {goal:,} events; its log ends:\n{running.tail()}")
        time.sleep(LOOK_S)
    return use()
