"""What `journey top` draws: totals, the lanes as a table, the newest transitions, as much as there is room for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from pipeline.adapters.lanes_seen import LaneSeen, LanesSeen
from pipeline.adapters.lanes_watched import View
from pipeline.adapters.published import PublishedTransition
from pipeline.cli.lines import minute, stage, why
from pipeline.cli.status import since
from pipeline.domain.moments import format_moment

_GAP: Final = 2
_WHY: Final = 24
"""Why a lane stands wraps, but not into less than so many columns; what caused a transition is cut to no less than:"""
_CAUSE: Final = 20
_FEW: Final = 10
"""Transitions on paper, where there is no height to fill."""
_WAITS: Final = ("new", "taking", "paused")
"""States that somebody wanted or that end by themselves."""


class Column(NamedTuple):
    """`importance`: the least goes first where there is no room. `least`: the width to which its cells may shrink, none
    if they may not; they wrap or, unless it `wraps`, are cut."""

    name: str
    importance: int
    cells: Sequence[Text]
    right: bool = False
    least: int | None = None
    wraps: bool = False

    @property
    def width(self) -> int:
        whole = max((cell.cell_len for cell in self.cells), default=0)
        return max(len(self.name), whole if self.least is None else min(whole, self.least))


def fitted(columns: Sequence[Column], width: int, rows: int | None = None) -> Table:
    """The most important columns that fit into `width`, one at least; the last `rows` rows, all if None.

    All rows count for the widths, so that columns stay where they are while rows move through.
    """
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + _GAP for column in kept) - _GAP > width:
        kept.remove(min(kept, key=lambda column: column.importance))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    spare = max(0, width - sum(column.width + _GAP for column in kept) + _GAP)
    for column in kept:
        table.add_column(
            column.name,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            min_width=min(column.width, width),
            max_width=column.width if column.least is None else column.width + spare,
        )
    whole = list(zip(*(column.cells for column in kept), strict=True))
    for row in whole if rows is None else whole[-rows:]:
        table.add_row(*row)
    return table


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, drawn to the width that there is, and to the height if it fills a `screen`. `now`: wall clock, ms.

    `live`: whether the watermark is of the wall clock.
    """

    view: View
    now: int
    live: bool
    screen: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.max_height if self.screen else None
        head = self._head()
        if self.view.seen is None:
            yield head
            return

        def left(*above: RenderableType) -> int | None:
            """Rows of a table that fit below, under a blank line and a header; None: as many as there are."""
            lines = console.render_lines(Group(*above), options.update(height=None))
            return None if height is None else height - len(lines) - 2

        upper = Group(head, Text(), *self._lanes(self.view.seen, width, left(head)))
        yield upper
        room = left(upper)
        room = _FEW if room is None else room
        if room > 0 and self.view.newest:
            yield Text()
            yield _feed(self.view.newest, width, room)

    def _head(self) -> Group:
        seen, rates, trouble = self.view.seen, self.view.rates, self.view.trouble
        lines: list[Text] = []
        if trouble:
            age = f"; below is what was {max(0, self.now - self.view.at) // 1000} s ago" if seen else ""
            lines.append(Text(f"{trouble}{age}", "bold red"))
        if seen is None:
            lines.append(Text("looking …", "dim"))
        else:
            moving = sum(lane.moves for lane in seen.lanes)
            colour = "dim" if trouble else "green" if moving == len(seen.lanes) else "bold red"
            lines.append(
                Text.assemble(
                    (seen.application, "bold"),
                    "  ",
                    (format_moment(self.view.at)[11:19], "dim"),
                    "  ",
                    (f"{moving} of {len(seen.lanes)} lanes run", colour),
                    f"  {number(rates.all_events)} events/s  {number(rates.transitions)} transitions/s",
                )
            )
            lines.append(self._timers(seen))
        if self.screen:
            lines[-1].append("  (q quits)", "dim")
        return Group(*lines)

    def _timers(self, seen: LanesSeen) -> Text:
        if seen.watermark is None:
            line = Text("no timer fires yet")
        else:
            line = Text(f"timers stand at {format_moment(seen.watermark)[:19].replace('T', ' ')}")
            if self.live:
                line.append(f", {max(0, self.view.at - seen.watermark) / 1000:.0f} s ago")
        return line.append(f"; held by {seen.holder}") if seen.holder else line

    def _lanes(self, seen: LanesSeen, width: int, room: int | None) -> list[RenderableType]:
        lanes = list(seen.lanes)
        if room is None or len(lanes) <= room:
            return [fitted(self._columns(lanes), width)]
        # Those that need somebody come first; some room is left for the transitions.
        kept = max(1, min(room - 1, max(3, room - 8)))
        lanes = sorted(lanes, key=lambda lane: (lane.moves, -(lane.lag or 0)))[:kept]
        lanes.sort(key=lambda lane: lane.partition)
        hidden = len(seen.lanes) - kept
        table = fitted(self._columns(lanes), width)
        shown = {lane.partition for lane in lanes}
        still = sum(not lane.moves for lane in seen.lanes if lane.partition not in shown)
        more = f"and {hidden} more lanes, " + (
            f"{still} of them standing" if still else "all running, none with more lag"
        )
        return [table, Text(more, "dim")]

    def _columns(self, lanes: Sequence[LaneSeen]) -> list[Column]:
        rates = self.view.rates.events

        def cells(text: Callable[[LaneSeen], str]) -> list[Text]:
            return [Text(text(lane)) for lane in lanes]

        columns = [
            Column("lane", 9, cells(lambda lane: str(lane.partition)), right=True),
            Column("state", 10, [Text(lane.state, "dim" if self.view.trouble else _colour(lane)) for lane in lanes]),
            Column("for", 3, cells(lambda lane: since(lane, self.now))),
            Column("lag", 7, cells(lambda lane: number(lane.lag)), right=True),
            Column("events/s", 6, cells(lambda lane: number(rates.get(lane.partition))), right=True),
            Column("said", 2, cells(lambda lane: _said(lane, self.view.at)), right=True),
            Column("owner", 4, cells(lambda lane: lane.said.owner if lane.said else "–")),
            Column("version", 1, cells(lambda lane: lane.version or "–")),
        ]
        if self.live:
            columns.insert(4, Column("behind", 5, cells(lambda lane: seconds(lane.behind_ms)), right=True))
        if any(lane.reason for lane in lanes):
            columns.append(Column("why", 8, cells(lambda lane: lane.reason), least=_WHY, wraps=True))
        return columns


