"""Which checker sees which planted bug, and how soon: `python -m tests.mutants`, or `make mutants`.

The exit status is 1 if a bug is seen by nobody, or if something is seen where there is none.
"""

import json
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.mutants.catchers import LOOKED_AT, Catcher, Found, Sighting, look, looked
from tests.mutants.registry import mutants

CONTROL_S = 5.0
"""How long each catcher looks where there is no bug; each is held to that for longer by tests of its own."""


def main(
    only: Annotated[list[str] | None, typer.Option(help="Bugs whose name contains this; can be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Each bug only until somebody has seen it.")] = False,
    seconds: Annotated[float, typer.Option(help="How long a catcher looks for a bug at most.")] = 60.0,
    chaos: Annotated[float, typer.Option(help="Seconds of chaos for each bug; 0 is none.")] = 0.0,
    jobs: Annotated[int, typer.Option(help="Processes; 0 is one a core.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Writes the table there, as JSON.")] = None,
) -> None:
    """Plants bugs, one at a time, and lets the checkers look."""
    known = [each for each in mutants().values() if not only or any(part in each.name for part in only)]
    if not known:
        raise typer.BadParameter(f"no bug's name contains {', '.join(only or ())}")
    most_s: dict[Catcher, float] = {"cases": seconds, "property": seconds, "simulation": seconds, "chaos": chaos}
    in_one_process = {layer: [each for each in who if each != "chaos"] for layer, who in LOOKED_AT.items()}
    console = Console(width=None if Console().is_terminal else 150)
    jobs = jobs or os.cpu_count() or 1
    with Progress(console=console) as progress, ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        bar = progress.add_task("bugs", total=len(known))
        control = [
            pool.submit(looked, None, layer, who, dict.fromkeys(most_s, CONTROL_S), False)
            for layer, who in in_one_process.items()
        ]
        planned = [
            pool.submit(looked, each.name, each.layer, in_one_process[each.layer], most_s, quick) for each in known
        ]
        for future in planned:
            future.add_done_callback(lambda _: progress.advance(bar))
        found = [future.result() for future in planned]
        without = [future.result() for future in control]
    if chaos:
        found = [_with_chaos(each, most_s, console) for each in found]
    console.print(_table(found))
    unseen = [each for each in found if not each.right]
    false = [each for each in without if not each.right]
    for each in (*unseen, *false):
        console.print(f"[red]{each.name}[/]: {'seen by nobody' if each.name else each.sightings}")
    console.print(f"{len(found) - len(unseen)} of {len(found)} bugs seen; seen where there is none: {len(false)}")
    if report is not None:
        report.write_text(json.dumps([_plain(each) for each in (*found, *without)], indent=2) + "\n")
    raise typer.Exit(1 if unseen or false else 0)


def _with_chaos(found: Found, most_s: Mapping[Catcher, float], console: Console) -> Found:
    """One after the other, since each has the machine's Kafka, Redis and workers to itself."""
    if found.name is None or "chaos" not in LOOKED_AT[found.layer]:
        return found
    sighting = look(found.name, found.layer, "chaos", most_s["chaos"])
    console.print(f"{found.name}: chaos, {sighting.seconds:.0f} s: {sighting.what or 'nothing'}", markup=False)
    return Found(found.name, found.layer, [*found.sightings, sighting])


def _table(found: Iterable[Found]) -> Table:
    names: Sequence[Catcher] = ("cases", "property", "simulation", "chaos")
    table = Table("bug", "in", *names, title="seconds until it was seen, and the number of the look")
    for each in found:
        by_name = {sighting.catcher: sighting for sighting in each.sightings}
        table.add_row(each.name, each.layer, *(_shown(by_name.get(name)) for name in names))
    return table


def _shown(sighting: Sighting | None) -> str:
    if sighting is None:
        return ""
    return f"{sighting.seconds:.1f} ({sighting.tries})" if sighting.what else f"not in {sighting.seconds:.0f}"


def _plain(found: Found) -> dict[str, object]:
    return {
        "bug": found.name,
        "means": None if found.name is None else mutants()[found.name].means,
        "layer": found.layer,
        "right": found.right,
        "sightings": [asdict(each) for each in found.sightings],
    }


if __name__ == "__main__":
    typer.run(main)
