"""All failpoints with all actions: `python -m tests.failpoints`, or `make failpoints`. The exit status is 1 if one is
not right.
"""

import json
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pipeline.application.failpoints import Failpoint
from pipeline.dev.stack import Stack
from pipeline.errors import UserError
from pipeline.worker.failpoints import Action
from tests.failpoints.rounds import NEEDS_A_PAST, Cell, give_a_past, play
from tests.harness.application import Application

ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell; `wrong` is what the judge or the deadline said, empty if all is right."""

    cell: Cell
    seconds: float
    verdict: str
    wrong: str


def cells_of(point: Failpoint, actions: list[Action], chance: random.Random) -> list[Cell]:
    """The cells of one failpoint; it is hit at the first or second time, one of two lanes is released once only."""
    hits = (1,) if point is Failpoint.LANE_RELEASED else (1, 2)
    return [Cell(point, action, chance.choice(hits)) for action in actions]


def play_all(stack: Stack, cells: list[Cell], progress: Progress) -> list[Outcome]:
    """One after the other in one application; after one that is wrong, the next begins with another application."""
    outcomes: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        progress.advance(progress.task_ids[0])

    while left := cells[len(outcomes) :]:
        began = time.monotonic()
        name = f"{left[0].point.label.replace('.', '-')}-{len(left)}-"
        try:
            with tempfile.TemporaryDirectory() as directory, Application(stack, Path(directory), name) as app:
                if left[0].point in NEEDS_A_PAST:
                    give_a_past(app)
                for cell in left:
                    began = time.monotonic()
                    verdict = play(app, [cell], cell.action)
                    tell(Outcome(cell, round(time.monotonic() - began, 1), str(verdict), ""))
        except (AssertionError, UserError) as found:
            cell = cells[len(outcomes)]
            tell(Outcome(cell, round(time.monotonic() - began, 1), "", str(found) or "an assertion without words"))
            progress.console.print(f"{cell}: {outcomes[-1].wrong}", markup=False, highlight=False)
    return outcomes


def main(
    only: Annotated[str, typer.Option(help="Failpoints whose name contains this.")] = "",
    action: Annotated[str, typer.Option(help="One of kill, stop, raise, delay; all if empty.")] = "",
    seed: Annotated[int, typer.Option(help="Decides at which time each failpoint is hit.")] = 1,
    at_once: Annotated[int, typer.Option(help="Applications at a time.")] = 4,
    report: Annotated[Path | None, typer.Option(help="Writes the outcomes there, as JSON.")] = None,
) -> None:
    """Lets workers fail at each failpoint in each way, and has what they leave judged."""
    chance = random.Random(seed)
    actions = [each for each in ACTIONS if action in {"", each}]
    plan = [cells_of(point, actions, chance) for point in Failpoint if only in point.label]
    if not any(plan):
        raise typer.BadParameter(f"nothing fits --only {only!r} --action {action!r}")
    console = Console()
    with Stack() as stack, Progress(console=console) as progress, ThreadPoolExecutor(at_once) as threads:
        progress.add_task("cells", total=sum(map(len, plan)))
        played = list(threads.map(lambda cells: play_all(stack, cells, progress), plan))
    outcomes = [outcome for row in played for outcome in row]
    console.print(_table(played, actions))
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    console.print(f"{len(outcomes)} cells, wrong {len(wrong)}, seed {seed}")
    if report is not None:
        report.write_text(json.dumps([_plain(outcome) for outcome in outcomes], indent=2) + "\n")
    raise typer.Exit(1 if wrong else 0)


def _table(played: list[list[Outcome]], actions: list[Action]) -> Table:
    table = Table("failpoint", *actions, title="seconds until all was right again; @: at which time it was hit")
    for row in played:
        shown = ["wrong" if each.wrong else f"{each.seconds:.0f} @{each.cell.hit}" for each in row]
        table.add_row(row[0].cell.point.label, *shown)
    return table


def _plain(outcome: Outcome) -> dict[str, object]:
    cell = outcome.cell
    return {
        "failpoint": cell.point.label,
        "action": cell.action,
        "hit": cell.hit,
        "seconds": outcome.seconds,
        "verdict": outcome.verdict,
        "wrong": outcome.wrong,
    }


if __name__ == "__main__":
    typer.run(main)
