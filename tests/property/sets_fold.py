"""A fold that only keeps which events there are: enough to see where each of them ends up."""

from typing import Literal

from pipeline.domain.feed import Feed
from pipeline.domain.profile import Event, Profile, Strand, new_strand
from pipeline.domain.remembered import append, recent_of, remembers


class SetsFold:
    """Fulfils `pipeline.domain.stitching.Folding`. `cuts`: how often a strand was taken out of a profile."""

    def __init__(self) -> None:
        self.cuts = 0

    def align(self, profile: Profile) -> None:
        """It knows no journeys."""

    def event(
        self, profile: Profile, identity: str, event: Event, _watermark: int | None, _feed: Feed
    ) -> Literal["folded", "duplicate", "late"]:
        if any(remembers(strand, event.id) for strand in profile.strands):
            return "duplicate"
        strand = _strand(profile, identity)
        if strand is None:
            strand = new_strand(profile.frame, identity)
            profile.strands = (*profile.strands, strand)
        _add(strand, event)
        return "folded"

    def unite(self, profile: Profile, strand: Strand, _watermark: int | None, _feed: Feed) -> None:
        mine = _strand(profile, strand.identity)
        if mine is None:
            profile.strands = (*profile.strands, strand)
            return
        mine.claimed = tuple(dict.fromkeys((*mine.claimed, *strand.claimed)))
        for event in recent_of(strand):
            if not remembers(mine, event.id):
                _add(mine, event)

    def cut(self, profile: Profile, identity: str, _watermark: int | None, _feed: Feed) -> Strand | None:
        found = _strand(profile, identity)
        if found is not None:
            self.cuts += 1
            profile.strands = tuple(strand for strand in profile.strands if strand is not found)
        return found

    def leave(self, profile: Profile, _into: str, _feed: Feed) -> tuple[Strand, ...]:
        leaving, profile.strands = profile.strands, ()
        return leaving


def _strand(profile: Profile, identity: str) -> Strand | None:
    return next((strand for strand in profile.strands if strand.identity == identity), None)


def _add(strand: Strand, event: Event) -> None:
    event.packed = None  # it may come from another profile, whose bytes are relative to other things
    append(strand, event)
    strand.first = event.at if strand.first < 0 else min(strand.first, event.at)
    strand.newest = max(strand.newest, event.at)
