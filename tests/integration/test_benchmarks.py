"""The benchmark runs from end to end. What it measures here is of no interest."""

from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from tests.benchmarks import common_work, cost, growth, hot
from tests.benchmarks.systems.worker import Worker

pytestmark = pytest.mark.timeout(300)


def test_the_worker_is_measured_and_judged(stack: Stack, tmp_path: Path) -> None:
    work = cost.make_work(common_work.events(3_000, 300))
    (found,) = cost.rounds(stack, [Worker()], work, 1, tmp_path, print)
    assert (found.events, found.customers, found.lanes, found.correct) == (3_000, 300, 4, True)
    assert found.transitions == len(work.wanted) > 500
    assert found.worker_us > 0
    assert found.events_per_transaction


def test_a_lost_table_is_rebuilt_and_measured(stack: Stack, tmp_path: Path) -> None:
    found = growth.measure_rebuild(stack, growth.Size(500, 500), tmp_path, print)
    assert found.profiles == 500
    assert found.profiles_per_second > 0


def test_a_kiosk_is_hot_and_the_others_are_judged(stack: Stack, tmp_path: Path) -> None:
    found = hot.measure(
        stack, "kiosk", hot.Course(rate=200, lanes=2, warm_s=1, seconds=3, claims=50), tmp_path, 0, print
    )
    assert (found.heat, found.before, found.lanes) == ("kiosk", 50, 2)
    assert found.transitions > 50
    assert 0 < found.commit_p50_ms <= found.commit_p99_ms
