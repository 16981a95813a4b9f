"""Taking a lane: what goes on across a stop, what a process must not carry over, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.ports import Abandoned, Refused
from tests.fakes.kafka import Moment, Operation
from tests.fakes.kafka.broker import AT_ONCE
from tests.fakes.pipeline import HOUR, MINUTE, PARTITIONS, START, TOPICS, Workers, journey
from tests.fakes.table import Moment as TableMoment
from tests.fakes.table import Operation as TableOperation

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
    for _ in workers.lanes:
        workers.kafka.fail_next("commit", "lost")
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


async def test_an_input_that_was_made_anew_proves_nothing(workers: Workers) -> None:
    workers.run()
    for number in range(5):
        workers.send("anna", "page_viewed", START + number)
    workers.send("anna", "cart_updated", START + 5)
    await workers.tick()
    before = workers.clock.ms
    workers.kafka.delete_topic("raw.web")
    workers.kafka.create_topic("raw.web", PARTITIONS)
    workers.send("anna", "order_placed", START + 6)
    workers.clock.ms = START + 3 * HOUR
    workers.inputs.deliver = lambda: False  # type: ignore[method-assign]
    await workers.tick()
    assert workers.watermark.value is not None
    assert workers.watermark.value <= before
    assert workers.feed(TOPICS.signals) == []


class Held:
    """Holds every call of one kind up, and counts them."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.calls = 0
        self.free = asyncio.Event()

    async def kafka(self, operation: Operation, moment: Moment, subject: str) -> None:
        if operation == self.operation and moment == "sent":
            self.calls += 1
            await self.free.wait()
        await AT_ONCE(operation, moment, subject)

    async def redis(self, operation: TableOperation, moment: TableMoment) -> None:
        await self.kafka(operation, moment, "")  # type: ignore[arg-type]


def another(workers: Workers, code: str = "1") -> Workers:
    """A second worker on the same Kafka and Redis."""
    other = Workers()
    other.kafka, other.redis, other.clock = workers.kafka, workers.redis, workers.clock
    other.start(journey(), code)
    return other


# ---- stops


@pytest.mark.parametrize("operation", ["start", "bounds", "open"])
async def test_a_take_goes_on_across_a_stop_and_the_next_run_uses_it(workers: Workers, operation: str) -> None:
    held = Held(operation)
    workers.kafka.step, workers.redis.step = held.kafka, held.redis
    workers.run()
    await until(lambda: held.calls == PARTITIONS)
    await workers.park()
    assert [lane.report().state for lane in workers.lanes.values()] == ["parked"] * PARTITIONS
    held.free.set()
    for _ in range(200):
        await asyncio.sleep(0)
    workers.run(2)
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert held.calls == PARTITIONS
    assert {producer.epoch for producer in workers.kafka.producers.values()} == {0}


async def test_a_take_that_failed_in_the_background_is_made_again(workers: Workers) -> None:
    held = Held("bounds")
    workers.kafka.step = held.kafka
    workers.run()
    await until(lambda: held.calls == PARTITIONS)
    await workers.park()
    workers.redis.drop_connections()
    workers.kafka.away = True
    held.free.set()
    for _ in range(50):
        await asyncio.sleep(0)
    workers.kafka.away = False
    workers.run(2)
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]


async def test_a_lane_that_leaves_in_the_middle_of_its_take_lets_go(workers: Workers) -> None:
    held = Held("bounds")
    workers.kafka.step = held.kafka
    workers.run()
    await until(lambda: held.calls == PARTITIONS)
    await workers.park()
    for lane in workers.lanes.values():
        await lane.release()
    assert [lane.report().state for lane in workers.lanes.values()] == ["stopped"] * PARTITIONS
    assert [task for task in asyncio.all_tasks() if "take lane" in task.get_name()] == []
    held.free.set()
    other = another(workers)
    other.run(2)
    other.send("anna", "order_placed", START)
    await other.settle()
    assert other.stages() == [("anna", "bought", "entered")]
    await other.kill()


