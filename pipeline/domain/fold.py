"""The fold: a customer's profile moved on by one event, or by time alone. See docs/semantics.md for the rules.

In order, an event costs one `step` per journey that it matters to. Out of order, the remembered events are stepped
again from the base, and the difference to what was published goes out as corrections.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

from pipeline.domain.compile import Journey
from pipeline.domain.event import CHANNELS, Event, order
from pipeline.domain.feed import Feed, Signal, Transition, TransitionKind
from pipeline.domain.profile import (
    FAR,
    NEVER,
    TRAIL,
    Entry,
    Firing,
    Pending,
    Position,
    Profile,
    Strand,
    Track,
    new_position,
)
from pipeline.domain.touches import UNCLASSIFIED
from pipeline.domain.track import project, settle, step, wake, without_final

Outcome = Literal["folded", "duplicate", "late"]

_CHANNEL = {channel: place for place, channel in enumerate(CHANNELS)}


class Fold:
    """Folds events into profiles by a fixed set of journeys. Holds no state of any customer."""

    def __init__(self, journeys: Sequence[Journey], company: frozenset[str], lateness: int, limit: int) -> None:
        self.journeys = tuple(journeys)
        self._names = [journey.name for journey in journeys]
        self._company = company
        self._lateness = lateness
        self._limit = limit

    def event(self, profile: Profile, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        """Takes one event of this customer; changes `profile` in place and adds to `feed`."""
        strand = profile.strands[0]
        recent = strand.recent
        at = event.at
        in_order = True
        if recent:
            identity = event.id
            for seen in recent:
                if seen.id == identity:
                    return "duplicate"
            newest = strand.newest
            if at <= newest:
                floor = strand.floor
                if at < newest - self._lateness or (floor is not None and order(event) < order(floor)):
                    strand.late += 1
                    return "late"
                in_order = order(event) > order(recent[-1])
        touch = event.touch
        if touch in self._company:
            strand.company += 1
        else:
            strand.touches[_CHANNEL[event.channel]] += 1
            if touch == UNCLASSIFIED:
                strand.unclassified += 1
                feed.unclassified += 1
        strand.newest = max(strand.newest, at)
        if at < strand.first or strand.first == NEVER:
            strand.first = at
        if in_order:
            self._append(profile, strand, event, watermark, feed)
        else:
            self._insert(profile, strand, event, watermark, feed)
        if len(recent) > self._limit:
            self._overflow(profile, strand)
            feed.truncated += 1
        return "folded"

    def time(self, profile: Profile, watermark: int, feed: Feed) -> None:
        """Lets everything fire that `watermark` makes due, and says when to look again."""
        strand = profile.strands[0]
        horizon = strand.newest - self._lateness
        soonest = FAR
        for journey, position in zip(self.journeys, profile.positions, strict=False):
            entries: list[Entry] = []
            old = position.history[len(position.history) - position.ahead :]
            projected = self._time_passed(profile, journey, position, entries, old, horizon, watermark, feed)
            soonest = min(soonest, wake(journey, projected, watermark))
        profile.indexed = None if soonest == FAR else soonest
        feed.due[profile.key] = profile.indexed

    def align(self, profile: Profile) -> None:
        """Gives a profile just made or loaded a position in each journey, in the journeys' order.

        Positions in journeys that are not live stay behind those, untouched.
        """
        if not profile.positions:
            profile.positions = [new_position(j.name, j.version, j.start) for j in self.journeys]
            return
        if [position.journey for position in profile.positions] == self._names:
            return
        have = {position.journey: position for position in profile.positions}
        ours = [
            have.pop(journey.name)
            if journey.name in have
            else new_position(journey.name, journey.version, journey.start)
            for journey in self.journeys
        ]
        profile.positions = [*ours, *have.values()]

    def _append(self, profile: Profile, strand: Strand, event: Event, watermark: int | None, feed: Feed) -> None:
        """The common case: the event is the newest."""
        recent = strand.recent
        horizon = strand.newest - self._lateness
        expired = 0
        if recent and recent[0].at < horizon:
            expired = len(recent) if recent[-1].at < horizon else _first_at(recent, horizon)
        for journey, position in zip(self.journeys, profile.positions, strict=False):
            track = position.track
            if expired:
                position.base = (
                    track if expired == len(recent) else _refold(journey, position.base, recent[:expired], [])
                )
            entries: list[Entry] = []
            stepped = step(journey, track, event, entries)
            position.track = stepped
            pending = stepped.pending
            if position.ahead or position.fired or (watermark is not None and pending and pending[0][0] <= watermark):
                old = position.history[len(position.history) - position.ahead :]
                self._time_passed(profile, journey, position, entries, old, horizon, watermark, feed)
            else:
                for entry in entries:
                    _publish(profile, journey, position, "entered", entry, entry.to, (), feed)
                    position.history.append(entry)
                if entries:
                    position.since = stepped.since
            if position.history and position.history[0].at < horizon:
                _let_go(position, horizon)
            if pending is not track.pending and pending:
                _index(profile, journey, stepped, watermark, feed)
        if expired:
            del recent[:expired]
            if strand.floor is not None and strand.floor.at < horizon:
                strand.floor = None
        recent.append(event)

    def _insert(self, profile: Profile, strand: Strand, event: Event, watermark: int | None, feed: Feed) -> None:
        """An event from before the newest: it takes its place, and what follows is stepped again."""
        recent = strand.recent
        recent.insert(bisect_left(recent, order(event), key=order), event)
        horizon = strand.newest - self._lateness
        for journey, position in zip(self.journeys, profile.positions, strict=False):
            if journey.rows.get(event.touch, journey.default) is None:
                continue
            entries: list[Entry] = []
            position.track = _refold(journey, position.base, recent, entries)
            entries = [entry for entry in entries if entry.at >= horizon]
            self._time_passed(profile, journey, position, entries, list(position.history), horizon, watermark, feed)
            _index(profile, journey, position.track, watermark, feed)

    def _overflow(self, profile: Profile, strand: Strand) -> None:
        """More events within lateness than are kept: the oldest joins the base for good."""
        oldest = strand.recent.pop(0)
        for journey, position in zip(self.journeys, profile.positions, strict=False):
            entries: list[Entry] = []
            position.base = step(journey, position.base, oldest, entries)
            for entry in entries:
                if entry in position.history:
                    position.history.remove(entry)
                    _remember(position, entry)
        strand.truncated += 1
        strand.floor = oldest

    def _time_passed(
        self,
        profile: Profile,
        journey: Journey,
        position: Position,
        entries: list[Entry],
        old: list[Entry],
        horizon: int,
        watermark: int | None,
        feed: Feed,
    ) -> Track:
        """Publishes the difference between `old`, the end of the history so far, and `entries` plus what time adds."""
        if watermark is None:
            watermark = _told(journey, position)
        track = position.track
        ready: list[Pending] = []
        by_events = len(entries)
        if watermark is not None:
            track, ready = project(journey, track, watermark, entries)
        kept = len(position.history) - len(old)
        if entries != old:
            before = position.history[kept - 1].to if kept else None
            _publish_difference(profile, journey, position, old, entries, track.stage, before, feed)
            position.history[kept:] = entries
        position.ahead = len(entries) - by_events
        position.since = track.since
        self._signals(profile, journey, position, ready, horizon, watermark, feed)
        if watermark is not None:
            position.track = without_final(journey, position.track, horizon, watermark)
            # No event to come is older than the horizon, so the base has those moves for good. Were they made again
            # at each refold, the signals that they arm and that were told long ago would be told again.
            settled = settle(journey, position.base, horizon, [])
            position.base = without_final(journey, settled, horizon, watermark)
        if position.history and position.history[0].at < horizon:
            _let_go(position, horizon)
        return track

    def _signals(
        self,
        profile: Profile,
        journey: Journey,
        position: Position,
        ready: list[Pending],
        horizon: int,
        watermark: int | None,
        feed: Feed,
    ) -> None:
        if not ready and not position.fired:
            return
        newest = profile.strands[0].newest

        def publish(kind: Literal["fired", "retracted"], due: int, rule: str, since: int, occurrence: int) -> None:
            timer = journey.timers[rule]
            expires = None if timer.expires is None else due + timer.expires
            feed.signals.append(
                Signal(
                    profile.key,
                    profile.epoch,
                    journey.name,
                    journey.version,
                    timer.signal,
                    kind,
                    occurrence,
                    rule,
                    since,
                    due,
                    expires,
                    expires is not None and watermark is not None and watermark >= expires,
                    newest > due,
                    position.stage,
                )
            )

        kept: list[Firing] = []
        for fired in position.fired:
            if (fired.due, fired.rule, fired.since) in ready:
                kept.append(fired)
            else:
                publish("retracted", fired.due, fired.rule, fired.since, fired.occurrence)
        told = {(fired.due, fired.rule, fired.since) for fired in kept}
        for due, rule, since in ready:
            if (due, rule, since) not in told:
                signal = journey.timers[rule].signal
                occurrence = position.occurrences.get(signal, 0) + 1
                position.occurrences[signal] = occurrence
                publish("fired", due, rule, since, occurrence)
                kept.append(Firing(due, rule, since, occurrence))
        position.fired = [fired for fired in kept if fired.due >= horizon]


def _refold(journey: Journey, base: Track, events: Sequence[Event], entries: list[Entry]) -> Track:
    track = base
    for event in events:
        track = step(journey, track, event, entries)
    return track


def _told(journey: Journey, position: Position) -> int | None:
    """The lowest watermark by which all is true that time was said to have brought, None if that is nothing.

    For a customer whose timers are not looked at: they fire no more, and what has fired is not taken back for that.
    """
    timers = journey.timers
    ahead = position.history[len(position.history) - position.ahead :]
    told = [(fired.due, fired.rule) for fired in position.fired] + [(entry.at, entry.rule) for entry in ahead]
    return max((due + timers[rule].grace for due, rule in told if rule in timers), default=None)


def _first_at(recent: list[Event], horizon: int) -> int:
    """How many of the remembered events are older than `horizon`."""
    return next(place for place, event in enumerate(recent) if event.at >= horizon)


def _index(profile: Profile, journey: Journey, track: Track, watermark: int | None, feed: Feed) -> None:
    """Moves the profile forward in the index of timers; a later time is found when the earlier one is looked at."""
    indexed = profile.indexed
    if indexed is not None and (not track.pending or track.pending[0][0] >= indexed):
        return
    soonest = wake(journey, track, watermark)
    if soonest != FAR and (profile.indexed is None or soonest < profile.indexed):
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


def _publish_difference(
    profile: Profile,
    journey: Journey,
    position: Position,
    old: list[Entry],
    new: list[Entry],
    stage: str,
    before: str | None,
    feed: Feed,
) -> None:
    """`old` was published, `new` is true: says so in event-time order, the last record leaving the true `stage`."""
    if new[: len(old)] == old:
        for entry in new[len(old) :]:
            _publish(profile, journey, position, "entered", entry, entry.to, (), feed)
        return
    gone = tuple(entry for entry in old if entry not in new)
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
    for entry in position.history:
        if entry.at >= horizon:
            break
        _remember(position, entry)
        final += 1
    del position.history[:final]
    position.ahead = min(position.ahead, len(position.history))


def _remember(position: Position, entry: Entry) -> None:
    position.trail.append(Entry(entry.at, entry.rule, entry.to, "", "", "", entry.since))
    if len(position.trail) > TRAIL:
        del position.trail[0]
