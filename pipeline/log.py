"""Logging of a process: JSON lines for machines, colours on a terminal, libraries through the same door.

configure(settings.log_format, settings.log_level)
log = structlog.get_logger(__name__)
log.warning("lane.doubt", lane=3, reason="redis", customer=anonymised("c:4711"))
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "json", "pretty"]

LIBRARIES: Final = {"faust": logging.WARNING, "mode": logging.WARNING, "aiokafka": logging.WARNING}
"""Loggers that say much and often: from which level on they are heard."""

PERSONAL: Final = frozenset({"customer", "customer_id", "identity"})
"""Fields that name a person; whoever forgets `anonymised` is helped out."""

_MARK: Final = "~"


def configure(
    format: Format = "auto",  # noqa: A002 - as the setting is called
    level: str = "info",
    stream: TextIO | None = None,
    key: bytes | None = None,
) -> None:
    """Sets structlog and the standard library up to write to `stream` (stderr); may be called again.

    `key` (at most 64 bytes) makes anonymised identities the same in every process that has it; without one they are
    only the same within this process.
    """
    out = stream or sys.stderr
    pretty = format == "pretty" or (format == "auto" and out.isatty())
    render = _for_people(out) if pretty else _for_machines()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    repeats = Repeats()
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_names,
    ]
    structlog.configure(
        processors=[*common, repeats, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,  # loggers of modules are made before this is called
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(repeats.of_record)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name, _add_suppressed],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.captureWarnings(True)
    _keep(_Setup(handler, threshold), key)
    reclaim()


def reclaim() -> None:
    """Takes the standard library's loggers back: Faust's worker puts its own handlers and DEBUG on the root logger.

    Dropped debug records alone took a tenth of a busy worker's time. Does nothing before `configure`.
    """
    if _state.setup is None:
        return
    root = logging.getLogger()
    root.handlers[:] = [_state.setup.handler]
    root.setLevel(_state.setup.level)
    for name, level in LIBRARIES.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(level, _state.setup.level))


def anonymised(identity: str) -> str:
    """A short hash that stands for an identity in logs: `~9f86d081884c`."""
    if identity.startswith(_MARK):
        return identity
    return _MARK + blake2b(identity.encode(), key=_state.key, digest_size=6).hexdigest()


class Repeats:
    """Lets the same event of the same lane through `burst` times in `window_s` seconds and counts the rest.

    The next one that passes says how many were held back, as `suppressed`.
    """

    def __init__(
        self, window_s: float = 10.0, burst: int = 10, clock: Callable[[], float] = time.monotonic, most: int = 1_000
    ) -> None:
        self._window_s, self._burst, self._clock, self._most = window_s, burst, clock, most
        self._seen: dict[Hashable, _Seen] = {}
        self._lock = threading.Lock()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """As a structlog processor."""
        suppressed = self.pass_on((method, event.get("event"), event.get("lane")))
        if suppressed is None:
            raise structlog.DropEvent
        return {**event, "suppressed": suppressed} if suppressed else event

    def of_record(self, record: logging.LogRecord) -> bool:
        """As a filter of the standard library, where the message before formatting is the event."""
        suppressed = self.pass_on((record.levelname, record.name, record.msg))
        record.suppressed = suppressed
        return suppressed is not None

    def pass_on(self, key: Hashable) -> int | None:
        """How many like it were held back before it; None if it is to be held back too."""
        now = self._clock()
        with self._lock:
            seen = self._seen.get(key)
            if seen is None or now >= seen.until:
                if len(self._seen) >= self._most:
                    self._seen = {key: seen for key, seen in self._seen.items() if now < seen.until}
                if seen or len(self._seen) < self._most:
                    self._seen[key] = _Seen(now + self._window_s)
                return seen.suppressed if seen else 0
            seen.passed += 1
            if seen.passed <= self._burst:
                return 0
            seen.suppressed += 1
            return None


@dataclass(slots=True)
class _Seen:
    """What happened to an event in the window that ends at `until`."""

    until: float
    passed: int = 1
    suppressed: int = 0


@dataclass(frozen=True, slots=True)
class _Setup:
    handler: logging.Handler
    level: int


@dataclass(slots=True)
class _State:
    setup: _Setup | None
    key: bytes


_state = _State(None, os.urandom(16))


def _keep(setup: _Setup, key: bytes | None) -> None:
    _state.setup = setup
    if key is not None:
        _state.key = key


def _for_people(out: TextIO) -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)]


def _for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer(_json)]


def _in_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """What everyone looks for comes first."""
    first: dict[str, Any] = {
        name: event.pop(name) for name in ("timestamp", "level", "event", "logger", "lane") if name in event
    }
    return {**first, **event}


def _json(value: object, default: Callable[[Any], Any]) -> str:
    return orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS).decode()


def _without_names(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    for name in PERSONAL & event.keys():
        event[name] = anonymised(str(event[name]))
    return event


def _add_suppressed(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if suppressed := getattr(event.get("_record"), "suppressed", 0):
        event["suppressed"] = suppressed
    return event
