"""The pace of the simulator, what it promises, and that a second run goes on where the first stopped."""

import asyncio
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from pipeline.dev.simulator import BEGINNING, Simulator, Story, begin, go_on
from pipeline.dev.traffic import LONGEST_DELAY
from pipeline.dev.truth import Truth
from pipeline.domain.event import CHANNELS, decode, moment
from pipeline.errors import UserError

TOPICS = {channel: f"raw.{channel}" for channel in CHANNELS}
DAY = 86_400_000


class Log:
    """A sink that keeps everything in the order in which Kafka would have it: (id, event time), or the punctuation."""

    def __init__(self) -> None:
        self.pending = 0
        self.entries: list[tuple[str, int] | int] = []

    def add(self, topic: str, key: bytes, value: bytes) -> None:
        event = decode(value, 262_144, 32)
        self.entries.append((event.id, moment(event)))

    async def flush(self) -> None:
        self.pending = 0

    async def punctuate(self, at: int, *, end: bool = False) -> None:
        self.entries.append(at)


def simulator(log: Log, path: Path, story: Story | None = None, speed: float = 86_400.0) -> Simulator:
    return Simulator(story or begin("event", 7, 50, 0), log, TOPICS, speed=speed, path=path)


async def test_never_sends_what_it_promised_to_be_complete(tmp_path: Path) -> None:
    log = Log()
    running = simulator(log, tmp_path / "story.json")
    for _ in range(400):
        await running.step(DAY // 4)
        await running.promise()
    promised = 0
    promises = 0
    for entry in log.entries:
        if isinstance(entry, int):
            assert entry > promised
            promised = entry
            promises += 1
        else:
            assert entry[1] > promised
    assert promises > 80
    assert running.sent.reached - LONGEST_DELAY <= promised <= running.sent.reached


async def test_a_second_run_goes_on_without_gap_or_repetition(tmp_path: Path) -> None:
    whole, halves = Log(), Log()
    running = simulator(whole, tmp_path / "whole.json")
    for _ in range(200):
        await running.step(DAY)
    path = tmp_path / "halves.json"
    for _ in range(2):
        running = simulator(halves, path, go_on(path, "event", 7, 50, 0))
        for _ in range(100):
            await running.step(DAY)
        await running.promise()
    assert [entry for entry in halves.entries if not isinstance(entry, int)] == whole.entries


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("event", 8, None), "seed 7"),
        (("event", None, 60), "customers 50"),
        (("live", 7, 50), "clock event"),
    ],
)
async def test_refuses_to_mix_two_stories(
    tmp_path: Path, changed: tuple[Literal["live", "event"], int | None, int | None], said: str
) -> None:
    path = tmp_path / "story.json"
    await simulator(Log(), path).promise()
    with pytest.raises(UserError, match=said):
        go_on(path, *changed, 0)
    assert go_on(path, "event", None, None, 0).customers == 50


async def test_the_live_clock_goes_on_now(tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    now = 1_790_000_000_000
    first = begin("live", 7, 50, now)
    log = Log()
    running = simulator(log, path, first, speed=1.0)
    await running.step(DAY)
    await running.promise()
    assert not [entry for entry in log.entries if isinstance(entry, int)]
    assert go_on(path, "live", None, None, now + 5 * DAY).reached == now + 5 * DAY


async def test_the_truth_lies_beside_the_story_and_grows_with_it(tmp_path: Path) -> None:
    running = simulator(Log(), tmp_path / "story.json")
    told = []
    for _ in range(3):
        await running.promise()
        told.append(msgspec.json.decode((tmp_path / "truth.json").read_bytes(), type=Truth))
        for _ in range(100):
            await running.step(2 * DAY)
    assert len(told[0].people) == 50
    assert len(told[-1].people) > 50


async def test_runs_at_its_speed_and_stops_when_told(tmp_path: Path) -> None:
    log = Log()
    stop = asyncio.Event()
    times = iter(range(1000))

    def monotonic() -> float:
        step = next(times)
        if step == 20:
            stop.set()
        return step * 0.1

    running = Simulator(
        begin("event", 7, 50, 0), log, TOPICS, speed=86_400.0, path=tmp_path / "s.json", monotonic=monotonic
    )
    await asyncio.wait_for(running.run(stop), 10)
    assert running.sent.reached == pytest.approx(BEGINNING + 2 * DAY, abs=DAY // 4)
    assert running.sent.events == len([entry for entry in log.entries if not isinstance(entry, int)])
