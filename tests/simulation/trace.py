"""What happens in a world, line by line: for people in a replay, and as a fingerprint of the whole run."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import structlog

BUGS = frozenset({"lane.bug", "lane.failed", "lanes.release", "event.isolated", "timers.parked"})
"""What the pipeline logs when it has met a bug of its own; none may come up."""

DEAF = "lane.cancelled"
"""What it logs when a lane has not stopped in time."""


class Trace:
    """`listen` gets every line; without it only the fingerprint is kept, and without `wanted` not even that.

    `on_bug` and `on_deaf` hear of what the pipeline itself finds wrong with its lanes.
    """

    def __init__(self, *, wanted: bool = False, listen: Callable[[str], None] | None = None) -> None:
        self.wanted = wanted or listen is not None
        self.now: Callable[[], float] = float
        self.on_bug: Callable[[str], None] = lambda what: None
        self.on_deaf: Callable[[str], None] = lambda what: None
        self._listen = listen
        self._hash = blake2b(digest_size=16)

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()

    def say(self, who: str, what: str) -> None:
        if not self.wanted:
            return
        line = f"{self.now():11.3f}  {who:<10} {what}"
        self._hash.update(line.encode())
        if self._listen is not None:
            self._listen(line)

    @contextmanager
    def hearing_logs(self) -> Iterator[None]:
        """Takes what the pipeline logs, from everybody in this process."""
        before = structlog.get_config()
        structlog.configure(
            processors=[self._logged],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _logged(self, logger: object, method: str, said: MutableMapping[str, Any]) -> str:
        event = str(said.pop("event"))
        if event in BUGS:
            self.on_bug(f"{event}: {said}")
        if event == DEAF:
            self.on_deaf(f"{event}: {said}")
        if self.wanted:
            error = said.pop("exc_info", None)
            more = " ".join(f"{name}={value}" for name, value in said.items() if name not in {"seconds", "hint"})
            self.say("log", f"{event} {more}" + (f" {error!r}" if error else ""))
        raise structlog.DropEvent
