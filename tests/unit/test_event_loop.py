"""How late the main loop runs is measured, also when something holds it up; and how long the collector takes."""

import asyncio
import gc
import time
from contextlib import suppress

from pipeline.application.metrics import NoMetrics
from pipeline.worker.event_loop import EVERY_S, measure_delays
from pipeline.worker.gc_pauses import measure_pauses


class Delays(NoMetrics):
    """Keeps what is observed."""

    name = "loop_delay_seconds"

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.first = asyncio.Event()

    def observe(self, metric: str, value: float, *labels: str) -> None:
        assert (metric, labels) == (self.name, ())
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


class Pauses(Delays):
    name = "gc_pause_seconds"


async def test_every_collection_is_noted_until_the_worker_ends() -> None:
    pauses, before = Pauses(), list(gc.callbacks)
    measuring = asyncio.create_task(measure_pauses(pauses))
    await asyncio.sleep(0)  # it listens
    began = time.perf_counter()
    gc.collect()
    took = time.perf_counter() - began
    await pauses.first.wait()
    measuring.cancel()
    with suppress(asyncio.CancelledError):
        await measuring
    assert any(0 < seen <= took for seen in pauses.seen)
    assert gc.callbacks == before
