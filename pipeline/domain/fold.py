"""The fold: a customer's profile moved on by one event, or by time alone. See docs/semantics.md for the rules.

In order, an event costs one `step` per journey that it matters to. Out of order, the remembered events are stepped
again from the base, and the difference to what was published goes out as corrections. So it does if another strand
comes to the profile, or one goes.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.domain.carry import MOVED, REFOLD, Carry
from pipeline.domain.compile import Journey, Timer
from pipeline.domain.encoding import remember
from pipeline.domain.event import CHANNELS
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.feed import Feed, Signal, SignalKind, Transition, TransitionKind
from pipeline.domain.history import Entry, Firing
from pipeline.domain.profile import Event, Pending, Position, Profile, Strand, Track, before, new_position, track_of
from pipeline.domain.remembered import append, forget, insert, older, recent_of, remembers
from pipeline.domain.strands import (
    absorb,
    absorb_one,
    add,
    boundary,
    closed_of,
    comes_last,
    find,
    found_or_made,
    is_empty,
    is_shut,
    join,
    newest_of,
    note_bases,
    open_to,
    own_base,
    put_base,
    remembered_of,
    settle_bases,
    shut,
    without_doubles,
)
from pipeline.domain.touches import UNCLASSIFIED
from pipeline.domain.track import project, settle, step, wake, without_final
from pipeline.domain.uniting import CUT, JOINED, LINKED, UNITED, latest, translate, united

Outcome = Literal["folded", "duplicate", "late"]

_CHANNEL = {channel: place for place, channel in enumerate(CHANNELS)}


class Fold:
    """Folds events into profiles by a fixed set of journeys. Holds no state of any customer.

    `carries`: by journey, how customers come to this version of it who are still under another.
    """

    def __init__(
        self,
        journeys: Sequence[Journey],
        company: frozenset[str],
        lateness: int,
        limit: int,
        carries: Mapping[str, Carry] | None = None,
    ) -> None:
        self.journeys = tuple(journeys)
        self._names = [journey.name for journey in journeys]
        self._company = company
        self._lateness = lateness
        self._limit = limit
        self.carries = dict(carries or {})

    def event(self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        """Takes one event of that identity, which this profile owns; changes `profile` in place and adds to `feed`."""
        strands = profile.strands
        if len(strands) != 1:
            return self._among(profile, identity, event, watermark, feed)
        strand: Strand = strands[0]
        if strand.identity != identity:
            return self._among(profile, identity, event, watermark, feed)
        at = event.at
        in_order = True
        newest = strand.newest
        if newest != NEVER:
            if remembers(strand, event.id):
                return "duplicate"
            if at <= newest:
                if at < newest - self._lateness or (strand.floor is not None and before(event, strand.floor)):
                    strand.late += 1
                    return "late"
                in_order = at == newest and (strand.count == 0 or before(recent_of(strand)[-1], event))
        self._count(strand, event, feed)
        known = NEVER if watermark is None else watermark
        if in_order:
            self._append(profile, strand, event, newest, known, feed)
        else:
            self._insert(profile, strand, event, known, feed)
        if strand.count > self._limit:
            self._overflow(profile, strand)
            feed.truncated += 1
        return "folded"

    def _among(self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        """The same for one identity among several."""
        for other in profile.strands:
            if remembers(other, event.id):
                return "duplicate"
        strand = found_or_made(profile, identity)
        if len(profile.strands) == 1:
            return self.event(profile, identity, event, watermark, feed)
        newest, at = newest_of(profile), event.at
        if at < newest - self._lateness or is_shut(profile, event):
            strand.late += 1
            return "late"
        self._count(strand, event, feed)
        known = NEVER if watermark is None else watermark
        self._expire(profile, max(newest, at) - self._lateness, known)
        if at > newest or (at == newest and comes_last(profile, event)):
            self._append(profile, strand, event, newest, known, feed)
        else:
            self._insert(profile, strand, event, known, feed)
        if strand.count > self._limit:
            self._overflow(profile, strand)
            feed.truncated += 1
        return "folded"

    def _count(self, strand: Strand, event: Event, feed: Feed) -> None:
        """What the strand counts of an event that it accepts."""
        at, touch = event.at, event.touch
        if touch in self._company:
            strand.company += 1
        else:
            strand.touches = _one_more(strand.touches, _CHANNEL[event.channel])
            if touch == UNCLASSIFIED:
                strand.unclassified += 1
                feed.unclassified += 1
        strand.newest = max(strand.newest, at)
        if at < strand.first or strand.first == NEVER:
            strand.first = at

    def time(self, profile: Profile, watermark: int, feed: Feed) -> None:
        """Lets everything fire that `watermark` makes due, and says when to look again."""
        horizon = newest_of(profile) - self._lateness
        soonest = FAR
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            old = _ahead(position)
            projected = self._time_passed(profile, journey, position, [], old, horizon, watermark, feed)
            soonest = min(soonest, wake(journey, projected, watermark))
        profile.indexed = None if soonest == FAR else soonest
        feed.due[profile.key] = profile.indexed

    def align(self, profile: Profile) -> None:
        """Gives a profile just made or loaded a position in each journey, in the journeys' order.

        Positions in journeys that are not live stay behind those, untouched.
        """
        if not profile.positions:
            profile.positions = tuple([new_position(profile.frame, j.name, j.version, j.start) for j in self.journeys])
            return
        if [position.journey for position in profile.positions] == self._names:
            return
        have = {position.journey: position for position in profile.positions}
        ours = [
            have.pop(journey.name)
            if journey.name in have
            else new_position(profile.frame, journey.name, journey.version, journey.start)
            for journey in self.journeys
        ]
        profile.positions = (*ours, *have.values())

    def carry_over(self, profile: Profile, feed: Feed) -> bool:
        """Brings the customer under the versions that hold now, and publishes it; whether there was anything to do.

        To be called before anything else is folded into an aligned profile, as long as there are `carries`.
        """
        carried = False
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            if position.version != journey.version and journey.name in self.carries:
                self._carry(profile, position, self.carries[journey.name], feed)
                carried = True
        return carried

    def _carry(self, profile: Profile, position: Position, carry: Carry, feed: Feed) -> None:
        """Ends the former version's time, and begins the new one's with what is known: nothing before it changes."""
        if not profile.strands:
            position.version = carry.journey.version
            position.base = position.track = carry.journey.start
            return
        newest, former = newest_of(profile), carry.former
        horizon = newest - self._lateness
        known = NEVER if profile.parked else carry.watermark
        track = self._time_passed(profile, former, position, [], _ahead(position), horizon, known, feed)
        way, closed = carry.way(track.stage), max(newest, track.since)
        if len(profile.strands) > 1:
            for strand in profile.strands:
                put_base(strand, carry.journey, _carried(carry, position, strand, closed))
        if way == REFOLD:
            base = settle(former, position.base, horizon, [])
            remembered = open_to(position, remembered_of(profile))
            made = carry.again(base, remembered, closed)
        else:
            made = carry.convert(track, closed)
        for entry in position.history:
            remember(position, entry)
        position.history, position.ahead, position.fired = (), 0, ()
        position.base = position.track = made
        position.closed = closed
        position.since = made.since
        if position.seq or made.stage:
            entry = Entry(carry.at, MOVED, made.stage, "", way, "", position.version)
            _publish(profile, carry.journey, position, "moved", entry, made.stage, (), feed)
        position.version = carry.journey.version
        _index(profile, carry.journey, made, known, feed)

    def _append(self, profile: Profile, strand: Strand, event: Event, last: int, watermark: int, feed: Feed) -> None:
        """The common case: the event is the newest. `last`: the newest event time before it."""
        horizon = strand.newest - self._lateness
        count = strand.count
        expired = count if last < horizon else older(strand, horizon)
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            track = position.track
            if expired:
                if expired == count:
                    position.base = track
                else:
                    gone = open_to(position, recent_of(strand)[:expired])
                    position.base = _refold(journey, position.base, gone, [])
            entries: list[Entry] = []
            if position.closed is not None and horizon > position.closed:
                position.closed = None
            shut = position.closed is not None and event.at <= position.closed
            stepped = track if shut else step(journey, track, event, entries)
            position.track = stepped
            pending = stepped.pending
            if position.ahead or position.fired or (watermark != NEVER and pending and pending[0][0] <= watermark):
                self._time_passed(profile, journey, position, entries, _ahead(position), horizon, watermark, feed)
            elif entries:
                for entry in entries:
                    _publish(profile, journey, position, "entered", entry, entry.to, (), feed)
                position.history = (*position.history, *entries)
                position.since = stepped.since
            if position.history:
                _let_go(position, horizon)
            if pending is not track.pending and pending:
                _index(profile, journey, stepped, watermark, feed)
        if expired:
            forget(strand, expired)
            if strand.floor is not None and strand.floor.at < horizon:
                strand.floor = None
        append(strand, event)

    def _insert(self, profile: Profile, strand: Strand, event: Event, watermark: int, feed: Feed) -> None:
        """An event from before the newest: it takes its place, and what follows is stepped again."""
        insert(strand, event)
        recent = remembered_of(profile)
        horizon = newest_of(profile) - self._lateness
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            if journey.rows.get(event.touch, journey.default) is None:
                continue
            if position.closed is not None and event.at <= position.closed:
                continue
            entries: list[Entry] = []
            position.track = _refold(journey, position.base, open_to(position, recent), entries)
            entries = [entry for entry in entries if entry.at >= horizon]
            self._time_passed(profile, journey, position, entries, list(position.history), horizon, watermark, feed)
            _index(profile, journey, position.track, watermark, feed)

    def _overflow(self, profile: Profile, strand: Strand) -> None:
        """More events within lateness than are kept: the oldest joins the base for good."""
        oldest: Event = recent_of(strand)[0]
        gone = [oldest]
        if len(profile.strands) == 1:
            forget(strand, 1)
        else:
            gone = absorb(profile, oldest, self.journeys, NEVER, NEVER)
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            entries: list[Entry] = []
            position.base = _refold(journey, position.base, open_to(position, gone), entries)
            for entry in entries:
                if entry in position.history:
                    history = list(position.history)
                    history.remove(entry)
                    position.history = tuple(history)
                    remember(position, entry)
        strand.truncated += 1
        strand.floor = oldest

    def unite(self, profile: Profile, strand: Strand, watermark: int | None, feed: Feed) -> None:
        """Takes in a strand that another record had; its frame is that of the profile.

        What lies before its time and ours is put together from both bases, the rest is folded in order.
        """
        known = NEVER if watermark is None else watermark
        guessed = translate(strand, {journey.name: journey for journey in self.journeys}, self.carries)
        without_doubles(profile, strand, self._company)
        horizon = newest_of(profile) - self._lateness
        places = range(len(self.journeys))
        ours = [settle(self.journeys[p], profile.positions[p].base, horizon, []) for p in places]
        theirs = [settle(j, own_base(strand, j), strand.newest - self._lateness, []) for j in self.journeys]
        both = max([closed_of(profile)] + [latest(track) for track in ours + theirs])
        until = boundary(both + 1)
        mine = find(profile, strand.identity)
        note_bases(profile)
        gone = absorb(profile, until, self.journeys, horizon, known)
        absorb_one(strand, until, self.journeys, (), horizon, known)
        bases: list[Track] = []
        final: list[list[Entry]] = []
        for place in places:
            journey: Journey = self.journeys[place]
            entries: list[Entry] = []
            here = _refold(journey, ours[place], open_to(profile.positions[place], gone), entries)
            ours[place] = settle(journey, here, both, entries)
            there = settle(journey, own_base(strand, journey), both, [])
            bases.append(united(journey, [ours[place], there]))
            final.append([entry for entry in entries if entry.at >= horizon])
            if mine is not None:
                put_base(mine, journey, united(journey, [own_base(mine, journey), there]))
            if journey.name in guessed:
                profile.positions[place].unverified = True
        if mine is None:
            add(profile, strand)
        else:
            join(mine, strand)
        settle_bases(profile, self.journeys, both)
        for each in profile.strands:
            shut(each, both + 1)
        self._begin_anew(profile, bases, ours, final, UNITED, strand.identity, horizon, known, feed)
        for each in profile.strands:
            while each.count > self._limit:
                self._overflow(profile, each)
                feed.truncated += 1

    def cut(self, profile: Profile, identity: str, watermark: int | None, feed: Feed) -> Strand | None:
        """Takes the identity's strand out again and returns it, None if there is none."""
        strand = find(profile, identity)
        if strand is None:
            return None
        known = NEVER if watermark is None else watermark
        horizon = newest_of(profile) - self._lateness
        note_bases(profile)
        settle_bases(profile, self.journeys, horizon)
        rest = tuple([other for other in profile.strands if other is not strand])
        ours: list[Track] = []
        bases: list[Track] = []
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            ours.append(settle(journey, position.base, horizon, []))
            base = ours[place]
            if own_base(strand, journey) is not journey.start:
                left = [own_base(other, journey) for other in rest]
                left = [track for track in left if track is not journey.start]
                base = settle(journey, united(journey, left), horizon, [])
                position.unverified = len(left) > 1
            if known != NEVER:
                base = without_final(journey, base, horizon, known)
            bases.append(base)
            if len(rest) == 1:
                position.unverified = False
        self._let_out(profile, strand, horizon)
        profile.strands = rest
        for other in rest:
            if other.newest - self._lateness < horizon:
                shut(other, horizon)
        self._begin_anew(profile, bases, ours, [[] for _ in ours], CUT, identity, horizon, known, feed)
        return strand

    def leave(self, profile: Profile, into: str, feed: Feed) -> tuple[Strand, ...]:
        """Takes all strands out, for the owner `into`, and says so in every journey in which something was published.

        The numbers of what is published go on from there, if ever a strand comes back.
        """
        newest = newest_of(profile)
        note_bases(profile)
        for strand in profile.strands:
            self._let_out(profile, strand, newest - self._lateness)
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            for fired in position.fired:
                _publish_signal(profile, journey, position, "retracted", fired, newest, NEVER, feed)
            if position.seq:
                at = profile.epoch if newest == NEVER else newest
                entry = Entry(at, LINKED, "", str(position.seq + 1), JOINED, into, NEVER)
                _publish(profile, journey, position, "moved", entry, "", (), feed)
            position.base = position.track = journey.start
            position.history, position.ahead, position.fired, position.trail = (), 0, (), b""
            position.since, position.closed, position.unverified = NEVER, None, False
        left = tuple([strand for strand in profile.strands if not is_empty(strand)])
        profile.strands = ()
        profile.indexed = feed.due[profile.key] = None
        return left

    def _let_out(self, profile: Profile, strand: Strand, horizon: int) -> None:
        """Makes the strand ready for another profile: what is decided here goes into its own bases."""
        until = max(horizon, closed_of(profile) + 1)
        absorb_one(strand, boundary(until), self.journeys, profile.positions, horizon, NEVER)
        if strand.newest - self._lateness < until:
            shut(strand, until)

    def _expire(self, profile: Profile, horizon: int, watermark: int) -> list[Event]:
        """Several strands: what is older than the horizon joins the bases."""
        gone = absorb(profile, boundary(horizon), self.journeys, horizon, watermark)
        if gone:
            for place in range(len(self.journeys)):
                journey: Journey = self.journeys[place]
                position: Position = profile.positions[place]
                position.base = _refold(journey, position.base, open_to(position, gone), [])
        for strand in profile.strands:
            if strand.floor is not None and strand.floor.at < horizon:
                strand.floor = None
        return gone

    def _begin_anew(
        self,
        profile: Profile,
        bases: list[Track],
        ours: list[Track],
        final: list[list[Entry]],
        change: str,
        identity: str,
        past: int,
        watermark: int,
        feed: Feed,
    ) -> None:
        """Folds what is remembered from other `bases`, and publishes the difference.

        By journey, `ours` is what was behind the events that are remembered before, and `final` the entries that have
        become final on the way. `past`: the horizon before.
        """
        events = remembered_of(profile)
        horizon = newest_of(profile) - self._lateness
        tracks: list[Track] = []
        made: list[list[Entry]] = []
        for place in range(len(self.journeys)):
            journey: Journey = self.journeys[place]
            position: Position = profile.positions[place]
            entries: list[Entry] = []
            tracks.append(_refold(journey, bases[place], open_to(position, events), entries))
            made.append(entries)
            position.base = bases[place]
        self._expire(profile, horizon, watermark)
        for place in range(len(self.journeys)):
            journey = self.journeys[place]
            position = profile.positions[place]
            known = _told(journey, position) if watermark == NEVER else watermark
            settled = final[place]
            if (bases[place].stage, bases[place].since) != (ours[place].stage, ours[place].since):
                self._link(profile, journey, position, bases[place], ours[place], settled, change, identity, feed)
                settled = []
            position.track = _without_old(journey, tracks[place], position.fired, max(past, horizon), known)
            entries = [*settled, *made[place]]
            self._time_passed(profile, journey, position, entries, list(position.history), horizon, known, feed)
            _finish(position, len(settled) - (len(entries) - len(position.history)))
            _index(profile, journey, position.track, watermark, feed)
        if len(profile.strands) == 1:
            profile.strands[0].bases = ()

    def _link(
        self,
        profile: Profile,
        journey: Journey,
        position: Position,
        base: Track,
        ours: Track,
        settled: list[Entry],
        change: str,
        identity: str,
        feed: Feed,
    ) -> None:
        """Says where the customer was before all that is remembered; what follows is told anew."""
        gone = tuple([entry for entry in position.history if entry not in settled])
        at = ours.since if base.since == NEVER else base.since
        entry = Entry(at, LINKED, base.stage, str(position.seq + 1), change, identity, base.since)
        _publish(profile, journey, position, "corrected", entry, base.stage, gone, feed)
        for old in position.history:
            if old in settled:
                remember(position, old)
        remember(position, entry)
        position.history, position.ahead = (), 0

    def _time_passed(
        self,
        profile: Profile,
        journey: Journey,
        position: Position,
        entries: list[Entry],
        old: list[Entry],
        horizon: int,
        watermark: int,
        feed: Feed,
    ) -> Track:
        """Publishes the difference between `old`, the end of the history so far, and `entries` plus what time adds."""
        if watermark == NEVER:
            watermark = _told(journey, position)
        track = position.track
        ready: list[Pending] = []
        by_events = len(entries)
        if watermark != NEVER:
            track, ready = project(journey, track, watermark, entries)
        kept = len(position.history) - len(old)
        if entries != old:
            _publish_difference(profile, journey, position, old, entries, track.stage, feed)
            position.history = (*position.history[:kept], *entries)
        position.ahead = len(entries) - by_events
        position.since = track.since
        if ready or position.fired:
            self._signals(profile, journey, position, ready, horizon, watermark, feed)
        if watermark != NEVER:
            position.track = without_final(journey, position.track, horizon, watermark)
            # No event to come is older than the horizon, so the base has those moves for good. Were they made again
            # at each refold, the signals that they arm and that were told long ago would be told again.
            settled = settle(journey, position.base, horizon, [])
            position.base = without_final(journey, settled, horizon, watermark)
        if position.history:
            _let_go(position, horizon)
        return track

    def _signals(
        self,
        profile: Profile,
        journey: Journey,
        position: Position,
        ready: list[Pending],
        horizon: int,
        watermark: int,
        feed: Feed,
    ) -> None:
        newest = newest_of(profile)
        kept: list[Firing] = []
        for fired in position.fired:
            if (fired.due, fired.rule, fired.since) in ready:
                kept.append(fired)
            else:
                _publish_signal(profile, journey, position, "retracted", fired, newest, watermark, feed)
        told = {(fired.due, fired.rule, fired.since) for fired in kept}
        for due, rule, since in ready:
            if (due, rule, since) not in told:
                timer: Timer = journey.timers[rule]
                occurrences = {} if position.occurrences is None else position.occurrences
                occurrence = occurrences.get(timer.signal, 0) + 1
                occurrences[timer.signal] = occurrence
                position.occurrences = occurrences
                firing = Firing(due, rule, since, occurrence)
                _publish_signal(profile, journey, position, "fired", firing, newest, watermark, feed)
                kept.append(firing)
        position.fired = tuple([fired for fired in kept if fired.due >= horizon])


