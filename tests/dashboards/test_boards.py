"""The dashboards in deploy/grafana: fresh, complete, and made of what there is."""

import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.alerts.promql import mistakes, names
from tests.alerts.promtool import DEPLOY
from tests.alerts.test_rules import DASHBOARDS, KNOWN
from tests.dashboards.__main__ import FOLDER
from tests.dashboards.boards import BOARDS
from tests.dashboards.grafana import panels, written
from tests.dashboards.model import Board, Panel, filled

OF_ALERTS = dict.fromkeys(("alertname", "alertstate", "severity", "job"), ())
OF_A_PROCESS = dict.fromkeys(("job", "instance"), ())
THERE = KNOWN | {
    "ALERTS": OF_ALERTS,
    "process_cpu_seconds_total": OF_A_PROCESS,
    "process_resident_memory_bytes": OF_A_PROCESS,
}
VARIABLES = {"job": "journey", "lane": ".*", "journey": ".*", "__rate_interval": "1m", "__range": "1h"}
COLORS = {"green", "orange", "red", "blue"}

each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
each_panel = pytest.mark.parametrize(
    "panel", [panel for board in BOARDS for panel in board.panels], ids=lambda panel: panel.title
)


def test_links_of_alerts_lead_to_them() -> None:
    assert tuple(board.uid for board in BOARDS) == DASHBOARDS


@each_board
def test_is_fresh(board: Board) -> None:
    """If not: python -m tests.dashboards"""
    assert (FOLDER / f"{board.uid}.json").read_text() == written(board)


def test_there_is_no_file_of_a_dashboard_that_is_gone() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(DASHBOARDS)


@each_board
def test_has_an_application_to_choose_and_what_links_of_alerts_choose(board: Board) -> None:
    chosen = {variable.name for variable in board.variables}
    alerts = (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    linked = set(re.findall(r"var-(\w+)=", " ".join(re.findall(rf"/{board.uid}\?\S+", alerts))))
    assert {"job"} <= chosen
    assert linked <= chosen


@each_board
def test_panels_fill_their_rows_and_do_not_overlap(board: Board) -> None:
    made: dict[str, Any] = json.loads(written(board))
    taken: set[tuple[int, int]] = set()
    for panel in panels(made):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert {x for x, _ in taken} == set(range(24))
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    for row in board.rows:
        assert sum(panel.width for panel in row.panels) % 24 == 0, row.title


@each_board
def test_titles_are_said_once(board: Board) -> None:
    titles = [panel.title for panel in board.panels]
    assert len(set(titles)) == len(titles)


@each_panel
def test_asks_for_what_there_is(panel: Panel) -> None:
    for query in panel.queries:
        expr = filled(query.expr, VARIABLES)
        assert "$" not in expr
        assert mistakes(expr, THERE) == []
        assert 'job="$job"' in query.expr, "another application is another job"
        assert names(expr)


@each_panel
def test_says_what_is_seen(panel: Panel) -> None:
    assert panel.help.endswith(".")
    assert len(panel.help) < 130
    for query in panel.queries:
        assert query.legend


@each_panel
def test_thresholds_rise_and_have_colours(panel: Panel) -> None:
    starts = [start for start, _ in panel.steps]
    assert starts == sorted(set(starts))
    assert {panel.base, *(color for _, color in panel.steps)} <= COLORS
    if panel.kind == "stat":
        assert panel.steps, "a tile without thresholds says nothing"


@pytest.mark.parametrize("folder", ["datasources", "dashboards"])
def test_provisioning_is_what_grafana_reads(folder: str) -> None:
    (file,) = (DEPLOY / "grafana" / "provisioning" / folder).glob("*.yaml")
    found = YAML(typ="safe").load(file)
    assert found["apiVersion"] == 1
    if folder == "dashboards":
        (provider,) = found["providers"]
        assert provider["type"] == "file"
        assert provider["options"]["path"].endswith("/dashboards/journey")
    else:
        (source,) = found["datasources"]
        assert source["type"] == "prometheus"
        scrape = YAML(typ="safe").load(DEPLOY / "prometheus" / "prometheus.yaml")["global"]["scrape_interval"]
        assert source["jsonData"]["timeInterval"] == scrape
