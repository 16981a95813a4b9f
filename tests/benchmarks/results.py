"""What is measured, as lines for machines, each with the circumstances under which it came to be."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pipeline.application.capacity import Measured
from tests.benchmarks.systems.system import BUILT, ROOT

RESULTS: Final = BUILT / "results.jsonl"
"""Where runs are collected until they are published in docs/benchmarks."""


class Circumstances(msgspec.Struct, frozen=True):
    """Of one call of the benchmark. `commit` ends in `+` where files differ from it; `session` names the call."""

    session: str
    at: str
    commit: str
    machine: str
    cores: int
    memory_gb: float
    system: str
    python: str
    kafka: str
    redis: str
    java: str


class SecondHalf(msgspec.Struct, frozen=True):
    """The same figures from half of the work on; `events` is how many were left then."""

    events: int
    events_per_second: float
    worker_us: float
    redis_us: float
    broker_us: float


class Cost(msgspec.Struct, frozen=True, tag="cost"):
    """One run of one system over the whole work; CPU is user + system in µs an event.

    `second_half` is from the first look at which half of the events were done; None where little was left by then.
    `worker` is the system's own processes, whatever the system; `redis` is 0 where it uses none. MB are 2^20 bytes.
    """

    system: str
    version: str
    round: int
    events: int
    customers: int
    lanes: int
    transitions: int
    correct: bool
    seconds: float
    events_per_second: float
    worker_us: float
    redis_us: float
    broker_us: float
    peak_mb: float
    load_average: float
    second_half: SecondHalf | None = None
    events_per_transaction: float | None = None
    redis_peak_mb: float | None = None


class Latency(msgspec.Struct, frozen=True, tag="latency"):
    """From the sending of an event to its transition in a subscriber's hands, in ms; CPU in µs an event meanwhile."""

    system: str
    version: str
    round: int
    asked_per_second: float
    sent_per_second: float
    lanes: int
    seconds: float
    transitions: int
    correct: bool
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    worker_us: float
    redis_us: float
    broker_us: float
    load_average: float
    events_per_transaction: float | None = None


class Growth(msgspec.Struct, frozen=True, tag="growth"):
    """The worker with so many customers, each known before: CPU in µs an event, MB of 2^20 bytes, bytes a customer."""

    customers: int
    events: int
    lanes: int
    correct: bool
    worker_us: float
    redis_us: float
    broker_us: float
    events_per_second: float
    peak_mb: float
    redis_mb: float
    redis_bytes_mean: float
    redis_bytes_median: float
    load_average: float
    events_per_transaction: float | None = None


class Rebuild(msgspec.Struct, frozen=True, tag="rebuild"):
    """All lanes' tables out of the changelog: CPU in µs a profile; a core second is one of the worker or of Redis."""

    profiles: int
    lanes: int
    seconds: float
    worker_us: float
    redis_us: float
    broker_us: float
    profiles_per_second: float
    profiles_per_core_second: float
    load_average: float


class Stage(msgspec.Struct, frozen=True):
    """What a part of the worker's work costs: CPU in µs an event."""

    name: str
    us: float


class Profile(msgspec.Struct, frozen=True, tag="profile"):
    """Where the worker's CPU goes, start-up included: the stages add up to `worker_us`, µs an event."""

    events: int
    customers: int
    lanes: int
    worker_us: float
    redis_us: float
    samples: int
    stages: list[Stage]
    load_average: float


class Models(msgspec.Struct, frozen=True, tag="models"):
    """A lane's own work, without Kafka and Redis, with `journeys` journeys: CPU in µs an event, and by stage.

    `alone_us` with one of them, the mean over all; `together_us` with all at once. `redis_bytes`: of a customer, in
    Redis, with all at once.
    """

    round: int
    events: int
    customers: int
    journeys: int
    alone_us: float
    together_us: float
    alone: list[Stage]
    together: list[Stage]
    redis_bytes_mean: float
    redis_bytes_median: float
    load_average: float


