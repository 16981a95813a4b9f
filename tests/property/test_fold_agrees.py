"""The fast fold and the plain one agree after every step of any life in any journey."""

from hypothesis import given, note

from tests.property.random_journeys import GRACE, TOUCHES, Dice, Life, journey, life, thrown
from tests.property.two_folds import Models, Sent, TwoFolds, read_models


def lead(models: Models, one: Life) -> TwoFolds:
    """Leads one customer through a life, comparing after every step."""
    folds = TwoFolds(models, one.lateness, one.limit)
    for step in one.steps:
        if isinstance(step, Sent):
            folds.arrive(step)
        elif step is None:
            folds.reload()
        else:
            folds.rise((folds.watermark or 0) + step, one.by_index)
    return folds


@given(thrown(320), thrown(1000))
def test_both_folds_agree_after_every_step(journeys: bytes, lives: bytes) -> None:
    """Stage, history, signals, counters, outcomes; and the feed keeps its promises."""
    dice = Dice(journeys)
    documents = [journey(dice, "one"), journey(dice, "two")]
    models = read_models(TOUCHES, documents, GRACE)
    for n in range(4):
        one = life(Dice(lives[n * 250 : (n + 1) * 250]), 40)
        note(f"{documents}\n{one}")
        lead(models, one)
