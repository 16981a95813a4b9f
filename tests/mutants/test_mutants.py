"""Each planted bug is seen by a quick checker, and none complains where there is no bug. `make mutants` asks them all.

In a process of its own, which runs the sources uncompiled.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.registry import mutants

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REQUIRED = {
    "position kept apart from the state": "the_position_is_kept_apart_from_the_state",
    "Redis applied before the commit": "redis_is_written_before_the_commit",
    "compare-and-set off": "the_table_is_written_without_a_guard",
    "cache not rolled back after an abort": "what_is_cached_outlives_a_doubt",
    "evicted dirty key": "a_changed_profile_is_evicted_before_it_is_written",
    "commit retried in the same epoch": "a_commit_in_doubt_is_tried_again",
    "replay to the last stable offset only": "the_changelog_is_read_to_its_stable_end_before_the_fence",
    "timer fired twice": "a_timer_fires_twice",
    "watermark without remote lanes": "only_the_lanes_of_the_own_worker_count",
    "late event folded": "a_late_event_is_folded",
    "duplicate counted": "a_duplicate_is_counted",
    "hole in the positions not seen": "holes_in_the_positions_are_not_seen",
    "rebuild renamed without a count": "a_rebuilt_table_is_not_counted",
    "committed over a failed batch": "a_failed_batch_is_committed_over",
    "inputs read uncommitted": "inputs_are_read_uncommitted",
    "routed outside of the transaction": "routed_records_are_sent_outside_of_the_transaction",
    "totals not in the lane record": "the_totals_are_not_in_the_lane_record",
    "base moved by a copy of the head": "the_base_moves_by_a_copy_of_the_head",
    "carried over twice": "customers_are_carried_over_twice",
    "not carried over": "nobody_is_swept",
    "some lanes only": "a_lane_misses_the_decision",
}
"""What the guarantees stand on, and the bug that takes it away."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    file = tmp_path_factory.mktemp("mutants") / "report.json"
    command = [sys.executable, "-m", "tests.mutants", "--quick", "--report", str(file)]
    environment = {**os.environ, "JOURNEY_PURE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert file.exists(), done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


def test_what_the_guarantees_stand_on_can_be_taken_away() -> None:
    assert set(REQUIRED.values()) <= mutants().keys()


def test_every_planted_bug_is_seen_by_somebody(report: list[dict[str, Any]]) -> None:
    planted = [each for each in report if each["bug"] is not None]
    assert {each["bug"] for each in planted} == mutants().keys()
    assert [each["bug"] for each in planted if not each["right"]] == []


def test_nobody_complains_where_there_is_no_bug(report: list[dict[str, Any]]) -> None:
    control = [each for each in report if each["bug"] is None]
    looks = {sighting["catcher"] for each in control for sighting in each["sightings"]}
    assert looks == {"cases", "property", "simulation"}
    assert [each["sightings"] for each in control if not each["right"]] == []
