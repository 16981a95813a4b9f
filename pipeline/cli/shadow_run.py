"""A candidate beside the lanes: it reads what they read, keeps its customers in memory, and is compared with what they
publish. It writes nothing anywhere."""

import asyncio
import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipeline.adapters.kafka.logs import Logs
from pipeline.adapters.live_feed import LiveFeed
from pipeline.adapters.yaml_documents import closest
from pipeline.application.comparison import Comparison, Move, compare, elsewhere
from pipeline.application.ports import Doubt
from pipeline.application.replay import Model, Replay, Sample
from pipeline.cli.replaying import Inputs, conditions, garbage_collected_seldom, load_model, running_models
from pipeline.config import Settings
from pipeline.errors import UserError

PATIENCE_S: Final = 2.0
"""How long an open transaction of a sender is waited for before it is told; then it is tried again."""

BUSY_SHARE: Final = 0.2
"""Of its time that a shadow compares at most, however many customers there are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`share` of the customers, events appended `since` (ms), a look every `every_s`, for `for_s` seconds (None: until
    a signal). `kept`: examples of each move."""

    share: float = 1.0
    since: int | None = None
    every_s: float = 1.0
    for_s: float | None = None
    kept: int = 3


@dataclass(frozen=True, slots=True)
class Look:
    """How it stands. `live` and `candidate` are compared; counts of both are since `caught_up`, None before.

    `left`: positions of the raw topics that are still to be read; `trouble`: why nothing could be read. `begins_late`:
    the candidate did not see all that the lanes saw.
    """

    live_model: Model
    live: LiveFeed
    candidate: Replay
    comparison: Comparison
    caught_up: int | None
    left: int
    trouble: str
    begins_late: bool


class Shadow:
    """One candidate. `show` is told how it stands after each reading, and while the first one goes on; `last` is what
    it was told last."""

    def __init__(
        self, settings: Settings, candidate: Model, live: Model, wanted: Wanted, show: Callable[[Look], None]
    ) -> None:
        self._settings = settings
        self._live_model = live
        self._wanted = wanted
        self._show = show
        self._replay = Replay(candidate, conditions(settings, wanted.share))
        self._caught_up: int | None = None
        self._left = 0
        self._begins_late = False
        self._look_at = 0.0
        self._live: LiveFeed | None = None
        self._elsewhere: dict[str, Move] = {}
        self.last: Look | None = None

    async def follow(self) -> None:
        """Goes on until it is cancelled. Doubt if it cannot begin, UserError if a topic is not there."""
        async with Logs(self._settings, "shadow") as logs:
            inputs = Inputs(self._settings, logs, PATIENCE_S)
            live = self._live = LiveFeed(
                self._settings, logs, self._live_model.journey.name, Sample(self._wanted.share)
            )
            await inputs.begin(self._wanted.since)
            self._begins_late = bool(inputs.begins_late) or self._wanted.since is not None
            await live.begin()
            while True:
                began = time.monotonic()
                trouble = ""
                try:
                    await live.read_on()
                    now = await inputs.read_on([self._replay], self._advanced)
                    self._left = 0
                    if self._caught_up is None:
                        self._caught_up = now
                        self._replay.told.count_anew()
                        await live.count_anew()
                    await live.read_on()
                except Doubt as doubt:
                    trouble = str(doubt)
                comparing = time.monotonic()
                self._tell(self._compared(live), trouble)
                pause = max(
                    began + self._wanted.every_s - time.monotonic(), (time.monotonic() - comparing) / BUSY_SHARE
                )
                await asyncio.sleep(max(0.0, pause))

    def _advanced(self, more: int, total: int) -> None:
        self._left = (self._left or total) - more
        if self._caught_up is None and time.monotonic() >= self._look_at:
            self._tell(Comparison(Counter(), {}), "")

    def _compared(self, live: LiveFeed) -> Comparison:
        """Only what differed at the last look too: lanes and candidate are seldom at the same event."""
        if self._caught_up is None:
            return Comparison(Counter(), {})
        stages, candidate = live.told.stages, self._replay
        found = compare(stages, candidate.told.stages, candidate.profiles, self._wanted.kept, self._elsewhere)
        self._elsewhere = elsewhere(stages, candidate.told.stages, candidate.profiles)
        return found

    def _tell(self, comparison: Comparison, trouble: str) -> None:
        if self._live is not None:
            self.last = Look(
                live_model=self._live_model,
                live=self._live,
                candidate=self._replay,
                comparison=comparison,
                caught_up=self._caught_up,
                left=self._left,
                trouble=trouble,
                begins_late=self._begins_late,
            )
            self._show(self.last)
            self._look_at = time.monotonic() + self._wanted.every_s


def run(settings: Settings, candidate: str, against: str | None, wanted: Wanted, show: Callable[[Look], None]) -> Look:
    """Runs beside the lanes until a signal or the time is over; how it stood then. UserError on a mistake."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    model = load_model(settings, candidate)
    shadow = Shadow(settings, model, _live_model(settings, model, against), wanted, show)
    try:
        with garbage_collected_seldom():
            asyncio.run(_until_signal(shadow, wanted.for_s))
    except Doubt as doubt:
        raise UserError(f"could not begin: {doubt}") from None
    if shadow.last is None:
        raise UserError("ended before anything could be read")
    return shadow.last


def _live_model(settings: Settings, candidate: Model, against: str | None) -> Model:
    name = against or candidate.journey.name
    running = {model.journey.name: model for model in running_models(settings)}
    if name not in running:
        near = closest(name, running)
        hint = f"did you mean '{near}'?" if near else f"these run: {', '.join(running)}"
        raise UserError(f"no journey '{name}' runs here, so there is nothing to compare with; {hint} (--against)")
    return running[name]


async def _until_signal(shadow: Shadow, seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    following = asyncio.create_task(shadow.follow())
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # a test's thread has no signals
            loop.add_signal_handler(number, following.cancel)
    await asyncio.wait({following}, timeout=seconds)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
