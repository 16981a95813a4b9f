"""The tick of a worker: the order of what it asks for, on which the watermark rests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.application.keeper import Keeper
from pipeline.application.metrics import Metrics, NoMetrics
from pipeline.application.ports import KafkaDoubt, ProgressRecord
from pipeline.application.progress import Watermark
from tests.fakes.pipeline import RealTime

Ends = Mapping[tuple[str, int], int | None]


@dataclass
class Log:
    """`journey.progress`, which writes down what it is asked; `failing` calls are doubts."""

    calls: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    there: list[tuple[int, ProgressRecord]] = field(default_factory=list)
    offset: int = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise KafkaDoubt(name)

    async def publish(self, record: ProgressRecord) -> tuple[int, int]:
        self._called(f"publish {record.lane}")
        self.offset += 1
        return 1000 + self.offset, self.offset

    async def ends(self, partitions: Sequence[tuple[str, int]]) -> Ends:
        self._called("ends")
        return {(topic, lane): lane * 10 for topic, lane in partitions if topic != "silent"}

    async def read(self) -> Sequence[tuple[int, ProgressRecord]]:
        self._called("read")
        there, self.there = self.there, []
        return there


@dataclass
class Lane:
    partition: int
    log: Log
    world: str = "journey:a"
    ticks: list[tuple[int, int, dict[str, int | None]]] = field(default_factory=list)
    woken: int = 0

    def progress_record(self) -> ProgressRecord:
        self.log.calls.append(f"record {self.partition}")
        return said(self.partition, 5, self.world)

    def passed(self) -> int | None:
        return None

    def ticked(self, ticked_at: int, offset: int, ends: Mapping[str, int | None]) -> None:
        self.log.calls.append(f"ticked {self.partition}")
        self.ticks.append((ticked_at, offset, dict(ends)))

    def watermark_rose(self) -> None:
        self.woken += 1

    def cached(self) -> int:
        return 1


def said(lane: int, raw: int, world: str = "journey:a") -> ProgressRecord:
    return ProgressRecord(lane, world, raw, 0, "", "", "", "")


def keeper(log: Log, *lanes: Lane, hops: int = 0) -> tuple[Keeper, Watermark]:
    watermark = Watermark(max(1, len(lanes)), hops)
    return keeper_of(log, watermark, lambda: list(lanes), NoMetrics()), watermark


def keeper_of(log: Log, watermark: Watermark, lanes: Callable[[], Sequence[Lane]], metrics: Metrics) -> Keeper:
    return Keeper(log, watermark, RealTime(), metrics, lanes, ("raw", "silent"), 1.0, False)


async def test_the_ends_are_asked_for_after_the_ticks_and_with_what_was_said_before() -> None:
    log = Log()
    lanes = [Lane(0, log), Lane(1, log)]
    await keeper(log, *lanes)[0].tick()
    assert log.calls == ["record 0", "record 1", "publish 0", "publish 1", "ends", "ticked 0", "ticked 1"]
    assert lanes[0].ticks == [(1001, 1, {"raw": 0, "silent": None})]
    assert lanes[1].ticks == [(1002, 2, {"raw": 10, "silent": None})]


@pytest.mark.parametrize("failing", ["publish 0", "publish 1", "ends"])
async def test_a_tick_that_fails_proves_nothing(failing: str) -> None:
    log = Log(failing={failing})
    lanes = [Lane(0, log), Lane(1, log)]
    here, _ = keeper(log, *lanes)
    with pytest.raises(KafkaDoubt):
        await here.tick()
    assert [lane.ticks for lane in lanes] == [[], []]
    log.failing.clear()
    await here.tick()
    assert [len(lane.ticks) for lane in lanes] == [1, 1]


async def test_a_worker_without_lanes_asks_for_nothing() -> None:
    log = Log()
    await keeper(log)[0].tick()
    assert log.calls == []


async def test_lanes_are_woken_when_the_watermark_rises_and_only_then() -> None:
    log = Log()
    lane = Lane(0, log)
    here, watermark = keeper(log, lane)
    await here.tick()
    for offset, (raw, woken) in enumerate([(100, 1), (100, 1), (90, 1), (101, 2)], 10):
        log.there.append((offset, said(0, raw)))
        await here.read()
        assert lane.woken == woken
    assert watermark.value == 101
    await here.read()
    assert lane.woken == 2


async def test_what_was_said_in_another_world_is_not_heard() -> None:
    log = Log()
    lane = Lane(0, log)
    here, watermark = keeper(log, lane)
    await here.tick()
    log.there.append((10, said(0, 100, "journey:b")))
    await here.read()
    assert (watermark.value, lane.woken) == (None, 0)


async def test_a_lane_that_is_not_held_enters_no_world() -> None:
    log = Log()
    lane = Lane(0, log, world="")
    here, watermark = keeper(log, lane)
    watermark.enter("journey:a")
    await here.tick()
    log.there.append((10, said(0, 100)))
    await here.read()
    assert watermark.value == 100


async def test_a_lane_that_leaves_during_a_tick_leaves_no_series_behind() -> None:
    """It would stand here for ever, with a time that gets older, beside the one of its next worker."""
    log, metrics = Log(), PrometheusMetrics()
    lanes = [Lane(0, log), Lane(1, log)]

    class Leaving(Lane):
        def ticked(self, ticked_at: int, offset: int, ends: Mapping[str, int | None]) -> None:
            lanes.remove(self)
            metrics.forget(self.partition)

    lanes.append(Leaving(2, log))
    await keeper_of(log, Watermark(3, 0), lambda: list(lanes), metrics).tick()
    shown = metrics.exposition("")[0].decode().splitlines()
    lanes_shown = [line for line in shown if line.startswith("journey_lane_progress_timestamp_seconds{")]
    assert lanes_shown == [f'journey_lane_progress_timestamp_seconds{{lane="{lane}"}} 0.005' for lane in (0, 1)]


async def test_a_lane_that_proves_nothing_yet_shows_what_had_passed_before() -> None:
    """Else whoever starts a worker again makes a lane that stands one that has no age, and its alert is gone."""
    log, metrics = Log(), PrometheusMetrics()

    @dataclass
    class New(Lane):
        proven: int | None = None

        def progress_record(self) -> ProgressRecord:
            return ProgressRecord(self.partition, self.world, self.proven, 0, "", "", "", "")

        def passed(self) -> int | None:
            return 7_000

    lane = New(0, log)
    here = keeper_of(log, Watermark(1, 0), lambda: [lane], metrics)

    def shown() -> list[str]:
        lines = metrics.exposition("")[0].decode().splitlines()
        return [line for line in lines if line.startswith("journey_lane_progress_timestamp_seconds{")]

    await here.tick()
    assert shown() == ['journey_lane_progress_timestamp_seconds{lane="0"} 7.0']
    lane.proven = 9_000
    await here.tick()
    assert shown() == ['journey_lane_progress_timestamp_seconds{lane="0"} 9.0']


@pytest.mark.parametrize(("asked", "answered", "offset"), [(990, 1_010, 0.0), (500, 601, 0.4), (3_501, 3_600, -2.5)])
async def test_clocks_differ_by_what_the_way_there_and_back_does_not_explain(
    asked: int, answered: int, offset: float
) -> None:
    """The broker appends at 1001."""
    log, metrics = Log(), PrometheusMetrics()
    clock = RealTime()
    clock.ms = asked

    class Slow(Log):
        async def publish(self, record: ProgressRecord) -> tuple[int, int]:
            clock.ms = answered
            return await log.publish(record)

    here = Keeper(Slow(), Watermark(1, 0), clock, metrics, lambda: [Lane(0, log)], ("raw",), 1.0, False)
    await here.tick()
    assert f"\njourney_clock_offset_seconds {offset}\n" in metrics.exposition("")[0].decode()
