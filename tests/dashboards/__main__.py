"""`python -m tests.dashboards` writes deploy/grafana/dashboards; with `preview` it draws them from a live pipeline."""

import sys
from pathlib import Path
from typing import Final

from tests.dashboards.boards import BOARDS
from tests.dashboards.grafana import written

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"

if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            for board in BOARDS:
                (FOLDER / f"{board.uid}.json").write_text(written(board))
        case ["preview"]:
            from tests.dashboards.preview import draw_all

            draw_all()
        case _:
            sys.exit(__doc__)
