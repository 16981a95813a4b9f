"""An explained customer for people: what happened on a line of time, and what could come next."""

import os
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.adapters.customer_explained import Change, Explanation, JourneyExplained
from pipeline.application.outlook import Counted, Forbidden, Outlook, Timer, Way
from pipeline.cli.lines import minute, others_of, seen_of, stage, why
from pipeline.domain.duration import format_duration

_FEW: Final = 4
"""Touches of a rule that are named."""
_WIDE: Final = 130
"""Characters of a line that are enough for a column of rules."""
_NEWEST: Final = 20
"""Changes of a journey that are shown."""


def show(console: Console, explanation: Explanation, language: str) -> None:
    """The whole explanation."""
    customer, at = explanation.customer, explanation.at
    console.print(
        f"[bold]{escape(customer.customer)}[/]  {seen_of(customer)}"
        f"  [dim]lane {customer.lane}, timers at {minute(customer.watermark)}[/]"
    )
    if customer.joined:
        console.print(f"  has joined [bold]{escape(customer.joined)}[/]: look there")
    if others := others_of(customer):
        console.print(f"  with {escape(others)}", soft_wrap=True)
    if at is not None:
        console.print(f"  as it was at [bold]{minute(at)}[/], by all that is known of it today")
        if at < customer.first_seen:
            console.print("  [yellow]that was before anything is known of this customer[/]")
        elif customer.watermark is not None and at > customer.watermark:
            console.print(f"  [yellow]of silences it is known only up to {minute(customer.watermark)}[/]")
    for journey in explanation.journeys:
        _show_journey(console, journey, language)


def _show_journey(console: Console, journey: JourneyExplained, language: str) -> None:
    here = stage(journey.stage)
    label = journey.view.label(journey.stage, language)
    if label != journey.stage:
        here.append(f"  {label}", "bold")
    path = "" if journey.path is None else f"  {_relative(journey.path)}"
    head = Text.assemble((journey.view.name, "bold"), (f" version {journey.view.version}   ", "dim"), here)
    console.print("\n", head, f"  since {minute(journey.since)}", Text(path, "dim"), sep="")
    if len(journey.history) > _NEWEST:
        console.print(f"  [dim]{len(journey.history) - _NEWEST} earlier; --json has them all[/]")
    console.print(_history(console, journey))
    if journey.known is not None and journey.known != journey.stage:
        console.print("  ", Text("by then subscribers had been told: ", "yellow"), stage(journey.known), sep="")
    if journey.outlook is not None and (journey.outlook.ways or journey.outlook.timers):
        console.print("  [bold]what could come next[/]")
        console.print(_outlook(console, journey, journey.outlook))
    elif journey.why_not:
        console.print(f"  [yellow]what could come next is not known: {escape(journey.why_not)}[/]")


class _Grid:
    """Time, what, why, and the rule; where lines are short the rule stands behind the why."""

    def __init__(self, console: Console) -> None:
        self._wide = console.width >= _WIDE
        self.table = Table.grid(padding=(0, 2))
        self.table.add_column(no_wrap=True, style="dim", min_width=18)
        self.table.add_column(no_wrap=True)
        self.table.add_column()
        self.table.add_column(no_wrap=True, style="dim")

    def row(self, at: int | None, what: Text, because: Text, place: str) -> None:
        time = "" if at is None else f"  {minute(at)}"
        if self._wide:
            self.table.add_row(time, what, because, place)
        else:
            self.table.add_row(time, what, because.append(f"  {place}", "dim"))


def _history(console: Console, journey: JourneyExplained) -> Table:
    grid = _Grid(console)
    for change in journey.history[-_NEWEST:]:
        move = _move(change) if change.taken_back is None else Text(f"(→ {change.to})", "dim strike")
        grid.row(change.at, move, _because(change), _place_of(journey, change))
    if journey.next is not None:
        then = Text("then ").append_text(_move(journey.next))
        grid.row(journey.next.at, then, _because(journey.next), _place_of(journey, journey.next))
    return grid.table


def _move(change: Change) -> Text:
    return Text.assemble(stage(change.came_from), " → ", stage(change.to))


