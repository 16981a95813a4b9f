"""Customers of several strands over versions of a journey, their identities in lanes that go over at other times."""

from hypothesis import given, note, settings

from tests.property.conftest import EXAMPLES, times
from tests.property.linked import OWNER, Linked
from tests.property.random_journeys import FOREVER, GRACE, TOUCHES, Dice, event, journey, thrown
from tests.property.test_fold_strands import IDENTITIES
from tests.property.test_fold_switches import changed, directions
from tests.property.two_folds import Models, Raw, Sent, read_models

LOOKS = EXAMPLES * max(times, 1) // 8
"""An example here is three versions that are compiled, each with the lives that lead through them."""

VERSIONS = 3


class Lanes:
    """The versions of one journey beside another that stays, and which of them each record is under."""

    def __init__(self, dice: Dice) -> None:
        self.documents: list[Raw] = [journey(dice, "one")]
        other = journey(dice, "two")
        for version in range(2, VERSIONS + 1):
            self.documents.append(changed(dice, self.documents[-1], version))
        self.models: list[Models] = [read_models(TOUCHES, [document, other], GRACE) for document in self.documents]
        self.stages: dict[int, dict[str, str | None]] = {}
        self.under: dict[str, int] = {}

    def go_over(self, linked: Linked, key: str, dice: Dice) -> None:
        """To the next version, if there is one; where customers go has been decided once for all lanes."""
        version = self.under.get(key, 0) + 1
        if version == VERSIONS:
            return
        self.under[key] = version
        if version not in self.stages:
            self.stages[version] = directions(dice, self.documents[version - 1], self.documents[version])
        note(f"{key} goes over to version {version + 1}: {self.stages[version]}")
        linked.switch(key, self.models[version], self.stages[version], 10_000 * version, dice.once_in(2))


def lead(linked: Linked, lanes: Lanes, dice: Dice, steps: int) -> None:
    """Random events, links, cuts, switches, rises of the watermark and reloads."""
    names = IDENTITIES[: 1 + dice.below(len(IDENTITIES))]
    pace, jitter = dice.one((1, 3, 8)), dice.one((0, 6, 40))
    for number in range(steps):
        what, who = dice.below(14), dice.one((OWNER, *names))
        if what == 1:
            linked.reload()
        elif what in {2, 3, 4} and who != OWNER:
            if who in linked.owned and not dice.once_in(4):
                note(f"cut {who}")
                linked.cut(who)
            else:
                note(f"unite {who}")
                linked.unite(who)
        elif what in {5, 6}:
            lanes.go_over(linked, who, dice)
        elif what in {7, 8}:
            linked.rise(dice.below(16 * pace))
            note(f"watermark {linked.watermark}")
        else:
            at = max(0, number * pace + 4 - dice.below(jitter + 5))
            sent: Sent = event(dice, number, at)
            outcome = linked.arrive(who, sent)
            note(f"{sent.event['id']} {sent.event['type']} of {who} at {at}: {outcome}")


def switch_many(journeys: bytes, lives: bytes) -> None:
    """Stage, history and signals, as long as no strand comes or goes behind the switch; counters and feed always."""
    lanes_of = Dice(journeys)
    for n in range(2):
        lanes = Lanes(lanes_of)
        note(f"{lanes.documents}")
        linked = Linked(lanes.models[0], IDENTITIES, FOREVER, FOREVER, True)
        lead(linked, lanes, Dice(lives[n * 300 : (n + 1) * 300]), 40)


def undo_behind_switches(journeys: bytes, lives: bytes) -> None:
    """The owner has the newest act at each switch, so what is closed there is the same with and without guests."""
    lanes_of = Dice(journeys)
    for n in range(2):
        dice, lanes = Dice(lives[n * 300 : (n + 1) * 300]), Lanes(lanes_of)
        note(f"{lanes.documents}")
        linked = Linked(lanes.models[0], IDENTITIES, FOREVER, FOREVER, True)
        newest = 0
        for number in range(30):
            what, who = dice.below(10), dice.one((OWNER, *IDENTITIES))
            if what in {1, 2, 3} and who != OWNER:
                note(f"{'cut' if who in linked.owned else 'unite'} {who}")
                (linked.cut if who in linked.owned else linked.unite)(who)
            elif what == 4:
                newest += 1
                linked.arrive(OWNER, event(dice, number, newest))
                lanes.go_over(linked, OWNER, dice)
            elif what == 5:
                linked.reload()
            else:
                newest += dice.below(6)
                note(f"e{number} of {who} at {newest}: {linked.arrive(who, event(dice, number, newest))}")
        for identity in sorted(linked.owned):
            note(f"cut {identity} at the end")
            linked.cut(identity)
        linked.assert_alone(OWNER)
        for number in range(30, 36):
            linked.arrive(OWNER, event(dice, number, newest + number))
            linked.assert_alone(OWNER)


@settings(max_examples=LOOKS)
@given(thrown(320), thrown(600))
def test_a_switch_finds_customers_of_several_strands_as_if_they_had_always_been_one(
    journeys: bytes, lives: bytes
) -> None:
    switch_many(journeys, lives)


@settings(max_examples=LOOKS)
@given(thrown(320), thrown(600))
def test_a_link_undone_behind_a_switch_leaves_no_trace(journeys: bytes, lives: bytes) -> None:
    undo_behind_switches(journeys, lives)


@settings(max_examples=LOOKS)
@given(thrown(320), thrown(600))
def test_beyond_lateness_the_feed_keeps_its_promises_over_versions(journeys: bytes, lives: bytes) -> None:
    lanes_of = Dice(journeys)
    for n in range(2):
        life = Dice(lives[n * 300 : (n + 1) * 300])
        lateness, limit = life.one((30, 10, 3, 0)), life.one((FOREVER, FOREVER, 4, 2, 1))
        lanes = Lanes(lanes_of)
        note(f"{lanes.documents} lateness {lateness} limit {limit}")
        linked = Linked(lanes.models[0], IDENTITIES, lateness, limit, False)
        lead(linked, lanes, life, 40)
        linked.rise(1_000)
        for identity in sorted(linked.owned):
            note(f"cut {identity} at the end")
            linked.cut(identity)
        linked.rise(1_000)
