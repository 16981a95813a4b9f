"""Bugs in the fold and in what journeys are compiled to."""

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, TypeVar

import pytest

from pipeline.domain import compile as compiling
from pipeline.domain import fold as folding
from pipeline.domain import track as tracking
from pipeline.domain.compile import Journey
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.fold import Fold
from pipeline.domain.history import Entry
from pipeline.domain.profile import Event, Pending, Profile, Track
from pipeline.domain.remembered import recent_of
from tests.mutants.registry import mutant

Value = TypeVar("Value", Track, Event)


def changed(original: Value, **fields: Any) -> Value:
    """A copy with other values in some fields."""
    copied = copy(original)
    if isinstance(copied, Event):
        copied.packed = None
    for name, value in fields.items():
        setattr(copied, name, value)
    return copied


def with_pending(journey: Journey, track: Track, pending: Iterable[Pending]) -> Track:
    arranged = tracking.arrange(journey, list(pending))
    settle_at = tracking.first_stage_timer(journey, arranged)
    return changed(track, pending=arranged, settle_at=settle_at)


def after_event(patch: pytest.MonkeyPatch, spoil: Callable[[Fold, Profile], None]) -> None:
    original = Fold.event

    def event(self: Fold, profile: Profile, *rest: Any) -> Any:
        outcome = original(self, profile, *rest)
        spoil(self, profile)
        return outcome

    patch.setattr(Fold, "event", event)


def before_event(patch: pytest.MonkeyPatch, spoil: Callable[[Fold, Profile], None]) -> None:
    original = Fold.event

    def event(self: Fold, profile: Profile, *rest: Any) -> Any:
        spoil(self, profile)
        return original(self, profile, *rest)

    patch.setattr(Fold, "event", event)


def around_step(
    patch: pytest.MonkeyPatch,
    after: Callable[[Journey, Track, Event, Track], Track] = lambda _journey, _old, _event, new: new,
    before: Callable[[Journey, Track, Event, list[Entry]], Track] = lambda _journey, old, _event, _entries: old,
) -> None:
    original = tracking.step

    def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        track = before(journey, track, event, entries)
        return after(journey, track, event, original(journey, track, event, entries))

    patch.setattr(folding, "step", step)


