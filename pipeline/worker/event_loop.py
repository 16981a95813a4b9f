"""The event loops of a worker: uvloop's where it exists, and how late they run."""

import asyncio
from typing import NoReturn

from pipeline.application.metrics import Metrics

try:
    import uvloop
except ImportError:  # Windows has none
    _LOOPS: asyncio.AbstractEventLoopPolicy = asyncio.DefaultEventLoopPolicy()
else:
    _LOOPS = uvloop.EventLoopPolicy()

EVERY_S = 0.25
"""Between two measurements of a loop's delay."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A fresh loop that belongs to nobody yet."""
    return _LOOPS.new_event_loop()


async def measure_delays(metrics: Metrics) -> NoReturn:
    """Asks the running loop for a turn at a set moment, again and again, and reports how late it came."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        metrics.observe("loop_delay_seconds", max(0.0, loop.time() - due))
