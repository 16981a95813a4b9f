"""Bugs planted into the fast fold: the cases must notice each. So the cases are as sharp as the page they belong to."""

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final, TypeVar

import pytest

from pipeline.domain import compile as compiling
from pipeline.domain import fold as folding
from pipeline.domain import track as tracking
from pipeline.domain.compile import Journey
from pipeline.domain.encoding import base_of
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.fold import Fold
from pipeline.domain.history import Entry
from pipeline.domain.profile import Event, Pending, Profile, Track
from pipeline.domain.remembered import recent_of
from tests.cases.reading import read_cases
from tests.unit.test_cases import models, play

pytestmark = pytest.mark.pure

CASES: Final = [case for file in read_cases() for case in file.cases]
Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: Final[dict[str, Plant]] = {}
COMPILED: Final[set[Plant]] = set()
"""The bugs that are in what a journey is compiled to: for them journeys are compiled anew."""


def bug(plant: Plant) -> Plant:
    BUGS[plant.__name__] = plant
    return plant


def compiled(plant: Plant) -> Plant:
    COMPILED.add(plant)
    return bug(plant)


Value = TypeVar("Value", Track, Event)


def changed(original: Value, **fields: Any) -> Value:
    """A copy with other values in some fields."""
    copied = copy(original)
    copied.packed = None
    for name, value in fields.items():
        setattr(copied, name, value)
    return copied


def with_pending(journey: Journey, track: Track, pending: Iterable[Pending]) -> Track:
    arranged = tracking.arrange(journey, list(pending))
    settle_at = tracking.first_stage_timer(journey, arranged)
    return changed(track, pending=arranged, settle_at=settle_at)


def after_event(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Fold, Profile], None]) -> None:
    original = Fold.event

    def event(self: Fold, profile: Profile, *rest: Any) -> Any:
        outcome = original(self, profile, *rest)
        spoil(self, profile)
        return outcome

    monkeypatch.setattr(Fold, "event", event)


def before_event(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Fold, Profile], None]) -> None:
    original = Fold.event

    def event(self: Fold, profile: Profile, *rest: Any) -> Any:
        spoil(self, profile)
        return original(self, profile, *rest)

    monkeypatch.setattr(Fold, "event", event)


def around_step(
    monkeypatch: pytest.MonkeyPatch,
    after: Callable[[Journey, Track, Event, Track], Track] = lambda _journey, _old, _event, new: new,
    before: Callable[[Journey, Track, Event, list[Entry]], Track] = lambda _journey, old, _event, _entries: old,
) -> None:
    original = tracking.step

    def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        track = before(journey, track, event, entries)
        return after(journey, track, event, original(journey, track, event, entries))

    monkeypatch.setattr(folding, "step", step)


@bug
def base_without_pending_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        for position in profile.positions:
            position.base = changed(base_of(position), pending=(), settle_at=FAR)

    after_event(monkeypatch, spoil)


@bug
def base_with_the_timers_of_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(fold: Fold, profile: Profile) -> None:
        for journey, position in zip(fold.journeys, profile.positions, strict=True):
            position.base = with_pending(journey, base_of(position), position.track.pending)

    after_event(monkeypatch, spoil)


@bug
def base_without_the_times_that_counts_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        for position in profile.positions:
            position.base = changed(base_of(position), windows=tuple(() for _ in base_of(position).windows))

    after_event(monkeypatch, spoil)


@bug
def fired_timers_are_no_part_of_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        for position in profile.positions:
            position.ahead = 0

    before_event(monkeypatch, spoil)


@bug
def base_takes_events_at_the_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(fold: Fold, profile: Profile) -> None:
        strand = profile.strands[0]
        while strand.count > 1 and strand.oldest <= strand.newest - fold._lateness:
            fold._overflow(profile, strand)
            strand.truncated = 0
            strand.floor = None

    after_event(monkeypatch, spoil)


@bug
def overtaken_signals_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def after(journey: Journey, _old: Track, event: Event, new: Track) -> Track:
        kept = [p for p in new.pending if p[0] >= event.at or journey.timers[p[1]].to is not None]
        return with_pending(journey, new, kept)

    around_step(monkeypatch, after=after)


