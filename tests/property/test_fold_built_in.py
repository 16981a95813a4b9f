"""The built-in journeys, all at once, on lives at their own pace: both readings of the files, both folds."""

from functools import cache
from typing import Any

from hypothesis import given, note

from pipeline.adapters.journey_files import MODELS, built_in_journeys
from pipeline.checker.plain_touches import CHANNELS, Row
from tests.property.random_journeys import Dice, thrown
from tests.property.two_folds import CUSTOMER, Models, Sent, TwoFolds, load_models

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
GRACE = dict.fromkeys(CHANNELS, 5 * MINUTE) | {"store": DAY}
BEGINNING = 1_767_225_600_000
"""2026-01-01 in ms."""


@cache
def built_in() -> Models:
    touches = MODELS / "touches.yaml"
    return load_models(touches, built_in_journeys(), GRACE)


def event(dice: Dice, row: Row, number: int, at: int) -> Sent:
    """An event that the row fits."""
    properties: dict[str, Any] = {}
    for path, values in row.where.items():
        *outer, last = path.split(".")
        inside = properties
        for name in outer:
            inside = inside.setdefault(name, {})
        inside[last] = dice.one(values)
    raw = {
        "id": f"e{number}",
        "type": dice.one(sorted(row.types or {"other"})),
        "source": dice.one(sorted(row.sources or {"site"})),
        "actor": row.actor,
        "occurred_at": at,
        "customer_id": CUSTOMER,
        "properties": properties,
    }
    return Sent(raw, dice.one(sorted(row.channels or CHANNELS)), at + dice.below(3) * HOUR, 0, number)


@given(thrown(400))
def test_both_folds_agree_on_the_built_in_journeys(thrown_once: bytes) -> None:
    dice = Dice(thrown_once)
    models = built_in()
    folds = TwoFolds(models, dice.one((DAY, 40 * DAY, 0)), dice.one((64, 64, 8)))
    now = watermark = BEGINNING
    by_index = dice.once_in(2)
    for number in range(50):
        now += dice.one((MINUTE, HOUR, DAY, 15 * DAY)) * dice.below(7)
        back = dice.one((0, 0, HOUR, DAY)) * dice.below(3)
        sent = event(dice, dice.one(models.rows), number, now - back)
        note(f"{sent}")
        folds.arrive(sent)
        if dice.once_in(3):
            watermark = max(watermark, now - dice.one((0, HOUR, DAY, 30 * DAY)))
            note(f"watermark {watermark}")
            folds.rise(watermark, by_index)
        if dice.once_in(8):
            folds.reload()
