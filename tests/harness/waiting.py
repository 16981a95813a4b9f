"""Waiting for what must come true, never for time to pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.02


def until(condition: Callable[[], T], what: str | Callable[[], str], within_s: float = 20.0) -> T:
    """The first true answer of `condition`; AssertionError that says `what` did not come within the deadline."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(LOOK_EVERY_S)
    return answer


async def eventually(condition: Callable[[], Awaitable[T]], what: str, within_s: float = 20.0) -> T:
    """As `until`, of a condition that is awaited."""
    deadline = time.monotonic() + within_s
    while not (answer := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(LOOK_EVERY_S)
    return answer


def holds_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """AssertionError if the condition is false once within so many seconds: for what must *not* happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"no longer true: {what}"
        time.sleep(LOOK_EVERY_S)
