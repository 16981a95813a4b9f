"""How long Python's garbage collector stops a worker."""

import asyncio
import gc
from collections import deque
from collections.abc import Mapping
from time import perf_counter
from typing import NoReturn

from pipeline.application.metrics import Metrics

EVERY_S = 0.25
"""Between two reports."""


async def measure_pauses(metrics: Metrics) -> NoReturn:
    """Notes every collection of this process as it ends, and reports what was noted until cancelled.

    A collection begins wherever memory is asked for, also inside a metric that holds its lock: there nothing that takes
    one may be called.
    """
    noted: deque[float] = deque(maxlen=10_000)
    began = 0.0

    def collected(phase: str, _: Mapping[str, int]) -> None:
        """Only one collection runs at a time, in whichever thread."""
        nonlocal began
        if phase == "start":
            began = perf_counter()
        else:
            noted.append(perf_counter() - began)

    gc.callbacks.append(collected)
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            while noted:
                metrics.observe("gc_pause_seconds", noted.popleft())
    finally:
        gc.callbacks.remove(collected)
