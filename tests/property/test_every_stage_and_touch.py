"""Every stage of every built-in journey meets every touch, and the customer lives on: both folds agree."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.mutants.registry import planted
from tests.property.built_in import built_in
from tests.property.conftest import times
from tests.property.led_customer import LedCustomer, rows, targets

LIVES = settings(max_examples=8 * max(times, 1), stateful_step_count=30)

SEEN = (
    "what_the_company_does_counts",
    "a_stage_is_not_entered_once_more",
    "a_settled_timer_arms_none",
    "the_last_word_is_missing",
    "every_count_ends_with_the_stage",
    "entering_a_stage_does_not_look_back_for_what_broke",
    "an_act_that_moves_fires_no_signal_by_a_touch",
    "a_timer_fires_twice",
)
"""Planted bugs that this test sees by itself; `make mutants` plants all."""


def lead(journey: str, stage: str, lives: settings = LIVES) -> set[str]:
    """The touches that were shown in the stage; AssertionError where the folds differ."""
    seen = set[str]()

    class Led(LedCustomer):
        def __init__(self) -> None:
            super().__init__(journey, stage, seen)

    run_state_machine_as_test(Led, settings=lives)
    return seen


def lead_everywhere(lives: settings) -> None:
    for journey, stage in targets():
        lead(journey, stage, lives)


@pytest.mark.parametrize(("journey", "stage"), targets(), ids=lambda name: name or "start")
def test_every_touch_in_every_stage(journey: str, stage: str) -> None:
    assert lead(journey, stage) == {row.name for row in rows()}


@pytest.mark.pure
@pytest.mark.parametrize("bug", SEEN)
def test_planted_bugs_are_seen(bug: str) -> None:
    built_in.cache_clear()  # a bug may be in what journeys are compiled to
    with planted(bug), pytest.raises(AssertionError):
        lead_everywhere(settings(LIVES, phases=[Phase.generate], report_multiple_bugs=False))
    built_in.cache_clear()