def _refold(journey: Journey, base: Track, events: list[Event], entries: list[Entry]) -> Track:
    track = base
    for event in events:
        track = step(journey, track, event, entries)
    return track


def _carried(carry: Carry, position: Position, strand: Strand, closed: int) -> Track:
    """What a strand alone has left behind, its remembered events too, under the version that holds now."""
    former = carry.former
    base, events = own_base(strand, former), open_to(position, recent_of(strand))
    track = _refold(former, base, events, [])
    return carry.again(base, events, closed) if carry.way(track.stage) == REFOLD else carry.convert(track, closed)


def _without_old(journey: Journey, track: Track, fired: tuple[Firing, ...], horizon: int, watermark: int) -> Track:
    """The track without the signals that would be told now, although they were due before the horizon."""
    kept = {(each.due, each.rule, each.since) for each in fired}
    pending = [
        one
        for one in track.pending
        if one in kept
        or one[0] >= horizon
        or journey.timers[one[1]].to is not None
        or watermark < one[0] + journey.timers[one[1]].grace
    ]
    return track_of(track.stage, track.since, track.settle_at, tuple(pending), track.last, track.counts, track.windows)


def _finish(position: Position, number: int) -> None:
    """Moves the oldest `number` entries to the trail, whatever their time."""
    for entry in position.history[: max(number, 0)]:
        remember(position, entry)
    if number > 0:
        position.history = position.history[number:]
        position.ahead = min(position.ahead, len(position.history))


