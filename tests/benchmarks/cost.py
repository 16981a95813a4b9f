"""What an event costs: one worker with all its features and its Redis on the common work, on a real Kafka.

    python -m tests.benchmarks.cost                       1,000,000 events of 100,000 customers, three runs
    python -m tests.benchmarks.cost --events FILE         one event a line instead
    python -m tests.benchmarks.cost --beside 'COMMAND'    runs another command in turn, to compare in the same minutes

CPU is user + system time of the process over all events, start-up included, and over the second half of them. The other
command is only run, with PEERS_BROKER set to the broker: it measures itself.
"""

import argparse
import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.sender import RawSender
from pipeline.config import Settings, load
from pipeline.dev.stack import Stack
from tests.benchmarks import common_work

ROOT = Path(__file__).parents[2]
LOOK_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds of CPU and events read, at one moment."""

    at: float
    worker: float
    redis: float
    broker: float
    events: int


@dataclass(frozen=True, slots=True)
class Cost:
    """One run; CPU in µs an event. `first` is the whole run, `second` its second half."""

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    events_a_second: float
    peak_mb: float
    redis_bytes: float
    transitions: int


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def settings_of(stack: Stack, number: int, directory: Path) -> tuple[Settings, Path]:
    """Settings of one run: its own application and topics, on the input that all runs share."""
    path = directory / f"run{number}.yaml"
    text = (ROOT / "examples/work/settings.yaml").read_text().replace("app_id: work", f"app_id: work{number}")
    text = text.replace("journeys: work.yaml", f"journeys: {ROOT}/examples/work/work.yaml")
    text = text.replace("touches: touches.yaml", f"touches: {ROOT}/examples/work/touches.yaml")
    text += f"prefix: run{number}-\nbrokers: {stack.bootstrap}\nredis_url: {stack.redis_url}\nhttp_port: 0\n"
    path.write_text(text)
    return load(path, {}), path


async def send(settings: Settings, work: Iterable[tuple[str, bytes]]) -> None:
    (topic,) = settings.input_topics
    async with RawSender(settings.brokers, [topic]) as sender:
        for customer, value in work:
            sender.add(topic, customer.encode(), value)
            if sender.pending > 4 << 20:
                await sender.flush()
        await sender.flush()


class Progress:
    """What the lane records in Redis say."""

    def __init__(self, settings: Settings) -> None:
        self._redis = redis.Redis.from_url(settings.redis_url)
        self._settings = settings

    def records(self) -> list[dict[str, dict[str, dict[str, int]]]]:
        found = [self._redis.hget(self._settings.table_key(p), "@lane") for p in range(self._settings.partitions)]
        return [json.loads(record) for record in found if isinstance(record, bytes)]

    def events(self) -> int:
        return sum(tally["read"] for record in self.records() for tally in record["totals"].values())

    def transitions(self) -> int:
        return sum(n for record in self.records() for kinds in record["transitions"].values() for n in kinds.values())

    def bytes_a_customer(self) -> float:
        """Memory of the tables, by Redis' own account, over their customers."""
        keys = [self._settings.table_key(p) for p in range(self._settings.partitions)]
        keys += [f"{key}:due" for key in keys]
        used = sum(int(self._redis.memory_usage(key, samples=1000) or 0) for key in keys)
        return used / max(1, sum(int(self._redis.hlen(key)) - 2 for key in keys[: self._settings.partitions]))


def run(stack: Stack, number: int, work: list[tuple[str, bytes]], directory: Path) -> Cost:
    """One worker, from its start to the last event."""
    settings, path = settings_of(stack, number, directory)
    asyncio.run(topics.apply(settings))
    asyncio.run(send(settings, work))
    progress, count = Progress(settings), len(work)
    began = time.monotonic()
    redis_before, broker_before = cpu_seconds(stack.redis_pid), cpu_seconds(stack.kafka_pid)
    with (directory / f"run{number}.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "worker", "--config", str(path)], cwd=ROOT, stdout=log, stderr=log
        )

        def look() -> Look:
            return Look(
                time.monotonic() - began,
                cpu_seconds(worker.pid),
                cpu_seconds(stack.redis_pid) - redis_before,
                cpu_seconds(stack.kafka_pid) - broker_before,
                progress.events(),
            )

        try:
            half, now = None, look()
            while now.events < count:
                if worker.poll() is not None or now.at > PATIENCE_S:
                    raise SystemExit(f"the worker did not finish; its log: {log.name}")
                time.sleep(LOOK_S)
                now = look()
                if half is None and now.events >= count / 2:
                    half = now
            peak = peak_mb(worker.pid)
        finally:
            worker.terminate()
            worker.wait(20)
    rest = max(1, count - half.events) if half else count
    half = half or Look(0, 0, 0, 0, 0)
    whole = (now.worker / count * 1e6, now.redis / count * 1e6, now.broker / count * 1e6)
    second = tuple(
        (a - b) / rest * 1e6 for a, b in ((now.worker, half.worker), (now.redis, half.redis), (now.broker, half.broker))
    )
    return Cost(
        whole,
        (second[0], second[1], second[2]),
        count / now.at,
        peak,
        progress.bytes_a_customer(),
        progress.transitions(),
    )


def main() -> None:
    """Prints a table for people, and with --json a line a run for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--beside")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    work = list(common_work.read(given.events) if given.events else common_work.events(given.count, given.count // 10))
    expected = common_work.transitions(work)
    table = Table("run", "worker µs", "redis µs", "2nd half worker µs", "redis µs", "broker µs", "events/s", "peak MB")
    table.add_column("bytes a customer")
    with Stack(heap_mb=512) as stack, tempfile.TemporaryDirectory() as directory:
        for number in range(given.times):
            cost = run(stack, number, work, Path(directory))
            if cost.transitions != expected:
                raise SystemExit(f"wrong: {cost.transitions} transitions, and {expected} are right")
            figures = (*cost.first[:2], *cost.second[:2], cost.first[2], cost.events_a_second, cost.peak_mb)
            table.add_row(str(number), *(f"{figure:,.1f}" for figure in (*figures, cost.redis_bytes)))
            if given.json:
                print(json.dumps({"run": number, **{name: getattr(cost, name) for name in cost.__slots__}}), flush=True)
            if given.beside:
                environment = {**os.environ, "PEERS_BROKER": stack.bootstrap, "PEERS_BROKER_PID": str(stack.kafka_pid)}
                subprocess.run(shlex.split(given.beside), env=environment, check=True)
    Console(width=120).print(f"{len(work):,} events, {expected:,} transitions, all right in every run", table)


if __name__ == "__main__":
    main()
