"""How a worker ends: by itself when it stands, in good order when it is told to."""

from pathlib import Path

from pipeline.dev.stack import Stack
from tests.harness.application import HOUR, Application, ago, some_traffic
from tests.harness.waiting import until
from tests.integration.failures.common import MEND_S, STOP_S


def test_a_lane_that_stands_without_a_reason_ends_the_process(stack: Stack, tmp_path: Path, prefix: str) -> None:
    with Application(stack, tmp_path, prefix, stuck_after_s=3.0) as app:
        worker = app.worker(planted={"stands": True}).until_ready()
        some_traffic(app, "stuck")
        until(lambda: worker.page("/livez")[0] == 503, "/livez fails", MEND_S)
        assert "has not moved for" in worker.page("/livez")[1].decode()
        assert worker.ended(MEND_S) not in {0, 2}
        assert "records to do" in str(worker.until_logged("worker.stuck")["why"])
        app.assert_right(app.worker().until_ready())


def test_sigterm_finishes_what_is_in_flight(stack: Stack, tmp_path: Path, prefix: str) -> None:
    with Application(stack, tmp_path, prefix, max_batch_events=200) as app:
        for round_ in (1, 2):
            worker = app.worker().until_ready()
            for number in range(10_000 * (round_ - 1), 10_000 * round_):
                app.sender.event("web", f"c{number % 500}", "page_viewed", ago(HOUR) + number, partition=number % 2)
            app.sender.flush()
            app.until_at_work(app.accounted(), MEND_S)
            assert worker.stop(STOP_S) == 0
            assert worker.logged("worker.stop") == [], "not in good order"
            assert app.accounted() < len(app.sender.ledger), "it was in the middle"
        app.assert_right(app.worker().until_ready())
