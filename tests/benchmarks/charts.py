"""The figures as charts: Vega-Lite, drawn to SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.benchmarks.results import Cost, Growth, Latency
from tests.benchmarks.tables import second_half_us, whole_us

WIDTH: Final = 560
BAR: Final = 18
CONFIG: Final = {"background": "white", "font": "sans-serif", "view": {"stroke": None}, "axis": {"grid": False}}


def draw(chart: Mapping[str, Any], path: Path) -> None:
    """Writes the SVG."""
    import vl_convert

    path.write_text(vl_convert.vegalite_to_svg({**chart, "config": CONFIG}))


def cost_chart(costs: Sequence[Cost]) -> dict[str, Any]:
    """CPU an event by system: the median over the rounds, whole and second half."""
    rows = [
        {"system": name, "of": of, "µs": median(found)}
        for name in dict.fromkeys(cost.system for cost in costs)
        for of, take in (("whole work", whole_us), ("second half", second_half_us))
        if (found := [us for cost in costs if cost.system == name and (us := take(cost)) is not None])
    ]
    return _bars(rows, "of", "µs", "CPU µs an event, Redis counted in (logarithmic)", logarithmic=True)


def latency_chart(latencies: Sequence[Latency]) -> dict[str, Any]:
    """Percentiles by system: the median over the rounds."""
    rows = [
        {"system": name, "of": of, "ms": median(getattr(each, f"{of}_ms") for each in latencies if each.system == name)}
        for name in dict.fromkeys(latency.system for latency in latencies)
        for of in ("p50", "p90", "p99")
    ]
    return _bars(rows, "of", "ms", "ms from sending to a subscriber")


def growth_chart(growths: Sequence[Growth]) -> dict[str, Any]:
    """CPU an event by the number of customers."""
    rows = [
        {"customers": growth.customers, "of": of, "µs": us}
        for growth in growths
        for of, us in (("worker", growth.worker_us), ("Redis", growth.redis_us))
    ]
    return {
        "data": {"values": rows},
        "width": WIDTH,
        "height": 220,
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "customers", "type": "quantitative", "scale": {"type": "log"}, "axis": {"format": "~s"}},
            "y": {"field": "µs", "type": "quantitative", "title": "CPU µs an event"},
            "color": {"field": "of", "type": "nominal", "title": None},
        },
    }


def _bars(
    rows: Sequence[Mapping[str, object]], within: str, value: str, title: str, *, logarithmic: bool = False
) -> dict[str, Any]:
    """A group of bars for each system, in the order given, each with its number."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    y = {"field": within, "type": "nominal", "title": None, "sort": None}
    return {
        "data": {"values": list(rows)},
        "facet": {"row": {"field": "system", "type": "nominal", "title": None, "sort": systems, "header": _SIDEWAYS}},
        "spacing": 8,
        "spec": {
            "width": WIDTH,
            "height": {"step": BAR},
            "layer": [
                {
                    "mark": {"type": "bar"},
                    "encoding": {
                        "x": {
                            "field": value,
                            "type": "quantitative",
                            "title": title,
                            "scale": {"type": "log", "domainMin": 1} if logarithmic else {},
                        },
                        "x2": {"datum": 1 if logarithmic else 0},
                        "y": y,
                        "color": {"field": within, "type": "nominal", "title": None, "sort": None, "legend": None},
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 4},
                    "encoding": {
                        "x": {"field": value, "type": "quantitative"},
                        "y": y,
                        "text": {"field": value, "type": "quantitative", "format": ".1f"},
                    },
                },
            ],
        },
    }


_SIDEWAYS: Final = {"labelAngle": 0, "labelAlign": "left"}
