"""What would move a customer next: rules that could fire where they are, how far each is, and the timers that run.

Pure questions about a journey and what a profile keeps of it. All times are ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.domain.compile import Journey, Move, Trigger
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.profile import Pending, Track
from pipeline.domain.spec import EntrySpec, JourneySpec, TriggerSpec
from pipeline.domain.track import project


@dataclass(frozen=True, slots=True)
class Counted:
    """So many of the touches have been shown, of those that are needed.

    `within` is the span that they must lie in, None for since the stage was entered; `until`: how long the oldest of
    them still counts. `touch`: the one that is counted over the whole life; None for those of the rule.
    """

    have: int
    of: int
    within: int | None = None
    until: int | None = None
    touch: str | None = None


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A signal is not told before `until` (None: never any more), because of `touch`, or because it was told (None)."""

    touch: str | None
    until: int | None


@dataclass(frozen=True, slots=True)
class Way:
    """A rule that one of `touches` could fire now: it leads `to` a stage, or, if that is None, tells the signal."""

    rule: str
    to: str | None
    touches: tuple[str, ...]
    counted: tuple[Counted, ...]
    forbidden: tuple[Forbidden, ...] = ()


@dataclass(frozen=True, slots=True)
class Timer:
    """A silence. If it runs, it is over at `due` and fires once the watermark has passed `fires`; else these are None.

    `to` is the stage that it leads to, None for a signal. `starts`: the touches whose last one it counts from, None for
    the entry of the stage.
    """

    rule: str
    to: str | None
    after: int
    starts: tuple[str, ...] | None
    since: int | None = None
    due: int | None = None
    fires: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that could happen next in one journey: `ways` in the file's order, `timers` the next due first."""

    ways: tuple[Way, ...]
    timers: tuple[Timer, ...]


def as_time_has_it(journey: Journey, track: Track, watermark: int | None) -> tuple[Track, list[Pending]]:
    """The track with what time alone has done since the last event, and the timers that still run."""
    if watermark is None:
        return track, list(track.pending)
    track, ready = project(journey, track, watermark, [])
    return track, [one for one in track.pending if one not in ready]


def look_ahead(spec: JourneySpec, journey: Journey, track: Track, watermark: int | None, newest: int) -> Outlook:
    """`newest` is the time of the customer's last event: what comes next is hardly older than that or the watermark."""
    track, running = as_time_has_it(journey, track, watermark)
    now = newest if watermark is None else max(newest, watermark)
    ways = (*_moves(spec, journey, track, now), *_signals(spec, journey, track, now))
    return Outlook(ways, tuple(_timers(spec, journey, track.stage, running)))


def _moves(spec: JourneySpec, journey: Journey, track: Track, now: int) -> Iterator[Way]:
    for entry in spec.entries:
        move = _compiled(journey, entry, track.stage)
        if move is not None:
            yield Way(entry.rule, entry.to, entry.touches, tuple(_counts(entry, move, track, now)))


def _compiled(journey: Journey, entry: EntrySpec, stage: str) -> Move | None:
    """The rule as it stands in the table; None if it does not apply in this stage."""
    for touch in entry.touches:
        row = journey.rows[touch]
        for move in row.moves.get(stage, ()) if row is not None else ():
            if move.rule == entry.rule:
                return move
    return None


def _signals(spec: JourneySpec, journey: Journey, track: Track, now: int) -> Iterator[Way]:
    for trigger in spec.triggers:
        for touch in trigger.touches:
            row = journey.rows[touch]
            found = (row.triggers or {}).get(track.stage, ()) if row is not None else ()
            compiled = next((one for one in found if one.rule == trigger.rule), None)
            if compiled is not None:
                counted = tuple(_counts(trigger, compiled.move, track, now))
                yield Way(
                    trigger.rule, None, trigger.touches, counted, tuple(_forbidden(trigger, compiled, track, now))
                )
                break


def _counts(rule: EntrySpec | TriggerSpec, move: Move, track: Track, now: int) -> Iterator[Counted]:
    if move.count > 1:
        # The window keeps the newest times, one less than the rule needs.
        times = [at for at in track.windows[move.window] if move.within == FAR or now - at < move.within]
        until = times[0] + move.within if times and move.within != FAR else None
        yield Counted(len(times), move.count, rule.within_ms, until)
    for (touch, least), (slot, _) in zip(rule.at_least, move.at_least, strict=True):
        yield Counted(track.counts[slot], least, touch=touch)


def _forbidden(spec: TriggerSpec, trigger: Trigger, track: Track, now: int) -> Iterator[Forbidden]:
    for (touch, ms), (slot, _) in zip(spec.unless, trigger.unless, strict=True):
        last = track.last[slot]
        if last != NEVER and (ms is None or now - last < ms):
            yield Forbidden(touch, None if ms is None else last + ms)
    told = track.windows[trigger.once] if trigger.once >= 0 else ()
    if told and (trigger.again == FAR or now - told[0] < trigger.again):
        yield Forbidden(None, None if trigger.again == FAR else told[0] + trigger.again)


def _timers(spec: JourneySpec, journey: Journey, stage: str, running: list[Pending]) -> Iterator[Timer]:
    silences = {silence.rule: silence for silence in spec.silences}
    for due, rule, since in running:
        timer, silence = journey.timers[rule], silences.get(rule)
        starts = None if silence is None else silence.since
        yield Timer(rule, timer.to, timer.after, starts, since, due, due + timer.grace)
    runs = {rule for _, rule, _ in running}
    for rule, silence in silences.items():
        if rule not in runs and (silence.froms is None or stage in silence.froms):
            timer = journey.timers[rule]
            yield Timer(rule, timer.to, timer.after, silence.since)
