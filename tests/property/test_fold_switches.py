"""The fast fold and the plain one agree over versions too: any journey promoted to any other, anywhere in a life."""

from hypothesis import given, note, settings

from tests.property.conftest import EXAMPLES, times
from tests.property.random_journeys import FOREVER, GRACE, TOUCHES, Dice, journey, life, thrown
from tests.property.two_folds import Raw, Sent, TwoFolds, read_models

LOOKS = EXAMPLES * max(times, 1) // 4
"""An example here is three versions that are compiled, each with the lives that lead through them."""


def changed(dice: Dice, old: Raw, version: int) -> Raw:
    """Another version: the same rules, with fewer or longer silences, or a journey of its own."""
    if dice.once_in(2):
        return {**journey(dice, old["journey"]), "version": version}
    kept = {name: signal for name, signal in old["signals"].items() if not dice.once_in(4)}
    signals = {
        name: {**signal, "after": dice.duration(20)} if "after" in signal and dice.once_in(2) else signal
        for name, signal in kept.items()
    }
    return {**old, "version": version, "signals": signals}


def directions(dice: Dice, old: Raw, new: Raw) -> dict[str, str | None]:
    """Where customers go: each stage that is gone leads somewhere, the others now and then."""
    targets = [stage["id"] for stage in new["stages"]]
    found: dict[str, str | None] = {}
    for stage in (row["id"] for row in old["stages"]):
        if stage not in targets or dice.once_in(3):
            found[stage] = None if dice.once_in(3) else dice.one(targets)
    return found


@settings(max_examples=LOOKS)
@given(thrown(220), thrown(40), thrown(500))
def test_both_folds_agree_over_versions(journeys: bytes, switches: bytes, lives: bytes) -> None:
    """Stage, history, signals, and what is told of each switch; nothing of before it changes any more."""
    dice = Dice(journeys)
    documents = [journey(dice, "one")]
    for version in (2, 3):
        documents.append(changed(dice, documents[-1], version))
    versions = [read_models(TOUCHES, [document], GRACE) for document in documents]
    for n in range(2):
        one = life(Dice(lives[n * 250 : (n + 1) * 250]), 40)
        turns = Dice(switches[n * 20 : (n + 1) * 20])
        at = sorted(turns.below(40) for _ in range(2))
        folds = TwoFolds(versions[0], one.lateness, FOREVER)
        note(f"{documents}\n{one}\n{at}")
        for place, step in enumerate(one.steps):
            for version in (1, 2):
                if at[version - 1] == place:
                    where = directions(turns, documents[version - 1], documents[version])
                    note(f"at {place}: {where}")
                    folds.switch(versions[version], where, 1_000 * version + place, turns.once_in(2))
            if isinstance(step, Sent):
                folds.arrive(step)
            elif step is None:
                folds.reload()
            else:
                folds.rise((folds.watermark or 0) + step, one.by_index)
