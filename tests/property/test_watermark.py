"""The watermark never passes what nobody has folded, and moves on: in random worlds, for the real classes (I9).

And each bug planted into the classes, or into how the lanes use them, is caught by those worlds.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import pytest

from pipeline.application.ports import ProgressRecord
from pipeline.application.progress import LaneProgress, Watermark
from tests.property.watermark_world import EVENTS, Member, Shape, Taken, Tick, World, Wrong

TIMES: Final = max(1, int(os.environ.get("JOURNEY_PROPERTY", "0")))
WORLDS: Final = 400 * TIMES
PARTS: Final = 4
TRIES: Final = 300
"""Worlds in which a planted bug must show."""


@pytest.mark.parametrize("part", range(PARTS))
def test_the_watermark_is_right_and_moves_on(part: int) -> None:
    rises = 0
    for seed in range(part, WORLDS, PARTS):
        world = World(seed)
        world.live()
        rises += world.rises
    assert rises > 10 * WORLDS / PARTS


# ---- planted bugs

SMALL = Shape(lanes=2, hops=1, skew=0, topics=1)
TWO_TOPICS = Shape(lanes=2, hops=1, skew=0, topics=2)
RESTARTED = replace(SMALL, hops=0, restarts=0.003)
FORGETFUL = replace(SMALL, losses=0.005)
TWO_HOPS = replace(SMALL, hops=2)
SKEWED = replace(SMALL, skew=800, elections=0.1)


@dataclass(frozen=True)
class Bug:
    """What lanes are made of; `shape` is a world in which it shows soon, None any."""

    member: type[Member]
    shape: Shape | None


BUGS: Final[dict[str, Bug]] = {}


def planted(shape: Shape | None = None) -> Callable[[type[Member]], type[Member]]:
    def plant(member: type[Member]) -> type[Member]:
        BUGS[member.__name__] = Bug(member, shape)
        return member

    return plant


@planted()
class TheEndsAreAskedForBeforeTheTick(Member):
    asked: dict[str, int | None] | None = None

    def tick(self) -> None:
        if self.asked is None:
            self.asked = self.ask()
        elif self.ticking is None:
            self.ticking = Tick(*self.publish(), self.asked)
        else:
            super().tick()
            self.asked = None


@planted()
class AnUnknownEndIsZero(Member):
    def ask(self) -> dict[str, int | None]:
        return {topic: end or 0 for topic, end in super().ask().items()}


@planted()
class ALeaderIsBelievedThatIsBehind(Member):
    def ask(self) -> dict[str, int | None]:
        return {topic: log.high_watermark() for topic, log in self.inputs.items()}


@planted()
class TheEndIsTheLastStableOffset(Member):
    def ask(self) -> dict[str, int | None]:
        return {topic: log.stable_end() for topic, log in self.inputs.items()}


@planted()
class ProgressIsTakenBeforeTheCommit(Member):
    def fetched(self, taken: Taken) -> None:
        self.progress.committed(self.positions, {})


@planted()
class TheLastRecordIsTakenForThePosition(Member):
    def committed(self, positions: Mapping[str, int], appended: Mapping[str, int]) -> None:
        last = {taken.topic: taken.slots[-1].offset + 1 for taken in self.folding if taken.slots}
        self.progress.committed(last, appended)

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        self.progress.ticked(stamp, offset, ends)


@planted(SMALL)
class ARoutedRecordIsTakenForAProof(Member):
    newest = -1

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(stamp, offset, ends)
        self.newest = offset

    def committed(self, positions: Mapping[str, int], appended: Mapping[str, int]) -> None:
        super().committed(positions, appended)
        if EVENTS in appended:
            self.progress._events = max(self.progress._events, self.newest)


@planted()
class TheClockIsTheMachinesOwn(Member):
    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(self.world.now + 3000 * self.lane, offset, ends)


@planted()
class ANewOwnerBelievesItsFirstTick(Member):
    fresh = True

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(stamp, offset, dict.fromkeys(ends, 0) if self.fresh else ends)
        self.fresh = False


@planted(RESTARTED)
class ProgressIsKeptInAnotherWorld(Member):
    def new_progress(self) -> LaneProgress:
        return super().new_progress() if self.before is None else self.before.progress


@planted(RESTARTED)
class AnotherWorldIsBelieved(Member):
    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        super().observe(offset, stamp, replace(record, world=self.world.name))


@planted(FORGETFUL)
class OffsetsOfATopicThatIsGoneCount(Member):
    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        self.progress._ticked = -1
        super().answered(stamp, offset, ends)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        self.watermark._read = -1
        super().observe(offset, stamp, record)


@planted()
class OnlyTheOwnLaneCounts(Member):
    def new_watermark(self) -> Watermark:
        return Watermark(1, self.world.shape.hops)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        if record.lane == self.lane:
            super().observe(offset, stamp, replace(record, lane=0))


@planted()
class ASilentLaneDoesNotCount(Member):
    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        numbers = self.__dict__.setdefault("numbers", {})
        number = numbers.setdefault(record.lane, len(numbers))
        self.watermark._lanes = len(numbers)
        super().observe(offset, stamp, replace(record, lane=number))


@planted(TWO_TOPICS)
class OneTopicSpeaksForAll(Member):
    class Progress(LaneProgress):
        def raw(self) -> tuple[int | None, str]:
            topic = max(self._times, key=self._times.__getitem__)
            return max(self._times[topic], 0), topic

    def new_progress(self) -> LaneProgress:
        return self.Progress([topic for topic in self.inputs if topic != EVENTS], EVENTS)


@planted(SMALL)
class NobodyWaitsForHops(Member):
    def new_watermark(self) -> Watermark:
        return Watermark(self.world.shape.lanes, 0)


@planted(TWO_HOPS)
class OneHopIsWaitedForInsteadOfTwo(Member):
    def new_watermark(self) -> Watermark:
        return Watermark(self.world.shape.lanes, 1)


@planted(SMALL)
class TheLeastIsTakenAfterTheHops(Member):
    class Late(Watermark):
        def observe(self, offset: int, record: ProgressRecord) -> None:
            before = self.value
            super().observe(offset, record)
            if self.value != before:
                self.value = min(said.raw for said in self._said.values())

    def new_watermark(self) -> Watermark:
        return self.Late(self.world.shape.lanes, self.world.shape.hops)


@planted(SMALL)
class HopsAreWaitedForSinceTheOwnTick(Member):
    last = -1

    def publish(self) -> tuple[int, int]:
        stamp, self.last = super().publish()
        return stamp, self.last

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        super().observe(self.last, stamp, record)


@planted(SKEWED)
class HopsAreWaitedForByTime(Member):
    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(stamp, stamp, ends)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        super().observe(stamp, stamp, record)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    bug = BUGS[name]
    for seed in range(TRIES):
        try:
            World(seed, bug.member, bug.shape).live()
        except Wrong:
            return
    raise AssertionError(f"{name} was not seen in {TRIES} worlds")