def _one_more(touches: tuple[int, ...], channel: int) -> tuple[int, ...]:
    changed = list(touches)
    changed[channel] += 1
    return tuple(changed)


def _ahead(position: Position) -> list[Entry]:
    """The published entries that came by time, the last of the history."""
    history = position.history
    return list(history[len(history) - position.ahead :]) if position.ahead else []


def _told(journey: Journey, position: Position) -> int:
    """The lowest watermark by which all is true that time was said to have brought, NEVER if that is nothing.

    For a customer whose timers are not looked at: they fire no more, and what has fired is not taken back for that.
    """
    timers = journey.timers
    told = [(fired.due, fired.rule) for fired in position.fired]
    told += [(entry.at, entry.rule) for entry in _ahead(position)]
    return max([due + timers[rule].grace for due, rule in told if rule in timers], default=NEVER)


def _index(profile: Profile, journey: Journey, track: Track, watermark: int, feed: Feed) -> None:
    """Moves the profile forward in the index of timers; a later time is found when the earlier one is looked at."""
    indexed = profile.indexed
    if indexed is not None and (not track.pending or track.pending[0][0] >= indexed):
        return
    soonest = wake(journey, track, watermark)
    if soonest != FAR and (indexed is None or soonest < indexed):
        profile.indexed = soonest
        feed.due[profile.key] = soonest


