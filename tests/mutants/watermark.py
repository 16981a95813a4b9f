"""Bugs in the watermark: in the real classes, and in how the lanes of the model use them.

The latter are members of the world of `tests/property/watermark_world.py`, where they show soonest.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pipeline.application.keeper import Keeper
from pipeline.application.ports import ProgressRecord
from pipeline.application.progress import LaneProgress, Watermark
from tests.mutants.registry import mutant
from tests.property.watermark_world import EVENTS, Member, Shape, Taken, Tick, World

SMALL = Shape(lanes=2, hops=1, skew=0, topics=1)
TWO_TOPICS = Shape(lanes=2, hops=1, skew=0, topics=2)
RESTARTED = replace(SMALL, hops=0, restarts=0.003)
FORGETFUL = replace(SMALL, losses=0.005)
TWO_HOPS = replace(SMALL, hops=2)
SKEWED = replace(SMALL, skew=800, elections=0.1)


def in_worlds(patch: pytest.MonkeyPatch, member: type[Member], shape: Shape | None) -> None:
    """Worlds that are made without saying more have such lanes, and such a shape (None: any)."""
    original = World.__init__

    def make(self: World, seed: int) -> None:
        original(self, seed, member, shape)

    patch.setattr(World, "__init__", make)


def modelled(shape: Shape | None = None) -> Callable[[type[Member]], type[Member]]:
    """Enters a kind of member under its name; `shape` is a world in which it shows soon."""

    def enter(member: type[Member]) -> type[Member]:
        def plant(patch: pytest.MonkeyPatch) -> None:
            in_worlds(patch, member, shape)

        plant.__name__ = re.sub(r"(?<!^)(?=[A-Z])", "_", member.__name__).lower()
        mutant("model")(plant)
        return member

    return enter


# ---- in the real classes


@mutant("watermark")
def nobody_waits_for_hops(patch: pytest.MonkeyPatch) -> None:
    """What was routed and has not arrived yet is not waited for."""
    original = Watermark.__init__

    def make(self: Watermark, lanes: int, _hops: int) -> None:
        original(self, lanes, 0)

    patch.setattr(Watermark, "__init__", make)
    in_worlds(patch, Member, SMALL)


@mutant("watermark")
def one_topic_speaks_for_all(patch: pytest.MonkeyPatch) -> None:
    """A lane's progress is that of the input that is furthest."""

    def furthest(self: LaneProgress) -> tuple[int | None, str]:
        topic = max(self._times, key=self._times.__getitem__)
        return max(self._times[topic], 0), topic

    patch.setattr(LaneProgress, "raw", furthest)
    in_worlds(patch, Member, TWO_TOPICS)


@mutant("watermark")
def only_the_lanes_of_the_own_worker_count(patch: pytest.MonkeyPatch) -> None:
    """The watermark of a worker is the least progress of its own lanes."""
    original, observe = Keeper.read, Watermark.observe

    async def read(self: Keeper) -> None:
        ours = sorted(lane.partition for lane in self._lanes())

        def observe_ours(watermark: Watermark, offset: int, record: ProgressRecord) -> None:
            if record.lane in ours:
                watermark._lanes = len(ours)
                observe(watermark, offset, replace(record, lane=ours.index(record.lane)))

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self, "_watermark", _Narrow(self._watermark, observe_ours))
            await original(self)

    patch.setattr(Keeper, "read", read)
    in_worlds(patch, OnlyTheOwnLaneCounts, None)


class _Narrow:
    """A watermark that observes by another function."""

    def __init__(self, watermark: Watermark, observe: Callable[[Watermark, int, ProgressRecord], None]) -> None:
        self._watermark = watermark
        self._observe = observe

    @property
    def value(self) -> int | None:
        return self._watermark.value

    def holder(self) -> int:
        return self._watermark.holder()

    def enter(self, world: str) -> None:
        self._watermark.enter(world)

    def observe(self, offset: int, record: ProgressRecord) -> None:
        self._observe(self._watermark, offset, record)


# ---- in how lanes use them


