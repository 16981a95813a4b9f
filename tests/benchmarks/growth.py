"""The worker at a number of customers: what an event costs, what a customer takes up, how fast a table is rebuilt."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.kafka.sender import RawSender, home_partition
from pipeline.config import Settings
from pipeline.dev.stack import Stack
from tests.benchmarks import common_work
from tests.benchmarks.lane_tables import LaneTables
from tests.benchmarks.loading import load, remove_topics
from tests.benchmarks.oracle import Oracle
from tests.benchmarks.processes import Parts, Tree
from tests.benchmarks.results import Growth, Rebuild
from tests.benchmarks.systems.system import Assignment, Running
from tests.benchmarks.systems.worker import Worker

DAY_MS = 86_400_000
LOOK_S = 0.1
PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Size:
    """So many customers, each with one event first; then so many events of the common work over all of them."""

    customers: int
    events: int = 400_000
    lanes: int = common_work.LANES


class Filling:
    """The events of a size in the order of sending, and what they come to once they have been sent."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._oracle = Oracle()
        self.transitions = 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for customer, value in self._events():
            self.transitions += len(self._oracle.fold(customer, value))
            yield customer, value

    def _events(self) -> Iterator[tuple[str, bytes]]:
        customers = self._size.customers
        for number in range(customers):
            at = common_work.START_MS - DAY_MS + number * DAY_MS // customers
            customer = f"c{number:07d}"
            properties = '{"sku":"SKU-10000","campaign":"spring-launch","value":10.00}'
            yield (
                customer,
                common_work.as_json(f"first-{number:030d}", "page_viewed", common_work.SITE, customer, at, properties),
            )
        yield from common_work.events(self._size.events, customers)


@dataclass(frozen=True, slots=True)
class Filled:
    """A worker at work on a size."""

    settings: Settings
    running: Running
    tables: LaneTables
    parts: Parts
    filling: Filling

    def wait(self, reached: Callable[[], int], goal: int) -> None:
        """Until `reached` gets to `goal`; SystemExit if it stands still for long."""
        best, since = -1, time.monotonic()
        while (now := reached()) < goal:
            if now > best:
                best, since = now, time.monotonic()
            if self.running.process.poll() is not None or time.monotonic() - since > PATIENCE_S:
                raise SystemExit(f"the worker stands at {now:,} of {goal:,}; its log ends:\n{self.running.tail()}")
            time.sleep(LOOK_S)


def measure(stack: Stack, size: Size, directory: Path, say: Callable[[str], None]) -> Growth:
    """What an event costs once every customer is known; SystemExit if the number of transitions is wrong."""
    load_average = os.getloadavg()[0]
    with _filled(stack, size, directory, f"g{size.customers}-", say) as filled:
        say(f"{size.customers:,} customers: first events")
        filled.wait(filled.tables.events, size.customers)
        before, known = filled.parts.use(), filled.tables.events()
        say(f"{size.customers:,} customers: {size.events:,} events")
        filled.wait(filled.tables.events, size.customers + size.events)
        used, count = filled.parts.use().since(before), size.customers + size.events - known
        if count < size.events / 2:
            raise SystemExit(f"only {count:,} of {size.events:,} events could be watched; give more --events")
        _check(filled)
        footprint = filled.tables.footprint()
        return Growth(
            customers=size.customers,
            events=count,
            lanes=size.lanes,
            correct=True,
            worker_us=used.worker / count * 1e6,
            redis_us=used.redis / count * 1e6,
            broker_us=used.broker / count * 1e6,
            events_per_second=count / used.at,
            peak_mb=filled.parts.worker.peak_mb,
            redis_mb=filled.tables.used_mb(),
            redis_bytes_mean=footprint.mean,
            redis_bytes_median=footprint.median,
            load_average=load_average,
            events_per_transaction=filled.running.facts().get("events_per_transaction"),
        )


def measure_rebuild(stack: Stack, size: Size, directory: Path, say: Callable[[str], None]) -> Rebuild:
    """From the loss of all of Redis until every lane's table is whole again and its next event is done."""
    load_average = os.getloadavg()[0]
    with _filled(stack, size, directory, f"b{size.customers}-", say) as filled:
        say(f"{size.customers:,} customers: filling the tables")
        total = size.customers + size.events
        filled.wait(filled.tables.events, total)
        _check(filled)
        whole = filled.tables.customers()
        say("rebuilding the tables")
        before = filled.parts.use()
        filled.tables.forget_all()
        one_event_a_lane(filled.settings)
        filled.wait(filled.tables.events, total + size.lanes)
        used = filled.parts.use().since(before)
        if filled.tables.customers() != whole:
            raise SystemExit(f"rebuilt with {filled.tables.customers()} customers, not with {whole}")
        return Rebuild(
            profiles=sum(whole),
            lanes=size.lanes,
            seconds=used.at,
            worker_us=used.worker / sum(whole) * 1e6,
            redis_us=used.redis / sum(whole) * 1e6,
            broker_us=used.broker / sum(whole) * 1e6,
            profiles_per_second=sum(whole) / used.at,
            profiles_per_core_second=sum(whole) / (used.worker + used.redis),
            load_average=load_average,
        )


@contextmanager
def _filled(stack: Stack, size: Size, directory: Path, prefix: str, say: Callable[[str], None]) -> Iterator[Filled]:
    """The events are sent before the worker starts, so that it always has enough to do."""
    given = Assignment(stack, prefix, size.lanes, directory)
    filling = Filling(size)
    say(f"{size.customers:,} customers: sending {size.customers + size.events:,} events")
    settings = load(given, filling)
    running = Worker().start(given)
    try:
        parts = Parts(*(Tree(pid) for pid in (running.process.pid, stack.redis_pid, stack.kafka_pid)))
        yield Filled(settings, running, LaneTables(settings), parts, filling)
    finally:
        running.stop()
        LaneTables(settings).forget_all()
        remove_topics(stack.bootstrap, prefix)


def _check(filled: Filled) -> None:
    found, right = filled.tables.transitions(), filled.filling.transitions
    if found != right:
        raise SystemExit(f"the worker is wrong: {found:,} transitions, and {right:,} are right")


def one_event_a_lane(settings: Settings) -> None:
    """A lane looks at its table with its next event. The customers are known ones, so that no table grows."""
    customers: dict[int, str] = {}
    number = 0
    while len(customers) < settings.partitions:
        customer = f"c{number:07d}"
        customers.setdefault(home_partition(customer.encode(), settings.partitions), customer)
        number += 1
    at = common_work.START_MS + common_work.SPAN_MS

    async def send() -> None:
        topic = settings.input_topics[0]
        async with RawSender(settings.brokers, [topic]) as sender:
            for lane, customer in customers.items():
                value = common_work.as_json(f"last-{lane}", "page_viewed", common_work.SITE, customer, at, "{}")
                sender.add(topic, customer.encode(), value)
            await sender.flush()

    asyncio.run(send())
