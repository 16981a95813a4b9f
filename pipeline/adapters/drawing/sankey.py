"""Two models side by side as a Sankey diagram: stages as bars, customers as bands from where they are by the one to
where they would be by the other. Vega computes and draws it, from a specification that is data.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.adapters.drawing.layout import missing
from pipeline.application.comparison import Comparison
from pipeline.application.replay import Model
from pipeline.domain.spec import START

_WIDTH: Final = 560
_BAR: Final = 14
_GAP: Final = 22
"""Points between the bars of a side: a line of text has room there, however thin the bars are."""
_HEIGHT_A_STAGE: Final = 62
_STAYS, _MOVES, _BAR_COLOUR, _CHANGED = "#c3cfe4", "#e39a4e", "#3b66c4", "#c2571a"
_TEXT, _QUIET = "#2b3547", "#68748a"
_FONT: Final = "system-ui, -apple-system, Segoe UI, Noto Sans, DejaVu Sans, sans-serif"


def sankey(comparison: Comparison, old: Model, new: Model) -> str:
    """The picture as SVG; it names no customer. UserError if what draws is not installed."""
    try:
        import vl_convert
    except ImportError as error:
        raise missing(error) from None
    svg: str = vl_convert.vega_to_svg(specification(comparison, old, new))
    return svg + "\n"


def specification(comparison: Comparison, old: Model, new: Model) -> dict[str, Any]:
    """The diagram in Vega's own language."""
    lefts, rights = (START, *old.journey.stages), (START, *new.journey.stages)
    lefts = tuple(stage for stage in lefts if stage != START or comparison.by_old(stage))
    rights = tuple(stage for stage in rights if stage != START or comparison.by_new(stage))
    most = max(len(lefts), len(rights))
    flows = [
        {"old": lefts.index(move.old), "new": rights.index(move.new), "count": count, "stays": move.old == move.new}
        for move, count in comparison.moves.items()
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "description": f"{comparison.elsewhere} of {comparison.customers} customers would be in another stage",
        "width": _WIDTH,
        "height": most * _HEIGHT_A_STAGE,
        "padding": {"left": 190, "right": 190, "top": 44, "bottom": 14},
        "autosize": "none",
        "background": "white",
        "signals": [
            {"name": "customers", "value": max(comparison.customers, 1)},
            {"name": "scale", "update": f"(height - {(most - 1) * _GAP}) / customers"},
        ],
        "data": [
            {"name": "flows", "values": flows, "transform": [*_stacked("old", "new"), *_stacked("new", "old")]},
            _bars("lefts", lefts, rights, comparison.by_old),
            _bars("rights", rights, lefts, comparison.by_new),
        ],
        "marks": [
            _bands(),
            *_side("lefts", 0, -8, "right"),
            *_side("rights", _WIDTH - _BAR, _BAR + 8, "left"),
            _heading(old.title, 0, "left"),
            _heading(new.title, _WIDTH, "right"),
        ],
    }


def _stacked(side: str, other: str) -> Sequence[Mapping[str, Any]]:
    """Where the bands begin (or end) on one side, in customers and then in points."""
    sort = {"field": [side, other]}
    begin, end = f"{side}0", f"{side}1"
    return (
        {"type": "stack", "groupby": [], "sort": sort, "field": "count", "as": [begin, end]},
        {"type": "formula", "as": begin, "expr": f"datum.{begin} * scale + datum.{side} * {_GAP}"},
        {"type": "formula", "as": end, "expr": f"datum.{end} * scale + datum.{side} * {_GAP}"},
    )


def _bars(name: str, stages: Sequence[str], others: Sequence[str], count: Any) -> dict[str, Any]:
    rows = [
        {"place": place, "stage": stage or "no stage", "count": count(stage), "both": stage in others or not stage}
        for place, stage in enumerate(stages)
    ]
    stack = {"type": "stack", "groupby": [], "sort": {"field": "place"}, "field": "count", "as": ["y0", "y1"]}
    in_points = [
        {"type": "formula", "as": y, "expr": f"datum.{y} * scale + datum.place * {_GAP}"} for y in ("y0", "y1")
    ]
    return {"name": name, "values": rows, "transform": [stack, *in_points]}


def _bands() -> dict[str, Any]:
    left, right, middle = _BAR, _WIDTH - _BAR, _WIDTH // 2
    path = (
        f"'M{left},' + datum.old0 + 'C{middle},' + datum.old0 + ' {middle},' + datum.new0 + ' {right},' + datum.new0"
        f" + 'L{right},' + datum.new1 + 'C{middle},' + datum.new1 + ' {middle},' + datum.old1 + ' {left},'"
        " + datum.old1 + 'Z'"
    )
    colour = {"signal": f"datum.stays ? '{_STAYS}' : '{_MOVES}'"}
    return {
        "type": "path",
        "from": {"data": "flows"},
        "encode": {
            "update": {
                "path": {"signal": path},
                "fill": colour,
                "stroke": colour,
                "strokeWidth": {"value": 0.5},
                "fillOpacity": {"value": 0.75},
            }
        },
    }


def _side(data: str, x: int, label: int, align: str) -> Sequence[Mapping[str, Any]]:
    """The bars of one side, each with its stage and how many customers it has."""
    bar = {
        "x": {"value": x},
        "width": {"value": _BAR},
        "y": {"field": "y0"},
        "y2": {"signal": "max(datum.y1, datum.y0 + 1)"},
        "fill": {"signal": f"datum.both ? '{_BAR_COLOUR}' : '{_CHANGED}'"},
    }
    gone = "gone" if data == "lefts" else "new"
    name = {
        "x": {"value": x + label},
        "y": {"signal": "(datum.y0 + datum.y1) / 2 - 1"},
        "align": {"value": align},
        "baseline": {"value": "middle"},
        "font": {"value": _FONT},
        "fontSize": {"value": 13},
        "fill": {"signal": f"datum.both ? '{_TEXT}' : '{_CHANGED}'"},
        "text": {"signal": f"datum.stage + (datum.both ? '' : ' ({gone})') + '  ' + format(datum.count, ',')"},
    }
    return (
        {"type": "rect", "from": {"data": data}, "encode": {"update": bar}},
        {"type": "text", "from": {"data": data}, "encode": {"update": name}},
    )


def _heading(title: str, x: int, align: str) -> dict[str, Any]:
    return {
        "type": "text",
        "encode": {
            "update": {
                "x": {"value": x},
                "y": {"value": -18},
                "align": {"value": align},
                "font": {"value": _FONT},
                "fontSize": {"value": 13},
                "fill": {"value": _QUIET},
                "text": {"value": title},
            }
        },
    }
