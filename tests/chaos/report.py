"""What a run of chaos found, for people and for machines."""

import statistics
from collections.abc import Iterable, Mapping

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

SHOWN = 5
"""Findings of a kind that are told to people."""


class Recovery(msgspec.Struct, frozen=True):
    """How often something was done, and how long the pipeline then took to be as before, in seconds.

    `median` and `longest` are None if it never was.
    """

    times: int
    median: float | None
    longest: float | None


class Report(msgspec.Struct):
    """What was done, seen and found: `wrong` is by kind what may not be, in words; all else are figures.

    `checked`: what `journey check` counted. `looks`: reads of Redis; `compared`: values among them that were held
    against the changelog. `recoveries` by what was done. `seconds` without the judgement. `kept`: where the data is.
    """

    seed: int
    bug: str
    seconds: float
    counts: Mapping[str, int]
    events: Mapping[str, int]
    published: Mapping[str, int]
    checked: Mapping[str, int]
    looks: int
    compared: int
    recoveries: Mapping[str, Recovery]
    wrong: Mapping[str, list[str]]
    kept: str = ""

    @property
    def right(self) -> bool:
        return not any(self.wrong.values())


def recoveries(measured: Iterable[tuple[str, float | None]]) -> dict[str, Recovery]:
    """By kind of fault, those first that took longest."""
    by_kind: dict[str, list[float | None]] = {}
    for name, seconds in measured:
        by_kind.setdefault(name, []).append(seconds)
    found = {}
    for name, times in by_kind.items():
        known = [seconds for seconds in times if seconds is not None]
        median, longest = (statistics.median(known), max(known)) if known else (None, None)
        found[name] = Recovery(len(times), median, longest)
    return dict(sorted(found.items(), key=lambda item: -(item[1].median or 0)))


def show(report: Report, console: Console) -> None:
    """The tables for people."""
    console.print(_recovery_table(report))
    console.print(_figures(report))
    for name, found in report.wrong.items():
        for line in found[:SHOWN]:
            console.print(f"{name}: {line}", style="red", markup=False, soft_wrap=True)
    verdict = "[green]nothing is wrong[/green]" if report.right else "[red bold]WRONG[/red bold]"
    console.print(f"{verdict} after {report.seconds:.0f} s with seed {report.seed}")


def _recovery_table(report: Report) -> Table:
    table = Table("until all was as before, after", box=box.SIMPLE_HEAD)
    for heading in ("times", "median s", "longest s"):
        table.add_column(heading, justify="right")
    for name, recovery in report.recoveries.items():
        table.add_row(name, str(recovery.times), _seconds(recovery.median), _seconds(recovery.longest))
    return table


def _figures(report: Report) -> Table:
    """Columns of figures side by side, under what they count."""
    looked = {"looks": report.looks, "values compared": report.compared}
    wrong = {name: len(found) for name, found in report.wrong.items()}
    columns = {"done": report.counts, "sent": report.events, "published and read": {**report.published, **looked}}
    columns["journey check"] = report.checked
    table = Table(*(*columns, "wrong"), box=box.SIMPLE_HEAD)
    table.add_row(*(_listed(figures) for figures in (*columns.values(), wrong)))
    return table


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def _listed(figures: Mapping[str, int]) -> Table:
    listed = Table.grid(padding=(0, 1))
    listed.add_column()
    listed.add_column(justify="right")
    for name, number in figures.items():
        listed.add_row(name, f"{number:,}")
    return listed
