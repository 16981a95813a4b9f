"""Identities join an owner and leave again, in any order with their events: exact within the lateness, sound beyond."""

from hypothesis import given, note

from pipeline.checker import plain_fold
from pipeline.domain.extremes import NEVER
from tests.property.linked import OWNER, Linked
from tests.property.random_journeys import FOREVER, GRACE, TOUCHES, Dice, event, journey, thrown
from tests.property.two_folds import Sent, read_models

IDENTITIES = ("anonymous:a", "anonymous:b", "c:5822")


def lead(linked: Linked, dice: Dice, steps: int) -> None:
    """Random events, links, cuts, rises of the watermark and reloads."""
    names = IDENTITIES[: 1 + dice.below(len(IDENTITIES))]
    pace, jitter = dice.one((1, 3, 8)), dice.one((0, 6, 40))
    sent: list[Sent] = []
    for number in range(steps):
        what, who = dice.below(12), dice.one((OWNER, *names))
        if what == 1:
            linked.reload()
        elif what in {2, 3, 4} and who != OWNER:
            if who in linked.owned and not dice.once_in(4):
                note(f"cut {who}")
                linked.cut(who)
            else:
                note(f"unite {who}")
                linked.unite(who)
        elif what == 5 and sent and linked.exact:
            note(f"copy for {who}")
            linked.arrive(who, dice.one(sent))
        elif what in {6, 7}:
            linked.rise(dice.below(16 * pace))
            note(f"watermark {linked.watermark}")
        else:
            at = max(0, number * pace + 4 - dice.below(jitter + 5))
            one = event(dice, number, at)
            astray = linked.exact and dice.once_in(12)
            outcome = linked.arrive(who, one, astray)
            note(f"{one.event['id']} {one.event['type']} of {who} at {at} {'astray' if astray else ''}: {outcome}")
            sent.append(one)


@given(thrown(320), thrown(600))
def test_within_lateness_a_link_is_as_if_all_had_always_been_one(journeys: bytes, lives: bytes) -> None:
    """Stage, history, signals and counters of every record, after every step."""
    dice = Dice(journeys)
    documents = [journey(dice, "one"), journey(dice, "two")]
    models = read_models(TOUCHES, documents, GRACE)
    for n in range(2):
        note(f"{documents}")
        lead(Linked(models, IDENTITIES, FOREVER, FOREVER, True), Dice(lives[n * 300 : (n + 1) * 300]), 40)


@given(thrown(320), thrown(600))
def test_beyond_lateness_the_feed_keeps_its_promises(journeys: bytes, lives: bytes) -> None:
    """And whoever is left alone is where their own events lead."""
    dice = Dice(journeys)
    documents = [journey(dice, "one"), journey(dice, "two")]
    models = read_models(TOUCHES, documents, GRACE)
    for n in range(2):
        life = Dice(lives[n * 300 : (n + 1) * 300])
        lateness, limit = life.one((30, 10, 3, 0)), life.one((FOREVER, FOREVER, 4, 2, 1))
        note(f"{documents} lateness {lateness} limit {limit}")
        linked = Linked(models, IDENTITIES, lateness, limit, False)
        lead(linked, life, 40)
        for identity in sorted(linked.owned):
            note(f"cut {identity} at the end")
            linked.cut(identity)
        linked.rise(1_000)
        for record in linked.records.values():
            (strand,) = record.profile.strands or (None,)
            if strand is None:
                continue
            for plain_journey, position in zip(models.plain, record.profile.positions, strict=True):
                plain = plain_fold.fold(plain_journey, record.all, linked.watermark)
                assert (position.stage, position.since) == (plain.stage, NEVER if plain.since is None else plain.since)
                assert not position.unverified
