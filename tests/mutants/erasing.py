"""Bugs in what erases an identity."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.domain import erasing, stitching
from pipeline.domain.messages import Disown, Forget, Post
from pipeline.domain.ownership import ERASED
from pipeline.domain.packing import Names
from pipeline.domain.profile import Profile
from pipeline.domain.stitching import Stitching
from tests.mutants.registry import mutant


@mutant("erasing")
def a_claimed_identity_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """Whom the erased customer claims, but whose strand is not there, hears nothing."""
    original = erasing.farewell

    def farewell(profile: Profile, at: int, mentioned: tuple[str, ...]) -> Iterator[Post]:
        there = {strand.identity for strand in profile.strands}
        return (post for post in original(profile, at, mentioned) if post.to in there)

    patch.setattr(erasing, "farewell", farewell)


@mutant("erasing")
def who_goes_along_takes_nobody_along(patch: pytest.MonkeyPatch) -> None:
    """A merged customer goes, and those whom it claimed stay."""
    original = erasing.followed
    patch.setattr(
        erasing,
        "followed",
        lambda profile, message: (post for post in original(profile, message) if isinstance(post.message, Disown)),
    )


@mutant("erasing")
def who_has_claimed_it_too_is_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(erasing, "disowned", lambda _profile, _but: iter(()))


@mutant("erasing")
def a_kiosk_becomes_the_other_ones(patch: pytest.MonkeyPatch) -> None:
    """What was shared with the erased one belongs to whoever is left."""
    original = erasing.unlink

    def unlink(profile: Profile, message: Forget) -> None:
        original(profile, message)
        if profile.links is not None:
            profile.links.claims.pop(ERASED, None)

    patch.setattr(erasing, "unlink", unlink)


@mutant("erasing")
def everybody_who_is_told_goes(patch: pytest.MonkeyPatch) -> None:
    """Who is shared, or somebody else's, goes as well."""
    patch.setattr(erasing, "goes_along", lambda _profile, _message: True)


@mutant("erasing")
def what_comes_late_is_counted(patch: pytest.MonkeyPatch) -> None:
    """An event of before the erasure makes a new customer."""
    patch.setattr(stitching, "is_old", lambda _event, _life: False)


@mutant("erasing")
def the_epoch_comes_again(patch: pytest.MonkeyPatch) -> None:
    """Who comes back has the epoch of before."""
    original = erasing.reborn

    def again(key: str, mark: erasing.Mark, _epoch: int, names: Names) -> Profile:
        return original(key, erasing.Mark(mark.at, 0, mark.until), 0, names)

    patch.setattr(erasing, "reborn", again)


@mutant("erasing")
def a_strand_on_its_way_is_taken_in(patch: pytest.MonkeyPatch) -> None:
    """Who comes back takes in what was under way to the life before."""
    original = Stitching._adopt

    def adopt(self: Stitching, profile: Profile, message: Any, *rest: Any) -> None:
        original(self, profile, type(message)(message.identity, message.strand, 1 << 60), *rest)

    patch.setattr(Stitching, "_adopt", adopt)


@mutant("erasing")
def what_comes_home_late_is_taken_in(patch: pytest.MonkeyPatch) -> None:
    """A strand of before the erasure that was elsewhere comes home as if nothing had been."""
    patch.setattr(erasing, "holds_old", lambda _strand, _life: False)
