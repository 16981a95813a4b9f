"""Logging of a process: JSON lines for machines, colours on a terminal, libraries through the same door.

configure(settings.log_format, settings.log_level)
log = structlog.get_logger(__name__)
log.warning("lane.doubt", lane=3, reason="redis", customer=anonymised("c:4711"))

`pipeline/log_page.py` has the meaning of levels, fields and events.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from pipeline.application.ports import Doubt
from pipeline.errors import UserError
from pipeline.log_repeats import Repeats

Format = Literal["auto", "json", "pretty"]

LIBRARIES: Final = dict.fromkeys(("faust", "mode", "aiokafka", "pipeline"), logging.WARNING)
"""Loggers that say much and often: from which level on they are heard. Faust's services that are made into ours log
under the names of our modules; ours themselves use structlog."""

PERSONAL: Final = frozenset({"customer", "customer_id", "identity"})
"""Fields that name a person; whoever forgets `anonymised` is helped out."""

OF_EVENTS: Final = ("pipeline/domain/", "pipeline/application/")
"""Code that has events in hand: what is raised there may quote one."""

SAFE: Final = (Doubt, UserError, OSError)
SAFE_MODULES: Final = ("aiokafka", "faust", "mode", "redis")
"""Exceptions whose words are about connections and settings, wherever they passed."""

WITHHELD: Final = "(its words may quote an event: they are not logged)"

_MARK: Final = "~"


def configure(
    format: Format = "auto",  # noqa: A002 - as the setting is called
    level: str = "info",
    stream: TextIO | None = None,
    key: bytes | None = None,
    repeats: Repeats | None = None,
) -> None:
    """Sets structlog and the standard library up to write to `stream` (stderr); may be called again.

    `key` (at most 64 bytes) makes anonymised identities the same in every process that has it; without one they are
    only the same within this process.
    """
    out = stream or sys.stderr
    pretty = format == "pretty" or (format == "auto" and out.isatty())
    render = _for_people(out) if pretty else _for_machines()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    repeats = repeats or Repeats()
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_names,
    ]
    structlog.configure(
        processors=[repeats.of_event, *common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,  # loggers of modules are made before this is called
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(repeats.of_record)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name, _add_repeated],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    write = structlog.WriteLogger(out)

    def write_event(method: str, event: EventDict) -> None:
        line: Any = event
        for step in (*common, *render):
            line = step(write, method, line)
        write.msg(line)

    repeats.write_by(write_event, handler.emit)
    logging.captureWarnings(True)
    _keep(_Setup(handler, threshold, repeats), key)
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


def flush() -> None:
    """Says at once what has repeated since it was said last: before a process ends without a good-bye."""
    if _state.setup is not None:
        _state.setup.repeats.close()


def anonymised(identity: str) -> str:
    """A short hash that stands for an identity in logs: `~9f86d081884c`."""
    if identity.startswith(_MARK):
        return identity
    return _MARK + blake2b(identity.encode(), key=_state.key, digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class _Setup:
    handler: logging.Handler
    level: int
    repeats: Repeats


@dataclass(slots=True)
class _State:
    setup: _Setup | None
    key: bytes


_state = _State(None, os.urandom(16))


def _keep(setup: _Setup, key: bytes | None) -> None:
    flush()
    _state.setup = setup
    if key is not None:
        _state.key = key


def _for_people(out: TextIO) -> list[Processor]:
    def exception(to: TextIO, info: ExcInfo) -> None:
        to.write("\n" + told(info))

    return [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=exception)]


def _for_machines() -> list[Processor]:
    return [structlog.processors.ExceptionRenderer(told), _in_order, structlog.processors.JSONRenderer(_json)]


def told(exc_info: ExcInfo) -> str:
    """Exceptions as Python prints them, but for words that may quote an event."""
    return "\n".join(_one(error) for error in _chain(exc_info[1]))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The first one first."""
    if error is None:
        return
    yield from _chain(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _chain(each)
    yield error


def _one(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    kind = type(error)
    safe = isinstance(error, SAFE) or kind.__module__.partition(".")[0] in SAFE_MODULES
    quotes = not frames or any(part in frame.filename.replace(os.sep, "/") for frame in frames for part in OF_EVENTS)
    words = str(error) if safe or not quotes else WITHHELD
    head = "Traceback (most recent call last):\n" if frames else ""
    return f"{head}{''.join(frames.format())}{kind.__qualname__}: {words}".removesuffix(": ")


def _in_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """What everyone looks for comes first."""
    first: dict[str, Any] = {
        name: event.pop(name)
        for name in ("timestamp", "level", "event", "logger", "lane", "position", "reason")
        if name in event
    }
    return {**first, **event}


def _json(value: object, default: Callable[[Any], Any]) -> str:
    return orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS).decode()


def _without_names(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    for name in PERSONAL & event.keys():
        event[name] = anonymised(str(event[name]))
    return event


def _add_repeated(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if repeated := getattr(event.get("_record"), "repeated", 0):
        event["repeated"] = repeated
    return event
