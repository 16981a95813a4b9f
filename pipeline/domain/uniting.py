"""What several strands left behind, as the base of all of them; and such a base under another version of the rules."""

from collections.abc import Mapping, Sequence

from pipeline.domain.carry import Carry
from pipeline.domain.compile import Journey
from pipeline.domain.extremes import NEVER
from pipeline.domain.profile import Base, Strand, Track, base_of, track_of
from pipeline.domain.strands import is_blank
from pipeline.domain.track import enter

LINKED = "@linked"
"""The rule of an entry that a link has made; no rule of a journey can be called that."""

UNITED, CUT, JOINED = "united", "cut", "joined"
"""What a link did: a strand came, a strand went, all strands went to another owner."""


def united(journey: Journey, tracks: Sequence[Track]) -> Track:
    """The base of all: that of the higher-ranked stage, and of equal ones the later; with what all have counted.

    Counts since the entry of the stage are those of its own strand, and so are the timers.
    """
    found = [track for track in tracks if not is_blank(track)]
    if len(found) < 2:
        return found[0] if found else journey.start
    rank = {stage: place for place, stage in enumerate(journey.stages)}
    ranked = found[0]
    for track in found[1:]:
        if (rank.get(track.stage, -1), track.since) > (rank.get(ranked.stage, -1), ranked.since):
            ranked = track
    windows: list[tuple[int, ...]] = []
    for slot, window in enumerate(ranked.windows):
        if slot not in journey.since_entry:
            size = max(journey.slots[2][slot][1] - 1, 1)
            window = tuple(sorted(at for track in found for at in track.windows[slot])[-size:])
        windows.append(window)
    return track_of(
        ranked.stage,
        ranked.since,
        ranked.settle_at,
        ranked.pending,
        tuple([max(times) for times in zip(*(track.last for track in found), strict=True)]),
        tuple([sum(counts) for counts in zip(*(track.counts for track in found), strict=True)]),
        tuple(windows),
    )


def latest(track: Track) -> int:
    """The latest moment that it still knows of; an event behind that can be stepped onto it."""
    found = max([track.since, *track.last, *(since for _, _, since in track.pending)])
    return max([found, *(at for window in track.windows for at in window)])


def translate(strand: Strand, journeys: Mapping[str, Journey], carries: Mapping[str, Carry]) -> frozenset[str]:
    """Brings its bases under the versions that hold now; returns the journeys in which that can only be guessed.

    There the stage is kept if we have one of that name, as if it were entered anew.
    """
    bases: list[Base] = []
    guessed: list[str] = []
    for base in strand.bases:
        journey = journeys.get(base.journey)
        if journey is not None and base.version != journey.version:
            carry = carries.get(base.journey)
            if carry is not None and carry.former.version == base.version:
                base = base_of(journey.name, journey.version, _carried(carry, base.track))
            else:
                guessed.append(base.journey)
                known = base.track.stage in journey.stages
                track = enter(journey, journey.start, base.track.stage, base.track.since) if known else journey.start
                base = base_of(journey.name, journey.version, track)
        if not is_blank(base.track):
            bases.append(base)
    strand.bases = tuple(bases)
    return frozenset(guessed)


def _carried(carry: Carry, track: Track) -> Track:
    return carry.again(track, (), track.since if track.since != NEVER else latest(track))
