"""The cases of a journey for people: what happened on a line of time, and what differs from what was expected."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.adapters.case_runs import Played, Report
from pipeline.application.rehearsal import Happened
from pipeline.application.verdict import Difference, Expected, Look, when
from pipeline.cli.lines import stage
from pipeline.domain.duration import format_duration

_RIGHT: Final = ("✓", "green")
_WRONG: Final = ("✗", "red")
_ASIDE: Final = ("", "dim")

# (time, order among what is of that time, mark, text): what is given stands before what it brings about.
_Line = tuple[int, int, tuple[str, str], Text]


def show(console: Console, report: Report, all_lines: bool) -> None:
    """Every case in a line; those that failed, or all, with their timeline."""
    console.print(f"[bold]{report.journey}[/] [dim]version {report.version}  {escape(str(report.path))}[/]")
    for played in report.played:
        mark, colour = _RIGHT if played.verdict.passed else _WRONG
        console.print(f"  [{colour}]{mark}[/] {escape(played.case.name)}", highlight=False)
        if all_lines or not played.verdict.passed:
            _show_case(console, played)


def _show_case(console: Console, played: Played) -> None:
    case = played.case
    console.print(f"    [dim]{escape(case.place)}[/]", soft_wrap=True)
    if case.about:
        console.print(f"    {escape(case.about)}")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=5, justify="right")
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for moment, _, (mark, colour), text in sorted(_lines(played), key=lambda line: line[:2]):
        table.add_row(Text(mark, colour), Text(when(moment), "dim"), text)
    console.print(table)
    console.print()


def _lines(played: Played) -> Iterator[_Line]:
    outcomes = played.rehearsal.outcomes
    for event in played.case.given:
        told = Text.assemble((event.id, "bold"), "  ", event.told, "  ", (f"→ {outcomes[event.id]}", "dim"))
        if event.arrives > event.at:
            told.append(f"  arrives at {when(event.arrives)}", "yellow")
        yield (event.at, 0, _ASIDE, told)
    wrong = {difference.happened: difference for difference in played.verdict.differences if difference.happened}
    for happened in played.rehearsal.happened:
        text = _happened(happened)
        difference = wrong.get(happened)
        if difference is not None:
            text.append(f"  {difference.says}", "bold red")
            text.append_text(_line_of(difference))
        yield (happened.at, 1, _WRONG if difference else _RIGHT, text)
    for difference in played.verdict.differences:
        if difference.happened is None and difference.expected is not None:
            text = _expected(difference.expected)
            text.append(f"  {difference.says}", "bold red")
            text.append_text(_line_of(difference))
            yield (difference.at, 2, _WRONG, text)
    yield (played.case.until, 3, _ASIDE, Text("the case ends", "dim"))


def _happened(happened: Happened) -> Text:
    if happened.signal:
        text = Text.assemble(("! ", "bold red"), (happened.signal, "bold"), " in ", stage(happened.stage))
    else:
        text = Text.assemble(stage(happened.came_from), " → ", stage(happened.stage))
    if happened.cause:
        why = f"by {happened.cause}"
    elif happened.since == happened.at:
        why = "at once"
    else:
        why = f"after {format_duration(happened.at - happened.since)} of silence since {when(happened.since)}"
    text.append(f"  {why}, rule {happened.rule}", "dim")
    if happened.withdrawn is not None:
        text.append(f"  withdrawn at {when(happened.withdrawn)}", "yellow")
    return text


def _expected(expected: Expected | Look) -> Text:
    if isinstance(expected, Look):
        return Text.assemble("expected to be in ", stage(expected.stage))
    if expected.signal is not None:
        return Text.assemble("expected: ", ("! ", "bold red"), (expected.signal, "bold"))
    return Text.assemble("expected: → ", stage(expected.enters))


def _line_of(difference: Difference) -> Text:
    return Text("" if difference.expected is None else f"  line {difference.expected.line}", "dim")
