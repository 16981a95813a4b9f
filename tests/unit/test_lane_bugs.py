"""What a bug in the fold costs: one event, or one customer's timers until the bug is mended."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from pipeline.domain.feed import Feed
from pipeline.domain.fold import Fold, Outcome
from pipeline.domain.profile import Event, Profile
from tests.fakes.pipeline import HOUR, MINUTE, START, TOPICS, Workers, journey


class Buggy:
    """The fold, until it is mended but for one customer's timers."""

    def __init__(self, fold: Fold, world: "World") -> None:
        self._fold, self._world = fold, world
        self.journeys, self.align, self.carries = fold.journeys, fold.align, fold.carries

    def event(self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        return self._fold.event(profile, identity, event, watermark, feed)

    def time(self, profile: Profile, watermark: int, feed: Feed) -> None:
        self._world.looks.append(profile.key)
        self._fold.time(profile, watermark, feed)
        if profile.key == "c:anna" and not self._world.mended:
            raise ZeroDivisionError("planted")


class World:
    mended = False

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.workers = Workers(fold=lambda fold: cast(Fold, Buggy(fold, self)))

    def signals(self) -> list[str]:
        return [signal["customer_id"] for signal in self.workers.feed(TOPICS.signals)]

    def parked_by(self) -> dict[str, str]:
        """By customer, the version of the program that parked their timers."""
        found = [item for lane in self.workers.lanes for item in self.workers.record(lane).parked_by.items()]
        return {key: code.partition("+")[0] for key, code in found}

    async def start_again(self, code: str) -> None:
        await self.workers.kill()
        self.workers.start(journey(), code)
        self.workers.run(2)
        await self.workers.settle()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    workers = world.workers
    workers.run()
    for name in ("anna", "ben"):
        workers.send(name, "cart_updated", START)
    await workers.tick()
    workers.clock.ms = START + HOUR + 6 * MINUTE
    await workers.tick()
    assert world.signals() == ["ben"]
    yield world
    await workers.kill()


async def test_parked_timers_are_not_looked_at_again(world: World) -> None:
    assert world.parked_by() == {"c:anna": "1"}
    looks = world.looks.count("c:anna")
    await world.start_again("1")
    world.workers.clock.ms += HOUR
    await world.workers.tick()
    assert world.looks.count("c:anna") == looks
    assert world.signals() == ["ben"]


async def test_other_code_looks_at_parked_timers_without_waiting_for_an_event(world: World) -> None:
    world.mended = True
    await world.start_again("1.1")
    await world.workers.tick()
    assert sorted(world.signals()) == ["anna", "ben"]
    assert world.parked_by() == {}
    assert world.workers.table_equals_changelog()


async def test_timers_that_raise_under_other_code_too_are_parked_by_that(world: World) -> None:
    await world.start_again("1.1")
    await world.workers.tick()
    assert world.parked_by() == {"c:anna": "1.1"}
    assert world.signals() == ["ben"]
    world.mended = True
    await world.start_again("1.2")
    await world.workers.tick()
    assert sorted(world.signals()) == ["anna", "ben"]
