"""`journey run`: everything on this machine, with customers to watch.

Exit status: 0 after Ctrl-C or SIGTERM, 1 if a part failed, 2 a mistake in the call or around it (a port is taken, say).
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import DEV, DEV_SETTINGS

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.dev.audience import Totals
    from pipeline.dev.run import Options


def run(
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    speed: Annotated[
        str | None, typer.Option(help="Simulated time that passes in a real second (default: 1d).")
    ] = None,
    customers: Annotated[int | None, typer.Option(min=1, help="People about at any time (default: 300).")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed is another story (default: 7).")] = None,
    journeys: Annotated[
        list[str] | None,
        typer.Option("--journey", help="Built-in name or path; several times for several (default: all built in)."),
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Lanes; fixed once begun.")] = 4,
    kafka_port: Annotated[int, typer.Option(min=1, max=65535)] = 29092,
    redis_port: Annotated[int, typer.Option(min=1, max=65535)] = 26379,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what earlier runs kept.")] = False,
    stack: Annotated[
        bool, typer.Option("--stack/--no-stack", help="Start Kafka and Redis here, or use those of the settings.")
    ] = True,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="With --no-stack: the settings to use.")
    ] = None,
) -> None:
    """Start Kafka, Redis, workers and simulated customers; show their stage changes; end all of it with Ctrl-C.

    The next run goes on where this one stops.
    """
    from rich.console import Console

    from pipeline.config import JOURNEYS
    from pipeline.dev.run import Options
    from pipeline.errors import UserError

    if config is not None and stack:
        raise UserError("--config goes with --no-stack; with its own stack a run writes its settings itself")
    if fresh and not stack:
        raise UserError("--fresh throws away what the own stack keeps; it does nothing with --no-stack")
    options = Options(
        folder=DEV,
        workers=workers,
        speed=None if speed is None else _speed(speed),
        seed=seed,
        customers=customers,
        partitions=partitions,
        kafka_port=kafka_port,
        redis_port=redis_port,
        journeys=tuple(journeys or JOURNEYS),
        stack=stack,
        fresh=fresh,
        config=config,
    )
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    _sum_up(console, asyncio.run(_run(options, console)))


async def _run(options: "Options", console: "Console") -> "Totals":
    from pipeline.cli.live import Lines, Screen
    from pipeline.dev.run import run as run_all

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)  # the second time, end at once

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    audience = Screen if console.is_terminal else Lines
    with audience(console, _command("show")) as shown:
        return await run_all(options, shown, stop)


def _speed(text: str) -> float:
    """Simulated seconds a real second."""
    from pipeline.domain.duration import parse_duration
    from pipeline.errors import UserError

    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text) / 1000
    except ValueError as error:
        raise UserError(f"--speed: {error}") from None
    if seconds <= 0:
        raise UserError("--speed must be more than 0")
    return seconds


def _command(name: str) -> str:
    """How to call a command from this folder without activating anything."""
    program = Path(sys.argv[0])
    if program.name == "journey" and program.is_file():
        here = os.path.relpath(program)
        shown = here if not here.startswith("..") else str(program)
        return f"{shown} {name}"
    return f"{os.path.relpath(sys.executable)} -m pipeline {name}"


def _sum_up(console: "Console", totals: "Totals") -> None:
    from pipeline.cli.lines import minute, stage

    console.print(
        f"\n{totals.sent.events:,} events sent in {totals.seconds:.0f} s, {totals.folded:,} folded"
        f"   up to {minute(totals.sent.reached)} simulated"
    )
    for journey in sorted({journey for journey, _ in totals.stages}):
        entered = ((name, count) for (of, name), count in totals.stages.most_common() if of == journey)
        stages = (stage(name).append(f" {count:,}") for name, count in entered)
        console.print(f"{journey:<20}", *stages, sep="   ")
    if totals.signals:
        console.print("signals   " + "   ".join(f"{name} {count:,}" for name, count in totals.signals.most_common()))
    console.print(
        f"corrected {totals.kinds['corrected']:,}   withdrawn {totals.kinds['retracted']:,}"
        f"   too late {totals.late:,}   dead letters {totals.dead:,}"
    )
    console.print(f"\nIt goes on where it stopped with [bold]{_command('run')}[/]; with --fresh it begins anew.")
    if totals.worth_a_look:
        console.print(
            f"While it runs: [bold]{_command('show')} {totals.worth_a_look}[/] for a customer, "
            f"[bold]{_command('status')}[/] for the lanes [dim](they find {DEV_SETTINGS} by themselves)[/]"
        )
