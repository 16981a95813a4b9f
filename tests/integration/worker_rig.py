"""What the tests of the worker share: topics, traffic, a worker in this process and workers in their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.application.ports import LaneHandle
from pipeline.config import Settings
from pipeline.worker.app import create_app
from pipeline.worker.inputs import ConsumerInputs
from pipeline.worker.lanes import LaneSet
from pipeline.worker.transport import LaneConsumer, consumer_of, lane_topics
from tests.integration.recording_worker import Taken, read_journal

ROOT = Path(__file__).parents[2]
SESSION_S = 2.0


def settings_of(bootstrap: str, prefix: str, partitions: int, **more: Any) -> Settings:
    given = {
        "app_id": f"{prefix}journey",
        "prefix": prefix,
        "brokers": bootstrap,
        "partitions": partitions,
        "session_timeout_s": SESSION_S,
        "rebalance_timeout_s": 4.0,
        "http_port": 0,
    }
    return Settings.model_validate(given | more)


async def create_topics(settings: Settings, **config: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        topics = [NewTopic(name, settings.partitions, 1, topic_configs=config) for name in lane_topics(settings)]
        await admin.create_topics(topics)
    finally:
        await admin.close()


async def until(condition: Callable[[], bool], what: str, within_s: float = 20.0) -> float:
    """Waits for a condition, and fails after a deadline; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


@dataclass
class Traffic:
    """Numbered records, spread over every partition of every input. `sent` are those that were committed."""

    settings: Settings
    sent: list[int] = field(default_factory=list)
    _producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.settings.brokers, retry_backoff_ms=20)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._producer is not None
        await self._producer.stop()

    async def send(self, count: int) -> None:
        assert self._producer is not None
        topics, partitions = lane_topics(self.settings), self.settings.partitions
        for number in range(len(self.sent), len(self.sent) + count):
            place = number % (len(topics) * partitions)
            topic, partition = topics[place // partitions], place % partitions
            await self._producer.send(topic, str(number).encode(), partition=partition)
            self.sent.append(number)
        await self._producer.flush()


@dataclass(frozen=True)
class Worker:
    """A worker in this process."""

    consumer: LaneConsumer
    inputs: ConsumerInputs
    lanes: LaneSet


@asynccontextmanager
async def running(
    settings: Settings, make_lane: Callable[[int, ConsumerInputs], LaneHandle], datadir: Path
) -> AsyncIterator[Worker]:
    inputs = ConsumerInputs(settings.step_timeout_s)
    lanes = LaneSet(lambda partition: make_lane(partition, inputs))
    app = create_app(settings, lanes, str(datadir))
    consumer = consumer_of(app)
    inputs.attach(consumer)
    try:
        await app.start()
        yield Worker(consumer, inputs, lanes)
    finally:
        await app.stop()


class Processes:
    """Recording workers as processes; all are gone at the end."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings, self.directory = settings, directory
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()

    def start(self, *names: str, **environment: str) -> None:
        for name in names:
            command = [sys.executable, "tests/integration/recording_worker.py"]
            command += [self.settings.model_dump_json(exclude_defaults=True), str(self.directory), name]
            (self.directory / f"{name}.json").unlink(missing_ok=True)
            with (self.directory / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                    stderr=log,
                    stdout=log,
                )

    def signal(self, name: str, number: signal.Signals) -> None:
        self.running[name].send_signal(number)

    async def ended(self, name: str, within_s: float = 10.0) -> int:
        """The exit code, once it has ended."""
        process = self.running[name]
        await until(lambda: process.poll() is not None, f"{name} ends", within_s)
        return process.returncode

    def lanes(self, name: str) -> set[int]:
        """The lanes that a worker says it has, if all of them run."""
        path = self.directory / f"{name}.json"
        told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"ready": False}
        return set(told["lanes"]) if told["ready"] else set()

    def shared(self, *names: str) -> bool:
        """Whether these workers have all lanes between them, as evenly as can be."""
        each = [self.lanes(name) for name in names]
        count = self.settings.partitions
        return sorted(lane for lanes in each for lane in lanes) == list(range(count)) and all(
            0 < len(lanes) <= ceil(count / len(names)) for lanes in each
        )

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()


def journals(directory: Path) -> dict[int, list[Taken]]:
    """What every lane took, in order."""
    return {int(path.stem.removeprefix("lane-")): read_journal(path) for path in sorted(directory.glob("lane-*.jsonl"))}


def numbers_in(directory: Path) -> Counter[int]:
    return Counter(number for taken in journals(directory).values() for each in taken for number in each.numbers)


def assert_unbroken(directory: Path, sent: Iterable[int]) -> None:
    """Every record was taken once, and the positions of every input join on to each other from the first on."""
    for lane, taken in journals(directory).items():
        reached: dict[str, int] = {}
        for each in taken:
            assert each.start == reached.get(each.topic, 0), f"lane {lane} of {each.topic}: {reached} then {each}"
            reached[each.topic] = each.end
    counted = numbers_in(directory)
    assert counted == Counter(sent)
