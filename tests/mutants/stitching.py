"""Bugs in what identities tell each other."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.domain import ownership, stitching
from pipeline.domain.messages import Adopt, AnyMessage, Claim, GiveBack, Kept, Post, Refuse, Release
from pipeline.domain.ownership import is_customer
from pipeline.domain.profile import Profile
from pipeline.domain.stitching import Stitching
from tests.mutants.registry import mutant
from tests.property.stitching_world import CHAINS, CROWDED, Shape, World


def without(patch: pytest.MonkeyPatch, method: str, unsent: Callable[[AnyMessage], bool]) -> None:
    """What `method` of the stitching has to say lacks these messages."""
    original = getattr(Stitching, method)

    def reduced(self: Stitching, profile: Profile, *rest: Any) -> None:
        out: list[Post] = rest[-1].out
        before = len(out)
        original(self, profile, *rest)
        out[before:] = [post for post in out[before:] if not unsent(post.message)]

    patch.setattr(Stitching, method, reduced)


def as_if_its_own(patch: pytest.MonkeyPatch, method: str) -> None:
    """`method` of the stitching does not see that the profile points elsewhere."""
    original = getattr(Stitching, method)

    def blind(self: Stitching, profile: Profile, *rest: Any) -> Any:
        to, profile.to = profile.to, ""
        try:
            return original(self, profile, *rest)
        finally:
            profile.to = to

    patch.setattr(Stitching, method, blind)


def without_doing(patch: pytest.MonkeyPatch, method: str) -> None:
    patch.setattr(Stitching, method, lambda *_: None)


def in_worlds(patch: pytest.MonkeyPatch, shape: Shape) -> None:
    """Worlds that are made without saying more have this shape."""
    original = World.__init__

    def make(self: World, seed: int) -> None:
        original(self, seed, shape)

    patch.setattr(World, "__init__", make)


@mutant("stitching")
def strands_do_not_follow_to_the_owner(patch: pytest.MonkeyPatch) -> None:
    without(patch, "_settle", lambda message: isinstance(message, Adopt))


@mutant("stitching")
def claims_do_not_follow_a_strand(patch: pytest.MonkeyPatch) -> None:
    """An owner who adopts a strand does not tell those whom it claims."""
    without(patch, "_adopt", lambda message: isinstance(message, Claim))


@mutant("stitching")
def claims_do_not_follow_a_strand_home(patch: pytest.MonkeyPatch) -> None:
    without(patch, "_give_back", lambda message: isinstance(message, Claim))


@mutant("stitching")
def nobody_is_released(patch: pytest.MonkeyPatch) -> None:
    without(patch, "_settle", lambda message: isinstance(message, Release))


@mutant("stitching")
def who_changes_the_owner_is_not_released(patch: pytest.MonkeyPatch) -> None:
    without(patch, "_settle", lambda message: isinstance(message, Release) and message.into != "")


@mutant("stitching")
def a_release_takes_the_new_way(patch: pytest.MonkeyPatch) -> None:
    """It goes to the owner of now, so what was sent the old way can come behind it."""
    original = Stitching._settle

    def settle(self: Stitching, profile: Profile, feed: Any, step: Any) -> None:
        before = len(step.out)
        original(self, profile, feed, step)
        step.out[before:] = [
            Post(profile.to, post.message) if isinstance(post.message, Release) and profile.to else post
            for post in step.out[before:]
        ]

    patch.setattr(Stitching, "_settle", settle)


@mutant("stitching")
def a_release_ends_where_its_way_went_on(patch: pytest.MonkeyPatch) -> None:
    as_if_its_own(patch, "_release")


@mutant("stitching")
def nobody_asks_who_else_came_this_way(patch: pytest.MonkeyPatch) -> None:
    """A customer who leaves takes only its own strand along, not those that came through it."""
    original = Stitching._release

    def release(self: Stitching, profile: Profile, message: Release, *rest: Any) -> None:
        out: list[Post] = rest[-1].out
        before = len(out)
        original(self, profile, message, *rest)
        out[before:] = [post for post in out[before:] if post.to in {message.identity, profile.to}]

    patch.setattr(Stitching, "_release", release)
    in_worlds(patch, CHAINS)


@mutant("stitching")
def who_is_kept_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """A release that came to where it leads is dropped, though its identity may point elsewhere by now."""
    without(patch, "_release", lambda message: isinstance(message, Kept))
    in_worlds(patch, CHAINS)


@mutant("stitching")
def what_comes_home_stays_there(patch: pytest.MonkeyPatch) -> None:
    as_if_its_own(patch, "_give_back")


@mutant("stitching")
def an_adopted_strand_stays_with_a_customer_who_left(patch: pytest.MonkeyPatch) -> None:
    as_if_its_own(patch, "_adopt")


@mutant("stitching")
def events_are_folded_where_they_come_first(patch: pytest.MonkeyPatch) -> None:
    as_if_its_own(patch, "_seen")


@mutant("stitching")
def a_link_ends_at_a_customer_who_left(patch: pytest.MonkeyPatch) -> None:
    as_if_its_own(patch, "_link")


@mutant("stitching")
def the_first_word_of_a_claim_stands(patch: pytest.MonkeyPatch) -> None:
    original = ownership.with_claim
    patch.setattr(
        stitching,
        "with_claim",
        lambda key, claims, customer, owner: original(key, claims, customer, claims.get(customer, owner)),
    )


@mutant("stitching")
def a_shared_identity_belongs_to_the_smallest(patch: pytest.MonkeyPatch) -> None:
    def owner_of(key: str, claims: dict[str, str], blocked: Any) -> str:
        owners = {owner for customer, owner in claims.items() if owner and customer not in blocked}
        return ownership.owner_of(key, claims, blocked) if is_customer(key) else min(owners, default="")

    patch.setattr(stitching, "owner_of", owner_of)


@mutant("stitching")
def blocks_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stitching, "owner_of", lambda key, claims, _blocked: ownership.owner_of(key, claims, ()))


@mutant("stitching")
def a_block_is_for_ever(patch: pytest.MonkeyPatch) -> None:
    without_doing(patch, "_unblock")


@mutant("stitching")
def of_several_merges_the_largest_counts(patch: pytest.MonkeyPatch) -> None:
    def owner_of(key: str, claims: dict[str, str], blocked: Any) -> str:
        counting = {customer: owner for customer, owner in claims.items() if owner and customer not in blocked}
        if is_customer(key) and counting:
            return counting[max(counting)]
        return ownership.owner_of(key, claims, blocked)

    patch.setattr(stitching, "owner_of", owner_of)


@mutant("stitching")
def what_is_turned_away_is_gone(patch: pytest.MonkeyPatch) -> None:
    without(patch, "_turn_away", lambda message: isinstance(message, GiveBack))
    in_worlds(patch, CROWDED)


@mutant("stitching")
def nobody_hears_of_being_turned_away(patch: pytest.MonkeyPatch) -> None:
    without(patch, "_turn_away", lambda message: isinstance(message, Refuse))
    in_worlds(patch, CROWDED)


@mutant("stitching")
def a_profile_takes_any_number_of_strands(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stitching, "_guests", lambda _profile: 0)
    in_worlds(patch, CROWDED)
