"""What an event costs: systems in turn over the same work, on one Kafka and Redis, each output judged by the oracle."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.dev.stack import Stack
from tests.benchmarks import common_work
from tests.benchmarks.loading import Work, load, make_topic, remove_topics
from tests.benchmarks.oracle import Oracle, judge
from tests.benchmarks.processes import Tree
from tests.benchmarks.results import Cost, SecondHalf
from tests.benchmarks.subscriber import Subscriber
from tests.benchmarks.systems.system import Assignment, Running, System

PATIENCE_S = 180.0
"""A system that publishes nothing for so long is given up."""

LEAST_LEFT = 0.2
"""A second half of less than such a share of the events, as where all is committed at once, says nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """CPU seconds since the start, and events done, at one moment."""

    at: float = 0.0
    events: int = 0
    worker: float = 0.0
    redis: float = 0.0
    broker: float = 0.0


def make_work(events: Iterator[tuple[str, bytes]]) -> Work:
    """All events, and what is right."""
    oracle, sent, wanted, causes = Oracle(), [], [], []
    for number, (customer, value) in enumerate(events):
        sent.append((customer, value))
        for transition in oracle.fold(customer, value):
            wanted.append(transition)
            causes.append(number)
    return Work(sent, wanted, causes)


def rounds(
    stack: Stack,
    systems: Sequence[System],
    work: Work,
    times: int,
    directory: Path,
    say: Callable[[str], None],
    lanes: int = common_work.LANES,
) -> Iterator[Cost]:
    """Every system once in each round, one after the other, on topics of that round; SystemExit on a wrong output."""
    shares = {system.share: work for system in systems if system.share == 1.0}
    for share in {system.share for system in systems} - {1.0}:
        count = int(len(work.events) * share)
        shares[share] = make_work(common_work.events(count, max(1, count // 10)))
    for number in range(times):
        loaded: set[str] = set()
        for system in _turned(systems, number):
            portion = shares[system.share]
            shared = "" if system.share == 1.0 else f"{len(portion.events)}-"
            given = Assignment(stack, f"r{number}-{shared}{system.variant}", lanes, directory)
            if given.prefix not in loaded:
                say(f"round {number + 1} of {times}: sending {len(portion.events):,} events")
                load(given, portion.events)
                loaded.add(given.prefix)
            say(f"round {number + 1} of {times}: {system.name}")
            yield run(system, given, portion, number)
        remove_topics(stack.bootstrap, f"r{number}-")


def run(system: System, given: Assignment, work: Work, number: int) -> Cost:
    """One system over the work that is loaded, from its start to the last transition that a subscriber can read."""
    stack, count, output = given.stack, len(work.events), system.output(given)
    if not system.uses_redis:
        make_topic(stack.bootstrap, output, given.lanes)
    subscriber = Subscriber(stack.bootstrap, output, given.lanes, system.read, work.places(given.lanes))
    redis, broker = Tree(stack.redis_pid), Tree(stack.kafka_pid)
    load_average = os.getloadavg()[0]
    redis_before, broker_before, began = redis.cpu_s(), broker.cpu_s(), time.monotonic()
    running = system.start(given)
    tree = Tree(running.process.pid)

    def look() -> Look:
        return Look(
            time.monotonic() - began,
            subscriber.events,
            tree.cpu_s(),
            redis.cpu_s() - redis_before if system.uses_redis else 0.0,
            broker.cpu_s() - broker_before,
        )

    try:
        half, end = _watch(subscriber, running, count / 2, look)
        facts = running.facts()
    finally:
        running.stop()
    subscriber.drain()
    subscriber.close()
    judgement = judge(work.wanted, subscriber.found)
    if not judgement.correct:
        raise SystemExit(f"{system.name} is wrong: {judgement}; its log ends:\n{running.tail()}")
    whole = _between(Look(), end, count)
    return Cost(
        system=system.name,
        version=system.version(),
        round=number,
        events=count,
        customers=len({customer for customer, _ in work.events}),
        lanes=given.lanes,
        transitions=len(work.wanted),
        correct=judgement.correct,
        seconds=end.at,
        events_per_second=whole.events / whole.at,
        worker_us=whole.worker,
        redis_us=whole.redis,
        broker_us=whole.broker,
        peak_mb=tree.peak_mb,
        load_average=load_average,
        second_half=_second_half(half, end, count),
        events_per_transaction=facts.get("events_per_transaction"),
        redis_peak_mb=redis.peak_mb if system.uses_redis else None,
    )


def _turned(systems: Sequence[System], by: int) -> list[System]:
    """Another one begins in each round, so that none always meets the broker as the other left it."""
    first = by % len(systems)
    return [*systems[first:], *systems[:first]]


def _watch(
    subscriber: Subscriber, running: Running, half_way: float, look: Callable[[], Look]
) -> tuple[Look | None, Look]:
    """The first look at which half of the events were done, if there was one before the last; and the last."""
    half, last = None, time.monotonic()
    while not subscriber.complete:
        if subscriber.poll():
            last = time.monotonic()
        if half is None and subscriber.events >= half_way:
            half = look()
        if running.process.poll() is not None or time.monotonic() - last > PATIENCE_S:
            raise SystemExit(f"{running.log.stem} did not finish; its log ends:\n{running.tail()}")
    return half, look()


def _second_half(half: Look | None, end: Look, count: int) -> SecondHalf | None:
    if half is None or count - half.events < count * LEAST_LEFT:
        return None
    second = _between(half, end, count)
    return SecondHalf(second.events, second.events / second.at, second.worker, second.redis, second.broker)


def _between(earlier: Look, later: Look, count: int) -> Look:
    """What lies between two looks, CPU in µs an event; the later one is at the end of `count` events."""
    events = count - earlier.events
    worker, redis, broker = (
        (now - before) / events * 1e6
        for now, before in zip(
            (later.worker, later.redis, later.broker), (earlier.worker, earlier.redis, earlier.broker), strict=True
        )
    )
    return Look(later.at - earlier.at, events, worker, redis, broker)
