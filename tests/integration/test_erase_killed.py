"""Workers that die between the lanes' steps of an erasure: it is done in the end, all of it, and once."""

import json
import signal
from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from pipeline.worker.failpoints import FAILPOINTS
from tests.harness import reading
from tests.harness.application import HOUR, Application, ago

pytestmark = pytest.mark.timeout(400)

WAIT_S = 60.0
BROWSERS = [f"anonymous:b-{number}" for number in range(6)]


def test_it_is_done_once_whoever_dies(stack: Stack, tmp_path: Path) -> None:
    with Application(stack, tmp_path, "killed-") as app:
        first = app.worker()
        first.until_ready(WAIT_S)
        for number, browser in enumerate(BROWSERS):
            identities = {"anonymous": browser.partition(":")[2]}
            app.sender.event("web", "4711", "page_viewed", ago(6 * HOUR) + number, identities=identities)
        app.sender.event("web", "4712", "page_viewed", ago(6 * HOUR))
        app.until_accounted(WAIT_S)
        app.until_at_rest(WAIT_S)
        first.stop()
        ordered = app.command("erase", "4711", "--reason", "a test", "--wait", "0.1", within_s=WAIT_S)
        assert ordered.returncode == 1
        assert "the lanes have not done it within" in ordered.stderr

        # Committed, and Redis knows nothing; then all of the next step is produced, and its transaction is open.
        for name, point in (("two", "commit.answered=kill"), ("three", "commit.produced=kill")):
            worker = app.worker(name, environment={FAILPOINTS: point})
            assert worker.ended(WAIT_S) == -signal.SIGKILL, worker.tail()
        app.worker("four").until_ready(WAIT_S)
        app.until_at_rest(WAIT_S)

        verified = app.command("erase", "4711", "--verify", "--json", within_s=WAIT_S)
        searched = json.loads(verified.stdout)
        assert (verified.returncode, searched["rests"]) == (0, [])
        assert sorted(searched["identities"]) == sorted(["c:4711", *BROWSERS])
        assert sum(record.erased for record in reading.lane_records(app.settings).values()) == 1 + len(BROWSERS)
        checked = app.command("check", "--json", within_s=WAIT_S)
        assert (checked.returncode, json.loads(checked.stdout)["findings"]) == (0, {}), checked.stdout
