import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.application.ports import LaneReport
from pipeline.worker.health import Health, patience
from pipeline.worker.watchdog import InputSight

READY_LAG = 100


def report(
    state: str, reason: str = "", partition: int = 2, queued: int = 0, empty: tuple[str, ...] = ("raw.web",)
) -> LaneReport:
    return LaneReport(
        partition, 1, state, reason, "more of it", 0.0, 7.0, queued, {"raw.web": 5, "raw.store": 8}, "", None, empty
    )


def attached(
    *reports: LaneReport,
    flowing: bool = True,
    split: Any = None,
    complaints: Any = (),
    started: bool = True,
    silent: bool = False,
    lag: Any = None,
) -> Health:
    health = Health(READY_LAG)
    flow = asyncio.Event()
    if flowing:
        flow.set()
    consumer: Any = SimpleNamespace(flowing=flow, split=split or {}, thread_beat=SimpleNamespace(at=3.0))
    lanes: Any = SimpleNamespace(reports=lambda: list(reports))
    lags = {each.partition: 10 * each.partition for each in reports} if lag is None else lag
    behind = {("raw.web", partition): left for partition, left in lags.items()}
    look: Any = SimpleNamespace(by_lane=lambda: lags, all=lambda: behind, unanswered=silent)
    watchdog: Any = SimpleNamespace(complaints=complaints)
    health.attach(consumer, lanes, look, watchdog)
    health.started, health.waiting_for = started, "" if started else "kafka"
    return health


def test_before_anything_is_there_it_is_alive_and_waits() -> None:
    health = Health(READY_LAG)
    assert health.livez()[0]
    assert health.startupz() == (False, {"waiting_for": "start"})
    assert health.readyz() == (
        False,
        {"waits": [{"lane": None, "reason": "start", "detail": "start", "seconds": None}]},
    )
    assert health.status()[1]["lanes"] == []


@pytest.mark.parametrize(
    ("health", "waits"),
    [
        (lambda: attached(report("running")), []),
        (lambda: attached(report("waiting")), []),
        (attached, []),
        (lambda: attached(report("waiting", "redis")), [(2, "redis", "more of it")]),
        (lambda: attached(report("running", "breaker")), [(2, "breaker", "more of it")]),
        (lambda: attached(report("taking", "replaying")), [(2, "replaying", "more of it")]),
        (lambda: attached(report("new")), [(2, "new", "more of it")]),
        (lambda: attached(report("running"), lag={2: 100}), []),
        (
            lambda: attached(report("running"), lag={2: 101}),
            [(2, "catching_up", "101 records are left to read; ready_lag is 100")],
        ),
        (
            lambda: attached(report("running"), lag={}),
            [(2, "catching_up", "how much is left to read is not known yet")],
        ),
        (lambda: attached(report("waiting", "redis"), lag={2: 101}), [(2, "redis", "more of it")]),
        (lambda: attached(flowing=False), [(None, "rebalance", "the consumer group is being put together")]),
        (lambda: attached(silent=True), [(None, "kafka", "no answer about the ends of the inputs")]),
        (lambda: attached(started=False), [(None, "start", "kafka")]),
        (lambda: attached(split={4: {"b", "a"}}), [(4, "split", "inputs of other workers: a, b")]),
    ],
)
def test_ready_when_in_the_group_and_every_lane_works(health: Any, waits: list[tuple[Any, ...]]) -> None:
    ready, said = health().readyz()
    assert ready == (not waits)
    assert [(each["lane"], each["reason"], each["detail"]) for each in said["waits"]] == waits


def test_says_for_how_long_a_lane_has_waited() -> None:
    _, said = attached(report("waiting", "redis")).readyz()
    assert said["waits"][0]["seconds"] == pytest.approx(time.monotonic(), abs=60)


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
    assert list(sight.lanes[0].inputs) == [InputSight("raw.web", 5, 20)], "what is in memory is fetched"


def test_before_the_start_the_consumers_loop_is_not_missed() -> None:
    assert [name for name, _ in attached(started=False).look().beats] == ["main"]


def test_patience_follows_the_setting() -> None:
    assert (patience(60).lane_s, patience(60).loop_s, patience(60).group_s) == (60, 30, 300)
    assert patience(600).loop_s == 300
