"""The points that `journey capacity` reckons with are measured from end to end, and a running worker is looked at."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.adapters.metrics_pages import look, page
from pipeline.application.capacity import Kept, Load, Measured, need
from pipeline.application.capacity_observed import rate
from pipeline.cli.main import app
from pipeline.dev.simulator import BEGINNING, SEED
from pipeline.dev.stack import Stack
from pipeline.dev.traffic import Delivery, traffic
from tests.benchmarks.capacity import Course, Rates, Size, measure
from tests.benchmarks.simulated import Working, send, working

pytestmark = pytest.mark.timeout(400)

KEPT = Kept(feeds_s=86_400, inputs_s=86_400, segment_bytes=2**27, segment_s=86_400, dirty_ratio=0.3)


def test_a_small_measurement_is_in_order_and_can_be_reckoned_with(stack: Stack, tmp_path: Path) -> None:
    course = Course(
        full=(Size(50, 2_000, 2, lanes=2), Size(50, 2_000, 2, lanes=2, cache_profiles=10)),
        steady=(Rates(50, 2, 2, (100,), 2),),
    )
    measured = measure(stack, course, tmp_path, print)
    roomy, crowded = measured.full
    for point in measured.full:
        assert point.events == 1_600
        assert point.identities >= point.customers >= 50
        assert 0 <= point.misses <= point.lookups
        assert point.rebuild_records >= point.identities
        assert 100 < point.input_bytes < 1_000
        assert point.changelog_bytes > point.profile_bytes / 10
        assert point.redis_bytes > point.profile_bytes
        assert point.record_bytes > 50
        assert point.feed_bytes > 0
    assert crowded.misses > roomy.misses
    idle, busy = measured.steady
    assert (idle.events_per_second, idle.transactions_per_second) == (0, 0)
    assert busy.transactions_per_second > 0
    assert idle.changelog_bytes_per_second < busy.changelog_bytes_per_second
    assert busy.events_per_second > 0
    found = need(Measured([roomy], measured.steady), Load(busy.events_per_second, 50, 2, KEPT, lanes=2))
    assert found.workers >= 1
    assert found.changelog_gb_a_day == pytest.approx(busy.changelog_bytes_per_second * 86_400 / 1e9, rel=0.01)


def test_what_a_worker_did_is_seen_on_its_page(stack: Stack, tmp_path: Path) -> None:
    deliveries = made(3_000)
    with working(stack, "seen-", {"partitions": 2}, deliveries[:1_000], tmp_path) as worker:
        worker.wait(1_000)
        url = page(f"127.0.0.1:{worker.settings.http_port}")
        before = look(url)
        asyncio.run(send(worker.settings, deliveries[1_000:]))
        worker.wait(3_000)
        after = look(url)
    assert (before.events, after.events) == (1_000, 3_000)
    assert (after.lanes, after.all_lanes) == ((0, 1), 2)
    found = rate(before, after)
    assert found.events_per_second == pytest.approx(2_000 / (after.at_s - before.at_s))
    assert found.transactions_per_second > 0
    assert 0 < found.cores < 8
    assert found.mb > 50


def test_the_command_says_how_much_more_a_running_worker_can_take(stack: Stack, tmp_path: Path) -> None:
    with (
        working(stack, "room-", {"partitions": 2}, made(500), tmp_path) as worker,
        sending(worker, made(200_000)[500:]),
    ):
        worker.wait(600)
        address = f"127.0.0.1:{worker.settings.http_port}"
        done = CliRunner().invoke(app, ["capacity", "--observed", "--page", address, "--over", "5s", "--json"])
        assert done.exit_code == 0, done.output
        said = json.loads(done.stdout)
        told = CliRunner().invoke(app, ["capacity", "--observed", "--page", address, "--over", "5s"])
    (seen,) = said["workers"].values()
    assert seen["lanes"] == 2
    assert said["lanes_not_seen"] == 0
    assert said["room"]["about"] >= said["room"]["at_least"] > 0
    assert "they could take" in told.stdout
    assert "1 core " in told.stdout


def made(count: int) -> Sequence[Delivery]:
    return list(islice(traffic(SEED, BEGINNING, 100), count))


@contextmanager
def sending(worker: Working, deliveries: Sequence[Delivery]) -> Iterator[None]:
    """Sends some events after the others for as long as the block runs."""
    enough = threading.Event()

    def send_on() -> None:
        for first in range(0, len(deliveries), 100):
            if enough.is_set():
                break
            asyncio.run(send(worker.settings, deliveries[first : first + 100]))

    thread = threading.Thread(target=send_on)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
