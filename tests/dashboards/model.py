"""What a dashboard is made of, apart from who draws it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Unit = Literal["short", "s", "bytes", "percentunit", "eps", "ops", "none"]
"""Units by their names in Grafana; `eps` are events and `ops` operations a second."""

Kind = Literal["lines", "areas", "stat", "bars"]
"""`areas` are stacked. `stat` shows the last values in large, `bars` one bar a series; both ask for one moment."""

Steps = tuple[tuple[float, str], ...]
"""Thresholds: from which value on which colour holds."""


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL with Grafana's variables, and what its series are called: `{{label}}` stands for a value."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """`help` says what is seen and when to worry. `width` in 24ths of a row.

    `base`: the colour below all steps. `empty`: why a healthy application may show nothing here; such a panel shows
    that text in place of data.
    """

    title: str
    help: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "lines"
    width: int = 8
    base: str = "green"
    steps: Steps = ()
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice above the dashboard: the values that a label of a metric has. `several`: more than one, or all."""

    name: str
    metric: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """`uid` is where links of alerts lead."""

    uid: str
    title: str
    help: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = field(default=())

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


JOB: Final = Variable("job", "journey_lanes")
LANE: Final = Variable("lane", 'journey_lane_state{job="$job"}', several=True)
JOURNEY: Final = Variable("journey", 'journey_model_version{job="$job"}', several=True)

SINCE: Final = "[$__rate_interval]"


def filled(expr: str, values: Mapping[str, str]) -> str:
    """The expression with a value in each variable's place; the longest names first, since one may begin another."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${name}", values[name])
    return expr


def quantiles(metric: str, *shares: float, by: str = "", where: str = 'job="$job"') -> tuple[Query, ...]:
    """Shares (0 to 1) of a histogram, each its line."""
    group = f"le, {by}" if by else "le"
    named = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({group}) (rate({metric}_bucket{{{where}}}{SINCE})))",
            f"p{share * 100:g}{named}",
        )
        for share in shares
    )
