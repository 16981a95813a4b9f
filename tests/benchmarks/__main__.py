"""Measures this project, and what people would pick instead, on one Kafka and Redis that it starts itself."""

import logging
import tempfile
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.console import Console

from pipeline.dev.stack import Stack
from tests.benchmarks import common_work, cost, results, tables
from tests.benchmarks.results import RESULTS, Circumstances, Cost, Figure, Line
from tests.benchmarks.systems.known import SYSTEMS, available

logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it tells of every retry of a new topic

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(width=140)

Results = Annotated[Path, typer.Option(help="The file that lines for machines are added to.")]


@app.callback()
def benchmarks() -> None:
    """Commands, each for one figure."""


@app.command("cost")
def cost_command(
    pairs: Annotated[int, typer.Option(min=1, help="Rounds; in each every system runs once, in turn.")] = 3,
    events: Annotated[int, typer.Option(min=1_000, help="Events; a tenth as many customers.")] = 1_000_000,
    systems: Annotated[
        str, typer.Option(help=f"Which to run, with commas between: {', '.join(SYSTEMS)}.")
    ] = "worker,kafka-streams",
    results_file: Results = RESULTS,
) -> None:
    """CPU an event, events a second, memory; each output is judged by the oracle."""
    names = systems.split(",")
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise typer.BadParameter(f"no system {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    ready, absent = available(names)
    for line in absent:
        console.print(line, style="yellow")
    with console.status("making the work") as status:
        work = cost.make_work(common_work.events(events, max(1, events // 10)))
        with Stack(heap_mb=512) as stack, tempfile.TemporaryDirectory() as directory:
            around = _circumstances(stack)
            found: list[Cost] = []
            for figure in cost.rounds(stack, ready, work, pairs, Path(directory), status.update):
                found.append(figure)
                _keep(results_file, around, figure)
    console.print(tables.cost_table(found))
    if ratios := tables.ratio_table(found):
        console.print(ratios)


def _circumstances(stack: Stack) -> Circumstances:
    info = redis.Redis.from_url(stack.redis_url).info("server")
    assert isinstance(info, dict)
    name = "Valkey" if "valkey_version" in info else "Redis"
    return results.circumstances(f"{name} {info.get('valkey_version', info['redis_version'])}")


def _keep(path: Path, around: Circumstances, figure: Figure) -> None:
    results.append(path, Line(figure, around))


if __name__ == "__main__":
    app()
