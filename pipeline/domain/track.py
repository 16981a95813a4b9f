"""One journey moved on by events: `step`, and what passing time makes of it: `project`. Pure; see docs/semantics.md."""

from collections.abc import Iterable

from pipeline.domain.compile import Journey, Move, Timer
from pipeline.domain.event import Event
from pipeline.domain.profile import FAR, NEVER, Entry, Pending, Track


def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
    """The track after `event`, which is later in order than all before it; appends the history entries it makes."""
    at = event.at
    if track.settle_at < at:
        track = settle(journey, track, at, entries)
    row = journey.rows.get(event.touch, journey.default)
    if row is None:
        return track
    pending = track.pending
    if pending and row.breaks:
        breaks = row.breaks
        kept = [p for p in pending if p[0] < at or p[2] >= at or p[1] not in breaks]
        if len(kept) != len(pending):
            pending = tuple(kept)
    last, counts, windows = track.last, track.counts, track.windows
    if row.last:
        last = _with(last, row.last, at)
    for slot in row.counts:
        counts = (*counts[:slot], counts[slot] + 1, *counts[slot + 1 :])
    stage, since = track.stage, track.since
    moves = row.moves.get(stage)
    if moves is not None:
        for move in moves:
            if fits(move, at, counts, windows):
                windows = _windows(windows, row.windows, at)
                made = Track(stage, since, FAR, pending, last, counts, windows)
                entered = enter(journey, made, move.to, at)
                entries.append(Entry(at, move.rule, move.to, event.id, event.type, event.channel, NEVER))
                starts = row.starts.get(move.to)
                return entered if starts is None else _started(journey, entered, starts, at)
    if row.windows:
        windows = _windows(windows, row.windows, at)
    starts = row.starts.get(stage)
    if starts is not None:
        pending = _restarted(journey, pending, starts, at)
    settle_at = track.settle_at if pending is track.pending else first_stage_timer(journey, pending)
    return Track(stage, since, settle_at, pending, last, counts, windows)


def settle(journey: Journey, track: Track, before: int, entries: list[Entry]) -> Track:
    """Lets every stage timer with due < `before` fire, in order of due, those included that a fired one arms."""
    while track.settle_at < before:
        track = _fire(journey, track, entries)
    return track


def project(journey: Journey, track: Track, watermark: int, entries: list[Entry]) -> tuple[Track, list[Pending]]:
    """The track as time alone has it at `watermark`, and the signals that are ready then.

    A stage timer waits for those before it, whatever the graces.
    """
    while track.settle_at != FAR:
        (due, rule, _), _ = _stage_timer(journey, track.pending)
        if watermark < due + journey.timers[rule].grace:
            break
        track = _fire(journey, track, entries)
    timers = journey.timers
    ready = [p for p in track.pending if timers[p[1]].to is None and watermark >= p[0] + timers[p[1]].grace]
    return track, ready


def wake(journey: Journey, track: Track, watermark: int | None) -> int:
    """The watermark at which time next changes something: FAR if nothing is pending."""
    soonest, first = FAR, True
    for due, rule, _ in track.pending:
        timer = journey.timers[rule]
        at = due + timer.grace
        if timer.to is not None:
            if first:
                soonest = min(soonest, at)
            first = False
        elif watermark is None or at > watermark:
            soonest = min(soonest, at)
    return soonest


def without_final(journey: Journey, track: Track, horizon: int, watermark: int) -> Track:
    """The track without the signals that are told and that no event still to come can take back."""
    timers = journey.timers
    kept = tuple(
        p
        for p in track.pending
        if p[0] >= horizon or timers[p[1]].to is not None or watermark < p[0] + timers[p[1]].grace
    )
    if len(kept) == len(track.pending):
        return track
    return Track(track.stage, track.since, track.settle_at, kept, track.last, track.counts, track.windows)


def fits(move: Move, at: int, counts: tuple[int, ...], windows: tuple[tuple[int, ...], ...]) -> bool:
    """Whether the rule's counts hold; `windows` do not have this event yet, `counts` do."""
    if move.count > 1:
        window = windows[move.window]
        needed = move.count - 1
        if len(window) < needed or (move.within is not None and at - window[-needed] >= move.within):
            return False
    return all(counts[slot] >= least for slot, least in move.at_least)


