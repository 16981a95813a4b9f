import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.application.ports import LaneReport
from pipeline.worker.health import Health, patience


def report(state: str, reason: str = "", partition: int = 2, queued: int = 0) -> LaneReport:
    return LaneReport(partition, 1, state, reason, "", 0.0, 7.0, queued, {"raw.web": 5}, "", None)


def attached(
    *reports: LaneReport,
    flowing: bool = True,
    split: Any = None,
    complaints: Any = (),
    started: bool = True,
    silent: bool = False,
) -> Health:
    health = Health()
    flow = asyncio.Event()
    if flowing:
        flow.set()
    consumer: Any = SimpleNamespace(flowing=flow, split=split or {}, thread_beat=SimpleNamespace(at=3.0))
    lanes: Any = SimpleNamespace(reports=lambda: list(reports))
    lag: Any = SimpleNamespace(of=lambda partition: 10 * partition, unanswered=silent)
    watchdog: Any = SimpleNamespace(complaints=complaints)
    health.attach(consumer, lanes, lag, watchdog)
    health.started, health.waiting_for = started, "" if started else "kafka"
    return health


def test_before_anything_is_there_it_is_alive_and_waits() -> None:
    health = Health()
    assert health.livez()[0]
    assert health.startupz() == (False, {"waiting_for": "start"})
    assert health.readyz() == (False, {"waits": {"worker": "start"}})
    assert health.status()[1]["lanes"] == []


@pytest.mark.parametrize(
    ("health", "waits"),
    [
        (lambda: attached(report("running")), {}),
        (lambda: attached(report("waiting")), {}),
        (attached, {}),
        (lambda: attached(report("waiting", "redis")), {"lane 2": "redis"}),
        (lambda: attached(report("running", "breaker")), {"lane 2": "breaker"}),
        (lambda: attached(report("taking", "replaying")), {"lane 2": "replaying"}),
        (lambda: attached(report("new")), {"lane 2": "new"}),
        (lambda: attached(flowing=False), {"worker": "rebalance"}),
        (lambda: attached(silent=True), {"worker": "kafka"}),
        (lambda: attached(started=False), {"worker": "kafka"}),
        (lambda: attached(split={4: {"b", "a"}}), {"lane 4": "inputs of other workers: a, b"}),
    ],
)
def test_ready_when_in_the_group_and_every_lane_works(health: Any, waits: dict[str, str]) -> None:
    assert health().readyz() == (not waits, {"waits": waits})


def test_alive_as_long_as_the_watchdog_has_nothing_to_say() -> None:
    assert attached(report("waiting", "redis")).livez() == (True, {"complaints": []})
    assert attached(complaints=["lane 1 …"]).livez() == (False, {"complaints": ["lane 1 …"]})


def test_status_shows_every_lane_with_its_lag() -> None:
    alive, told = attached(report("running", queued=3), report("running", partition=4)).status()
    assert alive
    assert [(lane["partition"], lane["queued"], lane["lag"]) for lane in told["lanes"]] == [(2, 3, 20), (4, 0, 40)]


def test_the_watchdog_sees_loops_and_work() -> None:
    sight = attached(report("running", queued=3)).look()
    assert [name for name, _ in sight.beats] == ["main", "consumer"]
    assert (sight.lanes[0].work, sight.lanes[0].moved, sight.flowing) == (23, 7.0, True)


def test_patience_follows_the_setting() -> None:
    assert (patience(60).lane_s, patience(60).loop_s, patience(60).group_s) == (60, 30, 300)
    assert patience(600).loop_s == 300
