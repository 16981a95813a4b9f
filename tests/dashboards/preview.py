"""The dashboards' own queries, drawn from a live pipeline: `make dashboards-preview`."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pipeline.dev.slo_rules import EVERY_S
from pipeline.dev.stack import Stack
from tests.dashboards.boards import BOARDS
from tests.dashboards.drawing import board_chart, svg
from tests.dashboards.live import Live, live

PICTURES: Final = Path(__file__).parents[2] / "docs" / "dashboards"
STEP_S: Final = 3
MISHAPS: Final = ((50, "redis is lost"), (90, "a worker stops"), (105, "it comes back"), (150, "the end"))
"""What happens after how many seconds."""


def draw_all() -> None:
    """Writes a picture a dashboard into docs/dashboards, after some minutes."""
    with TemporaryDirectory() as folder, Stack() as stack, live(stack, Path(folder), EVERY_S) as running:
        _live_through(running)
        end = time.time()
        PICTURES.mkdir(exist_ok=True)
        for board in BOARDS:
            found = {panel.title: running.shown(panel, end, STEP_S) for panel in board.panels}
            chart = board_chart(board, found, running.began, end, STEP_S)
            (PICTURES / f"{board.uid}.svg").write_text(svg(chart))


def _live_through(running: Live) -> None:
    """Steady traffic with a few mishaps."""
    second = running.app.workers["worker-2"]
    for until_s, mishap in MISHAPS:
        while time.time() < running.began + until_s:
            running.send(12)
            time.sleep(0.2)
        match mishap:
            case "redis is lost":
                running.lose_redis()
            case "a worker stops":
                second.stop()
            case "it comes back":
                second.start()
