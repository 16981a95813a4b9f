"""The lane's protocol on simulated Kafka and Redis."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.kafka import Fault
from tests.fakes.pipeline import DAY, HOUR, MINUTE, START, TOPICS, Workers, journey
from tests.fakes.table import Fault as TableFault
from tests.fakes.table import Operation as TableOperation


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.kill()


async def test_an_event_becomes_a_transition(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    workers.send("anna", "order_placed", START + MINUTE)
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]
    assert [t["seq"] for t in workers.feed(TOPICS.transitions)] == [1, 2]
    assert workers.table_equals_changelog()
    assert workers.totals("read") == workers.totals("folded") == 2


async def test_an_event_on_another_partition_is_routed_home(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "order_placed", START, away=True)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert (workers.totals("routed"), workers.totals("folded"), workers.totals("read")) == (1, 1, 2)


async def test_silence_fires_once_the_watermark_has_passed(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "cart_updated", START)
    await workers.tick()
    assert workers.feed(TOPICS.signals) == []
    workers.clock.ms = START + HOUR + 6 * MINUTE
    await workers.tick()
    (signal,) = workers.feed(TOPICS.signals)
    assert (signal["signal"], signal["kind"], signal["occurrence"]) == ("cart_left", "fired", 1)


async def test_no_silence_is_told_while_a_lane_has_unread_input(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "cart_updated", START)
    await workers.tick()
    workers.send("anna", "order_placed", START + MINUTE)
    behind = workers.inputs.deliver
    workers.inputs.deliver = lambda: False  # type: ignore[method-assign]  # the fetches stand still
    workers.clock.ms = START + 2 * HOUR
    await workers.tick()
    assert workers.feed(TOPICS.signals) == []
    workers.inputs.deliver = behind  # type: ignore[method-assign]
    await workers.tick()
    assert workers.feed(TOPICS.signals) == []
    assert workers.stages() == [("anna", "bought", "entered")]


@pytest.mark.parametrize("fault", ["lost", "open", "unanswered", "late"])
async def test_a_transaction_in_doubt_is_settled_by_taking_the_lane_again(workers: Workers, fault: Fault) -> None:
    workers.run()
    await workers.settle()
    workers.kafka.fail_next("commit", fault)
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]
    assert workers.table_equals_changelog()


@pytest.mark.parametrize("fault", ["lost", "unanswered"])
@pytest.mark.parametrize("operation", ["load", "apply"])
async def test_a_doubt_about_the_table_is_settled_from_the_changelog(
    workers: Workers, operation: TableOperation, fault: TableFault
) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    workers.redis.fail_next(operation, fault)
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]
    assert workers.table_equals_changelog()


async def test_a_flushed_redis_is_rebuilt(workers: Workers) -> None:
    workers.run()
    for number in range(30):
        workers.send(f"c{number}", "page_viewed", START)
    await workers.settle()
    workers.redis.flush()
    for number in range(30):
        workers.send(f"c{number}", "order_placed", START + MINUTE)
    await workers.settle()
    assert sorted(workers.stages()) == sorted(
        (f"c{n}", stage, "entered") for n in range(30) for stage in ("seen", "bought")
    )
    assert workers.table_equals_changelog()


async def test_a_killed_worker_loses_and_doubles_nothing(workers: Workers) -> None:
    workers.run()
    for number in range(20):
        workers.send(f"c{number}", "page_viewed", START)
    await workers.settle(3)
    await workers.kill()
    workers.start(journey())
    workers.run(2)
    for number in range(20):
        workers.send(f"c{number}", "order_placed", START + MINUTE)
    await workers.settle()
    assert sorted(workers.stages()) == sorted(
        (f"c{n}", stage, "entered") for n in range(20) for stage in ("seen", "bought")
    )
    assert workers.table_equals_changelog()


async def test_a_parked_lane_goes_on_where_it_was(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.park()
    workers.run(2)
    workers.send("anna", "order_placed", START + MINUTE)
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]


async def test_a_dropped_fetch_is_read_again(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    workers.send("anna", "page_viewed", START)
    workers.inputs.drop_next(3)
    await workers.settle()
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]


async def test_a_fenced_lane_that_is_still_ours_is_taken_again(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    for lane in workers.lanes:
        workers.kafka.take_over(f"journey-{lane}")
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("anna", "bought", "entered")]


async def test_bad_records_are_dead_letters_and_the_rest_goes_on(workers: Workers) -> None:
    workers.run()
    workers.append("raw.web", 0, b"{")
    workers.append("raw.web", 0, b'{"type":"page_viewed","occurred_at":1,"customer_id":"x"}')
    workers.append("raw.web", 0, b'{"id":"1","type":"page_viewed","occurred_at":1}')
    workers.append("raw.web", 0, b'{"id":"1","type":"page_viewed","occurred_at":"soon","customer_id":"x"}')
    workers.append("raw.web", 0, b'{"id":"1","type":"t","occurred_at":1,"customer_id":"x","channel":"store"}')
    workers.append(
        "raw.web",
        0,
        b'{"id":"1","type":"t","occurred_at":1,"customer_id":"x","properties":' + b"[" * 40 + b"]" * 40 + b"}",
    )
    workers.append("raw.web", 0, b" " * 300_000)
    workers.append("raw.web", 0, None)
    workers.send("anna", "order_placed", START + 6 * MINUTE + 10 * MINUTE)
    workers.send("ben", "order_placed", START)
    await workers.settle()
    assert workers.stages() == [("ben", "bought", "entered")]
    reasons = [dict(record.headers)["journey.reason"].decode() for record in workers.records(TOPICS.dead_letters)]
    assert sorted(reasons) == sorted(
        [
            "not_json",
            "no_id",
            "no_identity",
            "bad_time",
            "channel_mismatch",
            "too_deep",
            "too_large",
            "not_json",
            "future",
        ]
    )
    assert workers.totals("read") == workers.totals("dead") + workers.totals("folded") == 10


def command(order: str, lane: int, topic: str | None = None) -> bytes:
    return json.dumps({"id": order, "command": order, "lane": lane, "reason": "mended", "topic": topic}).encode()


async def test_input_that_retention_took_unread_waits_for_a_person(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    await workers.park()
    lane = next(p for p, log in enumerate(workers.kafka.topics["raw.web"].logs) if log.end)
    for _ in range(5):
        workers.send("anna", "cart_updated", START)
    workers.kafka.topics["raw.web"].logs[lane].start = 3
    workers.send("anna", "order_placed", START)
    workers.run(2)
    await workers.settle()
    report = workers.lanes[lane].report()
    assert (report.reason, f"raw.web-{lane}: positions 1 to 3" in report.detail) == ("retention", True)
    workers.append(TOPICS.commands, lane, command("skip", lane))
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered"), ("anna", "bought", "entered")]
    (skipped,) = workers.record(lane).skipped
    assert (skipped.topic, skipped.start, skipped.end) == ("raw.web", 1, 3)


async def test_a_lapse_is_told_at_its_due_time_however_late(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "order_placed", START)
    await workers.settle()
    workers.clock.ms = START + 100 * DAY
    await workers.tick()
    assert workers.stages() == [("anna", "bought", "entered"), ("anna", "lapsed", "entered")]
    lapse = workers.feed(TOPICS.transitions)[-1]
    assert lapse["cause"]["timer"]["due"] == lapse["occurred_at"]
    workers.send("anna", "order_placed", START + 100 * DAY)
    await workers.settle()
    assert workers.stages()[-1] == ("anna", "bought", "entered")
