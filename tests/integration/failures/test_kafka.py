"""A Kafka that hangs, dies, fences, aborts, waits or has deleted what was never read."""

import signal
from functools import partial
from pathlib import Path

from pipeline.dev.stack import Stack
from tests.harness.application import HOUR, JOURNEY, Application, ago, some_traffic
from tests.harness.reading import delete_before, last_lane_records, log_ends
from tests.harness.sending import fencing_producer
from tests.harness.waiting import holds_for, until
from tests.integration.failures.common import MEND_S, STOP_S, order


def test_a_broker_that_hangs_dies_and_comes_back_is_waited_for(own_stack: Stack, tmp_path: Path) -> None:
    with Application(own_stack, tmp_path, "k-", max_batch_events=200) as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        app.assert_right(worker)
        own_stack.pause("kafka")
        until(lambda: not worker.ready, "it is not ready while Kafka hangs", MEND_S)
        assert worker.live
        own_stack.resume("kafka")
        some_traffic(app, "hung")
        worker.until_ready(MEND_S)
        app.until_accounted(MEND_S)
        for number in range(20_000):
            customer, place = f"load{number % 1_000}", number % 2
            app.sender.event("web", customer, "page_viewed", ago(HOUR) + number, partition=place)
        app.sender.flush()
        app.until_at_work(app.accounted(), MEND_S)
        own_stack.kill_kafka()
        assert app.accounted() < len(app.sender.ledger), "it was in the middle"
        until(lambda: not worker.ready, "it is not ready while Kafka is away", MEND_S)
        assert worker.live
        own_stack.start_kafka()
        some_traffic(app, "killed")
        worker.until_ready(MEND_S)
        app.assert_right(worker, MEND_S)
        assert len(worker.logged("worker.started")) == 1
        own_stack.kill_kafka(signal.SIGTERM)
        # Nothing can be finished now, and it leaves all the same.
        assert worker.stop(STOP_S) == 0


def test_a_fenced_lane_is_taken_again_until_that_is_no_use(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "before")
    app.assert_right(worker)
    customer = app.sender.residents(0, "fenced", 1)[0]

    def fenced(times: int) -> bool:
        return worker.metric("journey_lane_doubts_total", lane="0", reason="fenced") == times

    for number in range(1, 6):
        fencing_producer(app.settings, app.settings.transactional_id(0))
        app.sender.event("web", customer, "page_viewed", ago(HOUR) + number)
        app.sender.flush()
        until(partial(fenced, number), "it is fenced", MEND_S)
        worker.until_ready(MEND_S)
        app.until_accounted()
    app.assert_right(worker)
    fencing_producer(app.settings, app.settings.transactional_id(0))
    app.sender.event("web", customer, "order_placed", ago(HOUR) + 9)
    app.sender.flush()
    assert worker.ended(MEND_S) == 1
    failed = worker.until_logged("worker.failed")
    assert f"another application uses the transactional id {app.settings.transactional_id(0)}" in failed["why"]
    app.assert_right(app.worker().until_ready())


def test_what_was_aborted_is_not_folded(app: Application) -> None:
    worker = app.worker().until_ready()
    forwarded = (
        ("journey.channel", b"web"),
        ("journey.appended", str(ago(HOUR)).encode()),
        ("journey.origin", f"{app.settings.topic('raw.web')}-1@0".encode()),
        ("journey.hops", b"1"),
    )
    for round_ in range(3):
        with app.sender.transaction("upstream") as transaction:
            for topic, headers in (("raw.web", ()), ("journey.events", forwarded)):
                ghost = app.sender.make("web", f"ghost{round_}", "page_viewed", ago(HOUR), topic=topic)
                ghost.headers = headers
                transaction.put(ghost)
        some_traffic(app, f"round{round_}-")
    with app.sender.transaction("upstream") as transaction:
        transaction.put(app.sender.make("web", "late-but-true", "page_viewed", ago(HOUR)))
        transaction.commit()
    app.assert_right(worker)
    assert app.stages("ghost0") == []
    assert app.stages("late-but-true") == ["seen"]


def test_an_open_transaction_holds_time_and_its_own_topic_alone(stack: Stack, tmp_path: Path, prefix: str) -> None:
    journey = {**JOURNEY, "signals": {"cart_left": {"after": "2s", "since": "last cart", "unless": "ordered"}}}
    with Application(stack, tmp_path, prefix, journey, transaction_timeout_ms=4_000) as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        app.assert_right(worker)
        held = app.sender.residents(0, "held", 2)
        free = app.sender.residents(1, "free", 1)[0]
        with app.sender.transaction("upstream") as transaction:
            transaction.put(app.sender.make("web", held[0], "page_viewed", ago(0)))
            app.sender.event("web", free, "cart_updated", ago(0))
            app.sender.event("store", held[1], "cart_updated", ago(0))
            app.sender.flush()
            until(lambda: app.stages(free) == ["choosing"], "another lane goes on", MEND_S)
            until(lambda: app.stages(held[1]) == ["choosing"], "another topic of the lane goes on", MEND_S)
            topic = app.settings.topic("raw.web")
            until(
                lambda: (worker.metric("journey_lane_lag_records", lane="0", topic=topic) or 0) > 0,
                "the lag shows what cannot be read",
            )
            # Due after two seconds and one of grace: it must not be told, though nothing else is behind.
            until(lambda: (worker.metric("journey_watermark_delay_seconds") or 0) > 4, "time stands still", MEND_S)
            assert not [s for s in app.feed("journey.signals") if s["customer_id"] in {free, held[1]}]
            assert f"held by lane 0 {topic}" in app.command("status").stdout
            assert worker.ready
            transaction.commit()
        app.assert_right(worker)
        told = {s["customer_id"] for s in app.feed("journey.signals")}
        assert {free, held[1]} <= told


def test_input_that_retention_took_unread_waits_for_a_person(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "before")
    app.assert_right(worker)
    assert worker.stop() == 0
    lost = app.sender.residents(0, "lost", 5)
    given_up = [app.sender.make("web", customer, "page_viewed", ago(HOUR)) for customer in lost]
    for sent in given_up:
        app.sender.put(sent)
    app.sender.flush()
    del app.sender.ledger[-len(given_up) :]
    end = log_ends(app.settings, ["raw.web"], committed=False)[app.settings.topic("raw.web"), 0]
    delete_before(app.settings, "raw.web", 0, end)
    some_traffic(app, "after")
    worker = app.worker()
    worker.until_waits("retention", MEND_S)
    (lane,) = [lane for lane in worker.lanes() if lane["partition"] == 0]
    position = given_up[0].offset
    topic = app.settings.topic("raw.web")
    assert f"{topic}-0: positions {position} to {end} were deleted before they were read" in lane["detail"]
    assert f"journey lane skip --lane 0 --topic {topic} --reason" in lane["detail"]
    assert worker.live
    until(lambda: worker.waits() == {"lane 0": "retention"}, "only lane 0 stands", MEND_S)
    holds_for(lambda: app.records("journey.commands") == [], "nobody decides for a person", 0.5)
    assert order(app, "skip", "--lane", "0", "--reason", "five page views, not worth a replay").returncode == 0
    skipped = worker.until_logged("lane.skipped", lane=0)
    assert (skipped["start"], skipped["end"]) == (position, end)
    worker.until_ready(MEND_S)
    app.assert_right(worker)
    (skip,) = last_lane_records(app.settings)[0].skipped
    assert (skip.topic, skip.start, skip.end) == (topic, position, end)
    assert skip.reason == "five page views, not worth a replay"
    assert worker.metric("journey_skipped_records_total", lane="0", topic=topic) == end - position
