"""The built-in journeys, all at once, on lives at their own pace: both readings of the files, both folds."""

from hypothesis import given, note

from tests.property.built_in import BEGINNING, DAY, HOUR, MINUTE, built_in, event
from tests.property.random_journeys import Dice, thrown
from tests.property.two_folds import TwoFolds


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
