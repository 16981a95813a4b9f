"""Models over the raw topics beside the lanes: what `journey diff` and `journey shadow` read, and by which rules.

Nothing is written anywhere: logs are read by plain fetches, without a group.
"""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

from pipeline.adapters.identity_kinds import identities_of
from pipeline.adapters.journey_files import find_journey, find_touches, load_journey, load_models
from pipeline.adapters.kafka.logs import PATIENCE_S, Logs
from pipeline.adapters.kafka.metadata import EARLIEST, LATEST
from pipeline.adapters.touch_files import load_touches
from pipeline.application.append_order import in_append_order
from pipeline.application.replay import Conditions, Model, Replay
from pipeline.cli.reading_progress import Advance
from pipeline.config import Settings, is_path
from pipeline.domain.compile import compile_journey
from pipeline.domain.duration import parse_duration
from pipeline.domain.moments import parse_moment
from pipeline.domain.spec import JourneySpec
from pipeline.domain.touches import TouchTable
from pipeline.worker.wiring import limits, raw_sources

_GC_THRESHOLDS: Final = (200_000, 20, 100)


@contextmanager
def garbage_collected_seldom() -> Iterator[None]:
    """The collector would walk through everybody's profile again and again, and find nothing."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def load_model(settings: Settings, name: str) -> Model:
    """The journey of a file, or of the name of one that runs or is built in; UserError with every mistake in it."""
    touches = load_touches(find_touches(settings.touches))

    def load(path: Path) -> JourneySpec:
        return load_journey(path, touches, settings.grace, settings.clock == "event")

    running = [] if is_path(name) else [find_journey(one) for one in settings.journeys]
    named = next((path for path in running if name in {path.stem, load(path).name}), None)
    spec = load(named or find_journey(name))
    table = TouchTable((*touches, *spec.touches))
    return Model(compile_journey(spec, table.company), table)


def running_models(settings: Settings) -> list[Model]:
    """The journeys of the settings; UserError with every mistake in them."""
    touches, specs = load_models(settings)
    table = TouchTable(touches)
    return [Model(compile_journey(spec, table.company), table) for spec in specs]


def conditions(settings: Settings, share: float) -> Conditions:
    """What the settings say of all events, for `share` of the customers."""
    places = len(settings.inputs) * settings.partitions
    event_clock = settings.clock == "event"
    return Conditions(
        limits(settings),
        event_clock,
        places,
        settings.lateness,
        settings.recent_limit,
        share,
        identities_of(settings),
    )


class Inputs:
    """The partitions of all raw topics, each read on from where its last reading ended.

    `records`: how many were read so far. `begins_late`: the logs that have lost their beginning, `topic-partition`.
    `complete`: whether the end was reached. An open transaction is waited for with `patience`, in s.
    Raises Doubt, and UserError for what is not there.
    """

    def __init__(self, settings: Settings, logs: Logs, patience: float = PATIENCE_S) -> None:
        self._patience = patience
        self.records = 0
        self.complete = True
        self.begins_late: list[str] = []
        self._logs = logs
        self._sources = {source.topic: source for source in raw_sources(settings)}
        self._positions = {(topic, lane): 0 for topic in self._sources for lane in range(settings.partitions)}

    @property
    def topics(self) -> list[str]:
        return list(self._sources)

    async def begin(self, since: int | None) -> None:
        """Goes to the first record that the brokers appended at `since` (ms) or later, of all by default."""
        places = list(self._positions)
        firsts = await self._logs.bounds(places, EARLIEST)
        self.begins_late = [f"{topic}-{lane}" for (topic, lane), first in firsts.items() if first]
        self._positions = firsts
        if since is not None:
            ends = await self._logs.bounds(places, LATEST)
            found = await self._logs.bounds(places, since)
            self._positions = {place: offset if offset >= 0 else ends[place] for place, offset in found.items()}

    async def read_on(self, replays: Iterable[Replay], advance: Advance | None = None, most: int | None = None) -> int:
        """Hands on what there is now, `most` records at most; the time (ms) before which everything has been read.

        The clock of this machine stands in for that of the brokers.
        """
        replays = list(replays)
        now = time.time_ns() // 1_000_000
        ends = await self._logs.bounds(list(self._positions), LATEST)
        total = sum(ends[place] - position for place, position in self._positions.items())
        places = [place for place, position in self._positions.items() if position < ends[place]]
        reading = [self._logs.read(*place, self._positions[place], ends[place], self._patience) for place in places]
        async for number, records in in_append_order(reading):
            topic, lane = place = places[number]
            taken = records if most is None else records[: most - self.records]
            for replay in replays:
                replay.take(self._sources[topic], lane, taken)
            self.records += len(taken)
            if self.records == most:
                self.complete = False
                now, ends = taken[-1].timestamp, self._positions
                break
            reached = records[-1].offset + 1
            if advance is not None:
                advance(reached - self._positions[place], total)
            self._positions[place] = reached
        self._positions = ends
        for replay in replays:
            replay.pass_time(now)
        return now


def share_of(text: str) -> float:
    """`10%` or `0.1`, as a share above 0 and up to 1."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r} is no share of the customers: write 10% or 0.1")
    return share


def moment_of(text: str) -> int:
    """A time (ms): `7d` is so long ago, else RFC 3339."""
    try:
        if text[:1].isdigit() and "-" not in text:
            return time.time_ns() // 1_000_000 - parse_duration(text)
        return parse_moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def seconds_of(text: str) -> float:
    """A duration of more than nothing, such as `500ms` or `10min`."""
    try:
        seconds = parse_duration(text) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not seconds:
        raise typer.BadParameter("must be more than 0")
    return seconds
