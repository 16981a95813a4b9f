"""`python -m tests.chaos`: everything that can be done to a running pipeline, at random, for as long as wanted."""

import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from pipeline.errors import UserError
from tests.chaos.faults import FAULTS
from tests.chaos.report import Report, show
from tests.chaos.run import Chaos, Plan

KEPT = Path(".dev/chaos")
_WIDE = 130
_STATUS_EVERY_S = {True: 0.5, False: 15.0}
"""On a terminal, where the line stays in its place, and elsewhere."""


def chaos(
    seed: Annotated[int | None, typer.Option(help="Decides all that is done; chosen and told if not given.")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long things are done to it.")] = 10.0,
    rate: Annotated[float, typer.Option(min=1, help="Events a second, over all five channels.")] = 200.0,
    fault: Annotated[list[str] | None, typer.Option(help="Do only this; can be given more than once.")] = None,
    bug: Annotated[str, typer.Option(help="Run the workers with this planted bug, which must be caught.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep logs and data even if nothing is wrong.")] = False,
) -> None:
    """Hurt a real pipeline at random for a while, heal it, and judge what is left; exit 1 if anything is wrong."""
    if unknown := set(fault or ()) - set(FAULTS):
        raise typer.BadParameter(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(FAULTS)}")
    seed = random.randrange(1_000_000) if seed is None else seed
    console = _console(stderr=True)
    directory = KEPT.absolute() / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
    directory.mkdir(parents=True)
    again = _again(seed, minutes, rate, fault or [], bug)
    console.print(f"seed {seed}; the same again: {again}", markup=False)
    console.print(f"logs and data are in {directory} while it runs", markup=False)
    course = Chaos(Plan(seed, minutes * 60, rate, tuple(fault or ()), bug), directory)
    _end_on_interrupt(course, console)
    try:
        report = _watched(course, console)
    except (AssertionError, UserError) as error:
        console.print(f"it could not be done: {error}\nlogs and data are kept in {directory}", markup=False)
        raise typer.Exit(2) from None
    if report.right and not keep:
        shutil.rmtree(directory)
    else:
        report.kept = str(directory)
    show(report, console if as_json else _console(stderr=False))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    if report.kept:
        console.print(f"logs and data are kept in {directory}", markup=False)
    if not report.right:
        console.print(f"the same again: {again}", markup=False)
        raise typer.Exit(1)


def _console(*, stderr: bool) -> Console:
    """As wide as the terminal, elsewhere wide enough for the tables."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDE)


def _again(seed: int, minutes: float, rate: float, faults: list[str], bug: str) -> str:
    words = ["python -m tests.chaos", f"--seed {seed}", f"--minutes {minutes:g}", f"--rate {rate:g}"]
    words += [f'--fault "{name}"' for name in faults]
    return " ".join([*words, f"--bug {bug}"] if bug else words)


def _end_on_interrupt(course: Chaos, console: Console) -> None:
    """The first Ctrl-C ends it in order, the second at once: then nothing is judged, and nothing left behind either."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        console.print("ending; once more to end without a judgement", markup=False)
        course.stop.set()

    signal.signal(signal.SIGINT, end)


def _watched(course: Chaos, console: Console) -> Report:
    """Runs it, with a line that says how far it is."""
    ended = threading.Event()
    course.tell = lambda text: console.print(f"{_clock(course)}  {text}", markup=False)
    with console.status("starting") as status:

        def tell_on() -> None:
            while not ended.wait(_STATUS_EVERY_S[console.is_terminal]):
                status.update(_line(course))
                if not console.is_terminal:
                    console.print(_line(course), markup=False)

        telling = threading.Thread(target=tell_on, daemon=True)
        telling.start()
        try:
            return course.run()
        finally:
            ended.set()
            telling.join()


def _line(course: Chaos) -> str:
    world = course.world
    if world is None or not course.began:
        return "starting"
    bad = len(world.follower.problems) + len(world.watch.back) + len(world.watch.uncommitted) + len(world.problems)
    return (
        f"{_clock(course)} of {course.plan.seconds / 60:g} min: {len(world.app.sender.ledger):,} events, "
        f"{world.follower.transitions:,} transitions, {world.follower.signals:,} signals, "
        f"{world.watch.looks:,} looks into Redis, {world.pool.wanted} workers, wrong so far {bad}"
    )


def _clock(course: Chaos) -> str:
    seconds = int(time.monotonic() - course.began) if course.began else 0
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


if __name__ == "__main__":
    typer.run(chaos)
