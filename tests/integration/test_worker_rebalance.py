"""Workers as processes that come, go, are killed and stopped, with records flowing all the time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from pipeline.worker.transport import lane_topics
from tests.integration.worker_rig import (
    SESSION_S,
    Processes,
    Traffic,
    assert_unbroken,
    create_topics,
    journals,
    numbers_in,
    settings_of,
    until,
)

FLOWS_AGAIN_S = SESSION_S + 3.0


@asynccontextmanager
async def flowing(traffic: Traffic) -> AsyncIterator[None]:
    """Sends a little of everything all the time, until the block ends."""

    async def send() -> None:
        while True:
            await traffic.send(3 * len(lane_topics(traffic.settings)))
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait([sending])


@asynccontextmanager
async def two_workers(bootstrap: str, prefix: str, directory: Path) -> AsyncIterator[tuple[Processes, Traffic]]:
    """Workers a and b with three lanes between them, and traffic; at the end every record must have been taken once.

    Three, because partitions that are dealt out topic by topic keep together by chance when their number is even.
    """
    settings = settings_of(bootstrap, prefix, 3)
    await create_topics(settings)
    with Processes(settings, directory) as workers:
        async with Traffic(settings) as traffic:
            workers.start("a", "b")
            async with flowing(traffic):
                await until(lambda: workers.shared("a", "b"), "a and b share the lanes", 30)
                yield workers, traffic
            await traffic.send(0)
            await until(lambda: len(numbers_in(directory)) == len(traffic.sent), "all records")
    assert_unbroken(directory, traffic.sent)


def lanes_since(directory: Path, marks: dict[int, int], worker: str) -> set[int]:
    """The lanes in which this worker has taken something since the marks."""
    return {
        lane for lane, taken in journals(directory).items() if worker in {each.worker for each in taken[marks[lane] :]}
    }


def marks_of(directory: Path) -> dict[int, int]:
    return {lane: len(taken) for lane, taken in journals(directory).items()}


REBALANCES = 4
"""Two begin, one leaves, one joins."""


async def test_lanes_follow_workers_that_come_and_leave(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    async with two_workers(bootstrap, prefix, tmp_path) as (workers, _):
        marks = marks_of(tmp_path)
        split = {name: workers.lanes(name) for name in ("a", "b")}
        await until(lambda: all(lanes_since(tmp_path, marks, name) == split[name] for name in split), "both work")
        workers.signal("b", signal.SIGTERM)
        assert await workers.ended("b") == 0
        await until(lambda: workers.shared("a"), "a has all lanes")
        workers.start("c")
        await until(lambda: workers.shared("a", "c"), "c has joined")
    # Who had a lane read all of its inputs: were they dealt out to two workers, these would take turns.
    for lane, taken in journals(tmp_path).items():
        holders = [worker for worker, _ in groupby(each.worker for each in taken)]
        assert len(holders) <= 1 + REBALANCES, f"lane {lane}: {holders}"
        assert len({each.topic for each in taken}) == 7


async def test_the_lanes_of_a_killed_worker_flow_again(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    async with two_workers(bootstrap, prefix, tmp_path) as (workers, _):
        orphans, marks = workers.lanes("a"), marks_of(tmp_path)
        workers.signal("a", signal.SIGKILL)
        took = await until(lambda: lanes_since(tmp_path, marks, "b") >= orphans, "b takes them")
        assert took < FLOWS_AGAIN_S


async def test_a_worker_stopped_beyond_its_session_comes_back(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    async with two_workers(bootstrap, prefix, tmp_path) as (workers, _):
        orphans, marks = workers.lanes("a"), marks_of(tmp_path)
        workers.signal("a", signal.SIGSTOP)
        took = await until(lambda: lanes_since(tmp_path, marks, "b") >= orphans, "b takes its lanes")
        assert took < FLOWS_AGAIN_S
        workers.signal("a", signal.SIGCONT)
        await until(lambda: workers.shared("a", "b"), "a is back")
        marks = marks_of(tmp_path)
        await until(lambda: lanes_since(tmp_path, marks, "a") == workers.lanes("a") != set(), "a works again")


async def test_ends_with_a_failure_when_a_lane_gives_up(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, prefix, 1)
    await create_topics(settings)
    with Processes(settings, tmp_path) as workers:
        workers.start("a", GIVE_UP="1")
        assert await workers.ended("a") == 1
        assert "lane 0 gave up: Abandoned: as asked" in workers.log("a")


@pytest.mark.parametrize("kafka", ["away", "hanging"])
async def test_stops_in_time_although_kafka_does_not_answer(own_stack: Stack, tmp_path: Path, kafka: str) -> None:
    settings = settings_of(own_stack.bootstrap, "", 1)
    await create_topics(settings)
    with Processes(settings, tmp_path) as workers:
        workers.start("a")
        await until(lambda: workers.shared("a"), "a works")
        if kafka == "away":
            await asyncio.to_thread(own_stack.kill_kafka)
            workers.start("b")
            await until(lambda: "kafka.away" in workers.log("b"), "b waits for Kafka")
            workers.signal("b", signal.SIGTERM)
            assert await workers.ended("b") == 0
        else:
            own_stack.pause("kafka")
        asked = time.monotonic()
        workers.signal("a", signal.SIGTERM)
        assert await workers.ended("a", 12) == 0
        assert time.monotonic() - asked < 10


async def test_a_second_signal_ends_it_at_once(own_stack: Stack, tmp_path: Path) -> None:
    settings = settings_of(own_stack.bootstrap, "", 1)
    await create_topics(settings)
    with Processes(settings, tmp_path) as workers:
        workers.start("a")
        await until(lambda: workers.shared("a"), "a works")
        own_stack.pause("kafka")  # or it would be gone before the second one
        workers.signal("a", signal.SIGTERM)
        await until(lambda: "worker.signal" in workers.log("a"), "it has heard the first")
        workers.signal("a", signal.SIGTERM)
        assert await workers.ended("a", 2) == 128 + signal.SIGTERM
