"""The lanes, looked at again and again: what they do a second, the newest transitions, and what is not there."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.adapters.kafka.feed_reader import FeedReader, FeedRecord
from pipeline.adapters.lanes_seen import LaneSeen, LanesSeen, look
from pipeline.adapters.published import PublishedTransition, transition
from pipeline.config import Settings
from pipeline.errors import UserError

NEWEST: Final = 60
"""Transitions kept for a screen, however high."""
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Rates:
    """A second, between two looks: events by lane, and transitions of all lanes.

    None where it is not known: at the first look, or if a table was lost in between.
    """

    events: dict[int, float | None]
    transitions: float | None

    @property
    def all_events(self) -> float | None:
        return _sum(self.events.values())


@dataclass(frozen=True, slots=True)
class View:
    """What a look has shown. `seen` is from `at` (wall clock, ms), None before the first that succeeded; `newest` is
    oldest first. `trouble`: why nothing newer can be seen; empty if all is well."""

    seen: LanesSeen | None
    at: int
    rates: Rates
    newest: tuple[PublishedTransition, ...]
    trouble: str = ""


class Watch:
    """Looks, and remembers the look before."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.view = View(None, 0, Rates({}, None), ())

    @property
    def live(self) -> bool:
        """Whether the watermark is of the wall clock."""
        return self.settings.clock == "live"

    async def look(self) -> View:
        """Asks Redis and Kafka once. Never raises for their being away: then it is the last view, with the trouble."""
        last = self.view
        now = time.time_ns() // 1_000_000
        try:
            async with asyncio.timeout(_PATIENCE_S):
                seen = await look(self.settings, now)
                newest = await self._newest()
        except TimeoutError:
            self.view = View(
                last.seen, last.at, last.rates, last.newest, f"no answer from Kafka within {_PATIENCE_S:.0f} s"
            )
        except UserError as error:
            self.view = View(last.seen, last.at, last.rates, last.newest, error.message)
        else:
            self.view = View(seen, now, rates(last.seen, seen, (now - last.at) / 1000), newest)
        return self.view

    async def _newest(self) -> tuple[PublishedTransition, ...]:
        async with FeedReader(self.settings.brokers, [self.settings.topic("journey.transitions")]) as reader:
            return tuple(_transitions(await reader.last(NEWEST)))


def rates(before: LanesSeen | None, now: LanesSeen, seconds: float) -> Rates:
    """Between two looks that are `seconds` apart."""
    old = {lane.partition: lane for lane in before.lanes} if before is not None else {}
    events = {lane.partition: _a_second(_done(old.get(lane.partition)), _done(lane), seconds) for lane in now.lanes}
    transitions = [_a_second(_published(old.get(lane.partition)), _published(lane), seconds) for lane in now.lanes]
    return Rates(events, _sum(transitions))


def _done(lane: LaneSeen | None) -> int | None:
    """Events that found their end in the lane; those that it handed to another lane are counted there."""
    return None if lane is None or lane.record is None else lane.total("read") - lane.total("routed")


def _published(lane: LaneSeen | None) -> int | None:
    if lane is None or lane.record is None:
        return None
    return sum(count for kinds in lane.record.transitions.values() for count in kinds.values())


def _a_second(before: int | None, now: int | None, seconds: float) -> float | None:
    return None if before is None or now is None or now < before or seconds <= 0 else (now - before) / seconds


def _sum(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _transitions(records: Iterable[FeedRecord]) -> Iterable[PublishedTransition]:
    for record in records:
        with suppress(msgspec.MsgspecError):  # another program's record hides nobody else's
            yield transition(record)
