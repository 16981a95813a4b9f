"""One journey moved on by events: `step`, and what passing time makes of it: `project`. Pure; see docs/semantics.md."""

from pipeline.domain.compile import Journey, Move, Row, Timer, Trigger
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.history import Entry
from pipeline.domain.profile import Event, Pending, Track, track_of


def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
    """The track after `event`, which is later in order than all before it; appends the history entries it makes."""
    at = event.at
    if track.settle_at < at:
        track = settle(journey, track, at, entries)
    row: Row | None = journey.rows.get(event.touch, journey.default)
    if row is None:
        return track
    pending = track.pending
    if pending and row.breaks:
        pending = _broken(pending, row.breaks, at)
    last, counts, windows = track.last, track.counts, track.windows
    if row.last:
        last = _with(last, row.last, at)
    if row.counts:
        counts = _counted(counts, row.counts)
    stage, since = track.stage, track.since
    if row.moves:
        moves: tuple[Move, ...] | None = row.moves.get(stage)
        if moves is not None:
            for move in moves:
                if fits(move, at, counts, windows):
                    windows = _windows(windows, row.windows, at)
                    made = track_of(stage, since, FAR, pending, last, counts, windows)
                    entered = enter(journey, made, move.to, at)
                    entries.append(Entry(at, move.rule, move.to, event.id, event.type, event.channel, NEVER))
                    begun: tuple[Timer, ...] | None = row.starts.get(move.to)
                    if begun is not None:
                        entered = _started(journey, entered, begun, at)
                    if row.triggers is not None:
                        found: tuple[Trigger, ...] | None = row.triggers.get(move.to)
                        if found is not None:
                            return _triggered(journey, entered, found, at, track.windows, True)
                    return entered
    if row.windows:
        windows = _windows(windows, row.windows, at)
    if row.starts:
        starts: tuple[Timer, ...] | None = row.starts.get(stage)
        if starts is not None:
            pending = _restarted(journey, pending, starts, at)
    settle_at = track.settle_at if pending is track.pending else first_stage_timer(journey, pending)
    made = track_of(stage, since, settle_at, pending, last, counts, windows)
    if row.triggers is not None:
        found = row.triggers.get(stage)
        if found is not None:
            return _triggered(journey, made, found, at, track.windows, False)
    return made


def settle(journey: Journey, track: Track, before: int, entries: list[Entry]) -> Track:
    """Lets every stage timer with due < `before` fire, in order of due, those included that a fired one arms."""
    while track.settle_at < before:
        track = _fire(journey, track, entries)
    return track


def project(journey: Journey, track: Track, watermark: int, entries: list[Entry]) -> tuple[Track, list[Pending]]:
    """The track as time alone has it at `watermark`, and the signals that are ready then.

    A stage timer waits for those before it, whatever the graces.
    """
    timers = journey.timers
    while track.settle_at != FAR:
        due, rule, _ = _stage_timer(journey, track.pending)
        timer: Timer = timers[rule]
        if watermark < due + timer.grace:
            break
        track = _fire(journey, track, entries)
    ready: list[Pending] = []
    for one in track.pending:
        timer = timers[one[1]]
        if timer.to is None and watermark >= one[0] + timer.grace:
            ready.append(one)
    return track, ready


def wake(journey: Journey, track: Track, watermark: int) -> int:
    """The watermark at which time next changes something: FAR if nothing is pending. `watermark` NEVER: none known."""
    soonest, first = FAR, True
    for due, rule, _ in track.pending:
        timer: Timer = journey.timers[rule]
        at = due + timer.grace
        if timer.to is not None:
            if first:
                soonest = min(soonest, at)
            first = False
        elif at > watermark:
            soonest = min(soonest, at)
    return soonest


def without_final(journey: Journey, track: Track, horizon: int, watermark: int) -> Track:
    """The track without the signals that are told and that no event still to come can take back."""
    pending = track.pending
    if not pending:
        return track
    kept: list[Pending] = []
    for one in pending:
        timer: Timer = journey.timers[one[1]]
        if one[0] >= horizon or timer.to is not None or watermark < one[0] + timer.grace:
            kept.append(one)
    if len(kept) == len(pending):
        return track
    return track_of(track.stage, track.since, track.settle_at, tuple(kept), track.last, track.counts, track.windows)


def fits(move: Move, at: int, counts: tuple[int, ...], windows: tuple[tuple[int, ...], ...]) -> bool:
    """Whether the rule's counts hold; `windows` do not have this event yet, `counts` do."""
    if move.count > 1:
        window = windows[move.window]
        needed = move.count - 1
        if len(window) < needed or (move.within != FAR and at - window[len(window) - needed] >= move.within):
            return False
    for slot, least in move.at_least:  # noqa: SIM110  # likewise
        if counts[slot] < least:
            return False
    return True


def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
    """The track with the stage `to` entered at `at`: old stage timers go, those of the new stage are armed."""
    timers = journey.timers
    pending: list[Pending] = []
    for one in track.pending:
        timer: Timer = timers[one[1]]
        if timer.to is None and (timer.scope is None or one[0] < at):
            pending.append(one)
    armable: tuple[Timer, ...] = journey.on_entry.get(to, ())
    for timer in armable:
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
    return track_of(to, at, first_stage_timer(journey, arranged), arranged, track.last, track.counts, windows)


def arrange(journey: Journey, pending: list[Pending]) -> tuple[Pending, ...]:
    """In the order of firing: by due, stage timers before signals, then as the file has them."""
    if len(pending) > 1:
        timers = journey.timers
        pending.sort(key=lambda one: (one[0], timers[one[1]].order, one[2]))
    return tuple(pending)


