"""What one identity that takes far more than its share does to everybody else: how long they wait, and the memory."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event as Signal
from pathlib import Path
from statistics import quantiles
from typing import Final, Literal, get_args

from confluent_kafka import Producer

from pipeline.dev.stack import Stack
from tests.benchmarks import common_work, pace
from tests.benchmarks.loading import load, remove_topics
from tests.benchmarks.oracle import Transition, expected, judge
from tests.benchmarks.processes import Tree
from tests.benchmarks.results import Hot
from tests.benchmarks.subscriber import Subscriber
from tests.benchmarks.systems import worker
from tests.benchmarks.systems.system import Assignment, Running

Heat = Literal["nobody", "customer", "kiosk", "robot"]
"""Who is hot: nobody, a customer, a browser with which more and more customers sign up, a robot that never comes with
the same browser again."""

HEATS: Final[tuple[Heat, ...]] = get_args(Heat)

EVERY: Final = 5
"""Each fifth event is of the hot identity."""

END_S: Final = 30.0
PATIENCE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Course:
    """Events a second over so many lanes; `claims` and `browsers`: how many the kiosk and the robot have before."""

    rate: float = 1_000.0
    lanes: int = 4
    warm_s: float = 10.0
    seconds: float = 30.0
    claims: int = 10_000
    browsers: int = 1_000_000

    def before(self, heat: Heat) -> int:
        """Events of the hot identity that are folded before anything is measured."""
        return {"nobody": 0, "customer": 0, "kiosk": self.claims, "robot": self.browsers}[heat]


class Others(Subscriber):
    """Keeps only what is said of ordinary customers."""

    def _take(self, transition: Transition) -> None:
        if ordinary(transition.customer):
            super()._take(transition)


def ordinary(customer: str) -> bool:
    return customer.startswith("c")


def measure(stack: Stack, heat: Heat, course: Course, directory: Path, number: int, say: Callable[[str], None]) -> Hot:
    """One worker on live traffic; what it says of ordinary customers is judged, SystemExit if it is wrong."""
    prefix = f"h{number}-{heat}-"
    given = Assignment(stack, prefix, course.lanes, directory, live=True)
    before = course.before(heat)
    say(f"{heat}: sending {before:,} events of before")
    load(given, ((name, _value(heat, place, f"before-{place}")) for place, name in _names(heat, before)))
    system = worker.Worker()
    kept = directory / f"{prefix}sent"
    load_average = os.getloadavg()[0]
    running = system.start(given)
    port = json.loads((directory / f"{prefix}settings.yaml").read_text())["http_port"]
    subscriber = Others(stack.bootstrap, system.output(given), course.lanes, system.read)
    try:
        say(f"{heat}: folding them")
        began = time.monotonic()
        _await_read(port, before, running)
        took = time.monotonic() - began
        with pace.in_a_process(_send, stack.bootstrap, prefix + common_work.TOPIC, heat, course, kept):
            say(f"{heat}: warming up for {course.warm_s:g} s")
            subscriber.read_for(course.warm_s)
            trees = [Tree(running.process.pid), Tree(stack.redis_pid)]
            commits, start = _commits(port), time.time()
            say(f"{heat}: measuring for {course.seconds:g} s")
            subscriber.read_for(course.seconds)
            end, after = time.time(), _commits(port)
            for tree in trees:
                tree.cpu_s()
        work = list(common_work.read(kept))
        wanted = [each for each in expected(work) if ordinary(each.customer)]
        subscriber.await_all(len(wanted), lambda: running.process.poll() is None)
    finally:
        running.stop()
    subscriber.drain()
    subscriber.close()
    judgement = judge(wanted, subscriber.found)
    if not judgement.correct:
        raise SystemExit(f"with {heat} hot it is wrong: {judgement}; its log ends:\n{running.tail()}")
    taken = subscriber.waits_ms(start, end)
    hundredths = quantiles(taken, n=100, method="inclusive")
    between = [(bound, late - early) for (bound, late), (_, early) in zip(after, commits, strict=True)]
    remove_topics(stack.bootstrap, prefix)
    return Hot(
        heat=heat,
        before=before,
        before_s=took,
        sent_per_second=sum(start <= pace.sent_at(_id(value)) < end for _, value in work) / (end - start),
        lanes=course.lanes,
        seconds=end - start,
        transitions=len(taken),
        p50_ms=hundredths[49],
        p99_ms=hundredths[98],
        commit_p50_ms=_quantile(between, 0.5) * 1e3,
        commit_p99_ms=_quantile(between, 0.99) * 1e3,
        worker_mb=trees[0].peak_mb,
        redis_mb=trees[1].peak_mb,
        load_average=load_average,
    )


def _names(heat: Heat, count: int) -> Iterator[tuple[int, str]]:
    """The public keys of whom the first so many events of the hot identity are of."""
    for place in range(count):
        yield place, {"customer": "hot", "kiosk": f"walk-in-{place}"}.get(heat, f"anonymous:robot-{place}")


def _value(heat: Heat, place: int, name: str) -> bytes:
    """The event `place` of the hot identity, now."""
    now = time.time_ns() // 1_000_000
    customer = {"customer": "hot", "kiosk": f"walk-in-{place}"}.get(heat, "")
    value = common_work.as_json(name, "page_viewed", common_work.SITE, customer, now, "{}")
    if heat == "kiosk":
        return value.replace(b'"properties"', b'"identities":{"anonymous":"kiosk"},"properties"')
    named = f'"identities":{{"anonymous":"robot-{place}"}}'
    return value.replace(b'"customer_id":""', named.encode()) if heat == "robot" else value


def _send(bootstrap: str, topic: str, heat: Heat, course: Course, kept: Path, enough: Signal) -> None:
    """Sends ordinary events and, as each fifth, one of the hot identity; keeps the ordinary ones."""
    producer = Producer(pace.producer_settings(bootstrap))
    acts, place = pace.acts(), course.before(heat)
    began = time.monotonic()
    with kept.open("wb") as lines:
        number = 0
        while not enough.is_set():
            while (early := began + number / course.rate - time.monotonic()) > 0:
                time.sleep(early)
            now = time.time_ns()
            if heat != "nobody" and number % EVERY == 0:
                key = {"customer": "hot", "kiosk": f"walk-in-{place}"}.get(heat, f"anonymous:robot-{place}")
                producer.produce(topic, _value(heat, place, f"{now}-{number}"), key.encode())
                place += 1
            else:
                customer, kind, where = next(acts)
                value = common_work.as_json(f"{now}-{number}", kind, where, customer, now // 1_000_000, "{}")
                producer.produce(topic, value, customer.encode())
                lines.write(value + b"\n")
            producer.poll(0)
            number += 1
    if left := producer.flush(END_S):
        raise SystemExit(f"{left} events were not acknowledged")


def _await_read(port: int, count: int, running: Running) -> None:
    """Until the worker has read so many events, and what they brought about."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and running.process.poll() is None:
        read = sum(n for name, n in worker.metrics(port).items() if name.startswith("journey_events_read_total"))
        if read >= count and worker.metrics(port):
            return
        time.sleep(0.1)
    raise SystemExit(f"it did not read {count:,} events; its log ends:\n{running.tail()}")


def _commits(port: int) -> list[tuple[float, float]]:
    """The histogram of transactions so far: upper bounds in seconds, and how many took no longer."""
    found: list[tuple[float, float]] = []
    for name, count in worker.metrics(port).items():
        bucket = re.fullmatch(r'journey_transaction_seconds_bucket\{.*le="([^"]+)".*\}', name)
        if bucket is not None:
            found.append((float(bucket[1]), count))
    return sorted(found)


def _quantile(buckets: list[tuple[float, float]], part: float) -> float:
    """As Prometheus' histogram_quantile has it, in seconds; the greatest finite bound where it is beyond."""
    wanted = buckets[-1][1] * part
    below, count = 0.0, 0.0
    for bound, upto in buckets:
        if upto >= wanted:
            return below if bound == float("inf") else below + (bound - below) * (wanted - count) / (upto - count)
        below, count = bound, upto
    return below


def _id(value: bytes) -> str:
    name: str = json.loads(value)["id"]
    return name