async def test_a_stop_finishes_the_transaction_in_flight(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    held = Held("commit")
    workers.kafka.step = held.kafka
    workers.send("anna", "order_placed", START)
    workers.inputs.deliver()
    await until(lambda: held.calls == 1)
    parking = asyncio.create_task(workers.park())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not parking.done()
    held.free.set()
    await parking
    assert workers.stages() == [("anna", "bought", "entered")]
    assert workers.table_equals_changelog()
    workers.run(2)
    await workers.settle()
    assert len(workers.stages()) == 1


# ---- reuse


async def test_a_lane_parked_cleanly_keeps_what_it_has(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.park()
    counted = Held("none")
    workers.kafka.step = counted.kafka
    for operation in ("start", "bounds"):
        counted.operation, counted.calls = operation, 0
        counted.free.set()
        workers.run(2)
        await workers.settle()
        assert counted.calls == 0
        await workers.park()


async def test_what_another_worker_has_done_meanwhile_is_not_folded_on(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.park()
    other = another(workers)
    other.run(2)
    other.send("anna", "order_placed", START + MINUTE, number="once")
    await other.settle()
    await other.kill()
    workers.run(3)
    workers.send("anna", "order_placed", START + MINUTE, number="once")
    workers.send("anna", "cart_updated", START + 2 * MINUTE)
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]
    assert [record["seq"] for record in workers.feed(TOPICS.transitions)] == [1, 2]
    assert (workers.totals("folded"), workers.totals("duplicate")) == (3, 1)
    assert workers.table_equals_changelog()


async def test_two_workers_that_both_believe_in_a_lane_double_nothing(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    other = another(workers)
    other.run(1)
    for number in range(30):
        workers.send("anna", "cart_updated" if number else "page_viewed", START + number, number=f"n{number}")
        await workers.settle(4)
        await other.settle(4)
        if number == 20:
            await other.kill()
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered")]
    assert workers.totals("read") == workers.totals("folded") == 30
    assert workers.table_equals_changelog()


# ---- zombies


async def test_a_write_of_a_zombie_that_comes_late_changes_nothing(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    workers.redis.fail_next("apply", "late")
    workers.send("anna", "order_placed", START)
    await workers.settle()
    workers.send("anna", "cart_updated", START)
    await workers.settle()
    workers.redis.deliver_late()
    assert workers.table_equals_changelog()
    workers.send("anna", "order_placed", START, number="more")
    await workers.settle()
    assert workers.table_equals_changelog()
    assert workers.totals("folded") == 4


async def test_a_commit_of_a_zombie_that_comes_late_counts_for_nobody(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    workers.kafka.fail_next("commit", "late")
    workers.send("anna", "order_placed", START)
    await workers.settle()
    workers.kafka.deliver_late()
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert workers.totals("read") == 1


async def test_what_an_aborted_transaction_routed_arrives_once(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    for fault in ("open", "lost", "open"):
        workers.kafka.fail_next("commit", fault)
    workers.send("anna", "order_placed", START, away=True)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert (workers.totals("routed"), workers.totals("folded"), workers.totals("read")) == (1, 1, 2)
    assert workers.kafka.log(TOPICS.events, HOME).end > 2
    assert workers.totals("duplicate") == 0


@pytest.mark.parametrize("clear", ["snapshot", "flush"])
async def test_a_redis_that_lost_the_newest_is_seen_before_anything_is_folded_on_it(
    workers: Workers, clear: str
) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    old = workers.redis.snapshot()
    workers.send("anna", "order_placed", START)
    await workers.settle()
    workers.redis.restore(old if clear == "snapshot" else {})
    for lane in workers.lanes.values():
        assert lane._hold is not None
        lane._hold._cache.clear()
    workers.send("anna", "cart_updated", START)
    await workers.settle()
    assert [record["seq"] for record in workers.feed(TOPICS.transitions)] == [1, 2]
    assert workers.totals("folded") == 3
    assert workers.table_equals_changelog()


# ---- doubts


@pytest.mark.parametrize("operation", ["heartbeat", "seek", "log_starts", "commit", "start", "bounds", "replay"])
async def test_a_client_that_is_cancelled_from_within_is_a_doubt(workers: Workers, operation: str) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    raised: list[str] = []

    async def cancel_once(kind: Operation, moment: Moment, subject: str) -> None:
        await AT_ONCE(kind, moment, subject)
        if kind == operation and moment == "answered" and not raised:
            raised.append(kind)
            raise asyncio.CancelledError

    if operation != "commit":
        workers.redis.drop_connections()
        workers.kafka.fail_next("commit", "open")
    workers.kafka.step = cancel_once
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert raised
    assert not any(task.done() for task in workers.tasks)
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]
    assert workers.table_equals_changelog()


async def test_a_cancelled_lane_lets_go_of_all_it_has(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    await workers.kill()
    assert all(task.cancelled() for task in workers.tasks)
    assert all(lane.report().position == "" for lane in workers.lanes.values())
    assert not any(connection.alive for connection in workers.redis._connections)


async def test_a_bug_of_ours_in_a_lane_is_a_doubt(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    turn, raised = workers.turn.acquire, list[int]()

    async def acquire() -> bool:
        if not raised:
            raised.append(1)
            raise ZeroDivisionError
        return bool(await turn())

    workers.turn.acquire = acquire  # type: ignore[method-assign,assignment]
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]


async def test_redis_away_is_waited_for_with_the_membership_kept(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    workers.redis.refuse("OOM command not allowed")
    workers.send("anna", "order_placed", START)
    await workers.settle(40)
    report = workers.lanes[HOME].report()
    assert report.reason in {"redis", "replaying"}
    assert workers.stages() == []
    workers.redis.refuse(None)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert workers.kafka.producers[f"journey-{HOME}"].epoch == 0


async def test_a_rebalance_is_waited_for(workers: Workers) -> None:
    workers.inputs.refusal = "the group is rebalancing"
    workers.run()
    workers.send("anna", "order_placed", START)
    await workers.settle(30)
    assert workers.lanes[HOME].report().reason in {"membership", "kafka", "replaying"}
    assert workers.kafka.producers == {}
    workers.inputs.refusal = None
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]


# ---- what is given up


async def end_of(workers: Workers, lane: int) -> BaseException | None:
    """How a lane ended by itself."""
    await workers.settle(60)
    assert workers.tasks[lane].done()
    return workers.tasks[lane].exception()


async def test_a_lane_that_is_fenced_again_and_again_is_given_up(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    for number in range(10):
        workers.kafka.take_over(f"journey-{HOME}")
        workers.send("anna", "page_viewed", START + number)
        await workers.settle(4)
        if workers.tasks[HOME].done():
            break
    assert number >= 5
    with pytest.raises(Abandoned, match=f"another application uses the transactional id journey-{HOME}"):
        await workers.tasks[HOME]
    assert not workers.tasks[1 - HOME].done()


async def test_fences_over_a_long_time_are_none_too_many(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    for number in range(10):
        workers.kafka.take_over(f"journey-{HOME}")
        workers.send("anna", "page_viewed", START, number=f"n{number}")
        await workers.settle()
        workers.clock.ms += 20_000
    assert workers.totals("folded") == 10


async def test_another_number_of_partitions_is_refused(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.kill()
    workers.start(journey())
    for lane in workers.lanes.values():
        lane._settings = replace(lane._settings, partitions=4)
    workers.run(2)
    found = await end_of(workers, HOME)
    assert isinstance(found, Refused)
    assert f"lane {HOME} was begun with 2 partitions, the settings say 4" in str(found)


@pytest.mark.parametrize(("begun", "now", "refused"), [("a", "b", True), ("a", "", False), ("", "b", False)])
async def test_another_identity_key_is_refused(workers: Workers, begun: str, now: str, refused: bool) -> None:
    def with_key(key: str) -> None:
        for lane in workers.lanes.values():
            lane._settings = replace(lane._settings, identity_key=key)

    with_key(begun)
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.kill()
    workers.start(journey())
    with_key(now)
    workers.run(2)
    if refused:
        found = await end_of(workers, HOME)
        assert isinstance(found, Refused)
        assert f"lane {HOME} knows its customers by hashes of another key" in str(found)
        return
    workers.send("anna", "page_viewed", START, number="second")
    await workers.settle()
    assert workers.totals("folded") == 2
    assert workers.record(HOME).identity_key == begun or now


async def test_profiles_of_another_format_are_refused(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.kill()
    workers.start(journey())
    monkeypatch.setattr("pipeline.application.taking.PROFILES", 5)
    workers.run(2)
    found = await end_of(workers, HOME)
    assert isinstance(found, Refused)
    assert "its profiles are of format 4, and 5 is what this one knows" in str(found)


@pytest.mark.parametrize("left_out", [False, True])
async def test_a_changed_journey_without_another_version_is_refused(workers: Workers, left_out: bool) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.kill()
    if left_out:
        workers.start(replace(journey(), name="club"))
        workers.run(2)
        workers.send("anna", "cart_updated", START)
        await workers.settle()
        await workers.kill()
    workers.start(journey(1, "other rules"))
    workers.run(3)
    found = await end_of(workers, HOME)
    assert isinstance(found, Refused)
    assert f"lane {HOME}: journey shop has other rules than the version 1" in str(found)
    assert "raise the version in its file" in str(found)


async def test_a_new_version_takes_the_customers_over(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.kill()
    workers.start(journey(2, "f2"))
    workers.run(2)
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert [record["version"] for record in workers.feed(TOPICS.transitions)] == [1, 2]
    assert workers.record(HOME).models["shop"].version == 2