def _publish(
    profile: Profile,
    journey: Journey,
    position: Position,
    kind: TransitionKind,
    entry: Entry,
    to: str,
    supersedes: tuple[Entry, ...],
    feed: Feed,
) -> None:
    position.seq += 1
    feed.transitions.append(
        Transition(
            profile.key,
            profile.epoch,
            journey.name,
            journey.version,
            position.seq,
            kind,
            position.stage,
            to,
            entry,
            supersedes,
        )
    )
    position.stage = to
    position.version = journey.version


def _publish_signal(
    profile: Profile,
    journey: Journey,
    position: Position,
    kind: SignalKind,
    firing: Firing,
    newest: int,
    watermark: int,
    feed: Feed,
) -> None:
    timer: Timer = journey.timers[firing.rule]
    due = firing.due
    expires = None if timer.expires is None else due + timer.expires
    feed.signals.append(
        Signal(
            profile.key,
            profile.epoch,
            journey.name,
            journey.version,
            timer.signal,
            kind,
            firing.occurrence,
            firing.rule,
            firing.since,
            due,
            expires,
            expires is not None and watermark != NEVER and watermark >= expires,
            newest > due,
            position.stage,
        )
    )


def _publish_difference(
    profile: Profile,
    journey: Journey,
    position: Position,
    old: list[Entry],
    new: list[Entry],
    stage: str,
    feed: Feed,
) -> None:
    """`old` was published, `new` is true: says so in event-time order, the last record leaving the true `stage`."""
    if new[: len(old)] == old:
        for entry in new[len(old) :]:
            _publish(profile, journey, position, "entered", entry, entry.to, (), feed)
        return
    gone = tuple([entry for entry in old if entry not in new])
    added = [entry for entry in new if entry not in old]
    for place, entry in enumerate(added):
        _publish(profile, journey, position, "corrected", entry, entry.to, gone if place == 0 else (), feed)
    if not added:
        for entry in gone:
            _publish(profile, journey, position, "retracted", entry, stage, (), feed)
    if position.stage != stage:
        newest = new[-1]
        _publish(profile, journey, position, "corrected", newest, newest.to, (newest,), feed)


def _let_go(position: Position, horizon: int) -> None:
    """History that no event can change any more is kept only as a short trail for people."""
    final = 0
    history = position.history
    for entry in history:
        if entry.at >= horizon:
            break
        remember(position, entry)
        final += 1
    if final:
        position.history = history[final:]
        position.ahead = min(position.ahead, len(position.history))
