"""Every alert fires when it should, says nothing before, does not flicker, and clears."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.alerts.application import (
    WORKERS,
    always,
    between,
    counted,
    counting,
    gone,
    growing,
    healthy,
    named,
    of_lane,
    slow,
    standing,
    state,
    without,
)
from tests.alerts.promtool import ALERTS, MINUTE, RECORDING, SCRAPE_S, Course, check

A, B = WORKERS
FIRING = 'group by (alertname) (ALERTS{alertstate="firing"})'


@dataclass(frozen=True)
class Case:
    """What is changed of a healthy application, and exactly which alerts fire at each of these minutes.

    `steady`: an alert fires without a gap from its first minute to its last.
    """

    what: str
    series: dict[str, Course]
    firing: dict[float, set[str]]
    steady: dict[str, tuple[float, float]] = field(default_factory=dict)


def waiting(lane: str, reason: str, first: float, last: float) -> dict[str, Course]:
    """A lane that stands for a reason from minute `first` to minute `last`."""
    return {
        state(lane): between(first, last, gone, always(1)),
        state(lane, "waiting", reason): between(first, last, always(1), gone),
        of_lane("journey_lane_progress_timestamp_seconds", lane): standing(first, last),
    }


def now_and_then(first: float, last: float) -> Course:
    """Every other two minutes."""
    return between(first, last, lambda second: 1 if second // MINUTE // 2 % 2 == 0 else None, gone)


CASES = [
    Case("all is well", {}, {1: set(), 30: set(), 60: set()}),
    Case(
        "a deployment: each worker is gone for half a minute",
        without(A, first=10, last=10.5) | without(B, first=12, last=12.5),
        {10.4: set(), 11: set(), 13: set(), 20: set()},
    ),
    Case(
        "a backfill on the event clock, which promises nothing by the clock on the wall",
        {
            named("journey_lanes", instance=instance, clock=clock): always(2 * (clock == "event"))
            for instance in WORKERS
            for clock in ("live", "event")
        }
        | {of_lane("journey_lane_progress_timestamp_seconds", lane): always(-9e8) for lane in WORKERS.values()},
        {1: set(), 20: set()},
    ),
    Case(
        "all workers are gone",
        without(A, B, first=10, last=20),
        {
            10.5: set(),
            11.5: {"JourneyNoWorker"},
            13: {"JourneyNoWorker", "JourneyLaneUnowned", "JourneyWorkerDown"},
            20.5: set(),
        },
        {"JourneyNoWorker": (11.5, 19.5)},
    ),
    Case(
        "one worker is gone, and nobody takes its lane",
        without(A, first=10, last=20),
        {11: set(), 12.5: {"JourneyLaneUnowned", "JourneyWorkerDown"}, 20.5: set()},
        {"JourneyLaneUnowned": (12.5, 19.5), "JourneyWorkerDown": (12.5, 19.5)},
    ),
    Case(
        "a lane runs and does not get on",
        {of_lane("journey_lane_progress_timestamp_seconds", "0"): standing(10, 20)},
        {11: set(), 12.5: {"JourneyLaneStale"}, 22: {"JourneyLaneStale"}, 24: set()},
        {"JourneyLaneStale": (12.5, 22)},
    ),
    Case(
        "the breaker of a lane opens",
        waiting("0", "breaker", 10, 20) | {of_lane("journey_breaker_open", "0"): between(10, 20, always(1), always(0))},
        {
            9: set(),
            10.5: {"JourneyBreakerOpen"},
            13: {"JourneyBreakerOpen", "JourneyLaneStale"},
            24: {"JourneyBreakerOpen"},
            26: set(),
        },
        {"JourneyBreakerOpen": (10.5, 24.5)},
    ),
    Case(
        "retention takes unread input",
        waiting("1", "retention", 10, 20),
        {
            10.5: set(),
            11.5: {"JourneyInputLost"},
            13: {"JourneyInputLost", "JourneyLaneStale"},
            24: {"JourneyInputLost"},
            26: set(),
        },
        {"JourneyInputLost": (11.5, 24.5)},
    ),
    Case(
        "an event is read and has no outcome",
        {of_lane("journey_events_total", "0", channel="web", outcome="folded"): lambda s: 10 * s - (600 <= s < 1200)},
        {9: set(), 11: set(), 12.5: {"JourneyCountsDisagree"}, 20.5: set()},
        {"JourneyCountsDisagree": (12.5, 19.5)},
    ),
    Case(
        "Redis is away",
        waiting("0", "redis", 10, 20) | waiting("1", "redis", 10, 20),
        {10.5: set(), 11.5: {"JourneyRedisAway"}, 13: {"JourneyRedisAway", "JourneyLaneStale"}, 26: set()},
        {"JourneyRedisAway": (11.5, 24)},
    ),
    Case(
        "Redis and Kafka each drop every connection once",
        {
            # Seen every 45 s: whatever the moment, a window of two minutes has samples of 90 s, as it has of less than
            # the whole wherever scrapes and rules have not one beat.
            of_lane("journey_lane_doubts_total", lane, reason=reason): lambda s: None if s % 45 else 5.0 + (s >= 600)
            for lane in ("0", "1")
            for reason in ("redis", "kafka")
        },
        {10.5: set(), 11.25: set(), 11.75: set(), 12.5: set()},
    ),
    Case(
        "Redis hangs: its lanes are seen at every take, and seldom in doubt",
        {
            state("0"): between(10, 20, gone, always(1)),
            state("0", "taking", "replaying"): between(10, 20, always(1), gone),
            of_lane("journey_lane_doubts_total", "0", reason="redis"): counting(10, 20, 0.03),
            of_lane("journey_lane_progress_timestamp_seconds", "0"): standing(10, 20),
        },
        {10.5: set(), 13: {"JourneyRedisAway", "JourneyLaneStale"}, 44: set()},
        {"JourneyRedisAway": (13, 26)},
    ),
    Case(
        "Redis comes and goes",
        {state("0", "waiting", "redis"): now_and_then(8, 28)},
        {8.5: set(), 10: {"JourneyRedisAway"}, 30: {"JourneyRedisAway"}, 33: set()},
        {"JourneyRedisAway": (10, 30)},
    ),
    Case(
        "Kafka is away",
        waiting("0", "kafka", 10, 20) | waiting("1", "membership", 10, 20),
        {10.5: set(), 11.5: {"JourneyKafkaAway"}, 13: {"JourneyKafkaAway", "JourneyLaneStale"}, 26: set()},
        {"JourneyKafkaAway": (11.5, 24)},
    ),
    Case(
        "a worker ends and is started again every two minutes",
        {named("process_start_time_seconds", instance=A): lambda s: 1000 + min(max(0, s - 600) // 120 * 120, 1200)},
        {10: set(), 13: set(), 18: {"JourneyWorkerRestarts"}, 30: {"JourneyWorkerRestarts"}, 60: set()},
        {"JourneyWorkerRestarts": (18, 45)},
    ),
    Case(
        "the clock of a worker's machine is slow",
        {named("journey_clock_offset_seconds", instance=A): between(10, 20, always(-3), always(-0.2))},
        {10: set(), 14: set(), 16: {"JourneyClockSkewed"}, 26: set()},
        {"JourneyClockSkewed": (16, 24)},
    ),
    Case(
        "a clock is put right after a moment",
        {named("journey_clock_offset_seconds", instance=A): between(10, 12, always(30), always(0))},
        {11: set(), 13: set(), 16: set()},
    ),
    Case(
        "Redis is emptied",
        {named("journey_table_failures_total", instance=A, failure="lost"): lambda s: float(s >= 600)},
        {9: set(), 11: {"JourneyRedisLost"}, 38: set()},
        {"JourneyRedisLost": (11, 34)},
    ),
    Case(
        "half of what a lane reads is a robot's",
        {of_lane("journey_lane_hottest_identity_ratio", "0"): between(10, 30, always(0.5), always(0))},
        {10: set(), 14: set(), 16: {"JourneyHotIdentity"}, 41: set()},
        {"JourneyHotIdentity": (16, 39)},
    ),
    Case(
        "half of what a lane reads at night is one customer's",
        {
            of_lane("journey_lane_hottest_identity_ratio", "0"): between(10, 30, always(0.5), always(0)),
            of_lane("journey_events_read_total", "0", channel="web"): growing(0.1),
            of_lane("journey_events_total", "0", channel="web", outcome="folded"): growing(0.1),
        },
        {10: set(), 26: set(), 30: set()},
    ),
    Case(
        "a lane is rebuilt for a quarter of an hour",
        {
            state("0"): between(10, 25, gone, always(1)),
            state("0", "taking", "replaying"): between(10, 25, always(1), gone),
        },
        {19: set(), 20.5: {"JourneyLaneReplaying"}, 28: set()},
        {"JourneyLaneReplaying": (20.5, 26)},
    ),
    Case(
        "a sender leaves a transaction open",
        {
            of_lane("journey_lane_progress_timestamp_seconds", "0"): standing(10, 20),
            of_lane("journey_lane_lag_records", "0", topic="raw.web"): between(10, 20, growing(1), always(0)),
        },
        {11: set(), 12.5: {"JourneyInputBlocked", "JourneyLaneStale"}, 24: set()},
        {"JourneyInputBlocked": (12.5, 21)},
    ),
    Case(
        "another application fences a lane",
        {of_lane("journey_lane_doubts_total", "0", reason="fenced"): counting(10, 15, 0.02)},
        {10: set(), 14: {"JourneyLaneFenced"}, 20: {"JourneyLaneFenced"}, 40: set()},
        {"JourneyLaneFenced": (14, 25)},
    ),
    Case(
        "a lane doubts again and again",
        {of_lane("journey_lane_doubts_total", "0", reason="kafka"): counting(10, 15, 0.1)},
        {10: set(), 14: {"JourneyLaneUnsteady", "JourneyKafkaAway"}, 25: {"JourneyLaneUnsteady"}, 45: set()},
        {"JourneyLaneUnsteady": (14, 30)},
    ),
    Case(
        "the group rebalances again and again",
        {named("journey_rebalances_total", instance=A): lambda s: 1 + min(max(0, s - 600) // 30, 10)},
        {10: set(), 15: {"JourneyRebalancing"}, 25: {"JourneyRebalancing"}, 45: set()},
        {"JourneyRebalancing": (15, 30)},
    ),
    Case(
        "more comes in than is folded",
        {
            of_lane("journey_lane_progress_timestamp_seconds", "0"): between(10, 40, growing(1, -45), growing(1, -1)),
            of_lane("journey_lane_lag_records", "0", topic="raw.web"): between(10, 40, growing(5), always(0)),
            of_lane("journey_lane_readable_lag_records", "0", topic="raw.web"): between(10, 40, growing(5), always(0)),
        },
        {19: set(), 21: {"JourneyLagGrows"}, 39: {"JourneyLagGrows"}, 46: set()},
        {"JourneyLagGrows": (21, 44)},
    ),
    Case(
        "a loop hangs",
        slow("journey_loop_delay_seconds", 10, 20),
        {10: set(), 13: set(), 16: {"JourneyLoopBlocked"}, 31: set()},
        {"JourneyLoopBlocked": (16, 28)},
    ),
    Case(
        "Kafka is slow",
        slow("journey_transaction_seconds", 10, 20),
        {10: set(), 13: set(), 16: {"JourneyKafkaSlow"}, 31: set()},
        {"JourneyKafkaSlow": (16, 28)},
    ),
    Case(
        "Redis is slow",
        slow("journey_table_apply_seconds", 10, 20),
        {10: set(), 13: set(), 16: {"JourneyRedisSlow"}, 31: set()},
        {"JourneyRedisSlow": (16, 28)},
    ),
    Case(
        "the fold fails on one event",
        {of_lane("journey_dead_letters_total", "0", reason="fold_error"): lambda s: float(s >= 600)},
        {9: set(), 11: {"JourneyFoldFails"}, 42: set()},
        {"JourneyFoldFails": (11, 36)},
    ),
    Case(
        "the timers of one customer fail",
        {of_lane("journey_timers_parked_total", "1"): lambda s: float(s >= 600)},
        {9: set(), 11: {"JourneyTimersParked"}, 42: set()},
        {"JourneyTimersParked": (11, 36)},
    ),
    Case(
        "a sender sends rubbish",
        {of_lane("journey_dead_letters_total", "0", reason="not_json"): counting(10, 30, 1)},
        {10: set(), 12: set(), 20: {"JourneyDeadLetters"}, 60: set()},
        {"JourneyDeadLetters": (20, 50)},
    ),
    Case(
        "a channel delivers days late",
        {
            of_lane("journey_events_total", "0", channel="web", outcome="folded"): lambda s: (
                10 * s - counted(s, 10, 40, 2)
            ),
            of_lane("journey_events_total", "0", channel="web", outcome="late"): counting(10, 40, 2),
        },
        {10: set(), 20: set(), 40: {"JourneyEventsLate"}, 120: set()},
        {"JourneyEventsLate": (40, 100)},
    ),
    Case(
        "somebody replays last year into the live topics",
        {of_lane("journey_old_events_total", "0"): counting(10, 20, 5)},
        {10: set(), 12: {"JourneyOldEvents"}, 20: {"JourneyOldEvents"}, 60: set()},
        {"JourneyOldEvents": (12, 40)},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what.replace(" ", "-"))
def test_it_is_told_and_clears(case: Case, tmp_path: Path) -> None:
    expected = {
        (minute, FIRING): {f'{{alertname="{alert}"}}': 1.0 for alert in alerts}
        for minute, alerts in case.firing.items()
    }
    for alert, (first, last) in case.steady.items():
        seconds = round((last - first) * MINUTE)
        fired = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
        expected[last, f"max(count_over_time({fired}[{seconds}s]))"] = {"{}": seconds / SCRAPE_S + 1}
    check(tmp_path, [RECORDING, ALERTS], healthy() | case.series, expected, round(max(case.firing)) + 1)


def test_every_alert_is_seen_to_fire_and_to_clear() -> None:
    told = {
        alert
        for case in CASES
        for minute, alerts in case.firing.items()
        for alert in alerts
        if any(later > minute and alert not in then for later, then in case.firing.items())
    }
    groups = YAML(typ="safe").load(ALERTS)["groups"]
    assert told == {rule["alert"] for group in groups for rule in group["rules"]}