def _because(change: Change) -> Text:
    text = Text(why(change.cause))
    event, told, gone = change.cause.event, change.told, change.taken_back
    if event is not None:
        touch = f"{change.touch}, " if change.touch else ""
        by = f" of {change.done_by}" if change.done_by else ""
        text.append(f" ({touch}event {event.id}{by})", "dim")
    if told is None:
        text.append("  its record is no longer in the feed", "dim")
    elif gone is not None:
        instead = "" if gone.kind == "retracted" else f" for {why(gone.cause)} at {minute(gone.occurred_at)}"
        text.append(f"  told {minute(told.published_at)}, taken back {minute(gone.published_at)}{instead}", "yellow")
    elif told.kind == "corrected":
        text.append(f"  told {minute(told.published_at)} as a correction", "yellow")
    return text


def _outlook(console: Console, journey: JourneyExplained, outlook: Outlook) -> Table:
    grid = _Grid(console)
    for timer in outlook.timers:
        if timer.due is not None:
            grid.row(timer.due, _leads(timer), _runs(timer), _rule(journey, timer))
    for way in outlook.ways:
        grid.row(None, _leads(way), _needs(way), _rule(journey, way))
    for timer in outlook.timers:
        if timer.due is None:
            grid.row(None, _leads(timer), Text(_rests(timer), "dim"), _rule(journey, timer))
    return grid.table


def _leads(of: Way | Timer) -> Text:
    if of.to is not None:
        return Text.assemble("→ ", stage(of.to))
    return Text.assemble(("! ", "bold red"), of.rule.partition(":")[0])


def _runs(timer: Timer) -> Text:
    assert timer.due is not None
    assert timer.fires is not None
    span, since = format_duration(timer.after), minute(timer.since)
    if not timer.after:
        text = Text("an act has brought it")
    elif timer.starts is None:
        text = Text(f"{span} in the stage, since {since}")
    else:
        text = Text(f"{span} after the last {_listed(timer.starts)}, {since}")
    if timer.fires > timer.due:
        text.append(f"; waits for late events until timers are at {minute(timer.fires)}", "dim")
    return text


def _rests(timer: Timer) -> str:
    span = format_duration(timer.after)
    return (
        f"{span} in the stage, from its next entry"
        if timer.starts is None
        else f"{span} after the next {_listed(timer.starts)}"
    )


def _needs(way: Way) -> Text:
    text = Text(_listed(way.touches))
    for counted in way.counted:
        text.append(f"; {_counted(counted)}", "cyan" if counted.have else "")
    for forbidden in way.forbidden:
        text.append(f"; {_forbidden(forbidden)}", "yellow")
    return text


def _counted(counted: Counted) -> str:
    so_far = f"{counted.have} of {counted.of}"
    if counted.touch is not None:
        return f"{counted.touch} in all {so_far}"
    if counted.within is None:
        return f"{so_far} in the stage"
    until = "" if counted.until is None else f", the oldest until {minute(counted.until)}"
    return f"{so_far} within {format_duration(counted.within)}{until}"


def _forbidden(forbidden: Forbidden) -> str:
    if forbidden.touch is None:
        return (
            "told already" if forbidden.until is None else f"told already, not again before {minute(forbidden.until)}"
        )
    until = "" if forbidden.until is None else f" before {minute(forbidden.until)}"
    return f"not{until}, because of {forbidden.touch}"


def _listed(touches: tuple[str, ...]) -> str:
    more = len(touches) - _FEW
    named = " or ".join(touches[:_FEW])
    return f"{named} or {more} more" if more > 0 else named


def _rule(journey: JourneyExplained, of: Way | Timer) -> str:
    return _place(journey, of.rule, journey.lines.get(of.rule))


def _place_of(journey: JourneyExplained, change: Change) -> str:
    return _place(journey, change.cause.rule, change.line)


def _place(journey: JourneyExplained, rule: str, line: int | None) -> str:
    """The rule, and where it stands."""
    return f"{rule}, {journey.path.name}:{line}" if journey.path is not None and line is not None else rule


def _relative(path: Path) -> str:
    short = os.path.relpath(path)
    return str(path) if short.startswith("..") else short