@modelled()
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


@modelled()
class AnUnknownEndIsZero(Member):
    def ask(self) -> dict[str, int | None]:
        return {topic: end or 0 for topic, end in super().ask().items()}


@modelled()
class ALeaderIsBelievedThatIsBehind(Member):
    def ask(self) -> dict[str, int | None]:
        return {topic: log.high_watermark() for topic, log in self.inputs.items()}


@modelled()
class TheEndIsTheLastStableOffset(Member):
    def ask(self) -> dict[str, int | None]:
        return {topic: log.stable_end() for topic, log in self.inputs.items()}


@modelled()
class ProgressIsTakenBeforeTheCommit(Member):
    def fetched(self, taken: Taken) -> None:
        self.progress.committed(self.positions, {})


@modelled()
class TheLastRecordIsTakenForThePosition(Member):
    def committed(self, positions: Mapping[str, int], appended: Mapping[str, int]) -> None:
        last = {taken.topic: taken.slots[-1].offset + 1 for taken in self.folding if taken.slots}
        self.progress.committed(last, appended)

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        self.progress.ticked(stamp, offset, ends)


@modelled(SMALL)
class ARoutedRecordIsTakenForAProof(Member):
    newest = -1

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(stamp, offset, ends)
        self.newest = offset

    def committed(self, positions: Mapping[str, int], appended: Mapping[str, int]) -> None:
        super().committed(positions, appended)
        if EVENTS in appended:
            self.progress._events = max(self.progress._events, self.newest)


@modelled()
class TheClockIsTheMachinesOwn(Member):
    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(self.world.now + 3000 * self.lane, offset, ends)


@modelled()
class ANewOwnerBelievesItsFirstTick(Member):
    fresh = True

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(stamp, offset, dict.fromkeys(ends, 0) if self.fresh else ends)
        self.fresh = False


@modelled(RESTARTED)
class ProgressIsKeptInAnotherWorld(Member):
    def new_progress(self) -> LaneProgress:
        return super().new_progress() if self.before is None else self.before.progress


@modelled(RESTARTED)
class AnotherWorldIsBelieved(Member):
    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        super().observe(offset, stamp, replace(record, world=self.world.name))


@modelled(FORGETFUL)
class OffsetsOfATopicThatIsGoneCount(Member):
    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        self.progress._ticked = -1
        super().answered(stamp, offset, ends)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        self.watermark._read = -1
        super().observe(offset, stamp, record)


class OnlyTheOwnLaneCounts(Member):
    def new_watermark(self) -> Watermark:
        return Watermark(1, self.world.shape.hops)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        if record.lane == self.lane:
            super().observe(offset, stamp, replace(record, lane=0))


@modelled()
class ASilentLaneDoesNotCount(Member):
    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        numbers = self.__dict__.setdefault("numbers", {})
        number = numbers.setdefault(record.lane, len(numbers))
        self.watermark._lanes = len(numbers)
        super().observe(offset, stamp, replace(record, lane=number))


@modelled(TWO_HOPS)
class OneHopIsWaitedForInsteadOfTwo(Member):
    def new_watermark(self) -> Watermark:
        return Watermark(self.world.shape.lanes, 1)


@modelled(SMALL)
class TheLeastIsTakenAfterTheHops(Member):
    class Late(Watermark):
        def observe(self, offset: int, record: ProgressRecord) -> None:
            before = self.value
            super().observe(offset, record)
            if self.value != before:
                self.value = min(said.raw for said in self._said.values())

    def new_watermark(self) -> Watermark:
        return self.Late(self.world.shape.lanes, self.world.shape.hops)


@modelled(SMALL)
class HopsAreWaitedForSinceTheOwnTick(Member):
    last = -1

    def publish(self) -> tuple[int, int]:
        stamp, self.last = super().publish()
        return stamp, self.last

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        super().observe(self.last, stamp, record)


@modelled(SKEWED)
class HopsAreWaitedForByTime(Member):
    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        super().answered(stamp, stamp, ends)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        super().observe(stamp, stamp, record)
