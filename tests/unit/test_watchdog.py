import threading
from collections.abc import Sequence

import pytest

from pipeline.worker.watchdog import InputSight, LaneSight, Patience, Sight, Stalls, Watchdog

PATIENCE = Patience(lane_s=60, loop_s=30, group_s=300)


def seen(
    *lanes: LaneSight, main: float = 0.0, flowing: bool = True, beats: Sequence[tuple[str, float]] | None = None
) -> Sight:
    return Sight([("main", main)] if beats is None else beats, lanes, flowing)


def complaints_after(seconds: int, sight: Sight, moving: Sight | None = None) -> list[str]:
    """What is said after so many looks, one a second; `moving` comes in between once, at half time."""
    stalls, found = Stalls(PATIENCE), []
    for second in range(seconds + 1):
        at = moving if moving is not None and second == seconds // 2 else sight
        found = stalls.look(at, 1.0 if second else 0.0)
    return found


BEATING = seen(beats=())
STUCK = LaneSight(3, moved=1.0, work=9, reason="")


def moving(moved: float, *inputs: InputSight, reason: str = "") -> Sight:
    """A lane that goes on, whatever its inputs do."""
    return seen(LaneSight(3, moved, 9, reason, inputs), beats=())


def test_an_input_that_is_not_fetched_counts_though_its_lane_goes_on_with_the_others() -> None:
    deaf, idle = InputSight("raw.web", 5, 7), InputSight("raw.store", 9, 0)
    stalls, found = Stalls(PATIENCE), list[str]()
    for second in range(62):
        found = stalls.look(moving(float(second), deaf, idle), 1.0 if second else 0.0)
        assert second > 60 or found == []
    assert found == ["lane 3 has got nothing of raw.web for 61 s, where 7 records wait behind 5"]
    assert stalls.look(moving(62.0, InputSight("raw.web", 6, 6), idle), 1.0) == [], "it was heard from"
    assert stalls.look(moving(63.0, idle), 900.0) == [], "something of it is in memory: it waits for its turn"
    assert stalls.look(moving(64.0, deaf, reason="redis"), 900.0) == []


def test_a_lane_that_its_group_has_forgotten_counts_in_the_end() -> None:
    assert complaints_after(300, moving(1.0, reason="membership")) == []
    assert complaints_after(301, moving(1.0, reason="membership")) == [
        "lane 3 has not been in its consumer group for 301 s"
    ]
    assert complaints_after(400, moving(1.0, reason="membership"), moving(1.0)) == []


@pytest.mark.parametrize(
    ("seconds", "sight", "says"),
    [
        (60, seen(STUCK, beats=()), []),
        (61, seen(STUCK, beats=()), ["lane 3 has 9 records to do and has not moved for 61 s"]),
        (900, seen(LaneSight(3, 1.0, 9, "redis"), beats=()), []),
        (900, seen(LaneSight(3, 1.0, 0, ""), beats=()), []),
        (30, seen(main=5.0), []),
        (31, seen(main=5.0), ["the main loop has not run for 31 s"]),
        (300, seen(flowing=False, beats=()), []),
        (301, seen(flowing=False, beats=()), ["the worker has had no place in its consumer group for 301 s"]),
    ],
)
def test_complains_about_what_stands_without_a_reason(seconds: int, sight: Sight, says: list[str]) -> None:
    assert complaints_after(seconds, sight) == says


@pytest.mark.parametrize(
    "moving",
    [
        pytest.param(seen(LaneSight(3, 2.0, 9, ""), beats=()), id="a step forward"),
        pytest.param(seen(LaneSight(3, 1.0, 0, ""), beats=()), id="nothing to do"),
        pytest.param(seen(LaneSight(3, 1.0, 9, "kafka"), beats=()), id="a reason"),
        pytest.param(seen(beats=()), id="away for a while"),
    ],
)
def test_counts_anew_after_anything_that_explains_it(moving: Sight) -> None:
    assert complaints_after(100, seen(STUCK, beats=()), moving) == []


def test_time_that_the_process_was_stopped_does_not_count() -> None:
    stalls = Stalls(PATIENCE)
    stalls.look(seen(STUCK, beats=()), 0.0)
    assert stalls.look(seen(STUCK, beats=()), 2.0) == [], "the watchdog cuts a jump of its clock to two looks"


def test_leaves_after_complaints_have_been_there_to_read() -> None:
    said: list[Sequence[str]] = []
    left = threading.Event()

    def leave(complaints: Sequence[str]) -> None:
        said.append(complaints)
        left.set()

    dog = Watchdog(lambda: seen(main=1.0, beats=None), Patience(60, 0.03, 300), leave, every_s=0.01, leave_after_s=0.05)
    dog.start()
    assert left.wait(5)
    dog.stop()
    assert said[0][0].startswith("the main loop has not run")
    assert list(dog.complaints) == list(said[0])


def test_stays_while_all_is_well() -> None:
    looks = 0
    enough = threading.Event()

    def look() -> Sight:
        nonlocal looks
        looks += 1
        if looks > 20:
            enough.set()
        return seen(main=float(looks))

    left: list[Sequence[str]] = []
    dog = Watchdog(look, Patience(1, 1, 1), left.append, every_s=0.001, leave_after_s=0.0)
    dog.start()
    assert enough.wait(5)
    dog.stop()
    assert (dog.complaints, left) == ([], [])
