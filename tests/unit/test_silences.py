"""When the checker calls a timer that was taken back a false silence."""

import pytest

from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_journey import Journey, read_journey
from pipeline.checker.silences import falsely_fired, milliseconds, moment, settled_by_event

HOUR = 3_600_000
GRACE = 1_000
JOURNEY: Journey = read_journey(
    {
        "journey": "shop",
        "version": 1,
        "stages": [
            {"id": "keen", "enter": {"when": "cart"}},
            {"id": "buyer", "enter": {"when": "ordered"}},
            {"id": "cold", "enter": {"from": "keen", "after": "2h", "since": "entered"}},
        ],
        "signals": {"reminder": {"after": "1h", "since": "last cart", "unless": "ordered", "wait_for": "web"}},
    },
    [],
    {"web": GRACE},
)
REMINDER = next(silence for silence in JOURNEY.silences if silence.rule == "reminder")
COLD = next(silence for silence in JOURNEY.silences if silence.rule == "cold")
START = 1_000 * HOUR
DUE = START + HOUR


def arrival(touch: str, at: int, acknowledged: int, *, company: bool = False) -> Arrival:
    act = Act(at, acknowledged, 0, acknowledged, f"{touch}{at}", touch, "web", company)
    return Arrival(acknowledged, 0, acknowledged, acknowledged, act)


CART = arrival("cart", START, START + 5)


@pytest.mark.parametrize(
    ("others", "false"),
    [
        ([], False),
        ([arrival("ordered", DUE, DUE + GRACE - 1)], True),
        ([arrival("ordered", DUE, DUE + GRACE)], False),
        ([arrival("ordered", DUE + 1, DUE + 2)], False),
        ([arrival("ordered", START, START + 6)], False),
        ([arrival("cart", START + 1, START + 6)], True),
        ([arrival("ordered", DUE - 1, DUE, company=True)], False),
        ([arrival("other", DUE - 1, DUE)], False),
    ],
)
def test_a_signal_is_false_if_what_breaks_it_was_acknowledged_in_time(others: list[Arrival], false: bool) -> None:
    arrivals = sorted([CART, *others], key=lambda a: a.act)
    assert falsely_fired(JOURNEY, REMINDER, START, DUE, arrivals) == false


def test_a_silence_that_nothing_began_is_false() -> None:
    assert falsely_fired(JOURNEY, REMINDER, START - 7, DUE - 7, [CART])


def test_in_a_backlog_nobody_knows_what_was_folded_first() -> None:
    late = START + 100 * HOUR
    arrivals = [arrival("cart", START, late + 1), arrival("ordered", START + 1, late)]
    assert not falsely_fired(JOURNEY, REMINDER, START, DUE, arrivals)


def test_a_stage_that_was_left_in_time_cannot_go_silent() -> None:
    left = arrival("ordered", START + HOUR, START + HOUR)
    assert falsely_fired(JOURNEY, COLD, START, START + 2 * HOUR, [CART, left])
    assert not falsely_fired(JOURNEY, COLD, START, START + 2 * HOUR, [CART])


def test_an_event_from_after_due_may_have_settled_a_stage_timer_and_no_signal() -> None:
    after = [CART, arrival("other", START + 3 * HOUR, START + 3 * HOUR)]
    assert settled_by_event(COLD, START + 2 * HOUR, after, START + 4 * HOUR)
    assert not settled_by_event(COLD, START + 2 * HOUR, after, START + 2 * HOUR)
    assert not settled_by_event(REMINDER, DUE, after, START + 4 * HOUR)


def test_moments_are_written_as_they_are_published() -> None:
    assert moment(milliseconds("2025-06-01T10:00:00.007Z")) == "2025-06-01T10:00:00.007Z"
