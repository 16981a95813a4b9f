"""The check of linked customers: silent about what is right, and each planted fault is found."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.checker.net_history import Track
from pipeline.checker.plain_links import Order
from pipeline.checker.plain_profile import StoredEvent
from tests.unit.linked_world import START, LinkedWorld

EVENTS = [
    (0, "anonymous:x", (), "viewed"),
    (1, "ann", ("anonymous:x", "email:1"), "viewed"),
    (2, "email:1", (), "viewed"),
    (3, "ann", (), "ordered"),
    (4, "bob", ("anonymous:kiosk",), "viewed"),
    (5, "cy", ("anonymous:kiosk",), "viewed"),
    (6, "anonymous:kiosk", (), "viewed"),
    (7, "till-7", ("phone:7",), "ordered"),
    (8, "phone:7", (), "viewed"),
]
MERGE = Order("link", "till-7", "bob")


def world() -> LinkedWorld:
    return LinkedWorld(EVENTS, [MERGE])


def test_what_is_right_gives_no_finding() -> None:
    found = world().check()
    assert (found.total, dict(found.unjudged)) == (0, {}), found.examples
    assert found.checked["linked identities"] == 8
    assert found.checked["events of linked identities"] == len(EVENTS)
    assert found.checked["histories of linked customers"] == 4


def test_a_wrong_owner_is_what_the_rules_do_not_give() -> None:
    """The same records, but an order that nobody carried out."""
    made = LinkedWorld(EVENTS, [MERGE])
    made.orders = [MERGE, Order("block", "email:1", "ann")]
    assert {"owner", "wrong"} <= set(made.check().counts)


def strand_lost(made: LinkedWorld) -> None:
    made.spoil("ann", strands=[each for each in made.stored["ann"].strands if each.identity != "email:1"])


def event_lost(made: LinkedWorld) -> None:
    def less(name: str) -> None:
        first, *others = made.stored[name].strands
        made.spoil(name, strands=[replace(first, touches=[0, 0, 0, 0, 0], recent=[]), *others])

    less("cy")


def strand_in_two_places(made: LinkedWorld) -> None:
    strand = next(each for each in made.stored["ann"].strands if each.identity == "email:1")
    made.spoil("cy", strands=[*made.stored["cy"].strands, strand])


def counted_twice(made: LinkedWorld) -> None:
    (strand,) = made.stored["cy"].strands
    made.spoil("cy", strands=[replace(strand, touches=[2, 0, 0, 0, 0])])


def strand_at_somebody_else(made: LinkedWorld) -> None:
    strand = next(each for each in made.stored["ann"].strands if each.identity == "email:1")
    strand_lost(made)
    made.spoil("cy", strands=[*made.stored["cy"].strands, strand])


def points_to_somebody_else(made: LinkedWorld) -> None:
    made.spoil("anonymous:x", to="cy")


def kiosk_given_to_one(made: LinkedWorld) -> None:
    made.spoil("anonymous:kiosk", to="bob", strands=[])


def claim_lost(made: LinkedWorld) -> None:
    made.spoil("email:1", claims={})


def claim_of_nobody(made: LinkedWorld) -> None:
    made.spoil("email:1", claims={"ann": "ann", "zoe": "ann"})


def old_owner_in_a_claim(made: LinkedWorld) -> None:
    made.spoil("phone:7", claims={"till-7": "till-7"})


def record_lost(made: LinkedWorld) -> None:
    del made.stored["phone:7"]


def merge_forgotten(made: LinkedWorld) -> None:
    made.spoil("till-7", to="", claims={})


def block_forgotten(made: LinkedWorld) -> None:
    made.spoil("email:1", blocked=["cy"])


def remembers_what_is_not_its_own(made: LinkedWorld) -> None:
    (strand,) = made.stored["cy"].strands
    made.spoil("cy", strands=[replace(strand, recent=[StoredEvent("e1", START)])])


def history_without_the_anonymous_visit(made: LinkedWorld) -> None:
    track = made.tracks["ann"]
    made.tracks["ann"] = replace(track, entries=dict(list(track.entries.items())[1:]))


def seq_not_that_of_the_last_transition(made: LinkedWorld) -> None:
    made.tracks["ann"] = replace(made.tracks["ann"], seq=7)


def did_not_tell_that_it_moved(made: LinkedWorld) -> None:
    made.tracks["email:1"] = Track(START, 1, "seen", {"email:1:shop:seen:e2": ("2027", "seen")})


def leads_subscribers_astray(made: LinkedWorld) -> None:
    made.joined["email:1"] = "cy"


def leads_subscribers_nowhere(made: LinkedWorld) -> None:
    made.joined["email:1"] = None


@pytest.mark.parametrize(
    ("plant", "kind", "name"),
    [
        (leads_subscribers_astray, "customer", "email:1"),
        (leads_subscribers_nowhere, "customer", "email:1"),
        (strand_lost, "lost", "email:1"),
        (event_lost, "lost", "cy"),
        (strand_in_two_places, "doubled", "email:1"),
        (counted_twice, "doubled", "cy"),
        (strand_at_somebody_else, "owner", "email:1"),
        (points_to_somebody_else, "owner", "anonymous:x"),
        (kiosk_given_to_one, "owner", "anonymous:kiosk"),
        (claim_lost, "lost", "email:1"),
        (claim_of_nobody, "wrong", "email:1"),
        (old_owner_in_a_claim, "owner", "phone:7"),
        (record_lost, "lost", "phone:7"),
        (merge_forgotten, "owner", "till-7"),
        (block_forgotten, "wrong", "email:1"),
        (remembers_what_is_not_its_own, "wrong", "cy"),
        (history_without_the_anonymous_visit, "lost", "ann"),
        (seq_not_that_of_the_last_transition, "torn", "ann"),
        (did_not_tell_that_it_moved, "gap", "email:1"),
    ],
)
def test_a_planted_fault(plant: Callable[[LinkedWorld], None], kind: str, name: str) -> None:
    made = world()
    plant(made)
    found = made.check()
    assert any(each.kind == kind and name in str(each) for each in found.examples), found.examples


def test_somebody_who_is_linked_for_no_reason() -> None:
    made = world()
    made.stored["zoe"] = replace(made.stored["cy"], key="zoe", to="cy", strands=[], positions=[])
    (found,) = made.check().examples
    assert (found.kind, found.where.split()[-1]) == ("owner", "zoe")


def test_of_whom_something_is_under_way_nothing_is_said() -> None:
    made = world()
    strand_lost(made)
    made.moving = frozenset({"anonymous:x"})
    found = made.check()
    assert found.total == 0
    assert found.unjudged == {"linked customers of whom messages are under way": 1}
    assert found.checked["linked identities"] == 5


def test_over_a_limit_owners_are_not_judged_and_losses_are() -> None:
    named = [(hour, "ann", (f"anonymous:{hour}",), "viewed") for hour in range(16)]
    assert LinkedWorld(named[:15]).check().unjudged == {}
    made = LinkedWorld(named)
    made.spoil("anonymous:3", to="")
    found = made.check()
    assert (found.total, len(found.unjudged)) == (0, 1)
    made.spoil("ann", strands=[])
    assert set(made.check().counts) == {"lost"}


def test_who_was_with_somebody_of_longer_ago_is_not_judged_by_their_own_events_alone() -> None:
    """A telephone that two have: it was the first one's for a while, whose events made it forget its own."""
    events = [(0, "ann", (), "viewed"), (30, "ann", ("phone:1",), "viewed"), (31, "phone:1", (), "viewed")]
    made = LinkedWorld([*events, (32, "bob", ("phone:1",), "viewed")])
    made.tracks["phone:1"] = replace(made.tracks["phone:1"], entries={})
    found = made.check()
    assert (found.total, sum(found.unjudged.values())) == (0, 1)


def test_histories_of_longer_than_the_lateness_are_judged_only_where_they_agree() -> None:
    made = LinkedWorld([(0, "anonymous:x", (), "viewed"), (30, "ann", ("anonymous:x",), "ordered")])
    assert made.check().unjudged == {}
    made.tracks["ann"] = replace(made.tracks["ann"], entries={})
    found = made.check()
    assert (found.total, dict(found.unjudged)) == (
        0,
        {"linked customers of longer than the lateness: stages and signals": 1},
    )
