"""Work that repeats for as long as a worker runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn


async def every(seconds: float, step: Callable[[], Awaitable[object]]) -> NoReturn:
    """Does a step, then again `seconds` after the last one began, or at once if it took longer.

    Runs until cancelled; what the step raises ends it.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + seconds
        await step()
        await asyncio.sleep(max(0.0, due - loop.time()))
