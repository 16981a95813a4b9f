"""/debug: what a process is doing now, for whoever has the token; answered while its event loops hang.

    curl -H "Authorization: Bearer $JOURNEY_DEBUG_TOKEN" 127.0.0.1:9464/debug/stacks

Functions, files and lines are shown, and never a value: no page holds what is in an event.
docs/decisions says why the profile is made here (looking into a process).
"""

import asyncio
import gc
import hmac
import linecache
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import parse_qs

import psutil
import structlog

log = structlog.get_logger(__name__)

TEXT: Final = "text/plain; charset=utf-8"
ROOT: Final = "/debug"

SECONDS: Final = (5.0, 60.0)
"""A profile takes so long, and at most so long."""

EVERY_S: Final = 0.01
"""Between two samples of a profile."""

MOST_TYPES: Final = 30

Loops = Callable[[], Mapping[str, asyncio.AbstractEventLoop]]
Response = tuple[HTTPStatus, bytes, str]


class DebugPages:
    """`loops`: the event loops by name, whose tasks are listed. The token is compared in constant time."""

    root = ROOT

    def __init__(self, token: str, loops: Loops) -> None:
        self._token = token.encode()
        self._loops = loops
        self._profiling = threading.Lock()
        self._pages: dict[str, tuple[str, Callable[[str], Response]]] = {
            "/stacks": ("where every thread is", lambda _: _text(stacks())),
            "/tasks": ("every asyncio task, and where it waits", lambda _: _text(tasks(self._loops()))),
            "/memory": (
                "memory, collections; ?objects=1 counts objects, which stops the process for a moment",
                _memory,
            ),
            "/profile": (f"samples of all threads, ?seconds={SECONDS[0]:g}, as folded stacks", self._profile),
        }

    def answer(self, path: str, query: str, authorization: str) -> Response:
        """The page at `path` (which begins with /debug); 401 without the token."""
        if not hmac.compare_digest(authorization.encode(), b"Bearer " + self._token):
            log.warning("debug.refused", reason="no token" if not authorization else "wrong token")
            return _text(
                "Authorization: Bearer TOKEN is needed, with debug_token of the settings\n", HTTPStatus.UNAUTHORIZED
            )
        page = self._pages.get(path.removeprefix(ROOT))
        if page is None:
            found = HTTPStatus.OK if path.rstrip("/") == ROOT else HTTPStatus.NOT_FOUND
            return _text("".join(f"{ROOT}{name}: {what}\n" for name, (what, _) in self._pages.items()), found)
        log.warning("debug.asked", page=path)
        return page[1](query)

    def _profile(self, query: str) -> Response:
        try:
            seconds = float(parse_qs(query).get("seconds", [str(SECONDS[0])])[0])
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= SECONDS[1]:
            return _text(f"seconds: a number up to {SECONDS[1]:g}\n", HTTPStatus.BAD_REQUEST)
        if not self._profiling.acquire(blocking=False):
            return _text("a profile is being made already\n", HTTPStatus.CONFLICT)
        try:
            return _text(folded(sample(seconds)))
        finally:
            self._profiling.release()


def stacks() -> str:
    """The stack of every thread, the newest call last."""
    names = {thread.ident: thread for thread in threading.enumerate()}
    parts = []
    for number, frame in sys._current_frames().items():  # noqa: SLF001 - public by its documentation
        thread = names.get(number)
        name = f"{thread.name}{' (daemon)' if thread.daemon else ''}" if thread else "not of Python's threading"
        parts.append(f"--- {name}\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)


def tasks(loops: Mapping[str, asyncio.AbstractEventLoop]) -> str:
    """The tasks of these loops, each with the place where it waits."""
    parts = []
    for name, loop in loops.items():
        found = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
        parts.append(f"=== {name}: {len(found)} tasks\n")
        for task in found:
            frames = task.get_stack()
            where = "".join(traceback.format_list([_summary(frame) for frame in frames])) or "  (not begun)\n"
            parts.append(f"--- {task.get_name()}\n{where}")
    return "".join(parts)


def sample(seconds: float) -> Counter[str]:
    """How often each stack was seen; stacks as `thread;caller;called`. Compiled functions have no frame: their callers
    are seen."""
    seen: Counter[str] = Counter()
    own = threading.get_ident()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for number, frame in sys._current_frames().items():  # noqa: SLF001 - likewise
            if number != own:
                seen[";".join([names.get(number, "?"), *_names(frame)])] += 1
        time.sleep(EVERY_S)
    return seen


def folded(seen: Counter[str]) -> str:
    """One stack a line and how often it was seen, most often first: what flame graphs and speedscope read."""
    return "".join(f"{stack} {count}\n" for stack, count in seen.most_common())


def memory(*, objects: bool) -> str:
    """What the process takes, and how its collector is; with `objects`, the kinds of which there are most."""
    used = psutil.Process().memory_info()
    lines = [
        f"resident {used.rss / 2**20:.1f} MiB, virtual {used.vms / 2**20:.1f} MiB",
        f"threads {threading.active_count()}",
        f"collector {'on' if gc.isenabled() else 'off'}, thresholds {gc.get_threshold()}, counts {gc.get_count()}",
        f"frozen {gc.get_freeze_count()}",
        *(f"generation {number}: {stats}" for number, stats in enumerate(gc.get_stats())),
    ]
    if objects:
        kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
        lines += ["objects that the collector watches (without those frozen at the start):"]
        lines += [f"{count:>9} {kind}" for kind, count in kinds.most_common(MOST_TYPES)]
    return "\n".join(lines) + "\n"


def _memory(query: str) -> Response:
    return _text(memory(objects="objects" in parse_qs(query)))


def _text(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return status, text.encode(), TEXT


def _names(frame: FrameType | None) -> Iterator[str]:
    """The functions on a stack, outermost first."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    for each in reversed(frames):
        code = each.f_code
        yield f"{code.co_qualname} ({'/'.join(Path(code.co_filename).parts[-2:])}:{each.f_lineno})"


def _summary(frame: FrameType) -> traceback.FrameSummary:
    linecache.checkcache(frame.f_code.co_filename)
    return traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
