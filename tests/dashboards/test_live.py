"""Every query of every dashboard, asked of a real Prometheus that scrapes a live pipeline."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from pipeline.dev.stack import Stack
from tests.alerts.promtool import tool
from tests.dashboards.boards import BOARDS
from tests.dashboards.grafana import labels_of
from tests.dashboards.live import WORKERS, Live, live
from tests.dashboards.model import Board, Panel
from tests.harness.waiting import until

PANELS = [(board, panel) for board in BOARDS for panel in board.panels]
MOST_SERIES = 40
"""More lines in one picture tell nobody anything."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A pipeline that has been through a loss of Redis and shows something on every panel."""
    with Stack() as stack, live(stack, tmp_path_factory.mktemp("live")) as running:
        running.send(400)
        until(lambda: running.app.accounted() > 200, "events are folded")
        for worker in WORKERS:  # what goes wrong must rise from a zero that was seen
            seen = f'journey_lane_doubts_total{{instance="{worker}"}}'
            until(lambda seen=seen: running.prometheus.at(seen, time.time()), f"a scrape of {worker}")  # type: ignore[misc]
        running.lose_redis()

        def silent() -> list[str]:
            running.send(40)
            now = time.time()
            return [
                f"{board.uid}: {panel.title}: {query.expr}"
                for board, panel in PANELS
                for query, series in running.shown(panel, now)
                if not series
            ]

        missing: list[str] = []

        def all_show() -> bool:
            missing[:] = silent()
            return not missing

        until(all_show, lambda: "data for\n" + "\n".join(missing), 120)
        yield running


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda part: getattr(part, "uid", getattr(part, "title", "")))
def test_a_panel_shows_data_in_its_unit_under_names_that_are_there(running: Live, board: Board, panel: Panel) -> None:
    for query, series in running.shown(panel, time.time()):
        assert 0 < len(series) <= MOST_SERIES, query.expr
        for one in series:
            assert labels_of(query.legend) <= one.labels.keys(), f"{query.legend} of {one.labels}"
            values = [value for _, value in one.points]
            assert min(values) >= 0 or "budget" in query.expr, query.expr
            assert max(values) < {"s": 86_400, "percentunit": 1.5}.get(panel.unit, float("inf")), query.expr
            if panel.unit == "bytes" and "memory" in query.expr:
                assert max(values) > 1 << 20
        legends = {tuple(one.labels.get(label) for label in sorted(labels_of(query.legend))) for one in series}
        assert len(legends) == len(series), f"two series are both called {query.legend}"


def test_prometheus_finds_nothing_to_say_about_a_live_scrape(running: Live) -> None:
    _, page = running.app.workers[WORKERS[0]].page("/metrics")
    command = [tool("promtool", "prometheus"), "check", "metrics"]
    done = subprocess.run(command, input=page, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")


def test_a_planted_mistake_shows_nothing(running: Live) -> None:
    """The check above would see a renamed metric."""
    now = time.time()
    assert running.prometheus.range('rate(journey_events_red_total{job="journey"}[10s])', running.began, now, 1) == []
    with pytest.raises(AssertionError, match="parse error"):
        running.prometheus.at("sum(", now)
