"""The pages for orchestrators, asked of a real worker to which real things happen."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from pipeline.worker.watchdog import EXIT_CODE
from tests.harness.application import HOUR, Application, ago, some_traffic
from tests.harness.reading import redis_client
from tests.harness.waiting import holds_for, until
from tests.harness.worker_process import WorkerProcess

MEND_S = 40.0


@pytest.fixture
def app(stack: Stack, tmp_path: Path, prefix: str) -> Iterator[Application]:
    with Application(stack, tmp_path, prefix, stuck_after_s=4.0, ready_lag=50) as application:
        yield application


def said(worker: WorkerProcess, page: str) -> tuple[int, dict[str, Any]]:
    status, body = worker.page(page)
    return status, json.loads(body) if body else {}


def test_a_blocked_loop_is_told_by_its_own_pages_and_ended(app: Application) -> None:
    worker = app.worker(planted={"blocks": 2.0}).until_ready()
    some_traffic(app, "blocked")
    until(lambda: worker.page("/livez")[0] == 503, "/livez fails", MEND_S)
    _, alive = said(worker, "/livez")
    assert alive["ok"] is False
    assert "the main loop has not run for" in alive["complaints"][0]
    assert said(worker, "/startupz") == (200, {"ok": True, "waiting_for": ""}), "a loop that hangs is no start"
    assert worker.page("/metrics")[0] == worker.page("/status")[0] == 200
    assert worker.ended(MEND_S) == EXIT_CODE
    assert "main loop" in str(worker.until_logged("worker.stuck")["why"])
    app.assert_right(app.worker().until_ready())


def test_an_input_that_is_not_fetched_ends_the_process_though_the_lane_goes_on(app: Application) -> None:
    topic = app.settings.topic("raw.web")
    worker = app.worker(planted={"deaf": topic}).until_ready()
    app.sender.event("web", app.sender.residents(0, "unheard", 1)[0], "page_viewed", ago(HOUR))
    app.sender.flush()
    number = 0

    def complains() -> bool:
        nonlocal number
        number += 1  # the other inputs of the lane are busy all the time
        app.sender.event("store", app.sender.residents(0, "heard", 1)[0], "page_viewed", ago(HOUR) + number)
        app.sender.flush()
        return worker.page("/livez")[0] == 503

    until(complains, lambda: f"/livez fails\n{worker.tail()}", MEND_S)
    (complaint,) = said(worker, "/livez")[1]["complaints"]
    assert f"lane 0 has got nothing of {topic}" in complaint
    assert "1 records wait behind 0" in complaint
    assert worker.ended(MEND_S) == EXIT_CODE
    app.assert_right(app.worker().until_ready())


def test_a_lane_with_more_than_ready_lag_to_read_is_alive_and_not_ready(app: Application) -> None:
    app.write_settings(stuck_after_s=60.0)
    customer = app.sender.residents(1, "backlog", 1)[0]
    for number in range(51):
        app.sender.event("web", customer, "page_viewed", ago(HOUR) + number)
    app.sender.flush()
    worker = app.worker(planted={"stands": True})
    worker.until_waits("catching_up")
    until(lambda: worker.waits() == {"lane 1": "catching_up"}, "only the lane with the backlog", MEND_S)
    status, unready = said(worker, "/readyz")
    (wait,) = unready["waits"]
    assert (status, wait["lane"], wait["reason"]) == (503, 1, "catching_up")
    assert wait["detail"] == "51 records are left to read; ready_lag is 50"
    assert worker.live
    worker.kill()
    app.assert_right(app.worker().until_ready())


def test_redis_that_stops_under_an_idle_worker_is_noticed_and_what_it_lost_is_rebuilt(
    own_stack: Stack, tmp_path: Path
) -> None:
    with Application(own_stack, tmp_path, "idle-") as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        app.assert_right(worker)
        own_stack.kill_redis(signal.SIGTERM)
        until(lambda: worker.waits() == {"lane 0": "redis", "lane 1": "redis"}, "both lanes say redis", MEND_S)
        (lane, _) = said(worker, "/readyz")[1]["waits"]
        assert lane["detail"].startswith("redis: ")
        assert lane["seconds"] >= 0
        assert worker.live
        own_stack.start_redis()
        worker.until_ready(MEND_S)
        taken = len(worker.logged("lane.taken"))
        with redis_client(app.settings) as client:
            client.flushall()
        until(lambda: len(worker.logged("lane.taken")) == taken + 2, "the idle lanes are rebuilt", MEND_S)
        worker.until_ready(MEND_S)
        app.assert_right(worker)


def test_the_pages_tell_a_start_from_a_stop(own_stack: Stack, tmp_path: Path) -> None:
    with Application(own_stack, tmp_path, "start-") as app:
        own_stack.pause("kafka")
        worker = app.worker()
        until(lambda: said(worker, "/startupz")[1].get("waiting_for") == "kafka", "it waits for Kafka", MEND_S)
        assert said(worker, "/startupz")[0] == said(worker, "/readyz")[0] == 503
        assert worker.waits() == {"worker": "start"}
        holds_for(lambda: worker.live, "waiting for Kafka is no reason to be restarted", 1.0)
        own_stack.resume("kafka")
        worker.until_ready(MEND_S)
        assert said(worker, "/startupz")[0] == 200
