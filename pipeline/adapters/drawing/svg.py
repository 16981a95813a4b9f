"""A journey as an SVG picture: stages as boxes, each rule as a label between them, silences with a clock."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from pipeline.adapters.drawing.layout import Box, Layout, Line, Point, arrange
from pipeline.application.chart import Chart, ChartRule, ChartStage
from pipeline.domain.spec import START

RIGHT_TO_LEFT: Final = frozenset({"fa"})
"""Languages that are written from right to left."""

_MARGIN: Final = 24
_TITLE: Final = 46
_LINE: Final = 16
_START: Final = 26
_WIDEST: Final = 34
"""Characters in a line of a rule, about."""

_FONTS: Final = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", Vazirmatn, "DejaVu Sans", sans-serif'
_STYLE: Final = f"""
text {{ font-family: {_FONTS}; font-size: 12px; fill: #2b3547; text-anchor: middle }}
.title {{ font-size: 17px; font-weight: 600; text-anchor: start }}
.version {{ font-size: 12px; font-weight: 400; fill: #68748a }}
.stage rect {{ fill: #e8f0fe; stroke: #3b66c4; stroke-width: 1.6 }}
.terminal rect {{ fill: #eef0f4; stroke: #5b6c8f; stroke-width: 4 }}
.stage .label {{ font-size: 16px; font-weight: 600; fill: #14213d }}
.stage .id {{ font-size: 11px; fill: #5b6c8f }}
.touch rect {{ fill: #fff; stroke: #9aa7bd }}
.silence rect {{ fill: #fff6e0; stroke: #d99a2b }}
.signal rect {{ fill: #fdeaea; stroke: #c93c3c }}
.signal .name {{ font-weight: 600; fill: #8f1d1d }}
.but {{ font-size: 11px; fill: #68748a }}
.clock {{ fill: none; stroke: #b87a10; stroke-width: 1.4; stroke-linecap: round }}
path.line {{ fill: none; stroke: #7c8aa3; stroke-width: 1.3 }}
path.back {{ stroke: #c2571a; stroke-dasharray: 6 3 }}
path.tells {{ stroke: #c93c3c; stroke-dasharray: 2 4 }}
.start {{ fill: #2b3547 }}
.head {{ fill: #7c8aa3 }}
.backhead {{ fill: #c2571a }}
""".strip()


def svg(chart: Chart, language: str) -> str:
    """The picture; stages are called as in `language`. UserError if what lays it out is not installed."""
    cards = {f"rule:{number}": _Card(rule) for number, rule in enumerate(chart.rules)}
    placed = {name: card for name, card in cards.items() if card.rule.froms}
    loose = [card for name, card in cards.items() if name not in placed]
    stages = {_node(stage.id): stage for stage in chart.stages}
    boxes = [Box(_node(START), _START, _START)]
    boxes += [Box(name, _stage_width(stage, language), 52) for name, stage in stages.items()]
    boxes += [Box(name, card.width, card.height) for name, card in placed.items()]
    lines, classes = _lines(chart, placed)
    layout = arrange(boxes, lines)
    drawing = [*_curves(layout, classes), _start(layout.centres[_node(START)])]
    drawing += [_stage(stage, language, layout.centres[name]) for name, stage in stages.items()]
    drawing += [card.drawn(layout.centres[name]) for name, card in placed.items()]
    bottom, right = layout.height, layout.width
    if loose:
        left = 0.0
        for card in loose:
            drawing.append(card.drawn((left + card.width / 2, bottom + 40 + card.height / 2)))
            left += card.width + 20
        right = max(right, left - 20)
        bottom += 40 + max(card.height for card in loose)
    width, height = round(right + 2 * _MARGIN), round(bottom + 2 * _MARGIN + _TITLE)
    inside = "\n".join(drawing)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="The journey {escape(chart.name)}">\n<style>\n{_STYLE}\n</style>\n{_HEADS}\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f'<text class="title" x="{_MARGIN}" y="34">{escape(chart.name)}'
        f'<tspan class="version" dx="10">version {chart.version}</tspan></text>\n'
        f'<g transform="translate({_MARGIN} {_MARGIN + _TITLE})">\n{inside}\n</g>\n</svg>\n'
    )


_HEADS: Final = "<defs>{}</defs>".format(
    "".join(
        f'<marker id="{name}" class="{name}" markerWidth="10" markerHeight="8" refX="9" refY="4" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path d="M0 0 L10 4 L0 8 z"/></marker>'
        for name in ("head", "backhead")
    )
)


class _Card:
    """A rule as a small box of text."""

    def __init__(self, rule: ChartRule) -> None:
        self.rule = rule
        self._lines = [("name", f"! {rule.signal}")] if rule.signal else []
        self._lines += [("when", line) for line in _wrapped(rule.when)]
        self._lines += [("but", line) for part in rule.but for line in _wrapped(part.split(" "), " ")]
        self._clock = 18 if rule.kind == "silence" else 0
        self.width = max(_width(text, 12) for _, text in self._lines) + 22 + self._clock
        self.height = _LINE * len(self._lines) + 12

    def drawn(self, centre: Point) -> str:
        x, y = centre[0] - self.width / 2, centre[1] - self.height / 2
        kind = "signal" if self.rule.signal else self.rule.kind
        size = f'width="{self.width:.0f}" height="{self.height:.0f}"'
        parts = [f'<g class="{kind}"><rect x="{x:.0f}" y="{y:.0f}" {size} rx="9"/>']
        if self._clock:
            parts.append(_clock((x + 17, centre[1])))
        middle = centre[0] + self._clock / 2
        for number, (what, text) in enumerate(self._lines):
            below = y + 18 + _LINE * number
            parts.append(f'<text class="{what}" x="{middle:.0f}" y="{below:.0f}">{escape(text)}</text>')
        return "".join((*parts, "</g>"))


def _clock(centre: Point) -> str:
    x, y = centre
    face = f"M{x - 6:.0f} {y:.0f} a6 6 0 1 0 12 0 a6 6 0 1 0 -12 0"
    return f'<path class="clock" d="{face} M{x:.0f} {y - 4:.0f} v4 h3"/>'


def _lines(chart: Chart, placed: dict[str, _Card]) -> tuple[list[Line], list[str]]:
    """The lines, and the class of each that is shown: what leads on, back, or tells."""
    order = (START, *(stage.id for stage in chart.stages))
    places = {stage: place for place, stage in enumerate(order)}
    lines = [Line(_node(one), _node(other), shown=False, weight=12, length=2) for one, other in pairwise(order)]
    classes = []
    for name, card in placed.items():
        rule = card.rule
        for stage in rule.froms:
            back = not rule.signal and places[stage] > places[rule.to]
            again = stage == rule.to
            lines.append(Line(_node(stage), name, upwards=back or again, weight=3 if stage == rule.froms[-1] else 1))
            classes.append("tells" if rule.signal else "back" if back else "")
        if not rule.signal:
            back = all(places[stage] > places[rule.to] for stage in rule.froms)
            lines.append(Line(name, _node(rule.to), upwards=back, weight=3))
            classes.append("back arrow" if back else "arrow")
    return lines, classes


def _curves(layout: Layout, classes: Sequence[str]) -> Iterator[str]:
    for points, kind in zip(layout.curves, classes, strict=True):
        (x, y), *rest = points
        path = f"M{x:.1f} {y:.1f} C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)
        colour = kind.removesuffix("arrow").strip()
        head = f' marker-end="url(#{colour}head)"' if kind.endswith("arrow") else ""
        yield f'<path class="{f"line {colour}".strip()}" d="{path}"{head}/>'


def _start(centre: Point) -> str:
    return f'<circle class="start" cx="{centre[0]:.0f}" cy="{centre[1]:.0f}" r="9"/>'


def _stage(stage: ChartStage, language: str, centre: Point) -> str:
    width = _stage_width(stage, language)
    x, y = centre
    direction = ' direction="rtl"' if language in RIGHT_TO_LEFT else ""
    kind = "stage terminal" if stage.terminal else "stage"
    box = f'x="{x - width / 2:.0f}" y="{y - 26:.0f}" width="{width:.0f}" height="52" rx="12"'
    return (
        f'<g class="{kind}"><rect {box}/>'
        f'<text class="label" x="{x:.0f}" y="{y - 1:.0f}" xml:lang="{language}"{direction}>'
        f"{escape(_label(stage, language))}</text>"
        f'<text class="id" x="{x:.0f}" y="{y + 16:.0f}">{escape(stage.id)}</text></g>'
    )


def _stage_width(stage: ChartStage, language: str) -> float:
    return max(150.0, _width(_label(stage, language), 16) + 36, _width(stage.id, 11) + 36)


def _label(stage: ChartStage, language: str) -> str:
    return stage.labels.get(language, stage.id)


def _node(stage: str) -> str:
    return f"stage:{stage}"


def _width(text: str, size: int) -> float:
    """About what a text of this font size takes; fonts differ, so there is room to spare."""
    return 0.6 * size * len(text)


def _wrapped(words: Sequence[str], between: str = " · ") -> list[str]:
    lines = [""]
    for word in words:
        joined = f"{lines[-1]}{between}{word}" if lines[-1] else word
        if len(joined) > _WIDEST and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines
