"""The command: python -m tests.simulation --seeds 10000, --replay 4711, --bug NAME. See docs/simulation.md."""

import math
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.mutants.registry import mutants, planted
from tests.simulation.cases import Case
from tests.simulation.faults import kinds
from tests.simulation.hunt import Tally, hunt
from tests.simulation.shrinking import shrink
from tests.simulation.trace import Trace
from tests.simulation.world import Outcome, run

console = Console()
app = typer.Typer(add_completion=False)


@app.command()
def main(
    seeds: Annotated[int, typer.Option(help="How many seeds to run.")] = 1_000,
    first: Annotated[int, typer.Option(help="The first of them.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes; 0 is one a core.")] = 0,
    minutes: Annotated[float, typer.Option(help="Stop after so long.")] = math.inf,
    most: Annotated[int, typer.Option(help="Stop after so many wrong ones.")] = 10,
    shrinking: Annotated[bool, typer.Option("--shrink/--no-shrink", help="Make the first wrong case small.")] = True,
    replay: Annotated[str, typer.Option(help="Show one case line by line: a seed, or the name of a shrunk case.")] = "",
    step: Annotated[bool, typer.Option(help="With --replay: wait for Enter after each action of the plan.")] = False,
    bug: Annotated[str, typer.Option(envvar="JOURNEY_BUG", help="Plant this bug; `list` names them.")] = "",
) -> None:
    """Real lanes through random worlds; exit code 1 if anything is wrong."""
    if bug == "list":
        console.print("\n".join(mutants()))
        raise typer.Exit
    if bug and bug not in mutants():
        raise typer.BadParameter(f"there is no bug {bug}; --bug list names them")
    known = bug or None
    wrong = (
        show(replay, known, step=step)
        if replay
        else look(range(first, first + seeds), known, jobs, minutes, most, shrinking)
    )
    raise typer.Exit(wrong)


def show(name: str, bug: str | None, *, step: bool) -> bool:
    """One case, line by line; whether it is wrong."""

    def listen(line: str) -> None:
        style = "bold red" if " WRONG " in line else "cyan" if "  #" in line else None
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
        if step and "  #" in line:
            sys.stdin.readline()

    case = Case.parse(name)
    with planted(bug):
        outcome = run(case, Trace(listen=listen))
    console.print(f"case {case}: {outcome.wrong or 'nothing wrong'}", markup=False)
    return outcome.wrong is not None


def look(seeds: range, bug: str | None, jobs: int, minutes: float, most: int, shrinking: bool) -> bool:
    """All these seeds; whether one is wrong."""
    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[wrong]} wrong"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(seeds), speed="", wrong=0)

        def told(tally: Tally) -> None:
            elapsed = progress.tasks[0].elapsed or 1.0
            speed = f"{tally.cases / elapsed:.1f} seeds/s"
            progress.update(bar, completed=tally.cases, speed=speed, wrong=len(tally.wrong))

        tally = hunt(seeds, bug, jobs, most, minutes, told)
        elapsed = progress.tasks[0].elapsed or 1.0
    console.print(report(tally, elapsed))
    for name, what in sorted(tally.wrong.items()):
        console.print(f"[bold red]seed {name}[/]: {escape(what)}")
    if tally.wrong and shrinking:
        make_small(min(tally.wrong, key=int), bug)
    return bool(tally.wrong)


def report(tally: Tally, elapsed: float) -> Table:
    """What was run, what was done to it, and how much of it was wrong."""
    table = Table("", "", title="simulation", show_header=False)
    for name, value in (
        ("seeds run", f"{tally.cases:,}"),
        ("[bold]wrong[/]", f"[bold]{len(tally.wrong)}[/]"),
        ("seeds/s", f"{tally.cases / elapsed:.1f}"),
        ("virtual time", f"{tally.seconds / 3600:,.1f} h"),
        ("events", f"{tally.events:,}"),
        ("transactions looked at", f"{tally.transactions:,}"),
        ("silences looked at", f"{tally.timers:,}"),
        ("states of Redis looked at", f"{tally.reads:,}"),
    ):
        table.add_row(name, value)
    table.add_section()
    for name, number in sorted(tally.happened.items()):
        table.add_row(name, f"{number:,}")
    return table


def make_small(name: str, bug: str | None) -> None:
    """Shrinks a case and says how to see it."""
    console.print(f"shrinking {name} ...")

    def told(outcome: Outcome, runs: int) -> None:
        console.print(f"  {len(outcome.case.kept or ())} actions after {runs} runs: {outcome.wrong}", markup=False)

    with planted(bug):
        small = shrink(Case.parse(name), told=told)
    kept = set(small.case.kept or ())
    for action in small.case.plan(kinds()).actions if kept else ():
        console.print(f"  #{action.number} at {action.at / 1000:.3f} s: {action.kind}", markup=False)
    more = f" --bug {bug}" if bug else ""
    console.print(f"python -m tests.simulation --replay {small.case}{more}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