@mutant("fold")
def base_without_pending_timers(patch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        for position in profile.positions:
            position.base = changed(position.base, pending=(), settle_at=FAR)

    after_event(patch, spoil)


@mutant("fold")
def base_with_the_timers_of_the_head(patch: pytest.MonkeyPatch) -> None:
    def spoil(fold: Fold, profile: Profile) -> None:
        for journey, position in zip(fold.journeys, profile.positions, strict=True):
            position.base = with_pending(journey, position.base, position.track.pending)

    after_event(patch, spoil)


@mutant("fold")
def base_without_the_times_that_counts_need(patch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        for position in profile.positions:
            position.base = changed(position.base, windows=tuple(() for _ in position.base.windows))

    after_event(patch, spoil)


@mutant("fold")
def fired_timers_are_no_part_of_the_order(patch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        for position in profile.positions:
            position.ahead = 0

    before_event(patch, spoil)


@mutant("fold")
def base_takes_events_at_the_horizon(patch: pytest.MonkeyPatch) -> None:
    def spoil(fold: Fold, profile: Profile) -> None:
        strand = profile.strands[0]
        while strand.count > 1 and strand.oldest <= strand.newest - fold._lateness:
            fold._overflow(profile, strand)
            strand.truncated = 0
            strand.floor = None

    after_event(patch, spoil)


@mutant("fold")
def overtaken_signals_are_dropped(patch: pytest.MonkeyPatch) -> None:
    def after(journey: Journey, _old: Track, event: Event, new: Track) -> Track:
        kept = [p for p in new.pending if p[0] >= event.at or journey.timers[p[1]].to is not None]
        return with_pending(journey, new, kept)

    around_step(patch, after=after)


@mutant("fold")
def timers_are_looked_at_only_when_the_watermark_rises(patch: pytest.MonkeyPatch) -> None:
    original = Fold.event

    def event(self: Fold, profile: Profile, who: str, event: Event, watermark: int | None, *rest: Any) -> Any:
        told = any(position.ahead or position.fired for position in profile.positions)
        return original(self, profile, who, event, watermark if told else None, *rest)

    patch.setattr(Fold, "event", event)


@mutant("fold")
def a_later_due_with_a_shorter_grace_fires_first(patch: pytest.MonkeyPatch) -> None:
    def project(journey: Journey, track: Track, watermark: int, entries: list[Entry]) -> tuple[Track, list[Pending]]:
        def ready() -> list[Pending]:
            return [p for p in track.pending if watermark >= p[0] + journey.timers[p[1]].grace]

        while moving := [p for p in ready() if journey.timers[p[1]].to is not None]:
            due, rule, since = moving[0]
            to = journey.timers[rule].to or ""
            entries.append(Entry(due, rule, to, "", "", "", since))
            track = tracking.enter(journey, track, to, due)
        return track, ready()

    patch.setattr(folding, "project", project)


@mutant("fold")
def a_settled_timer_arms_none(patch: pytest.MonkeyPatch) -> None:
    original = tracking._fire

    def fire(journey: Journey, track: Track, entries: list[Entry]) -> Track:
        fired = original(journey, track, entries)
        return with_pending(journey, fired, [p for p in fired.pending if p in track.pending])

    patch.setattr(tracking, "_fire", fire)


@mutant("fold")
def an_event_at_exactly_due_breaks_nothing(patch: pytest.MonkeyPatch) -> None:
    def after(journey: Journey, old: Track, event: Event, new: Track) -> Track:
        spared = [p for p in old.pending if p[0] == event.at and p not in new.pending]
        return with_pending(journey, new, [*new.pending, *spared]) if old.stage == new.stage else new

    around_step(patch, after=after)


@mutant("fold")
def a_fired_signal_is_final_at_once(patch: pytest.MonkeyPatch) -> None:
    original = tracking.without_final
    patch.setattr(folding, "without_final", lambda journey, track, _horizon, w: original(journey, track, FAR, w))


@mutant("fold")
def final_moves_are_made_again_at_each_refold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "settle", lambda _journey, track, _before, _entries: track)


@mutant("fold")
def a_told_signal_becomes_final_before_it_is_looked_at(patch: pytest.MonkeyPatch) -> None:
    original = Fold._signals

    def signals(
        self: Fold, profile: Profile, journey: Journey, position: Any, ready: Any, horizon: int, *rest: Any
    ) -> None:
        position.fired = tuple(fired for fired in position.fired if fired.due >= horizon)
        original(self, profile, journey, position, ready, horizon, *rest)

    patch.setattr(Fold, "_signals", signals)


@mutant("fold")
def entering_a_stage_does_not_look_back_for_what_broke(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(compiling, "_looks_back", lambda _silence: False)


@mutant("fold")
def entering_a_stage_tells_old_silences_again(patch: pytest.MonkeyPatch) -> None:
    original = tracking._armed_on_entry

    def armed(timer: Any, last: tuple[int, ...], at: int) -> Pending | None:
        found = original(timer, last, at)
        if found is not None or timer.last is None or last[timer.last] == NEVER:
            return found
        broken = timer.broken is not None and last[timer.broken] > last[timer.last]
        return None if broken else (at, timer.rule, last[timer.last])

    patch.setattr(tracking, "_armed_on_entry", armed)


@mutant("fold")
def old_silences_do_not_move_on_entry(patch: pytest.MonkeyPatch) -> None:
    original = tracking._armed_on_entry

    def armed(timer: Any, last: tuple[int, ...], at: int) -> Pending | None:
        found = original(timer, last, at)
        return None if found is not None and found[0] == at else found

    patch.setattr(tracking, "_armed_on_entry", armed)


@mutant("fold")
def the_last_rule_wins(patch: pytest.MonkeyPatch) -> None:
    original = compiling._moves

    def moves(*arguments: Any) -> Any:
        return {stage: found[::-1] for stage, found in original(*arguments).items()}

    patch.setattr(compiling, "_moves", moves)


@mutant("fold")
def a_window_is_closed_at_both_ends(patch: pytest.MonkeyPatch) -> None:
    original = tracking.fits

    def fits(move: Any, *rest: Any) -> bool:
        wider = move if move.within is None else compiling.Move(**{**_fields(move), "within": move.within + 1})
        return original(wider, *rest)

    patch.setattr(tracking, "fits", fits)


@mutant("fold")
def counts_outlive_the_stage(patch: pytest.MonkeyPatch) -> None:
    after_compiling(patch, lambda journey: setattr(journey, "since_entry", ()))


@mutant("fold")
def every_count_ends_with_the_stage(patch: pytest.MonkeyPatch) -> None:
    after_compiling(patch, lambda journey: setattr(journey, "since_entry", tuple(range(len(journey.start.windows)))))


@mutant("fold")
def an_act_breaks_what_began_with_it(patch: pytest.MonkeyPatch) -> None:
    def before(journey: Journey, track: Track, event: Event, _entries: list[Entry]) -> Track:
        row = journey.rows.get(event.touch, journey.default)
        breaks = row.breaks if row else frozenset()
        return with_pending(journey, track, [p for p in track.pending if p[2] != event.at or p[1] not in breaks])

    around_step(patch, before=before)


@mutant("fold")
def a_timer_due_with_the_act_is_settled(patch: pytest.MonkeyPatch) -> None:
    def before(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        return tracking.settle(journey, track, event.at + 1, entries)

    around_step(patch, before=before)


@mutant("fold")
def a_move_drops_signals_that_were_right(patch: pytest.MonkeyPatch) -> None:
    original = tracking.enter

    def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
        entered = original(journey, track, to, at)
        return with_pending(
            journey, entered, [p for p in entered.pending if p[0] >= at or journey.timers[p[1]].scope is None]
        )

    patch.setattr(tracking, "enter", enter)


@mutant("fold")
def a_move_keeps_signals_due_with_it(patch: pytest.MonkeyPatch) -> None:
    original = tracking.enter

    def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
        entered = original(journey, track, to, at)
        kept = [p for p in track.pending if p[0] == at and journey.timers[p[1]].to is None and p not in entered.pending]
        return with_pending(journey, entered, [*entered.pending, *kept])

    patch.setattr(tracking, "enter", enter)


@mutant("fold")
def as_old_as_the_lateness_is_late(patch: pytest.MonkeyPatch) -> None:
    original = Fold.__init__

    def shorter(self: Fold, journeys: Any, company: Any, lateness: int, limit: int) -> None:
        original(self, journeys, company, lateness - 1, limit)

    patch.setattr(Fold, "__init__", shorter)


@mutant("fold")
def what_was_pushed_out_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        profile.strands[0].floor = None

    after_event(patch, spoil)


@mutant("fold")
def events_are_folded_as_they_arrive(patch: pytest.MonkeyPatch) -> None:
    def insert(strand: Any, event: Event) -> None:
        strand.recent = [*recent_of(strand), event]
        strand.count += 1

    patch.setattr(folding, "insert", insert)


@mutant("fold")
def a_correction_names_nothing(patch: pytest.MonkeyPatch) -> None:
    around_publish(patch, lambda arguments: [*arguments[:6], (), *arguments[7:]])


@mutant("fold")
def the_last_word_is_missing(patch: pytest.MonkeyPatch) -> None:
    around_publish(patch, lambda arguments: None if arguments[6] == (arguments[4],) else arguments)


@mutant("fold")
def what_the_company_does_counts(patch: pytest.MonkeyPatch) -> None:
    original = tracking.step

    def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        if event.touch in {"mailed", "company_act"}:
            event = changed(event, touch="unclassified")
        return original(journey, track, event, entries)

    patch.setattr(folding, "step", step)


@mutant("fold")
def the_base_moves_by_a_copy_of_the_head(patch: pytest.MonkeyPatch) -> None:
    """When events leave the memory, the base becomes the head instead of being folded on."""
    original = Fold._append

    def append(self: Fold, profile: Profile, strand: Any, event: Event, *rest: Any) -> None:
        heads = [position.track for position in profile.positions]
        before = strand.count
        original(self, profile, strand, event, *rest)
        if strand.count <= before:
            for position, head in zip(profile.positions, heads, strict=True):
                position.base = head

    patch.setattr(Fold, "_append", append)


@mutant("fold")
def a_late_event_is_folded(patch: pytest.MonkeyPatch) -> None:
    """An event older than the lateness allows takes part in the fold."""
    original = Fold.event

    def event(self: Fold, profile: Profile, *rest: Any) -> Any:
        lateness, self._lateness = self._lateness, FAR >> 1
        profile.strands[0].floor = None
        try:
            return original(self, profile, *rest)
        finally:
            self._lateness = lateness

    patch.setattr(Fold, "event", event)


@mutant("fold")
def a_duplicate_is_counted(patch: pytest.MonkeyPatch) -> None:
    """An event that comes again is folded again."""
    original = Fold.event

    def event(self: Fold, profile: Profile, who: str, event: Event, *rest: Any) -> Any:
        outcome = original(self, profile, who, event, *rest)
        if outcome == "duplicate":
            again = changed(event, id=f"{event.id} again")
            outcome = original(self, profile, who, again, *rest)
        return outcome

    patch.setattr(Fold, "event", event)


@mutant("fold")
def a_timer_fires_twice(patch: pytest.MonkeyPatch) -> None:
    """A signal that was told is told again at the next look."""
    original = Fold._signals

    def signals(self: Fold, profile: Profile, journey: Journey, position: Any, *rest: Any) -> None:
        original(self, profile, journey, position, *rest)
        position.fired = ()

    patch.setattr(Fold, "_signals", signals)


def after_compiling(patch: pytest.MonkeyPatch, spoil: Callable[[Journey], None]) -> None:
    original = Journey.__init__

    def spoilt(self: Journey, *arguments: Any) -> None:
        original(self, *arguments)
        spoil(self)

    patch.setattr(Journey, "__init__", spoilt)


def around_publish(patch: pytest.MonkeyPatch, spoil: Callable[[list[Any]], list[Any] | None]) -> None:
    original = folding._publish

    def publish(*arguments: Any) -> None:
        if spoilt := spoil(list(arguments)):
            original(*spoilt)

    patch.setattr(folding, "_publish", publish)


def around_fires(patch: pytest.MonkeyPatch, spoil: Callable[[Any, list[Any]], bool]) -> None:
    """`spoil` is asked instead of whether a touch fires a signal; it gets the answer's function and arguments."""
    original = tracking._fires
    patch.setattr(tracking, "_fires", lambda *arguments: spoil(original, list(arguments)))


def _trigger(trigger: compiling.Trigger, **fields: Any) -> compiling.Trigger:
    known = {name: getattr(trigger, name) for name in ("move", "unless", "once", "again")}
    return compiling.Trigger(**{**known, **fields})


@mutant("fold")
def nothing_forbids_a_signal_by_a_touch(patch: pytest.MonkeyPatch) -> None:
    around_fires(patch, lambda fires, found: bool(fires(_trigger(found[0], unless=()), *found[1:])))


@mutant("fold")
def what_forbids_a_signal_does_so_at_the_edge_too(patch: pytest.MonkeyPatch) -> None:
    def wider(fires: Any, found: list[Any]) -> bool:
        unless = tuple((slot, ms if ms == FAR else ms + 1) for slot, ms in found[0].unless)
        return bool(fires(_trigger(found[0], unless=unless), *found[1:]))

    around_fires(patch, wider)


@mutant("fold")
def a_signal_by_a_touch_is_told_every_time(patch: pytest.MonkeyPatch) -> None:
    around_fires(patch, lambda fires, found: bool(fires(_trigger(found[0], once=-1), *found[1:])))


@mutant("fold")
def a_signal_by_a_touch_is_told_once_for_all(patch: pytest.MonkeyPatch) -> None:
    around_fires(patch, lambda fires, found: bool(fires(_trigger(found[0], again=FAR), *found[1:])))


@mutant("fold")
def the_act_that_moves_counts_in_the_new_stage(patch: pytest.MonkeyPatch) -> None:
    around_fires(patch, lambda fires, found: bool(fires(*found[:4], False)))


@mutant("fold")
def an_act_that_moves_fires_no_signal_by_a_touch(patch: pytest.MonkeyPatch) -> None:
    original = tracking.step

    def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        before = len(entries)
        after = original(journey, track, event, entries)
        told = (event.at, event.at)
        if len(entries) == before:
            return after
        return with_pending(journey, after, [one for one in after.pending if (one[0], one[2]) != told])

    patch.setattr(folding, "step", step)


@mutant("fold")
def a_move_takes_signals_by_touches_back(patch: pytest.MonkeyPatch) -> None:
    original = tracking.enter

    def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
        entered = original(journey, track, to, at)
        return with_pending(journey, entered, [one for one in entered.pending if one[0] != one[2] or one[0] == at])

    patch.setattr(tracking, "enter", enter)


@mutant("fold")
def a_stage_is_not_entered_once_more(patch: pytest.MonkeyPatch) -> None:
    original = compiling._moves

    def moves(*arguments: Any) -> Any:
        found = original(*arguments)
        return {stage: tuple(move for move in some if move.to != stage) for stage, some in found.items()}

    patch.setattr(compiling, "_moves", moves)


def _fields(move: compiling.Move) -> dict[str, Any]:
    return {name: getattr(move, name) for name in move.__slots__}
