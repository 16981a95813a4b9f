"""Dashboards as Grafana reads them, made with Grafana's own builders."""

import json
import re
import string
from collections.abc import Iterator
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, dashboard, stat, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

from tests.dashboards.model import Board, Panel, Variable

TAG: Final = "journey"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT: Final = {"stat": 5, "lines": 8, "areas": 8, "bars": 9}
"""Of a panel, in rows of Grafana's grid."""

AnyPanel = timeseries.Panel | stat.Panel | bargauge.Panel


def written(board: Board) -> str:
    """The dashboard as JSON, the same at every call."""
    built = _board(board).build()
    return json.dumps(built, cls=JSONEncoder, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _board(board: Board) -> dashboard.Dashboard:
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.help)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
    )
    for variable in board.variables:
        made.with_variable(_variable(variable))
    number = 0
    for row in board.rows:
        number += 1
        made.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made.with_panel(_panel(panel).id(number))
    return made


def _links() -> dashboard.DashboardLink:
    """To the other dashboards, with the application and the time that are shown."""
    link = dashboard.DashboardLink("other dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(False).include_vars(True).keep_time(True)


def _variable(variable: Variable) -> dashboard.QueryVariable:
    made = (
        dashboard.QueryVariable(variable.name)
        .label(variable.name)
        .datasource(SOURCE)
        .query({"query": f"label_values({variable.metric}, {variable.name})", "refId": variable.name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NUMERICAL_ASC)
    )
    return made.multi(True).include_all(True).all_value(".*") if variable.several else made


def _panel(panel: Panel) -> AnyPanel:
    made = _kind(panel)
    made.title(panel.title).description(panel.help).datasource(SOURCE).unit(panel.unit)
    made.span(panel.width).height(HEIGHT[panel.kind])
    if panel.kind != "stat":
        made.min(0)
    steps = [Threshold(value=None, color=panel.base), *(Threshold(value=at, color=color) for at, color in panel.steps)]
    made.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.empty:
        made.no_value(panel.empty)
    for name, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        asked = Dataquery().expr(query.expr).legend_format(query.legend).ref_id(name).datasource(SOURCE)
        made.with_target(asked.instant() if panel.kind in {"stat", "bars"} else asked.range())
    return made


def _kind(panel: Panel) -> AnyPanel:
    if panel.kind == "stat":
        return (
            stat.Panel()
            .color_mode(common.BigValueColorMode.BACKGROUND)
            .graph_mode(common.BigValueGraphMode.NONE)
            .reduce_options(_last())
            .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
            .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        )
    if panel.kind == "bars":
        return (
            bargauge.Panel()
            .orientation(common.VizOrientation.HORIZONTAL)
            .display_mode(common.BarGaugeDisplayMode.BASIC)
            .reduce_options(_last())
            .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        )
    made = (
        timeseries.Panel()
        .line_width(1)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    )
    if panel.kind == "areas":
        made.fill_opacity(30).stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if panel.steps:
        made.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    return made


def _last() -> common_builders.ReduceDataOptions:
    return common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def panels(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard's JSON that show something, rows left out."""
    yield from (panel for panel in made["panels"] if panel["type"] != "row")


def labels_of(legend: str) -> set[str]:
    """The labels whose values a legend shows."""
    return set(re.findall(r"{{(\w+)}}", legend))
