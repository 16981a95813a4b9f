"""A worker with bugs planted in its fold: `python -m tests.harness.planted_bugs worker --config FILE`.

PLANTED, a JSON object, says which: `event_raises` (types of events), `time_raises` (customer ids whose timers raise),
`stands` (lanes that wait for ever over their first batch), `blocks` (they block the event loop instead, for which the
watchdog then has so many seconds), `deaf` (a topic of which no lane gets anything), `quotes` (so many first batches
raise what quotes their records), `version`, under which the program believes to run, and `records`, faults in what is
written to Kafka (see `planted_records`).
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pipeline.application.hold import Hold
from pipeline.application.intake import Source
from pipeline.application.lane import Lane
from pipeline.application.ports import Fetched, Record
from pipeline.cli.main import run
from pipeline.domain.feed import Feed
from pipeline.domain.fold import Fold, Outcome
from pipeline.domain.profile import Event, Profile
from pipeline.worker import health, wiring
from tests.harness.planted_records import plant_records
from tests.mutants.registry import plant_for_good


class PlantedBug(Exception):
    pass


class BuggyFold:
    """The fold, but for what it was told to raise on."""

    def __init__(self, fold: Fold, types: frozenset[str], customers: frozenset[str]) -> None:
        self._fold = fold
        self._types = types
        self._keys = frozenset(f"c:{customer}" for customer in customers)
        self.journeys = fold.journeys
        self.align, self.unite, self.cut, self.leave = fold.align, fold.unite, fold.cut, fold.leave

    def event(self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        outcome = self._fold.event(profile, identity, event, watermark, feed)
        if event.type in self._types:  # after the fold has changed the profile: half a change must not survive
            raise PlantedBug(f"cannot fold {event.type} of {profile.key}")
        return outcome

    @property
    def carries(self) -> Any:
        return self._fold.carries

    def carry_over(self, profile: Profile, feed: Feed) -> bool:
        return self._fold.carry_over(profile, feed)

    def time(self, profile: Profile, watermark: int, feed: Feed) -> None:
        self._fold.time(profile, watermark, feed)
        if profile.key in self._keys:
            raise PlantedBug(f"cannot let time pass for {profile.key}")


async def stand(*_: object) -> None:
    await asyncio.Event().wait()


async def block(*_: object) -> None:
    """As a computation without an end would: the loop never gets its turn again."""
    while True:
        time.sleep(0.01)  # noqa: ASYNC251 - that is the point


def offer_but(topic: str) -> Callable[[Lane, Fetched], None]:
    """Loses what is fetched of a topic, as a client that has forgotten a partition does."""
    offer = Lane.offer

    def offer_others(lane: Lane, fetched: Fetched) -> None:
        if fetched.topic != topic:
            offer(lane, fetched)

    return offer_others


def quoting(times: int) -> Callable[..., Coroutine[Any, Any, None]]:
    """A bug in the lane itself, with the words that Python would give it."""
    fold, left = Hold.fold, times

    async def fold_later(hold: Hold, runs: Sequence[tuple[Source, Sequence[Record]]], *rest: Any) -> None:
        nonlocal left
        values = [record.value for _, records in runs for record in records]
        if left > 0 and values:
            left -= 1
            raise KeyError(values)
        await fold(hold, runs, *rest)

    return fold_later


def plant(planted: dict[str, Any]) -> None:
    types = frozenset(planted.get("event_raises", ()))
    customers = frozenset(planted.get("time_raises", ()))

    def make(*arguments: Any) -> BuggyFold:
        return BuggyFold(Fold(*arguments), types, customers)

    setattr(wiring, "Fold", make)  # noqa: B010 - mypy refuses to assign another class
    if planted.get("stands"):
        setattr(Hold, "fold", stand)  # noqa: B010 - likewise
    if seconds := planted.get("blocks"):
        setattr(Hold, "fold", block)  # noqa: B010 - likewise
        health.LOOP_SILENT_S = seconds
    if topic := planted.get("deaf"):
        setattr(Lane, "offer", offer_but(topic))  # noqa: B010 - likewise
    if times := planted.get("quotes"):
        setattr(Hold, "fold", quoting(times))  # noqa: B010 - likewise
    if records := planted.get("records"):
        plant_records(records)
    if version := planted.get("version"):
        setattr(wiring, "__version__", version)  # noqa: B010 - the module only imports the name


if __name__ == "__main__":
    plant(json.loads(os.environ.get("PLANTED", "{}")))
    os.environ.pop("JOURNEY_PURE", None)  # decided by now; a worker knows neither variable
    if bug := os.environ.pop("JOURNEY_BUG", ""):
        plant_for_good(bug)
    run()
