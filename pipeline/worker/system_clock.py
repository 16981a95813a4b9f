"""The real clock, for the port."""

import asyncio
import random
import time


class SystemClock:
    """Implements ports.Clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def random(self) -> float:
        return random.random()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
