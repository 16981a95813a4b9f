"""How long from the sending of an event until a subscriber who reads committed records has its transition."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from pipeline.dev.stack import Stack
from tests.benchmarks import common_work, pace
from tests.benchmarks.loading import load, make_topic, remove_topics
from tests.benchmarks.oracle import expected, judge
from tests.benchmarks.processes import Tree
from tests.benchmarks.results import Latency
from tests.benchmarks.subscriber import Subscriber
from tests.benchmarks.systems.system import Assignment, Running, System

START_S = 90.0


@dataclass(frozen=True, slots=True)
class Course:
    """Events a second over so many lanes; `warm_s` from the first transition on do not count, then `seconds` do."""

    rate: float = 2_000.0
    lanes: int = 12
    warm_s: float = 60.0
    seconds: float = 30.0


def measure(
    stack: Stack, system: System, course: Course, directory: Path, number: int, say: Callable[[str], None]
) -> Latency:
    """One system on live traffic; its output is judged by the oracle as well, SystemExit if it is wrong."""
    prefix = f"l{number}-{system.variant}"
    given = Assignment(stack, prefix, course.lanes, directory, live=True)
    load(given, ())
    if not system.uses_redis:
        make_topic(stack.bootstrap, system.output(given), course.lanes)
    subscriber = Subscriber(stack.bootstrap, system.output(given), course.lanes, system.read)
    kept = directory / f"{prefix}sent"
    load_average = os.getloadavg()[0]
    running = system.start(given)
    try:
        with pace.sending(pace.Pace(stack.bootstrap, prefix + common_work.TOPIC, course.rate, kept)):
            say(f"{system.name}: waiting for the first transition")
            _await_first(subscriber, running)
            say(f"{system.name}: warming up for {course.warm_s:g} s")
            subscriber.read_for(course.warm_s)
            trees = [Tree(running.process.pid), Tree(stack.redis_pid), Tree(stack.kafka_pid)]
            before, began = [tree.cpu_s() for tree in trees], time.time()
            say(f"{system.name}: measuring for {course.seconds:g} s")
            subscriber.read_for(course.seconds)
            ended, after = time.time(), [tree.cpu_s() for tree in trees]
        work = list(common_work.read(kept))
        wanted = expected(work)
        subscriber.await_all(len(wanted), lambda: running.process.poll() is None)
        facts = running.facts()
    finally:
        running.stop()
    subscriber.drain()
    subscriber.close()
    judgement = judge(wanted, subscriber.found)
    if not judgement.correct:
        raise SystemExit(f"{system.name} is wrong: {judgement}; its log ends:\n{running.tail()}")
    taken = subscriber.waits_ms(began, ended)
    events = _sent_between(work, began, ended)
    worker, redis, broker = ((now - then) / events * 1e6 for now, then in zip(after, before, strict=True))
    hundredths = quantiles(taken, n=100, method="inclusive")
    remove_topics(stack.bootstrap, prefix)
    return Latency(
        system=system.name,
        version=system.version(),
        round=number,
        asked_per_second=course.rate,
        sent_per_second=events / (ended - began),
        lanes=course.lanes,
        seconds=ended - began,
        transitions=len(taken),
        correct=judgement.correct,
        p50_ms=hundredths[49],
        p90_ms=hundredths[89],
        p99_ms=hundredths[98],
        max_ms=taken[-1],
        worker_us=worker,
        redis_us=redis if system.uses_redis else 0.0,
        broker_us=broker,
        load_average=load_average,
        events_per_transaction=facts.get("events_per_transaction"),
    )


def _await_first(subscriber: Subscriber, running: Running) -> None:
    deadline = time.monotonic() + START_S
    while not subscriber.found:
        subscriber.read_for(0.1)
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{running.log.stem} published nothing; its log ends:\n{running.tail()}")


def _sent_between(work: Sequence[tuple[str, bytes]], began: float, ended: float) -> int:
    """How many events were sent in that time; their ids stand at the same place in each."""
    start = len(b'{"id":"')
    return sum(began <= int(value[start : value.index(b"-", start)]) / 1e9 < ended for _, value in work)
