"""How late the main loop runs is measured, also when something holds it up."""

import asyncio
import time
from contextlib import suppress

from pipeline.application.metrics import NoMetrics
from pipeline.worker.event_loop import EVERY_S, measure_delays


class Delays(NoMetrics):
    """Keeps what is observed."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.first = asyncio.Event()

    def observe(self, metric: str, value: float, *labels: str) -> None:
        assert (metric, labels) == ("loop_delay_seconds", ())
        self.seen.append(value)
        self.first.set()


async def test_a_loop_that_was_held_up_says_for_how_long() -> None:
    delays = Delays()
    measuring = asyncio.create_task(measure_delays(delays))
    await asyncio.sleep(0)  # it has asked for its turn
    time.sleep(2 * EVERY_S)  # noqa: ASYNC251  # what holds the loop up
    await delays.first.wait()
    measuring.cancel()
    with suppress(asyncio.CancelledError):
        await measuring
    assert delays.seen[0] >= EVERY_S * 0.9