def number(count: float | None) -> str:
    """`1,234`, with a decimal below ten: `0.5`; a dash for what is not known."""
    if count is None:
        return "–"
    return f"{count:,.1f}" if count < 10 and count != int(count) else f"{count:,.0f}"


def seconds(ms: int | None) -> str:
    return "–" if ms is None else f"{ms / 1000:.0f} s"


def _said(lane: LaneSeen, at: int) -> str:
    return "never" if lane.said_at is None else f"{seconds(max(0, at - lane.said_at))} ago"


def _colour(lane: LaneSeen) -> str:
    return "green" if lane.moves else "yellow" if lane.state in _WAITS else "bold red"


def _feed(newest: Sequence[PublishedTransition], width: int, rows: int) -> Table:
    return fitted(
        [
            Column("when", 3, [Text(minute(each.occurred_at), "dim") for each in newest]),
            Column("customer", 5, [Text(each.customer_id, "bold") for each in newest]),
            Column("journey", 1, [Text(each.journey, "dim") for each in newest]),
            Column("change", 4, [_change(each) for each in newest]),
            Column("because", 2, [Text(why(each.cause), "dim") for each in newest], least=_CAUSE),
        ],
        width,
        rows,
    )


def _change(each: PublishedTransition) -> Text:
    change = Text.assemble(stage(each.from_), (" → ", "dim"), stage(each.to))
    return change if each.kind == "entered" else change.append(f" {each.kind}", "yellow")