@bug
def timers_are_looked_at_only_when_the_watermark_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Fold.event

    def event(self: Fold, profile: Profile, event: Event, watermark: int | None, *rest: Any) -> Any:
        told = any(position.ahead or position.fired for position in profile.positions)
        return original(self, profile, event, watermark if told else None, *rest)

    monkeypatch.setattr(Fold, "event", event)


@bug
def a_later_due_with_a_shorter_grace_fires_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def project(journey: Journey, track: Track, watermark: int, entries: list[Entry]) -> tuple[Track, list[Pending]]:
        def ready() -> list[Pending]:
            return [p for p in track.pending if watermark >= p[0] + journey.timers[p[1]].grace]

        while moving := [p for p in ready() if journey.timers[p[1]].to is not None]:
            due, rule, since = moving[0]
            to = journey.timers[rule].to or ""
            entries.append(Entry(due, rule, to, "", "", "", since))
            track = tracking.enter(journey, track, to, due)
        return track, ready()

    monkeypatch.setattr(folding, "project", project)


@bug
def a_settled_timer_arms_none(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking._fire

    def fire(journey: Journey, track: Track, entries: list[Entry]) -> Track:
        fired = original(journey, track, entries)
        return with_pending(journey, fired, [p for p in fired.pending if p in track.pending])

    monkeypatch.setattr(tracking, "_fire", fire)


@bug
def an_event_at_exactly_due_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def after(journey: Journey, old: Track, event: Event, new: Track) -> Track:
        spared = [p for p in old.pending if p[0] == event.at and p not in new.pending]
        return with_pending(journey, new, [*new.pending, *spared]) if old.stage == new.stage else new

    around_step(monkeypatch, after=after)


@bug
def a_fired_signal_is_final_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking.without_final
    monkeypatch.setattr(folding, "without_final", lambda journey, track, _horizon, w: original(journey, track, FAR, w))


@bug
def final_moves_are_made_again_at_each_refold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "settle", lambda _journey, track, _before, _entries: track)


@bug
def a_told_signal_becomes_final_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Fold._signals

    def signals(
        self: Fold, profile: Profile, journey: Journey, position: Any, ready: Any, horizon: int, *rest: Any
    ) -> None:
        position.fired = tuple(fired for fired in position.fired if fired.due >= horizon)
        original(self, profile, journey, position, ready, horizon, *rest)

    monkeypatch.setattr(Fold, "_signals", signals)


@compiled
def entering_a_stage_does_not_look_back_for_what_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_looks_back", lambda _silence: False)