def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
    """The track with the stage `to` entered at `at`: old stage timers go, those of the new stage are armed."""
    timers = journey.timers
    pending = [p for p in track.pending if timers[p[1]].to is None and (timers[p[1]].scope is None or p[0] < at)]
    for timer in journey.on_entry.get(to, ()):
        armed = _armed_on_entry(timer, track.last, at)
        if armed is not None:
            pending.append(armed)
    windows = track.windows
    if journey.since_entry:
        cleared = list(windows)
        for slot in journey.since_entry:
            cleared[slot] = ()
        windows = tuple(cleared)
    arranged = arrange(journey, pending)
    settle_at = first_stage_timer(journey, arranged)
    return Track(to, at, settle_at, arranged, track.last, track.counts, windows)


def arrange(journey: Journey, pending: list[Pending]) -> tuple[Pending, ...]:
    """In the order of firing: by due, stage timers before signals, then as the file has them."""
    if len(pending) > 1:
        timers = journey.timers
        pending.sort(key=lambda p: (p[0], timers[p[1]].order, p[2]))
    return tuple(pending)


def first_stage_timer(journey: Journey, pending: Iterable[Pending]) -> int:
    """The due of the first stage timer, FAR without one."""
    timers = journey.timers
    for due, rule, _ in pending:
        if timers[rule].to is not None:
            return due
    return FAR


def _stage_timer(journey: Journey, pending: Iterable[Pending]) -> tuple[Pending, str]:
    """The first stage timer and where it leads."""
    for timer in pending:
        to = journey.timers[timer[1]].to
        if to is not None:
            return timer, to
    raise LookupError("no stage timer is pending, although the track has a time to settle at")


def _fire(journey: Journey, track: Track, entries: list[Entry]) -> Track:
    (due, rule, since), to = _stage_timer(journey, track.pending)
    entries.append(Entry(due, rule, to, "", "", "", since))
    return enter(journey, track, to, due)


def _armed_on_entry(timer: Timer, last: tuple[int, ...], at: int) -> Pending | None:
    """The timer as the entry of a stage at `at` arms it, if it does.

    A silence that is broken already is none. One that is over already moves the customer at once; as a signal it is
    not told again.
    """
    if timer.last is None:
        return (at + timer.after, timer.rule, at)
    since = last[timer.last]
    if since == NEVER or (timer.broken is not None and last[timer.broken] > since):
        return None
    due = since + timer.after
    if due < at:
        return None if timer.to is None else (at, timer.rule, since)
    return (due, timer.rule, since)


def _started(journey: Journey, track: Track, starts: tuple[Timer, ...], at: int) -> Track:
    pending = _restarted(journey, track.pending, starts, at)
    settle_at = first_stage_timer(journey, pending)
    return Track(track.stage, track.since, settle_at, pending, track.last, track.counts, track.windows)


def _restarted(
    journey: Journey, pending: tuple[Pending, ...], starts: tuple[Timer, ...], at: int
) -> tuple[Pending, ...]:
    """`pending` with the silences that count from this touch begun anew at `at`."""
    if len(starts) == 1:
        timer = starts[0]
        fresh = (at + timer.after, timer.rule, at)
        if not pending or (len(pending) == 1 and pending[0][1] == timer.rule and pending[0][0] >= at):
            return (fresh,)
    rules = [timer.rule for timer in starts]
    kept = [p for p in pending if p[0] < at or p[1] not in rules]
    kept.extend((at + timer.after, timer.rule, at) for timer in starts)
    return arrange(journey, kept)


def _with(times: tuple[int, ...], slots: tuple[int, ...], at: int) -> tuple[int, ...]:
    if len(times) == 1:
        return (at,)
    changed = list(times)
    for slot in slots:
        changed[slot] = at
    return tuple(changed)


def _windows(
    windows: tuple[tuple[int, ...], ...], slots: tuple[tuple[int, int], ...], at: int
) -> tuple[tuple[int, ...], ...]:
    """The windows with this touch's time added; each keeps only as many times as its rule needs."""
    if not slots:
        return windows
    changed = list(windows)
    for slot, size in slots:
        changed[slot] = (*changed[slot], at)[-size:]
    return tuple(changed)
