"""A short run of chaos: the parts hurt one by one and two at once under traffic, then all is judged."""

from pathlib import Path

import pytest

from tests.chaos.run import Chaos, Plan

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(480)]

FAULTS = ("worker killed", "worker stopped", "broker stands", "Redis put back")


def test_a_pipeline_that_is_hurt_everywhere_loses_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chaos = Chaos(Plan(seed=5, seconds=300, rate=200, faults=FAULTS, most=len(FAULTS), preloaded=True), tmp_path)
    report = chaos.run()
    assert report.right, {kind: found[:5] for kind, found in report.wrong.items() if found}
    assert report.counts["faults"] == len(FAULTS)
    assert {"workers killed", "Redis killed"} <= report.counts.keys()
    assert min(report.events.values()) > 0, "it had events of every kind to survive"
    assert report.published["signals"] > 0
    assert report.compared > 1_000
    with capsys.disabled():
        print(f"\n{report.counts} {report.events} {report.published} in {report.seconds:.0f} s")
