"""The loop that everything in the simulation runs in."""

import asyncio
from random import Random

import pytest

from tests.simulation.event_loop import Process, Restless, SimulatedLoop


def make(disorder: float = 0.0, seed: int = 1, most: int = 100_000) -> SimulatedLoop:
    return SimulatedLoop(Random(seed), disorder, most)


async def note(told: list[str], name: str, every: float, times: int) -> None:
    for number in range(times):
        told.append(f"{name}{number}")
        await asyncio.sleep(every)


def test_time_leaps_to_what_comes_next() -> None:
    loop = make()
    loop.run_until_complete(asyncio.wait_for(asyncio.sleep(3600), 7200))
    assert loop.time() == 3600
    loop.dispose([])


def order(disorder: float, seed: int) -> list[str]:
    loop = make(disorder, seed)
    told: list[str] = []

    async def main() -> None:
        await asyncio.gather(*(note(told, name, 0, 4) for name in "abc"))

    loop.run_until_complete(main())
    loop.dispose([])
    return told


def test_the_order_is_drawn_from_the_seed() -> None:
    assert order(0.5, 1) == order(0.5, 1)
    assert len({tuple(order(0.5, seed)) for seed in range(10)}) > 5
    assert order(0.0, 1) == order(0.0, 2)


def test_a_frozen_process_stands_and_goes_on_when_it_is_thawed() -> None:
    loop, process, told = make(), Process("w1"), list[str]()
    task = loop.start(process, note(told, "a", 1, 4))

    async def main() -> None:
        await asyncio.sleep(1.5)
        process.frozen = True
        await asyncio.sleep(100)
        assert told == ["a0", "a1"]
        loop.thaw(process)
        await task

    loop.run_until_complete(main())
    assert told == ["a0", "a1", "a2", "a3"]
    loop.dispose([process])


def test_a_dead_process_runs_not_one_step_more_not_even_to_clean_up() -> None:
    loop, process, told = make(), Process("w1"), list[str]()

    async def work() -> None:
        try:
            await note(told, "a", 1, 10)
        finally:
            told.append("cleaned up")

    task = loop.start(process, work())

    async def main() -> None:
        await asyncio.sleep(1.5)
        process.dead = True
        task.cancel()
        await asyncio.sleep(100)

    loop.run_until_complete(main())
    assert told == ["a0", "a1"]
    loop.dispose([process])
    assert task.done()


def test_what_a_process_asks_of_the_outside_happens_without_it() -> None:
    loop, process, told = make(), Process("w1"), list[str]()

    async def ask() -> None:
        loop.outside(1, lambda: told.append("done"))

    loop.start(process, ask())

    async def main() -> None:
        await asyncio.sleep(0.5)
        process.dead = True
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert told == ["done"]
    loop.dispose([process])


def test_a_run_that_does_not_end_is_ended() -> None:
    loop = make(most=1_000)

    async def spin() -> None:
        await note([], "a", 0, 1_000_000)

    with pytest.raises(Restless):
        loop.run_until_complete(spin())
    loop.dispose([])


def test_a_run_in_which_nothing_can_happen_is_ended() -> None:
    loop = make()
    with pytest.raises(Restless, match="nothing waits"):
        loop.run_until_complete(asyncio.Event().wait())
    loop.dispose([])
