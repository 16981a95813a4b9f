"""What a dashboard's queries found, drawn as Vega-Lite: like Grafana, but not by it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.dashboards.model import Board, Panel, Query, Steps
from tests.dashboards.server import Series

_FOR_READERS: Final = re.compile(r' (?:aria-\w+|role|class|pointer-events)="[^"]*"')
_TAG: Final = re.compile(r"<[^>]+>")
_TOO_EXACT: Final = re.compile(r"(\d\.\d)\d+")

Found = Mapping[str, Sequence[tuple[Query, Sequence[Series]]]]
"""What the queries of each panel found, by its title."""

WIDTH: Final = 1_200
GAP: Final = 64
"""Beside a chart, for its axis."""
HEIGHT: Final = 120
COLORS: Final = {"green": "#3f8f4f", "orange": "#d9822b", "red": "#c23030", "blue": "#3b73af"}
CONFIG: Final = {
    "background": "white",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e6e8eb", "domain": False, "ticks": False, "labelColor": "#555", "tickCount": 4},
    "title": {"anchor": "start", "frame": "group", "fontSize": 12, "subtitleColor": "#777", "offset": 8},
    "legend": {
        "orient": "bottom",
        "title": None,
        "columns": 3,
        "labelFontSize": 9,
        "symbolSize": 60,
        "labelLimit": 150,
    },
}

_AMOUNT: Final = "format(datum.value, abs(datum.value) < 1000 ? '~r' : '~s')"
LABELS: Final = {
    "s": "datum.value >= 1 ? format(datum.value, '~r') + ' s' : format(datum.value * 1000, '~r') + ' ms'",
    "bytes": "format(datum.value, '~s') + 'B'",
    "percentunit": "format(datum.value, '~%')",
    "eps": f"{_AMOUNT} + ' /s'",
    "ops": f"{_AMOUNT} + ' /s'",
    "short": _AMOUNT,
    "none": "datum.value % 1 ? '' : datum.value",
}
"""How Vega writes a value of a unit."""


def svg(chart: Mapping[str, Any]) -> str:
    """The picture without what only programs read, and to a tenth of a pixel: half of the bytes."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(dict(chart))
    return _TAG.sub(lambda tag: _TOO_EXACT.sub(r"\1", _FOR_READERS.sub("", tag[0])), drawn)


def board_chart(board: Board, found: Found, began: float, end: float, step: float) -> dict[str, Any]:
    """The whole dashboard, row by row, from `began` to `end` (seconds since 1970) every `step` seconds."""
    time = _Time(began, end, step)
    rows: list[dict[str, Any]] = []
    for row in board.rows:
        lines: list[list[Panel]] = [[]]
        for panel in row.panels:
            if sum(each.width for each in lines[-1]) + panel.width > 24:
                lines.append([])
            lines[-1].append(panel)
        for number, line in enumerate(lines):
            drawn: dict[str, Any] = {
                "hconcat": [_panel(panel, found[panel.title], time) for panel in line],
                "spacing": GAP,
                "bounds": "full" if any(panel.kind == "bars" for panel in line) else "flush",  # their names are long
            }
            if number == 0:
                drawn["title"] = {"text": row.title, "fontSize": 15, "offset": 14}
            rows.append({**drawn, "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}}})
    return {
        "title": {"text": board.title, "subtitle": board.help, "fontSize": 19, "subtitleFontSize": 13, "offset": 16},
        "vconcat": rows,
        "spacing": 30,
        "padding": {"left": 12, "top": 12, "right": 24, "bottom": 12},
        "config": CONFIG,
    }


@dataclass(frozen=True, slots=True)
class _Time:
    """What is shown, in seconds."""

    began: float
    end: float
    step: float


def _panel(panel: Panel, found: Sequence[tuple[Query, Sequence[Series]]], time: _Time) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"second": second, "value": value, "name": _named(query, one)}
        for query, series in found
        for one in series
        for second, value in (_filled if panel.kind == "areas" else _with_gaps)(one.points, time)
    ]
    width = panel.width * WIDTH // 24 - GAP
    frame = {"width": width, "height": HEIGHT, "title": {"text": panel.title}}
    if not rows:
        mark = {"type": "text", "fontSize": 12, "color": "#777"}
        return {
            **frame,
            "data": {"values": [{"says": panel.empty}]},
            "mark": mark,
            "encoding": {"text": {"field": "says"}},
        }
    match panel.kind:
        case "stat":
            return {**frame, "height": 64, "data": {"values": [_tile(panel, row) for row in rows]}, "layer": _TILE}
        case "bars":
            return {**frame, "height": {"step": 17}, "data": {"values": rows[:14]}, "layer": _bars(panel)}
        case _:
            highest = max(row["value"] or 0 for row in rows)
            lines = _lines(panel, highest, round(time.end - time.began))
            return {**frame, "data": {"values": rows}, "layer": [lines, *_thresholds(panel.steps, highest)]}


