"""`journey run`: stack, workers, simulator and feed, started in order and stopped in order."""

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.dev import stack as stacks
from pipeline.dev.audience import Audience, Totals
from pipeline.dev.stack_net import bindable
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.workers import WorkerProcess

_HTTP_PORT: Final = "JOURNEY_HTTP_PORT"
_FIRST_HTTP_PORT: Final = 9464
_SETTINGS: Final = """\
# Written by `journey run`. Commands that are called in this folder use it if they are told no other.
brokers: {brokers}
redis_url: {redis_url}
partitions: {partitions}
clock: event # the simulated time, not the machine's
journeys: {journeys}
tick_s: 0.2 # a second is a day here, and timers wait for it
log_format: pretty
identity_key_file: {identity_key_file} # made for this run, to hash e-mail addresses and telephone numbers by
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is run. `speed`: simulated seconds a real second. `stack` False: Kafka and Redis of `config` are used.

    None leaves a choice: of the speed to the clock, of seed and customers to what an earlier run has kept.
    """

    folder: Path
    workers: int
    speed: float | None
    seed: int | None
    customers: int | None
    partitions: int
    kafka_port: int
    redis_port: int
    journeys: tuple[str, ...]
    stack: bool
    fresh: bool
    config: Path | None


async def run(options: Options, audience: Audience, stop: asyncio.Event) -> Totals:
    """Runs until `stop` is set. UserError if a part cannot start or fails for good. Leaves nothing running."""
    async with contextlib.AsyncExitStack() as owned:
        own = options.folder / "settings.yaml"
        config = own if options.stack else options.config
        reaper = Reaper()
        owned.callback(reaper.dismiss)
        workers = [_worker(number, options, config, reaper, audience) for number in range(options.workers)]
        # Loading its code takes a worker as long as Kafka takes to start, so one of them does so meanwhile.
        await workers[0].prepare()
        owned.push_async_callback(workers[0].stop)
        starting = asyncio.create_task(_start(options, own, audience, owned))
        await asyncio.sleep(0)  # the servers start in another thread, and this one loads the rest of our code meanwhile
        from pipeline.config import load
        from pipeline.dev.course import Course

        await starting
        return await Course(options, load(config), workers, audience).until(stop)


async def _start(options: Options, settings: Path, audience: Audience, owned: contextlib.AsyncExitStack) -> None:
    if options.stack:
        audience.step("starting Kafka and Redis")
        await owned.enter_async_context(_stack(options))
        _write_settings(options, settings)


def data_of(options: Options) -> Path:
    """What a stack keeps, the simulator's state included: `journey dev reset` removes all of it together."""
    return options.folder / "stack"


def _stack(options: Options) -> stacks.Stack:
    data = data_of(options)
    if options.fresh:
        stacks.reset(data)
    return stacks.Stack(data, options.kafka_port, options.redis_port)


def _write_settings(options: Options, path: Path) -> None:
    """The settings of the run, for the workers and for whoever calls commands in this folder."""
    from pipeline.config import is_path

    text = _SETTINGS.format(
        brokers=f"127.0.0.1:{options.kafka_port}",
        redis_url=f"redis://127.0.0.1:{options.redis_port}/0",
        partitions=options.partitions,
        identity_key_file=stacks.identity_key(data_of(options)).relative_to(options.folder),
        journeys=json.dumps([str(Path(name).absolute()) if is_path(name) else name for name in options.journeys]),
    )
    path.write_text(text)


def _worker(number: int, options: Options, config: Path | None, reaper: Reaper, audience: Audience) -> WorkerProcess:
    name = f"worker-{number + 1}"
    # Whoever sets the variable knows which ports are free here; 0: no worker serves metrics.
    given = os.environ.get(_HTTP_PORT, "")
    first = int(given) if given.isdigit() else _FIRST_HTTP_PORT
    port = first + number if first else 0
    return WorkerProcess(
        name,
        config,
        options.folder / "logs" / f"{name}.log",
        reaper,
        audience.trouble,
        {_HTTP_PORT: str(port if port and bindable(port) else 0)},
    )