class Way(msgspec.Struct, frozen=True):
    """Events that name their customer in one way: CPU in µs an event, records on `journey.events` an event."""

    name: str
    us: float
    sent: float
    stages: list[Stage]


class Stitching(msgspec.Struct, frozen=True, tag="stitching"):
    """Two lanes' own work, without Kafka and Redis, on the same events, named in different ways."""

    round: int
    events: int
    customers: int
    ways: list[Way]
    load_average: float


class System(msgspec.Struct, frozen=True):
    """What the worker, Redis and the broker used: CPU in µs an event."""

    worker_us: float
    redis_us: float
    broker_us: float
    events_per_transaction: float


class Together(msgspec.Struct, frozen=True, tag="together"):
    """The worker and its Redis on the simulator's traffic with `journeys` journeys, start-up not counted.

    `alone`: with one of them, the mean over all; `together`: with all at once.
    """

    round: int
    events: int
    journeys: int
    lanes: int
    alone: System
    together: System
    load_average: float

    @property
    def ratio(self) -> float:
        """Of worker and Redis with all journeys to those with one."""
        all_us = self.together.worker_us + self.together.redis_us
        return all_us / (self.alone.worker_us + self.alone.redis_us)


class Hot(msgspec.Struct, frozen=True, tag="hot"):
    """One worker on live traffic of which each fifth event is of a hot identity, `heat` of the stage `hot`.

    It had `before` events before, folded in `before_s` seconds. `sent_per_second`: ordinary events. `p50_ms`, `p99_ms`:
    of ordinary customers, from sending to a subscriber; `commit_*`: of a lane's transactions. MB are 2^20 bytes, the
    peaks of all the run.
    """

    heat: str
    before: int
    before_s: float
    sent_per_second: float
    lanes: int
    seconds: float
    transitions: int
    p50_ms: float
    p99_ms: float
    commit_p50_ms: float
    commit_p99_ms: float
    worker_mb: float
    redis_mb: float
    load_average: float


class Capacity(msgspec.Struct, frozen=True, tag="capacity"):
    """What a worker, its Redis and Kafka use by the load: all points of one call."""

    measured: Measured
    load_average: float


class Scrape(msgspec.Struct, frozen=True, tag="scrape"):
    """Scrapes of a worker with a backlog, from the request to the whole page, in ms; the page has so many `series`."""

    journeys: int
    lanes: int
    events: int
    events_per_second: float
    worker_cores: float
    scrapes: int
    series: int
    bytes: int
    first_ms: float
    p50_ms: float
    max_ms: float
    load_average: float


Figure = Hot | Cost | Latency | Growth | Rebuild | Profile | Models | Together | Stitching | Capacity | Scrape


class Line(msgspec.Struct, frozen=True):
    """One line of the results file."""

    figure: Figure
    circumstances: Circumstances


def circumstances(redis_version: str) -> Circumstances:
    """Those of this call, now."""
    now = time.gmtime()
    return Circumstances(
        session=time.strftime("%Y%m%dT%H%M%SZ", now),
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
        commit=_commit(),
        machine=_processor(),
        cores=os.cpu_count() or 0,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        kafka=_kafka_version(),
        redis=redis_version,
        java=_java_version(),
    )


def append(path: Path, line: Line) -> None:
    """Adds a line; the file and its folder are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lines:
        lines.write(msgspec.json.encode(line) + b"\n")


def read(path: Path) -> Iterator[Line]:
    """All lines; msgspec.ValidationError on one that is none."""
    decode = msgspec.json.Decoder(Line).decode
    return (decode(line) for line in path.read_bytes().splitlines())


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("+" if changed else "")


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _kafka_version() -> str:
    lock = (ROOT / "pipeline/dev/kafka-jars.lock").read_text()
    found = re.search(r"kafka-clients:(\S+)", lock)
    return found[1] if found else "unknown"


def _java_version() -> str:
    """Of the Java on the PATH, which runs Kafka Streams; the broker has its own."""
    try:
        done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "none"
    found = re.search(r'version "([^"]+)"', done.stderr)
    return found[1] if found else "unknown"
