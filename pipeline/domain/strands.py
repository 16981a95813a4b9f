"""The strands of one profile: which there are, what all of them remember, and what each alone has left behind.

Each strand has its own base of each journey, so that it can be cut out again; a position has the base of all of them.
See docs/decisions/0014-what-a-link-does.md.
"""

from collections.abc import Sequence

from pipeline.domain.compile import Journey
from pipeline.domain.event import CHANNELS
from pipeline.domain.extremes import NEVER
from pipeline.domain.profile import (
    Event,
    Position,
    Profile,
    Strand,
    Track,
    base_of,
    before,
    event_of,
    new_strand,
)
from pipeline.domain.remembered import forget, recent_of
from pipeline.domain.touches import UNCLASSIFIED
from pipeline.domain.track import settle, step, without_final


def newest_of(profile: Profile) -> int:
    """The largest event time of all strands, NEVER without one."""
    newest = NEVER
    for strand in profile.strands:
        newest = max(newest, strand.newest)
    return newest


def remembered_of(profile: Profile) -> list[Event]:
    """The remembered events of all strands, in order."""
    strands = profile.strands
    if len(strands) == 1:
        return recent_of(strands[0])
    events: list[Event] = []
    for strand in strands:
        events += recent_of(strand)
    return in_order(events)


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.at, event.appended, event.partition, event.offset, event.id))


def find(profile: Profile, identity: str) -> Strand | None:
    for strand in profile.strands:
        if strand.identity == identity:
            found: Strand = strand
            return found
    return None


def claims_all(profile: Profile, customer: str, named: tuple[str, ...]) -> bool:
    """Whether `customer`, as far as it is in this profile, claims all of these already, so that nobody need hear."""
    strand = find(profile, customer)
    if strand is None:
        return False
    for identity in named:  # noqa: SIM110  # a generator cannot be part of a C function
        if identity not in strand.claimed:
            return False
    return True


def found_or_made(profile: Profile, identity: str) -> Strand:
    """The identity's strand, which may be new to the profile."""
    strand = find(profile, identity)
    if strand is None:
        strand = new_strand(profile.frame, identity)
        note_bases(profile)
        add(profile, strand)
    return strand


def add(profile: Profile, strand: Strand) -> None:
    """Puts it beside the others; an only one that is empty makes room for it."""
    strands = profile.strands
    if len(strands) == 1 and is_empty(strands[0]):
        strands = ()
    profile.strands = (*strands, strand)


def is_empty(strand: Strand) -> bool:
    """Whether its identity has done nothing yet."""
    return strand.newest == NEVER and not strand.claimed and not strand.late


def note_bases(profile: Profile) -> None:
    """Gives an only strand the bases that the positions say for it as long as it is alone."""
    if len(profile.strands) == 1:
        only: Strand = profile.strands[0]
        only.bases = tuple([base_of(p.journey, p.version, p.base) for p in profile.positions if not is_blank(p.base)])


def is_blank(track: Track) -> bool:
    """Whether it is that of somebody who has done nothing."""
    if track.stage or track.pending or any(track.counts) or any(track.windows):
        return False
    return not track.last or max(track.last) == NEVER


def own_base(strand: Strand, journey: Journey) -> Track:
    """What it alone left behind in the journey."""
    for base in strand.bases:
        if base.journey == journey.name:
            found: Track = base.track
            return found
    return journey.start


def put_base(strand: Strand, journey: Journey, track: Track) -> None:
    others = [base for base in strand.bases if base.journey != journey.name]
    if not is_blank(track):
        others.append(base_of(journey.name, journey.version, track))
    strand.bases = tuple(others)


def closed_of(profile: Profile) -> int:
    """Up to when another version of some journey has decided, NEVER if none has."""
    closed = NEVER
    for position in profile.positions:
        if position.closed is not None:
            closed = max(closed, position.closed)
    return closed


def boundary(at: int) -> Event:
    """Stands before all events of the moment `at`, and behind all that are earlier."""
    return event_of("", at, 0, 0, 0, "", "", "")


def is_shut(profile: Profile, event: Event) -> bool:
    """Whether the event would come before one that a strand has for good already."""
    for strand in profile.strands:  # noqa: SIM110  # a generator cannot be part of a C function
        if strand.floor is not None and before(event, strand.floor):
            return True
    return False


