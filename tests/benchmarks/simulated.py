"""A worker with built-in journeys over the simulator's traffic, on the real Kafka and Redis."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.sender import RawSender
from pipeline.config import Settings, load
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import free_port
from pipeline.dev.traffic import Delivery
from pipeline.domain.event import CHANNELS
from tests.benchmarks.lane_tables import LaneTables
from tests.benchmarks.loading import remove_topics
from tests.benchmarks.models import A_FETCH
from tests.benchmarks.processes import Parts, Tree
from tests.benchmarks.systems.system import Running
from tests.benchmarks.systems.worker import facts, metrics

LOOK_S = 0.05
PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Working:
    """A worker at work, and what it uses."""

    settings: Settings
    running: Running
    tables: LaneTables
    parts: Parts
    empty_mb: float
    """Memory of Redis before the worker started."""

    def metrics(self) -> Mapping[str, float]:
        """Every sample of its metrics page; SystemExit if the page does not answer."""
        found = metrics(self.settings.http_port)
        if not found:
            raise SystemExit(f"the worker's metrics do not answer; its log ends:\n{self.running.tail()}")
        return found

    def wait(self, goal: int, time_ms: int = 0) -> int:
        """Until `goal` events have found their end, and all that `time_ms` makes due has fired; how many have.

        SystemExit if the worker stands still for long, or took events for none.
        """
        best, since = -1, time.monotonic()
        while (now := self.tables.settled()) < goal or (time_ms and not self.tables.fired_until(time_ms)):
            if now > best:
                best, since = now, time.monotonic()
            if self.running.process.poll() is not None or time.monotonic() - since > PATIENCE_S:
                raise SystemExit(
                    f"the worker stands at {now:,} of {goal:,} events; its log ends:\n{self.running.tail()}"
                )
            time.sleep(LOOK_S)
        if dead := self.tables.dead():
            raise SystemExit(f"the worker is wrong: it took {dead:,} of {now:,} events for none")
        return now


@contextmanager
def working(
    stack: Stack, prefix: str, own: Mapping[str, object], first: Sequence[Delivery], directory: Path
) -> Iterator[Working]:
    """A worker with the settings `own`, started when `first` is sent; in the end its topics and tables are removed."""
    path, port = directory / f"{prefix}settings.yaml", free_port()
    path.write_text(json.dumps({**_settings(stack, prefix, port), **own}))
    settings = load(path, {})
    tables = LaneTables(settings)
    empty_mb = tables.used_mb()
    asyncio.run(send(settings, first))
    command = [sys.executable, "-m", "pipeline", "worker", "--config", str(path)]
    running = Running(command, {}, directory / f"{prefix}worker.log", lambda: facts(port))
    try:
        parts = Parts(*(Tree(pid) for pid in (running.process.pid, stack.redis_pid, stack.kafka_pid)))
        yield Working(settings, running, tables, parts, empty_mb)
    finally:
        running.stop()
        tables.forget_all()
        remove_topics(stack.bootstrap, prefix)


async def send(settings: Settings, deliveries: Sequence[Delivery], portion_events: int = A_FETCH) -> None:
    """Makes the topics if there are none, and sends; after each portion comes what is complete by then."""
    await topics.apply(settings)
    async with RawSender(settings.brokers, settings.input_topics) as sender:
        for first in range(0, len(deliveries), portion_events):
            portion = deliveries[first : first + portion_events]
            add(sender, settings, portion)
            await sender.punctuate(portion[-1].complete)


def add(sender: RawSender, settings: Settings, deliveries: Sequence[Delivery]) -> None:
    """Collects them for the topics of their channels."""
    named = dict(zip(CHANNELS, settings.input_topics, strict=True))
    for delivery in deliveries:
        sender.add(named[delivery.channel], delivery.key, delivery.value)


def _settings(stack: Stack, prefix: str, port: int) -> dict[str, object]:
    return {
        "app_id": f"{prefix}simulated",
        "prefix": prefix,
        "clock": "event",
        "brokers": stack.bootstrap,
        "redis_url": stack.redis_url,
        "http_port": port,
        "identity_key": "a key for measuring, made up by nobody",
    }
