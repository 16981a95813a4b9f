import asyncio
import time
from collections.abc import Callable

import pytest

from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.application.ports import Abandoned, Fetched, LaneReport, Refused
from pipeline.errors import UserError
from pipeline.worker import lanes as lanes_module
from pipeline.worker.lanes import LaneFailure, LaneSet


class FakeLane:
    """Runs until it is stopped, or as `body` has it."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self.generations: list[int] = []
        self.body: Callable[[], None] | None = None
        self.ignores_stop = False
        self.released = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def partition(self) -> int:
        return self._partition

    def offer(self, fetched: Fetched) -> None: ...

    def lost(self, fetched: Fetched) -> None: ...

    def full(self, topic: str) -> bool:
        return not topic

    async def run(self, generation: int) -> None:
        self.generations.append(generation)
        if self.body is not None:
            self.body()
            return
        self._stop.clear()
        await (asyncio.Event().wait() if self.ignores_stop else self._stop.wait())

    def stop(self) -> None:
        self._stop.set()

    async def release(self) -> None:
        self.released.set()

    def report(self) -> LaneReport:
        return LaneReport(self._partition, 0, "running", "", "", 0.0, 0.0, 0, {}, "", None)


class Made:
    """The lanes that a LaneSet has asked for."""

    def __init__(self) -> None:
        self.lanes: list[FakeLane] = []
        self.prepare: Callable[[FakeLane], None] = lambda lane: None

    def __call__(self, partition: int) -> FakeLane:
        lane = FakeLane(partition)
        self.prepare(lane)
        self.lanes.append(lane)
        return lane


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
async def lanes(made: Made, monkeypatch: pytest.MonkeyPatch) -> LaneSet:
    monkeypatch.setattr(lanes_module, "STOP_S", 0.05)
    monkeypatch.setattr(lanes_module, "CANCEL_S", 0.05)
    return LaneSet(made)


async def test_a_rebalance_is_counted(made: Made) -> None:
    metrics = PrometheusMetrics()
    lanes = LaneSet(made, metrics)
    lanes.start({0}, 1)
    await lanes.stop("rebalance")
    lanes.start(set(), 2)
    assert b"\njourney_rebalances_total 2.0\n" in metrics.exposition("")[0]
    await lanes.stop("end", final=True)


async def once(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def failure_of(lanes: LaneSet) -> BaseException:
    async with asyncio.timeout(5):
        return await lanes.failure


async def test_a_lane_that_comes_back_is_run_again(lanes: LaneSet, made: Made) -> None:
    lanes.start({0, 1}, 1)
    await once(lambda: len(made.lanes) == 2 and all(lane.generations for lane in made.lanes))
    await lanes.stop("rebalance")
    lanes.start({0, 1}, 2)
    await once(lambda: [lane.generations for lane in made.lanes] == [[1, 2], [1, 2]])
    assert lanes.get(0) is made.lanes[0]
    assert not made.lanes[0].released.is_set()
    await lanes.stop("end", final=True)


async def test_a_lane_that_left_is_released_and_made_anew(lanes: LaneSet, made: Made) -> None:
    lanes.start({0, 1}, 1)
    await lanes.stop("rebalance")
    lanes.start({1}, 2)
    assert lanes.get(0) is None
    async with asyncio.timeout(5):
        await made.lanes[0].released.wait()
    await lanes.stop("rebalance")
    lanes.start({0, 1}, 3)
    assert lanes.get(0) is made.lanes[2]
    assert [report.partition for report in lanes.reports()] == [0, 1]
    await lanes.stop("end", final=True)


async def test_a_stop_is_bounded_and_the_lane_that_ignored_it_is_cancelled(lanes: LaneSet, made: Made) -> None:
    made.prepare = lambda lane: setattr(lane, "ignores_stop", True)
    lanes.start({0}, 1)
    await once(lambda: made.lanes[0].generations == [1])
    async with asyncio.timeout(1):
        await lanes.stop("rebalance")
    assert not lanes.failure.done()
    lanes.start({0}, 2)
    await once(lambda: made.lanes[0].generations == [1, 2])
    await lanes.stop("end", final=True)


async def test_a_lane_that_not_even_a_cancellation_stops_is_replaced(lanes: LaneSet, made: Made) -> None:
    let_go = asyncio.Event()

    class Deaf(FakeLane):
        async def run(self, generation: int) -> None:
            self.generations.append(generation)
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue

    made.prepare = lambda lane: setattr(lane, "__class__", Deaf) if not made.lanes else None
    lanes.start({0}, 1)
    await once(lambda: made.lanes[0].generations == [1])
    await lanes.stop("rebalance")
    lanes.start({0}, 2)
    assert lanes.get(0) is made.lanes[1]
    assert not made.lanes[0].released.is_set(), "not while it runs"
    let_go.set()
    async with asyncio.timeout(5):
        await made.lanes[0].released.wait()
    assert not lanes.failure.done()
    await lanes.stop("end", final=True)


def gives_up() -> None:
    raise Abandoned("the lane is somebody else's")


def breaks() -> None:
    raise ZeroDivisionError("a bug")


def cancelled_from_within() -> None:
    raise asyncio.CancelledError


def ends() -> None:
    return


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (gives_up, "lane 0 gave up: Abandoned: the lane is somebody else's"),
        (breaks, "lane 0 gave up: ZeroDivisionError: a bug"),
        (cancelled_from_within, "lane 0 gave up: CancelledError: nobody cancelled it"),
        (ends, "lane 0 gave up: it ended without being asked"),
    ],
)
async def test_an_end_that_nobody_asked_for_is_a_failure(
    lanes: LaneSet, made: Made, body: Callable[[], None], says: str
) -> None:
    made.prepare = lambda lane: setattr(lane, "body", body)
    lanes.start({0}, 1)
    failure = await failure_of(lanes)
    assert isinstance(failure, LaneFailure)
    assert str(failure) == says
    await lanes.stop("end", final=True)


async def test_what_only_a_person_can_mend_is_no_failure_of_the_lane(lanes: LaneSet, made: Made) -> None:
    def refuses() -> None:
        raise Refused("lane 0: other rules")

    made.prepare = lambda lane: setattr(lane, "body", refuses)
    lanes.start({0}, 1)
    failure = await failure_of(lanes)
    assert isinstance(failure, UserError)
    assert failure.message == "lane 0: other rules"
    await lanes.stop("end", final=True)


async def test_a_lane_that_gives_up_while_stopping_is_a_failure_too(lanes: LaneSet, made: Made) -> None:
    class Late(FakeLane):
        async def run(self, generation: int) -> None:
            await super().run(generation)
            raise Abandoned("too late")

    made.prepare = lambda lane: setattr(lane, "__class__", Late)
    lanes.start({0}, 1)
    await once(lambda: made.lanes[0].generations == [1])
    await lanes.stop("rebalance")
    assert str(await failure_of(lanes)) == "lane 0 gave up: Abandoned: too late"


async def test_the_first_reason_counts(lanes: LaneSet) -> None:
    lanes.fail(ValueError("first"))
    lanes.fail(ValueError("second"))
    assert str(await failure_of(lanes)) == "first"


async def test_the_final_stop_releases_all_and_nothing_starts_again(lanes: LaneSet, made: Made) -> None:
    lanes.start({0, 1}, 1)
    await lanes.stop("end", final=True)
    assert all(lane.released.is_set() for lane in made.lanes)
    lanes.start({0, 1}, 2)
    assert len(made.lanes) == 2
    assert lanes.reports() == []
