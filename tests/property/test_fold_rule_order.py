"""The order of rules decides between stages only: that of one stage's rules, and of signals, changes nothing.

All rules of a stage lead to the same one, so which of them was asked first is seen in the name of the rule alone.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, note

from tests.property.random_journeys import GRACE, TOUCHES, Dice, Life, journey, life, thrown
from tests.property.two_folds import Raw, Sent, TwoFolds, read_models

AT_REST = 1_000_000
"""A watermark behind all graces: of two silences that are over at once, one may wait for the other's (rule 13)."""


def shuffled(dice: Dice, items: Sequence[Any]) -> list[Any]:
    left = list(items)
    return [left.pop(dice.below(len(left))) for _ in items]


def rearranged(document: Raw, dice: Dice) -> Raw:
    stages = [
        stage | {"enter": shuffled(dice, stage["enter"])} if "enter" in stage else stage for stage in document["stages"]
    ]
    return {**document, "stages": stages, "signals": dict(shuffled(dice, list(document["signals"].items())))}


def outcome(document: Raw, one: Life) -> tuple[object, ...]:
    """Stage, history by time, stage and event, and the signals that hold, once everything is at rest."""
    folds = TwoFolds(read_models(TOUCHES, [document], GRACE), one.lateness, one.limit)
    for step in one.steps:
        if isinstance(step, Sent):
            folds.arrive(step)
        elif step is None:
            folds.reload()
        else:
            folds.rise((folds.watermark or 0) + step, one.by_index)
    folds.rise(AT_REST)
    (position,) = folds.positions()
    signals = {name: sorted(known.holding.values()) for (_, _, name), known in folds.subscriber.signals.items()}
    return position.stage, [(step.at, step.to, step.event) for step in position.history], signals


@given(thrown(160), thrown(40), thrown(200))
def test_the_order_of_a_stages_rules_and_of_signals_changes_nothing(rules: bytes, order: bytes, events: bytes) -> None:
    document, one = journey(Dice(rules), "one"), life(Dice(events), 25)
    other = rearranged(document, Dice(order))
    note(f"{document}\n{other}\n{one}")
    assert outcome(other, one) == outcome(document, one)