def comes_last(profile: Profile, event: Event) -> bool:
    """Whether the event comes after all that are remembered."""
    for strand in profile.strands:  # noqa: SIM110  # likewise
        if strand.count and not before(recent_of(strand)[-1], event):
            return False
    return True


def shut(strand: Strand, until: int) -> None:
    """From now on what is earlier than `until` is late, if the strand has forgotten something of that time."""
    if strand.first < until and strand.newest != NEVER and (strand.floor is None or strand.floor.at < until):
        strand.floor = boundary(until)


def absorb(profile: Profile, until: Event, journeys: Sequence[Journey], horizon: int, watermark: int) -> list[Event]:
    """Lets each strand have the events up to `until` for good, in its own bases; returns them all, in order."""
    gone: list[Event] = []
    for strand in profile.strands:
        gone += absorb_one(strand, until, journeys, profile.positions, horizon, watermark)
    gone = in_order(gone)
    if gone:
        last: Event = gone[-1]
        settle_bases(profile, journeys, last.at)
    return gone


def settle_bases(profile: Profile, journeys: Sequence[Journey], before: int) -> None:
    """Lets the stage timers due before that moment fire in the bases of each strand: they are final for all."""
    for strand in profile.strands:
        for journey in journeys:
            track = own_base(strand, journey)
            if track.settle_at < before:
                put_base(strand, journey, settle(journey, track, before, []))


def absorb_one(
    strand: Strand,
    until: Event,
    journeys: Sequence[Journey],
    positions: tuple[Position, ...],
    horizon: int,
    watermark: int,
) -> list[Event]:
    """The same of one strand. Signals that are told, and due before the horizon, go out of its bases.

    `positions`: those whose closed past its bases have already; none for a strand that comes from elsewhere.
    """
    if strand.oldest > until.at:
        return []
    gone = [event for event in recent_of(strand) if not before(until, event)]
    if not gone:
        return gone
    forget(strand, len(gone))
    strand.floor = gone[-1]
    for place, journey in enumerate(journeys):
        track = own_base(strand, journey)
        for event in open_to(positions[place], gone) if positions else gone:
            track = step(journey, track, event, [])
        if watermark != NEVER:
            track = without_final(journey, track, horizon, watermark)
        put_base(strand, journey, track)
    return gone


def open_to(position: Position, events: list[Event]) -> list[Event]:
    """Those of the events that the version which holds now decides about."""
    closed = position.closed
    return events if closed is None else [event for event in events if event.at > closed]


def without_doubles(profile: Profile, strand: Strand, company: frozenset[str]) -> None:
    """Of an event that both the profile and the strand remember only the copy that comes first in order stays."""
    ours = {event.id: (other, event) for other in profile.strands for event in recent_of(other)}
    for event in list(recent_of(strand)):
        if event.id in ours:
            other, copy = ours[event.id]
            if before(event, copy):
                _drop(other, copy, company)
            else:
                _drop(strand, event, company)


def join(strand: Strand, other: Strand) -> None:
    """Takes into `strand` what `other` of the same identity has, but for the bases."""
    strand.recent = in_order([*recent_of(strand), *recent_of(other)])
    strand.count = len(strand.recent)
    strand.oldest = min(strand.oldest, other.oldest)
    if strand.first == NEVER or NEVER < other.first < strand.first:
        strand.first = other.first
    strand.newest = max(strand.newest, other.newest)
    strand.touches = tuple([ours + theirs for ours, theirs in zip(strand.touches, other.touches, strict=True)])
    strand.company += other.company
    strand.late += other.late
    strand.unclassified += other.unclassified
    strand.truncated += other.truncated
    strand.claimed = tuple(dict.fromkeys((*strand.claimed, *other.claimed)))
    if strand.floor is None or (other.floor is not None and before(strand.floor, other.floor)):
        strand.floor = other.floor


def _drop(strand: Strand, event: Event, company: frozenset[str]) -> None:
    """Forgets one event as if it had never been counted."""
    left = [other for other in recent_of(strand) if other is not event]
    forget(strand, strand.count)
    strand.recent = left
    strand.count = len(left)
    if left:
        strand.oldest = left[0].at
    if event.touch in company:
        strand.company -= 1
        return
    touches = list(strand.touches)
    touches[CHANNELS.index(event.channel)] -= 1
    strand.touches = tuple(touches)
    if event.touch == UNCLASSIFIED:
        strand.unclassified -= 1
