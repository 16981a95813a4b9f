"""`journey top`: the lanes, live in the terminal, until `q` or Ctrl-C.

Exit status: 0 after `q` or Ctrl-C; with `--once` or without a terminal as of `journey status`: 0 all lanes move, 1 one
does not (or Kafka or Redis does not answer); 2 a mistake in the call.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.lanes_watched import Watch
    from pipeline.cli.top_shown import Frame


def top(
    interval: Annotated[str, typer.Option("--interval", metavar="DURATION", help="A look so often.")] = "2s",
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, an interval apart, print one frame, and end.")
    ] = False,
    config: Config = None,
) -> None:
    """Watch the lanes: who owns them, how far behind they are, what they do a second, and the newest stage changes."""
    from pipeline.adapters.lanes_watched import Watch
    from pipeline.cli.replaying import seconds_of

    pause_s = seconds_of(interval)
    watch = Watch(load_settings(config))
    # A line that a library logs would break the picture.
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if once or not sys.stdout.isatty():
        asyncio.run(_print_once(watch, pause_s))
    else:
        asyncio.run(_show(watch, pause_s))


async def _print_once(watch: "Watch", pause_s: float) -> None:
    from rich.console import Console

    from pipeline.errors import UserError

    await watch.look()
    await asyncio.sleep(pause_s)
    view = await watch.look()
    if view.trouble or view.seen is None:
        raise UserError(view.trouble, 1)
    # Cut to nobody's screen: a file or a pipe gets whole lines.
    Console(highlight=False, width=None if sys.stdout.isatty() else 240).print(_frame(watch))
    if not all(lane.moves for lane in view.seen.lanes):
        raise typer.Exit(1)


async def _show(watch: "Watch", pause_s: float) -> None:
    from rich.console import Console
    from rich.live import Live

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # One write a frame over the frame before, never a cleared screen: nothing flickers.
    with (
        _keys(stop),
        Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live,
    ):

        def draw() -> None:
            live.update(_frame(watch, screen=True), refresh=True)

        async def follow() -> None:
            while True:
                await watch.look()
                draw()
                await asyncio.sleep(pause_s)

        loop.add_signal_handler(signal.SIGWINCH, draw)
        draw()
        following = asyncio.create_task(follow())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
        loop.remove_signal_handler(signal.SIGWINCH)
        for task in (following, stopping):
            task.cancel()
    if following.done() and not following.cancelled():
        following.result()


def _frame(watch: "Watch", *, screen: bool = False) -> "Frame":
    from pipeline.cli.top_shown import Frame

    return Frame(watch.view, time.time_ns() // 1_000_000, watch.live, screen)


@contextmanager
def _keys(stop: asyncio.Event) -> Iterator[None]:
    """Sets `stop` at a `q`. The terminal gives each key at once and shows none, and is as it was afterwards."""
    import os
    import termios
    import tty

    if not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        # Nothing at all: the terminal was closed.
        if (keys := os.read(keyboard, 1024)) == b"" or b"q" in keys.lower():
            stop.set()

    loop = asyncio.get_running_loop()
    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, pressed)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)
