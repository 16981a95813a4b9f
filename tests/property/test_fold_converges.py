"""Every order of arrival, every rhythm of watermark and cache gives the same profile and net history (I8)."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given

from pipeline.domain.encoding import decode, encode, trail_of
from pipeline.domain.profile import Profile
from pipeline.domain.remembered import recent_of
from tests.property.random_journeys import FOREVER, GRACE, TOUCHES, Dice, journey, life, thrown
from tests.property.two_folds import Models, Sent, TwoFolds, read_models

END = 400
"""A watermark that lies behind most of the events, in ms."""


def at_rest(profile: Profile) -> Any:
    """All of a profile but what counts emissions."""
    again = decode(encode(profile), profile.frame.names)
    strands = [
        (values(strand), [values(event) for event in recent_of(strand)], strand.floor and values(strand.floor))
        for strand in again.strands
    ]
    positions = [
        (
            (position.journey, position.version, position.stage, position.since, position.ahead, position.history),
            values(position.track),
            values(position.base),
            trail_of(position),
            sorted((firing.due, firing.rule, firing.since) for firing in position.fired),
        )
        for position in again.positions
    ]
    return again.key, again.epoch, again.indexed, again.parked, strands, positions


PACKED = {"base", "floor", "frame", "packed", "recent"}
"""What is not plain, and looked at by itself."""


def values(thing: Any) -> dict[str, Any]:
    """The fields of an event, a strand or a track."""
    return {name: getattr(thing, name) for name in dir(type(thing)) if name[0] != "_" and name not in PACKED}


def shuffled(sent: Sequence[Sent], lateness: int, dice: Dice) -> list[Sent]:
    """An order of arrival in which nothing is late: nothing comes behind what is newer by more than `lateness`."""
    delays = {one.offset: dice.below(min(lateness, 250) + 1) for one in sent}
    return sorted(sent, key=lambda one: one.event["occurred_at"] + delays[one.offset])


def play(models: Models, arrivals: Sequence[Sent], lateness: int, dice: Dice, until: int, live: bool) -> TwoFolds:
    """Live, the watermark rises between the events; in a backlog it is known only behind the last. Copies come after
    their event, as long as they are no older than the lateness."""
    folds = TwoFolds(models, lateness, FOREVER)
    for place, sent in enumerate(arrivals):
        assert folds.arrive(sent) == "accepted"
        copy = arrivals[dice.below(place + 1)]
        if dice.once_in(4) and copy.event["occurred_at"] >= max(act.at for act in folds.acts) - lateness:
            assert folds.arrive(copy) == "duplicate"
        if live and dice.once_in(2):
            folds.rise(min(until, (folds.watermark or 0) + dice.below(50)))
        if dice.once_in(4):
            folds.reload()
    folds.rise(until)
    return folds


@given(thrown(160), thrown(250), thrown(600))
def test_every_arrival_gives_the_same(journeys: bytes, events: bytes, chance: bytes) -> None:
    models = read_models(TOUCHES, [journey(Dice(journeys), "one")], GRACE)
    one = life(Dice(events), 30, late=False, copies=False)
    dice = Dice(chance)
    lateness, until = dice.one((FOREVER, 60, 20, 5, 0)), dice.one((END, 60, 0))
    plays = [
        play(models, shuffled(one.sent, lateness, dice), lateness, dice, until, live) for live in (False, True, True)
    ]
    first = plays[0]
    for other in plays[1:]:
        assert at_rest(other.profile) == at_rest(first.profile)
        assert [track.entries for track in other.subscriber.tracks.values() if track.entries] == [
            track.entries for track in first.subscriber.tracks.values() if track.entries
        ]
