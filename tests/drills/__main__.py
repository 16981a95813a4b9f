"""`python -m tests.drills`: every fault that an alert is for, caused, told, mended by its runbook, and over."""

import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from tests.drills.drill import Outcome, perform
from tests.drills.faults import DRILLS
from tests.drills.monitoring import PROGRAMS
from tests.drills.report import PAGE, page, show

KEPT: Final = Path(".dev/drills")
FACTOR: Final = 15.0
_WIDE: Final = 150


def drills(
    only: Annotated[list[str] | None, typer.Option(help="Hold only this drill; can be given more than once.")] = None,
    names: Annotated[bool, typer.Option("--list", help="List the drills, and hold none.")] = False,
    factor: Annotated[float, typer.Option(min=1, max=30, help="By what durations of rules are divided.")] = FACTOR,
    write: Annotated[bool, typer.Option(help=f"Write what went well into {PAGE.name}.")] = False,
) -> None:
    """Cause each fault on a live pipeline, wait for its alert, follow its runbook, and wait until the alert is over.

    Exit status: 0 all went as they should, 1 one did not, 2 a mistake in the call.
    """
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=_WIDE)
    if names:
        for drill in DRILLS.values():
            console.print(f"{drill.name:22} {drill.alert:26} {drill.what}", markup=False)
        return
    if unknown := set(only or ()) - set(DRILLS):
        raise typer.BadParameter(f"no such drill: {', '.join(sorted(unknown))}; there are: {', '.join(DRILLS)}")
    if missing := [package for name, package in PROGRAMS.items() if shutil.which(name) is None]:
        console.print(f"needed: apt-get install --no-install-recommends {' '.join(missing)}", markup=False)
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order, as with Ctrl-C: nothing is left running
    directory = KEPT.absolute() / time.strftime("%Y%m%d-%H%M%S")

    def done(outcome: Outcome) -> None:
        if write and outcome.right:
            PAGE.write_text(page([outcome], factor, time.strftime("%Y-%m-%d", time.gmtime()), PAGE.read_text()))

    def tell(name: str, what: str) -> None:
        console.print(f"{name:22} {what}", markup=False)

    outcomes = perform([DRILLS[name] for name in only or DRILLS], directory, factor, tell, done)
    show(outcomes, factor, console)
    if not all(outcome.right for outcome in outcomes):
        raise typer.Exit(1)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    typer.run(drills)