@bug
def entering_a_stage_tells_old_silences_again(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking._armed_on_entry

    def armed(timer: Any, last: tuple[int, ...], at: int) -> Pending | None:
        found = original(timer, last, at)
        if found is not None or timer.last is None or last[timer.last] == NEVER:
            return found
        broken = timer.broken is not None and last[timer.broken] > last[timer.last]
        return None if broken else (at, timer.rule, last[timer.last])

    monkeypatch.setattr(tracking, "_armed_on_entry", armed)


@bug
def old_silences_do_not_move_on_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking._armed_on_entry

    def armed(timer: Any, last: tuple[int, ...], at: int) -> Pending | None:
        found = original(timer, last, at)
        return None if found is not None and found[0] == at else found

    monkeypatch.setattr(tracking, "_armed_on_entry", armed)


@compiled
def the_last_rule_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    original = compiling._moves

    def moves(*arguments: Any) -> Any:
        return {stage: found[::-1] for stage, found in original(*arguments).items()}

    monkeypatch.setattr(compiling, "_moves", moves)


@bug
def a_window_is_closed_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking.fits

    def fits(move: Any, *rest: Any) -> bool:
        wider = move if move.within is None else compiling.Move(**{**_fields(move), "within": move.within + 1})
        return original(wider, *rest)

    monkeypatch.setattr(tracking, "fits", fits)


@compiled
def counts_outlive_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    after_compiling(monkeypatch, lambda journey: setattr(journey, "since_entry", ()))


@compiled
def every_count_ends_with_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    after_compiling(
        monkeypatch, lambda journey: setattr(journey, "since_entry", tuple(range(len(journey.start.windows))))
    )


@bug
def an_act_breaks_what_began_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def before(journey: Journey, track: Track, event: Event, _entries: list[Entry]) -> Track:
        row = journey.rows.get(event.touch, journey.default)
        breaks = row.breaks if row else frozenset()
        return with_pending(journey, track, [p for p in track.pending if p[2] != event.at or p[1] not in breaks])

    around_step(monkeypatch, before=before)


@bug
def a_timer_due_with_the_act_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    def before(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        return tracking.settle(journey, track, event.at + 1, entries)

    around_step(monkeypatch, before=before)


@bug
def a_move_drops_signals_that_were_right(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking.enter

    def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
        entered = original(journey, track, to, at)
        return with_pending(
            journey, entered, [p for p in entered.pending if p[0] >= at or journey.timers[p[1]].scope is None]
        )

    monkeypatch.setattr(tracking, "enter", enter)


@bug
def a_move_keeps_signals_due_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking.enter

    def enter(journey: Journey, track: Track, to: str, at: int) -> Track:
        entered = original(journey, track, to, at)
        kept = [p for p in track.pending if p[0] == at and journey.timers[p[1]].to is None and p not in entered.pending]
        return with_pending(journey, entered, [*entered.pending, *kept])

    monkeypatch.setattr(tracking, "enter", enter)


@bug
def as_old_as_the_lateness_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Fold.__init__

    def shorter(self: Fold, journeys: Any, company: Any, lateness: int, limit: int) -> None:
        original(self, journeys, company, lateness - 1, limit)

    monkeypatch.setattr(Fold, "__init__", shorter)


@bug
def what_was_pushed_out_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(_fold: Fold, profile: Profile) -> None:
        profile.strands[0].floor = None

    after_event(monkeypatch, spoil)


@bug
def events_are_folded_as_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    def insert(strand: Any, event: Event) -> None:
        strand.recent = [*recent_of(strand), event]
        strand.count += 1

    monkeypatch.setattr(folding, "insert", insert)


@bug
def a_correction_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    around_publish(monkeypatch, lambda arguments: [*arguments[:6], (), *arguments[7:]])


@bug
def the_last_word_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    around_publish(monkeypatch, lambda arguments: None if arguments[6] == (arguments[4],) else arguments)


@bug
def what_the_company_does_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tracking.step

    def step(journey: Journey, track: Track, event: Event, entries: list[Entry]) -> Track:
        if event.touch in {"mailed", "company_act"}:
            event = changed(event, touch="unclassified")
        return original(journey, track, event, entries)

    monkeypatch.setattr(folding, "step", step)


def after_compiling(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Journey], None]) -> None:
    original = Journey.__init__

    def spoilt(self: Journey, *arguments: Any) -> None:
        original(self, *arguments)
        spoil(self)

    monkeypatch.setattr(Journey, "__init__", spoilt)


def around_publish(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[list[Any]], list[Any] | None]) -> None:
    original = folding._publish

    def publish(*arguments: Any) -> None:
        if spoilt := spoil(list(arguments)):
            original(*spoilt)

    monkeypatch.setattr(folding, "_publish", publish)


def _fields(move: compiling.Move) -> dict[str, Any]:
    return {name: getattr(move, name) for name in move.__slots__}


def noticed() -> str | None:
    """The first case that fails, if one does."""
    for case in CASES:
        try:
            play(case)
        except AssertionError:
            return case.name
    return None


def test_no_case_fails_without_a_bug() -> None:
    assert noticed() is None


@pytest.mark.parametrize("plant", BUGS.values(), ids=BUGS.keys())
def test_some_case_notices(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    if plant in COMPILED:
        models.cache_clear()
    try:
        assert noticed() is not None
    finally:
        if plant in COMPILED:
            models.cache_clear()
