"""Bugs to plant into the real lanes, so that one sees that the simulation would see them.

    with plant("a_paused_input_is_not_resumed"):
        run(case)

`plant` is called before a world starts, and all that a world knows of bugs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from pipeline.application.lane import Lane
from pipeline.application.merge import InputQueue
from pipeline.application.ports import Doubt, Fetched, Outgoing

Change = Callable[[Lane], None]
"""What makes a lane that was just made a wrong one."""

BUGS: Final[dict[str, Change]] = {}


@contextmanager
def plant(name: str | None) -> Iterator[None]:
    """Every lane that is made meanwhile has this bug; None plants nothing, KeyError if there is no such bug."""
    if name is None:
        yield
        return
    change, make = BUGS[name], Lane.__init__

    def make_wrong(lane: Lane, *args: Any, **more: Any) -> None:
        make(lane, *args, **more)
        change(lane)

    Lane.__init__ = make_wrong  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Lane.__init__ = make  # type: ignore[method-assign]


def bug(change: Change) -> Change:
    BUGS[change.__name__] = change
    return change


class Trusting(InputQueue):
    """Takes what comes, hole or not."""

    def offer(self, fetched: Fetched) -> bool:
        if self.reached is not None and fetched.start > self.reached:
            self.reached = fetched.start
        return super().offer(fetched)


@bug
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


@bug
def a_paused_input_is_not_resumed(lane: Lane) -> None:
    rewired(lane, inputs=Reluctant(lane._ports.inputs))


@bug
def a_stop_before_the_first_step_is_not_heard(lane: Lane) -> None:
    run = lane.run

    async def forget_and_run(generation: int) -> None:
        lane._stop.clear()
        await run(generation)

    lane.run = forget_and_run  # type: ignore[method-assign]


@bug
def what_is_cached_outlives_a_doubt(lane: Lane) -> None:
    settle = lane._accept

    async def accept(standing: Any) -> Any:
        hold = await settle(standing)
        hold._cache = lane.__dict__.setdefault("cache", hold._cache)
        return hold

    lane._accept = accept  # type: ignore[method-assign]


@bug
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


@bug
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


@bug
def the_position_in_redis_is_not_looked_at(lane: Lane) -> None:
    new_table = lane._ports.new_table

    def make() -> Any:
        table: Any = new_table()
        table._expect = lambda position, found: None
        table._need_guard = lambda: None
        return table

    rewired(lane, new_table=make)
