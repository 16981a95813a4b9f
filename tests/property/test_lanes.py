"""The real lanes lose and double nothing and go on by themselves, whatever happens around them (I1 to I7).

And bugs planted into them are seen, so the worlds are as hard as they look.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from pipeline.application.lane import Lane
from pipeline.application.merge import InputQueue
from pipeline.application.ports import Doubt, Fetched, Outgoing
from tests.property.lane_world import LaneWorld, Wrong

TIMES: Final = max(1, int(os.environ.get("JOURNEY_PROPERTY", "0")))
WORLDS: Final = 32 * TIMES
PARTS: Final = 4
TRIES: Final = 60


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand doubts are nothing to read."""
    for module in ("lane", "hold", "keeper"):
        monkeypatch.setattr(f"pipeline.application.{module}.log", Silence())


class Silence:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@pytest.mark.parametrize("part", range(PARTS))
async def test_nothing_is_lost_or_doubled(part: int) -> None:
    for seed in range(part, WORLDS, PARTS):
        try:
            await LaneWorld(seed).live()
        except Wrong as wrong:
            raise AssertionError(f"in world {seed}: {wrong}") from wrong


# ---- planted bugs

BUGS: Final[dict[str, Callable[[Lane], None]]] = {}


def planted(change: Callable[[Lane], None]) -> Callable[[Lane], None]:
    BUGS[change.__name__] = change
    return change


class Trusting(InputQueue):
    """Takes what comes, hole or not."""

    def offer(self, fetched: Fetched) -> bool:
        if self.reached is not None and fetched.start > self.reached:
            self.reached = fetched.start
        return super().offer(fetched)


@planted
def holes_in_the_positions_are_not_seen(lane: Lane) -> None:
    lane._merge.queues = {topic: Trusting(queue.source) for topic, queue in lane._merge.queues.items()}


class Reluctant:
    """Inputs that never resume."""

    def __init__(self, inputs: Any) -> None:
        self._inputs = inputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inputs, name)

    def resume(self, topic: str, partition: int) -> None:
        pass


def rewired(lane: Lane, **ports: Any) -> None:
    lane._ports = replace(lane._ports, **ports)


@planted
def a_paused_input_is_not_resumed(lane: Lane) -> None:
    rewired(lane, inputs=Reluctant(lane._ports.inputs))


@planted
def a_stop_before_the_first_step_is_not_heard(lane: Lane) -> None:
    run = lane.run

    async def forget_and_run(generation: int) -> None:
        lane._stop.clear()
        await run(generation)

    lane.run = forget_and_run  # type: ignore[method-assign]


@planted
def what_is_cached_outlives_a_doubt(lane: Lane) -> None:
    settle = lane._accept

    async def accept(standing: Any) -> Any:
        hold = await settle(standing)
        hold._cache = lane.__dict__.setdefault("cache", hold._cache)
        return hold

    lane._accept = accept  # type: ignore[method-assign]


@planted
def the_lane_before_is_not_fenced(lane: Lane) -> None:
    new_writer = lane._ports.new_writer

    def make() -> Any:
        writer: Any = new_writer()

        async def start() -> None:
            producers = writer._kafka.producers
            if writer._id in producers:
                writer.epoch, writer._usable = producers[writer._id].epoch, True
            else:
                await type(writer).start(writer)

        writer.start = start
        return writer

    rewired(lane, new_writer=make)


@planted
def a_commit_in_doubt_is_tried_again(lane: Lane) -> None:
    new_writer = lane._ports.new_writer

    def make() -> Any:
        writer: Any = new_writer()

        async def commit(outgoing: Sequence[Outgoing]) -> Mapping[tuple[str, int], int]:
            try:
                found: Mapping[tuple[str, int], int] = await type(writer).commit(writer, outgoing)
            except Doubt:
                writer._usable = True
                found = await type(writer).commit(writer, outgoing)
            return found

        writer.commit = commit
        return writer

    rewired(lane, new_writer=make)


@planted
def the_position_in_redis_is_not_looked_at(lane: Lane) -> None:
    new_table = lane._ports.new_table

    def make() -> Any:
        table: Any = new_table()
        table._expect = lambda position, found: None
        table._need_guard = lambda: None
        return table

    rewired(lane, new_table=make)


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_seen(name: str) -> None:
    for seed in range(TRIES):
        try:
            await LaneWorld(seed, BUGS[name]).live()
        except (Wrong, KeyError, ValueError):  # a lane on wrong data may also fail to judge
            return
    raise AssertionError(f"{name} was not seen in {TRIES} worlds")
