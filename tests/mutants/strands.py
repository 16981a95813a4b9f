"""Bugs in what several strands make of a profile."""

from typing import Any

import pytest

from pipeline.domain import fold as folding
from pipeline.domain import strands
from pipeline.domain.carry import Carry
from pipeline.domain.fold import Fold
from pipeline.domain.profile import Position, Profile, Strand, Track
from pipeline.domain.remembered import remembers
from tests.mutants.registry import mutant


@mutant("strands")
def a_strand_among_others_has_no_base_of_its_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "note_bases", lambda _profile: None)
    patch.setattr(strands, "note_bases", lambda _profile: None)


@mutant("strands")
def what_two_strands_remember_counts_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "without_doubles", lambda *_: None)


@mutant("strands")
def a_duplicate_is_looked_for_in_its_own_strand_only(patch: pytest.MonkeyPatch) -> None:
    original = Fold._among

    def among(self: Fold, profile: Profile, identity: str, event: Any, *rest: Any) -> Any:
        def of_its_own(strand: Strand, identifier: str) -> bool:
            return strand.identity == identity and remembers(strand, identifier)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(folding, "remembers", of_its_own)
            return original(self, profile, identity, event, *rest)

    patch.setattr(Fold, "_among", among)


@mutant("strands")
def signals_stay_behind_when_all_leave(patch: pytest.MonkeyPatch) -> None:
    original = Fold.leave

    def leave(self: Fold, profile: Profile, *rest: Any) -> Any:
        for position in profile.positions:
            position.fired = ()
        return original(self, profile, *rest)

    patch.setattr(Fold, "leave", leave)


@mutant("strands")
def numbers_of_signals_begin_anew_after_a_leave(patch: pytest.MonkeyPatch) -> None:
    original = Fold.leave

    def leave(self: Fold, profile: Profile, *rest: Any) -> Any:
        left = original(self, profile, *rest)
        for position in profile.positions:
            position.occurrences = None
        return left

    patch.setattr(Fold, "leave", leave)


@mutant("strands")
def the_horizon_is_that_of_the_first_strand(patch: pytest.MonkeyPatch) -> None:
    def newest(profile: Profile) -> int:
        found: list[Strand] = list(profile.strands)
        return found[0].newest if found else -1

    patch.setattr(folding, "newest_of", newest)


@mutant("strands")
def a_cut_keeps_what_the_strand_left_behind(patch: pytest.MonkeyPatch) -> None:
    original = Fold.cut

    def cut(self: Fold, profile: Profile, identity: str, *rest: Any) -> Any:
        strands.note_bases(profile)
        for strand in profile.strands:
            if strand.identity == identity:
                strand.bases = ()
        return original(self, profile, identity, *rest)

    patch.setattr(Fold, "cut", cut)


@mutant("strands")
def a_changed_base_is_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fold, "_link", lambda *_: None)


@mutant("strands")
def what_is_pushed_out_with_another_is_not_shut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "is_shut", lambda *_: False)


@mutant("strands")
def what_a_strand_left_behind_is_lost_in_a_switch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "_carried", lambda carry, *_: carry.journey.start)


@mutant("strands")
def what_a_strand_remembers_is_lost_in_a_switch(patch: pytest.MonkeyPatch) -> None:
    def carried(carry: Carry, _position: Position, strand: Strand, closed: int) -> Track:
        return carry.convert(strands.own_base(strand, carry.former), closed)

    patch.setattr(folding, "_carried", carried)


@mutant("strands")
def a_strand_of_another_version_is_taken_as_it_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "translate", lambda *_: frozenset())
