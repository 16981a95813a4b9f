"""Taking a lane: what goes on across a stop, what a process must not carry over, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from pipeline.adapters.kafka.sender import home_partition
from tests.fakes.pipeline import HOUR, MINUTE, PARTITIONS, START, TOPICS, Workers

HOME = home_partition(b"anna", PARTITIONS)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.kill()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def test_nothing_of_another_world_is_carried_over(workers: Workers) -> None:
    for lane in workers.lanes.values():
        lane._settings = replace(lane._settings, most=1)
    workers.run()
    workers.send("anna", "cart_updated", START)
    workers.send("anna", "order_placed", START + MINUTE)
    await workers.settle()
    workers.clock.ms = START + 2 * HOUR
    await workers.tick()
    assert workers.watermark.value is not None
    assert workers.feed(TOPICS.signals) == []
    workers.kafka.delete_topic(TOPICS.profiles)
    workers.kafka.create_topic(TOPICS.profiles, PARTITIONS)
    workers.redis.drop_connections()
    for partition in workers.lanes:
        workers.append("raw.web", partition, b"wakes the lane")
    workers.inputs.deliver()
    await until(lambda: workers.lanes[HOME].report().next.get("raw.web") == 0)
    assert workers.lanes[HOME].progress_record().raw is None
    await workers.settle()
    assert workers.feed(TOPICS.signals) == []
    await workers.tick()
    assert workers.watermark.value is not None
    assert workers.stages()[-1] == ("anna", "bought", "entered")
    assert workers.table_equals_changelog()
