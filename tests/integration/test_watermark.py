"""Silence on real Kafka: told with no new traffic, and never because somebody's input was not read."""

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from pipeline.domain.moments import format_moment, parse_moment
from tests.harness.application import HOUR, JOURNEY, MINUTE, Application, ago
from tests.harness.reading import lane_records, read_tables
from tests.harness.waiting import holds_for, until
from tests.harness.worker_process import WorkerProcess

AFTER, GRACE = 1_500, 500
"""Of the cart's silence, in ms."""

WAIT_S = 30.0

SHORT: dict[str, Any] = {
    **JOURNEY,
    "stages": [
        *JOURNEY["stages"][:2],
        {**JOURNEY["stages"][2], "terminal": True},
        {"id": "cold", "enter": {"from": "choosing", "after": "2s", "since": "last any"}},
    ],
    "signals": {
        "cart_left": {"after": f"{AFTER}ms", "since": "last cart", "unless": "ordered", "wait_for": ["web", "store"]}
    },
}
SETTINGS: dict[str, object] = {"grace": dict.fromkeys(("web", "email", "social", "phone", "store"), f"{GRACE}ms")}


@pytest.fixture
def app(stack: Stack, tmp_path: Path, prefix: str) -> Iterator[Application]:
    """With a journey of seconds, on the live clock; a worker that is stopped keeps its lanes."""
    with Application(
        stack, tmp_path, prefix, SHORT, **SETTINGS, session_timeout_s=20.0, rebalance_timeout_s=20.0
    ) as application:
        yield application


def told(app: Application, kind: str = "fired") -> dict[str, dict[str, Any]]:
    """The signals of this kind, by customer."""
    return {signal["customer_id"]: signal for signal in app.feed("journey.signals") if signal["kind"] == kind}


def both_ready(app: Application) -> tuple[WorkerProcess, WorkerProcess]:
    """Two workers with one lane each: that of the first, that of the second are in /status."""
    one, two = app.worker("one"), app.worker("two")
    until(lambda: all(len(worker.lanes()) == 1 and worker.ready for worker in (one, two)), app.tails, WAIT_S)
    return one, two


def lane_of(worker: WorkerProcess) -> int:
    (lane,) = worker.lanes()
    return int(lane["partition"])


def test_silence_is_told_with_no_new_traffic(app: Application) -> None:
    worker = app.worker().until_ready()
    at = ago(0)
    app.sender.event("web", "anna", "cart_updated", at)
    app.until_accounted()
    until(lambda: "anna" in told(app), "the signal fires", WAIT_S)
    until(lambda: app.stages("anna") == ["choosing", "cold"], "the stage changes", WAIT_S)
    signal, cold = told(app)["anna"], app.feed()[-1]
    assert signal["due_at"] == format_moment(at + AFTER)
    assert parse_moment(signal["published_at"]) >= at + AFTER + GRACE
    assert cold["occurred_at"] == format_moment(at + 2_000)
    assert cold["cause"]["timer"] == {"rule": "cold", "since": format_moment(at), "due": format_moment(at + 2_000)}
    assert app.totals("read") == 1, "nothing else was ever read"
    app.assert_right(worker)


def test_no_silence_is_told_while_an_order_lies_unread_in_a_stopped_worker(app: Application) -> None:
    one, two = both_ready(app)
    here, there = lane_of(one), lane_of(two)
    app.until_time_has_passed(one)
    shopper, other = app.sender.residents(here, "here", 2)
    two.pause()
    at = ago(0)
    app.sender.event("web", shopper, "cart_updated", at)
    app.sender.event("web", other, "cart_updated", at)
    order = app.sender.event("store", shopper, "order_placed", at + 1_000, partition=there)
    app.sender.flush()
    assert order.appended < at + AFTER + GRACE, "the order was there in time"
    until(lambda: app.accounted() == 2, "the carts are folded", WAIT_S)
    due = (at + AFTER + GRACE) / 1000
    until(lambda: time.time() > due, "the silence would be over", WAIT_S)
    holds_for(lambda: told(app) == {}, "nothing is told", 3.0)
    assert (one.metric("journey_watermark_delay_seconds") or 0) > 3
    assert f"held by lane {there}" in app.command("status").stdout
    two.resume()
    until(lambda: set(told(app)) == {other}, "only the silence that was one is told", WAIT_S)
    app.assert_right(one)
    assert told(app, "retracted") == {}
    assert app.stages(shopper) == ["choosing", "bought"]


