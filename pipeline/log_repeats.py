"""Events that repeat: the first is written at once, the others are counted, and one line at a time says how many.

A poison flood or a Redis that is away says the same thousands of times a second; a log that writes all of it hides the
rest, fills the disk and costs more than the work.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

WINDOW_S: Final = 10.0
"""How often a flood is summed up."""

STEPS: Final = 10
"""How many lines of `info` and `debug` of one kind pass in a window: steps of a life are few, and each counts."""

MOST: Final = 1_000
"""Kinds of events that are told apart; all beyond share one count."""

_QUIET: Final = frozenset({"debug", "info", "DEBUG", "INFO"})
_OTHERS: Final = ("others",)

Write = Callable[[str, EventDict], None]


@dataclass(slots=True)
class _Kind:
    """What happened to one kind in the window that ends at `until`; `last` is the newest that was held back."""

    until: float
    passed: int = 1
    held: int = 0
    last: tuple[str, EventDict] | logging.LogRecord | None = None


class Repeats:
    """Events of one kind have the same name, lane and reason; records of libraries the same logger and message before
    formatting. A kind that was held back is summed up at the end of its window: its newest line, with `repeated`, how
    many there were since the line before. Safe from any thread.
    """

    def __init__(
        self,
        window_s: float = WINDOW_S,
        steps: int = STEPS,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window_s, self._steps, self._most, self._clock = window_s, steps, most, clock
        self._kinds: dict[Hashable, _Kind] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._write_event: Write = lambda method, event: None
        self._write_record: Callable[[logging.LogRecord], None] = lambda record: None

    def write_by(self, event: Write, record: Callable[[logging.LogRecord], None]) -> None:
        """Where the sums go: what is written here is not counted again."""
        self._write_event, self._write_record = event, record
        atexit.register(self.close)

    def of_event(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """As a processor of structlog."""
        key = (event.get("event"), event.get("lane"), event.get("reason"))
        if self._passes(key, method in _QUIET, lambda: (method, {**event, "exc_info": None})):
            return event
        raise structlog.DropEvent

    def of_record(self, record: logging.LogRecord) -> bool:
        """As a filter of the standard library."""

        def kept() -> logging.LogRecord:
            record.exc_info = record.exc_text = record.stack_info = None
            return record

        return self._passes((record.levelname, record.name, record.msg), record.levelname in _QUIET, kept)

    def sum_up(self) -> None:
        """Writes the sum of every kind whose window is over; one that was quiet for a window is forgotten."""
        self._sum_up(self._clock())

    def close(self) -> None:
        """Writes all sums now."""
        atexit.unregister(self.close)
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._sum_up(float("inf"))

    def _passes(self, key: Hashable, step: bool, kept: Callable[[], tuple[str, EventDict] | logging.LogRecord]) -> bool:
        now = self._clock()
        with self._lock:
            kind = self._kinds.get(key)
            if kind is None and len(self._kinds) >= self._most:
                self._kinds = {each: kind for each, kind in self._kinds.items() if kind.held or now < kind.until}
                if len(self._kinds) >= self._most:
                    key, step = _OTHERS, False
                    kind = self._kinds.get(key)
            if kind is None or (now >= kind.until and not kind.held):
                self._kinds[key] = _Kind(now + self._window_s)
                return True
            if step and kind.passed < self._steps:
                kind.passed += 1
                return True
            kind.held += 1
            kind.last = kept()
            if self._timer is None:
                self._begin_timer(kind.until - now)
            return False

    def _begin_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(max(0.0, seconds), self._on_timer)
        self._timer.name, self._timer.daemon = "log", True
        self._timer.start()

    def _on_timer(self) -> None:
        with self._lock:
            self._timer = None
        self._sum_up(self._clock())
        with self._lock:
            held = [kind.until for kind in self._kinds.values() if kind.held]
            if held and self._timer is None:
                self._begin_timer(min(held) - self._clock())

    def _sum_up(self, now: float) -> None:
        sums: list[tuple[int, tuple[str, EventDict] | logging.LogRecord]] = []
        with self._lock:
            for key, kind in list(self._kinds.items()):
                if now < kind.until:
                    continue
                if kind.last is None:
                    del self._kinds[key]
                    continue
                sums.append((kind.held, kind.last))
                began = max(kind.until, min(now, self._clock()))
                self._kinds[key] = _Kind(began + self._window_s, self._steps)
        for held, last in sums:
            with suppress(ValueError, OSError):  # a stream that was closed meanwhile: there is nobody to tell
                if isinstance(last, logging.LogRecord):
                    last.repeated = held
                    self._write_record(last)
                else:
                    method, event = last
                    self._write_event(method, {**event, "repeated": held})