def _with_gaps(points: Sequence[tuple[float, float]], time: _Time) -> Iterator[tuple[int, float | None]]:
    """In seconds since the beginning; where values are missing the line ends, and begins anew behind."""
    before = None
    for moment, value in points:
        second = round(moment - time.began)
        if before is not None and second - before > 1.5 * time.step:
            yield second - 1, None
        before = second
        yield second, float(f"{value:.4g}")


def _filled(points: Sequence[tuple[float, float]], time: _Time) -> Iterator[tuple[int, float | None]]:
    """The same with 0 where values are missing: what stands on top of another must not float."""
    known = {round((moment - time.began) / time.step): value for moment, value in points}
    for number in range(round((time.end - time.began) / time.step) + 1):
        yield round(number * time.step), float(f"{known.get(number, 0):.4g}")


def _named(query: Query, series: Series) -> str:
    name = query.legend
    for label, value in series.labels.items():
        name = name.replace(f"{{{{{label}}}}}", value)
    return name


def _lines(panel: Panel, highest: float, seconds: int) -> dict[str, Any]:
    stacked = panel.kind == "areas"
    mark = {"type": "area", "opacity": 0.75} if stacked else {"type": "line", "strokeWidth": 1.4}
    return {
        "mark": mark,
        "encoding": {
            "x": {
                "field": "second",
                "type": "quantitative",
                "title": None,
                "axis": {"labelExpr": "datum.value + ' s'", "grid": False},
                "scale": {"nice": False, "domain": [0, seconds]},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "stack": "zero" if stacked else None,
                "axis": {"labelExpr": LABELS[panel.unit], "tickMinStep": 1 if panel.unit in {"none", "short"} else 0},
                "scale": {} if highest else {"domain": [0, 1]},
            },
            "color": {"field": "name", "type": "nominal", "sort": None, "scale": {"scheme": "tableau20"}},
        },
    }


def _thresholds(steps: Steps, highest: float) -> list[dict[str, Any]]:
    """Dashed, where they are near enough to what is shown."""
    return [
        {
            "data": {"values": [{"at": at}]},
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": COLORS[color]},
            "encoding": {"y": {"field": "at", "type": "quantitative"}},
        }
        for at, color in steps
        if at <= 1.5 * highest
    ]


def _tile(panel: Panel, row: Mapping[str, Any]) -> dict[str, Any]:
    value = float(row["value"])
    color = panel.base
    for start, name in panel.steps:
        color = name if value >= start else color
    return {"name": row["name"], "says": _said(panel.unit, value), "color": COLORS[color]}


def _said(unit: str, value: float) -> str:
    match unit:
        case "percentunit":
            return f"{100 * value:.4g} %"
        case "s":
            return f"{value:.3g} s"
        case _:
            return f"{value:.4g}"


_TILES: Final = {
    "field": "name",
    "type": "nominal",
    "sort": None,
    "title": None,
    "axis": {"labelAngle": 0},
    "scale": {"padding": 0.04},
}
_TILE: Final[list[dict[str, Any]]] = [
    {
        "mark": {"type": "rect", "cornerRadius": 3},
        "encoding": {
            "x": {
                "field": "name",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelAngle": 0},
                "scale": {"padding": 0.04},
            },
            "color": {"field": "color", "type": "nominal", "scale": None},
        },
    },
    {
        "mark": {"type": "text", "fontSize": 20, "fontWeight": "bold", "color": "white"},
        "encoding": {"x": {"field": "name", "type": "nominal", "sort": None}, "text": {"field": "says"}},
    },
]


def _bars(panel: Panel) -> list[dict[str, Any]]:
    names = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 190}}
    amount = {"field": "value", "type": "quantitative", "title": None, "axis": {"labelExpr": LABELS[panel.unit]}}
    number = {"field": "value", "type": "quantitative", "format": ".0%" if panel.unit == "percentunit" else ",.0f"}
    return [
        {"mark": {"type": "bar", "color": COLORS[panel.base]}, "encoding": {"y": names, "x": amount}},
        {
            "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10},
            "encoding": {
                "y": names,
                "x": amount,
                "text": number,
            },
        },
    ]