def first_stage_timer(journey: Journey, pending: tuple[Pending, ...]) -> int:
    """The due of the first stage timer, FAR without one."""
    for due, rule, _ in pending:
        timer: Timer = journey.timers[rule]
        if timer.to is not None:
            return due
    return FAR


def _stage_timer(journey: Journey, pending: tuple[Pending, ...]) -> Pending:
    """The first stage timer."""
    for one in pending:
        timer: Timer = journey.timers[one[1]]
        if timer.to is not None:
            return one
    raise LookupError("no stage timer is pending, although the track has a time to settle at")


def _fire(journey: Journey, track: Track, entries: list[Entry]) -> Track:
    due, rule, since = _stage_timer(journey, track.pending)
    timer: Timer = journey.timers[rule]
    to = timer.to or ""
    entries.append(Entry(due, rule, to, "", "", "", since))
    return enter(journey, track, to, due)


def _armed_on_entry(timer: Timer, last: tuple[int, ...], at: int) -> Pending | None:
    """The timer as the entry of a stage at `at` arms it, if it does.

    A silence that is broken already is none. One that is over already moves the customer at once; as a signal it is
    not told again.
    """
    if timer.last < 0:
        return (at + timer.after, timer.rule, at)
    since = last[timer.last]
    if since == NEVER or (timer.broken >= 0 and last[timer.broken] > since):
        return None
    due = since + timer.after
    if due < at:
        return None if timer.to is None else (at, timer.rule, since)
    return (due, timer.rule, since)


def _broken(pending: tuple[Pending, ...], breaks: frozenset[str], at: int) -> tuple[Pending, ...]:
    """`pending` without the silences in (since, due] of which an act at `at` breaks."""
    kept = [one for one in pending if one[0] < at or one[2] >= at or one[1] not in breaks]
    return pending if len(kept) == len(pending) else tuple(kept)


def _started(journey: Journey, track: Track, starts: tuple[Timer, ...], at: int) -> Track:
    pending = _restarted(journey, track.pending, starts, at)
    settle_at = first_stage_timer(journey, pending)
    return track_of(track.stage, track.since, settle_at, pending, track.last, track.counts, track.windows)


def _restarted(
    journey: Journey, pending: tuple[Pending, ...], starts: tuple[Timer, ...], at: int
) -> tuple[Pending, ...]:
    """`pending` with the silences that count from this touch begun anew at `at`."""
    if len(starts) == 1:
        timer = starts[0]
        if not pending or (len(pending) == 1 and pending[0][1] == timer.rule and pending[0][0] >= at):
            return ((at + timer.after, timer.rule, at),)
    kept = [one for one in pending if one[0] < at or not _is_among(one[1], starts)]
    kept += [(at + timer.after, timer.rule, at) for timer in starts]
    return arrange(journey, kept)


def _triggered(
    journey: Journey,
    track: Track,
    found: tuple[Trigger, ...],
    at: int,
    windows: tuple[tuple[int, ...], ...],
    moved: bool,
) -> Track:
    """The track with the signals that this event fires; `windows` do not have it yet, all else does.

    Of two events of one millisecond a rule is told once.
    """
    pending, told = list(track.pending), list(track.windows)
    for trigger in found:
        if _fires(trigger, track, at, windows, moved) and (at, trigger.rule, at) not in pending:
            pending.append((at, trigger.rule, at))
            if trigger.once >= 0:
                told[trigger.once] = (at,)
    if len(pending) == len(track.pending):
        return track
    arranged = arrange(journey, pending)
    return track_of(track.stage, track.since, track.settle_at, arranged, track.last, track.counts, tuple(told))


def _fires(trigger: Trigger, track: Track, at: int, windows: tuple[tuple[int, ...], ...], moved: bool) -> bool:
    move = trigger.move
    if moved and move.count > 1 and move.within == FAR:
        return False  # it counts from the entry on, and the event that entered is not one of those
    if not fits(move, at, track.counts, windows):
        return False
    for slot, ms in trigger.unless:
        last = track.last[slot]
        if last != NEVER and at - last < ms:
            return False
    if trigger.once < 0:
        return True
    time = track.windows[trigger.once]
    return not time or at - time[0] >= trigger.again


def _is_among(rule: str, timers: tuple[Timer, ...]) -> bool:
    for timer in timers:  # noqa: SIM110  # a generator cannot be part of a C function
        if timer.rule == rule:
            return True
    return False


def _with(times: tuple[int, ...], slots: tuple[int, ...], at: int) -> tuple[int, ...]:
    if len(times) == 1:
        return (at,)
    changed = list(times)
    for slot in slots:
        changed[slot] = at
    return tuple(changed)


def _counted(counts: tuple[int, ...], slots: tuple[int, ...]) -> tuple[int, ...]:
    changed = list(counts)
    for slot in slots:
        changed[slot] += 1
    return tuple(changed)


def _windows(
    windows: tuple[tuple[int, ...], ...], slots: tuple[tuple[int, int], ...], at: int
) -> tuple[tuple[int, ...], ...]:
    """The windows with this touch's time added; each keeps only as many times as its rule needs."""
    if not slots:
        return windows
    changed = list(windows)
    for slot, size in slots:
        window = changed[slot]
        changed[slot] = (*window[len(window) - size + 1 :], at) if len(window) >= size else (*window, at)
    return tuple(changed)