def test_no_order_that_kafka_had_in_time_is_overlooked(stack: Stack, tmp_path: Path, prefix: str) -> None:
    """Hundreds of carts, half of them with an order just before due, anywhere, and a worker killed in the middle."""
    with Application(stack, tmp_path, prefix, SHORT, **SETTINGS) as app:
        both_ready(app)
        one, two = app.workers["one"], app.workers["two"]
        waiting: deque[tuple[str, int]] = deque()
        orders: dict[str, tuple[int, Any]] = {}
        left: set[str] = set()
        number = 0
        end = time.monotonic() + 5
        killed = False
        while time.monotonic() < end:
            number += 1
            customer, at = f"c{number}", ago(0)
            app.sender.event("web", customer, "cart_updated", at, partition=number % 2)
            if number % 2:
                waiting.append((customer, at))
            else:
                left.add(customer)
            while waiting and ago(0) > waiting[0][1] + AFTER - 300:
                customer, at = waiting.popleft()
                sent = app.sender.event("store", customer, "order_placed", at + AFTER - 300, partition=number % 2)
                orders[customer] = (at, sent)
            if not killed and time.monotonic() > end - 2.5:
                two.kill()
                killed = True
            app.sender.producer.poll(0.004)
        app.sender.flush()
        left |= {customer for customer, _ in waiting}
        app.worker("two")
        app.assert_right(one, WAIT_S, beyond_ms=4_000)
        in_time = {customer for customer, (at, sent) in orders.items() if sent.appended < at + AFTER + GRACE}
        assert len(in_time) > 50
        assert in_time.isdisjoint(told(app)), "a silence was told that was none"
        assert left <= set(told(app)), "a silence was not told"


def test_on_the_event_clock_time_is_what_every_partition_says(stack: Stack, tmp_path: Path, prefix: str) -> None:
    at = parse_moment("2025-06-01T10:00:00Z")
    with Application(stack, tmp_path, prefix, clock="event") as app:
        worker = app.worker().until_ready()
        for number in range(20):
            app.sender.event("web", f"c{number}", "cart_updated", at + number, partition=number % 2)
        app.sender.punctuate(at + HOUR - 1)
        until_said(app, worker, at + HOUR - 1)
        assert told(app) == {}
        # All but one partition of one topic say that an hour has passed.
        places = [(topic, partition) for topic in app.settings.input_topics for partition in range(2)]
        silent = places.pop(3)
        for topic, partition in places:
            app.sender.punctuate_one(topic, partition, at + HOUR)
        app.sender.flush()
        until(lambda: spoken(app, at + HOUR, places), "all that is said is read", WAIT_S)
        holds_for(lambda: told(app) == {}, "nothing is told", 1.0)
        app.sender.punctuate_one(*silent, at + HOUR)
        app.sender.flush()
        # An hour after the first cart, to the millisecond; the others follow a millisecond later each.
        until_said(app, worker, at + HOUR)
        assert set(told(app)) == {"c0"}
        app.judge(at + HOUR).assert_right()
        # What is older than what was said is folded all the same, and takes back what it contradicts.
        app.sender.event("web", "c0", "order_placed", at + 30 * MINUTE)
        assert worker.stop() == 0
        worker = app.worker().until_ready()
        app.until_accounted()
        until(lambda: set(told(app, "retracted")) == {"c0"}, "the signal is withdrawn", WAIT_S)
        app.sender.punctuate(at + 5 * HOUR)
        until_said(app, worker, at + 5 * HOUR)
        app.judge(at + 5 * HOUR).assert_right()
        assert set(told(app)) == {f"c{number}" for number in range(20)}


def spoken(app: Application, at: int, places: Sequence[tuple[str, int]]) -> bool:
    """Whether the lanes have read that time is `at` on all of these partitions."""
    records = lane_records(app.settings)
    return all(records[partition].punctuation.get(topic) == at for topic, partition in places)


def until_said(app: Application, worker: WorkerProcess, at: int) -> None:
    """Until the watermark is `at` and everything that is due has fired."""

    def passed() -> bool:
        due: Collection[int] = [score for table in read_tables(app.settings).values() for score in table.due.values()]
        return worker.metric("journey_watermark_timestamp_seconds") == at / 1000 and min(due, default=at + 1) > at

    until(passed, lambda: f"the watermark is {at}\n{app.tails()}", WAIT_S)
