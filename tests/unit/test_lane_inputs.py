"""What a lane is fed: full queues, fetches that never arrive, and calls at the wrong moment."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.ports import Fetched
from tests.fakes.pipeline import PARTITIONS, SOURCES, START, TOPICS, Workers

HOME = home_partition(b"anna", PARTITIONS)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.kill()


def fetch(workers: Workers, topic: str, start: int, end: int) -> Fetched:
    """What is readable of [start, end) on the home lane of anna, as one drain."""
    log = workers.kafka.log(topic, HOME)
    records, _ = log.read(start, end - start, committed=True)
    return Fetched(topic, HOME, start, end, records, caught_up=end >= log.end)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def test_an_input_paused_because_it_was_full_is_resumed_though_little_came_after(workers: Workers) -> None:
    for lane in workers.lanes.values():
        lane._ports = replace(lane._ports, queue_share=lambda: 10)
        lane._settings = replace(lane._settings, most=4)
    workers.run()
    await workers.settle()
    lane, reading = workers.lanes[HOME], workers.inputs._readings["raw.web", HOME]
    for number in range(20):
        workers.send("anna", "page_viewed", START + number)
    lane.offer(fetch(workers, "raw.web", 0, 10))
    # The consumer's thread drains two more, finds the lane full and pauses. They are on their way while it takes some.
    reading.position, reading.paused = 12, lane.full("raw.web")
    await until(lambda: lane.report().queued < 10)
    lane.offer(fetch(workers, "raw.web", 10, 12))
    assert reading.paused
    await workers.settle()
    assert workers.totals("folded") == 20


async def test_a_lane_with_room_is_not_full(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    lane = workers.lanes[HOME]
    workers.send("anna", "page_viewed", START)
    lane.offer(fetch(workers, "raw.web", 0, 1))
    assert not lane.full("raw.web")
    assert not lane.full("raw.unknown")


async def test_a_hole_that_shows_while_another_is_being_mended_is_mended_too(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    lane, seek, sought = workers.lanes[HOME], workers.inputs.seek, list[str]()

    def drain_in_vain(topic: str) -> None:
        workers.inputs._readings[topic, HOME].position = 1
        lane.lost(fetch(workers, topic, 0, 1))

    async def seek_while_more_is_lost(topic: str, partition: int, offset: int) -> None:
        await seek(topic, partition, offset)
        if not sought:
            workers.send("anna", "order_placed", START, topic="raw.store")
            drain_in_vain("raw.store")
        sought.append(topic)

    workers.inputs.seek = seek_while_more_is_lost  # type: ignore[method-assign]
    workers.append("raw.web", HOME, b"{}")
    drain_in_vain("raw.web")
    await workers.settle()
    assert sought == ["raw.web", "raw.store"]
    assert workers.stages() == [("anna", "bought", "entered")]


async def test_the_answer_that_there_is_nothing_is_asked_for_again_if_it_got_lost(workers: Workers) -> None:
    workers.inputs.drop_next(len(SOURCES) * PARTITIONS)
    workers.run()
    await workers.settle()
    lane = workers.lanes[HOME]
    assert all(queue.caught_up for queue in lane._merge.queues.values())
    workers.send("anna", "order_placed", START)
    before = workers.clock.ms
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert workers.clock.ms == before


async def test_an_input_that_is_not_heard_from_is_waited_for_once(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    lane = workers.lanes[HOME]
    lane._merge.queues["raw.store"].caught_up = False
    waits = []
    for number in range(3):
        before = workers.clock.ms
        workers.send("anna", "page_viewed", START + number)
        for _ in range(6):
            await workers.settle()
        assert workers.totals("folded") == number + 1
        waits.append(workers.clock.ms - before)
    assert waits == [1000, 0, 0]
    workers.send("anna", "page_viewed", START, topic="raw.store")
    await workers.settle()
    lane._merge.queues["raw.store"].caught_up = False
    before = workers.clock.ms
    workers.send("anna", "page_viewed", START + 9)
    for _ in range(6):
        await workers.settle()
    assert workers.clock.ms - before == 1000


async def test_what_joins_on_nowhere_is_not_taken(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    lane = workers.lanes[HOME]
    for number in range(3):
        workers.send("anna", "page_viewed", START + number)
    lane.offer(fetch(workers, "raw.web", 2, 3))
    lane.offer(fetch(workers, "raw.web", 0, 2))
    lane.offer(fetch(workers, "raw.web", 0, 2))
    lane.offer(Fetched("of another application", HOME, 0, 1, (), caught_up=True))
    lane.lost(Fetched("of another application", HOME, 0, 1, (), caught_up=True))
    await workers.settle()
    assert workers.totals("read") == workers.totals("folded") == 3


async def test_an_order_that_was_fetched_and_dropped_reaches_a_lane_that_stands(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.park()
    for _ in range(3):
        workers.send("anna", "page_viewed", START)
    workers.kafka.log("raw.web", HOME).cut(2)
    workers.run(2)
    await workers.settle()
    assert workers.lanes[HOME].report().reason == "retention"
    order = {"id": "1", "command": "skip", "lane": HOME, "reason": "mended"}
    workers.append(TOPICS.commands, HOME, json.dumps(order).encode())
    workers.inputs.drop_next()
    await workers.settle()
    assert workers.lanes[HOME].report().state == "running"


async def test_a_stop_before_the_first_step_is_heard(workers: Workers) -> None:
    workers.inputs.assign(range(PARTITIONS), 1)
    lane = workers.lanes[0]
    running = asyncio.create_task(lane.run(1))
    lane.stop()
    await until(running.done)
    assert lane.report().state == "parked"
    again = asyncio.create_task(lane.run(1))
    await until(lambda: lane.report().state == "running")
    lane.stop()
    await until(again.done)


async def test_a_stop_ends_the_wait_for_the_flow(workers: Workers) -> None:
    workers.inputs.flow.clear()
    workers.run()
    await workers.settle()
    assert all(lane.report().next == {} for lane in workers.lanes.values())
    for lane in workers.lanes.values():
        lane.stop()
    await until(lambda: all(task.done() for task in workers.tasks))
    workers.inputs.flow.set()
    workers.run(2)
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
