"""A journey compiled to tables: touch -> what it breaks, counts, moves and arms."""

from collections.abc import Iterable
from typing import TypeVar

from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.profile import track_of
from pipeline.domain.spec import ANY, START, EntrySpec, JourneySpec, SilenceSpec, TriggerSpec


class Timer:
    """A silence, ready to be armed. `order` is its place among those with one due: stage timers before signals.

    `last` is the slot of the touches that it counts from, -1 for the entry of the stage. `broken` is the slot of the
    touches that break it, if entering a stage must look back for them, else -1. `scope` are the stages it is pending
    in, None for all. `to` is None for a signal, whose public name is `signal`.
    """

    __slots__ = ("after", "broken", "expires", "grace", "last", "order", "rule", "scope", "signal", "to")

    def __init__(
        self,
        rule: str,
        order: int,
        to: str | None,
        signal: str,
        after: int,
        last: int,
        broken: int,
        scope: frozenset[str] | None,
        grace: int,
        expires: int | None,
    ) -> None:
        self.rule = rule
        self.order = order
        self.to = to
        self.signal = signal
        self.after = after
        self.last = last
        self.broken = broken
        self.scope = scope
        self.grace = grace
        self.expires = expires


class Move:
    """An entry rule for one touch and one stage. `window` is the slot of the times it counts, -1 without a count.

    `within` is FAR where the times need not lie within any span.
    """

    __slots__ = ("at_least", "count", "rule", "to", "window", "within")

    def __init__(
        self, rule: str, to: str, count: int, within: int, window: int, at_least: tuple[tuple[int, int], ...]
    ) -> None:
        self.rule = rule
        self.to = to
        self.count = count
        self.within = within
        self.window = window
        self.at_least = at_least


class Trigger:
    """A signal for one touch and one stage. `move` has its counts, `unless` (slot of a last time, ms: FAR for ever).

    `once` is the slot of the time it was told last, -1 if it is told every time; not again within `again` ms of that.
    """

    __slots__ = ("again", "move", "once", "rule", "unless")

    def __init__(self, move: Move, unless: tuple[tuple[int, int], ...], once: int, again: int) -> None:
        self.rule = move.rule
        self.move = move
        self.unless = unless
        self.once = once
        self.again = again


class Row:
    """All that one touch does: slots to bring up to date, rules whose silence it breaks, and by stage its moves, the
    timers it starts and, if it has any, the signals it fires."""

    __slots__ = ("breaks", "counts", "last", "moves", "starts", "triggers", "windows")

    def __init__(
        self,
        last: tuple[int, ...],
        counts: tuple[int, ...],
        windows: tuple[tuple[int, int], ...],
        breaks: frozenset[str],
        moves: dict[str, tuple[Move, ...]],
        starts: dict[str, tuple[Timer, ...]],
        triggers: dict[str, tuple[Trigger, ...]] | None,
    ) -> None:
        self.last = last
        self.counts = counts
        self.windows = windows
        self.breaks = breaks
        self.moves = moves
        self.starts = starts
        self.triggers = triggers


class Journey:
    """The compiled form of one journey; immutable by convention.

    `rows` by touch, `default` for a customer's touches that have no row of their own (None: nothing happens).
    `on_entry`: the silences that entering a stage arms. `shape`: what the slots of a track mean, to compare with;
    `slots` says the same one by one: of the last times, the counts and the windows. `names`: all that it
    puts into profiles.
    """

    def __init__(self, spec: JourneySpec, company: frozenset[str]) -> None:
        self.spec = spec
        self.name = spec.name
        self.version = spec.version
        self.fingerprint = spec.fingerprint
        self.stages = tuple(stage.id for stage in spec.stages)
        since_sets = [silence.since for silence in spec.silences if silence.since is not None]
        looked_back = [silence.unless for silence in spec.silences if _looks_back(silence)]
        looked_back += [(touch,) for trigger in spec.triggers for touch, _ in trigger.unless]
        last_sets = _distinct(since_sets + looked_back)
        counting: tuple[EntrySpec | TriggerSpec, ...] = (*spec.entries, *spec.triggers)
        counted = _distinct(touch for rule in counting for touch, _ in rule.at_least)
        windowed = [rule for rule in counting if rule.count > 1]
        window_of = {rule.rule: slot for slot, rule in enumerate(windowed)}
        told = [trigger for trigger in spec.triggers if trigger.once is not None]
        told_of = {trigger.rule: len(windowed) + slot for slot, trigger in enumerate(told)}
        timers = _timers(spec.silences, last_sets)
        timers += [_told(trigger, len(timers) + place) for place, trigger in enumerate(spec.triggers)]
        self.timers = {timer.rule: timer for timer in timers}
        self.on_entry = {
            stage: tuple(t for t in timers if t.scope is not None and stage in t.scope) for stage in self.stages
        }
        self.since_entry = tuple(slot for slot, rule in enumerate(windowed) if rule.within_ms is None)
        self.since_entry += tuple(told_of[trigger.rule] for trigger in told if trigger.once == "entry")
        windows = [(rule.rule, rule.count, rule.within_ms is None) for rule in windowed]
        windows += [(trigger.rule, 1, trigger.once == "entry") for trigger in told]
        self.shape = repr((last_sets, counted, windows))
        self.slots = (
            tuple(frozenset(touches) for touches in last_sets),
            tuple(counted),
            tuple(
                (*window, frozenset(rule.touches)) if window[1] > 1 else window
                for window, rule in zip(windows, (*windowed, *told), strict=True)
            ),
        )
        rules = (*(entry.rule for entry in spec.entries), *self.timers)
        self.names = (self.name, *self.stages, *rules, *(timer.signal for timer in timers))
        self.start = track_of(
            START, NEVER, FAR, (), (NEVER,) * len(last_sets), (0,) * len(counted), ((),) * len(windows)
        )

        def move(rule: EntrySpec | TriggerSpec, to: str) -> Move:
            within = FAR if rule.within_ms is None else rule.within_ms
            at_least = tuple((counted.index(name), n) for name, n in rule.at_least)
            return Move(rule.rule, to, rule.count, within, window_of.get(rule.rule, -1), at_least)

        moves = [(entry, move(entry, entry.to)) for entry in spec.entries]
        triggers = [
            (
                trigger,
                Trigger(
                    move(trigger, ""),
                    tuple((last_sets.index((touch,)), FAR if ms is None else ms) for touch, ms in trigger.unless),
                    told_of.get(trigger.rule, -1),
                    trigger.once if isinstance(trigger.once, int) else FAR,
                ),
            )
            for trigger in spec.triggers
        ]
        silences = {silence.rule: silence for silence in spec.silences}

        def row(touch: str) -> Row | None:
            made = Row(
                last=tuple(slot for slot, touches in enumerate(last_sets) if touch in touches or ANY in touches),
                counts=tuple(slot for slot, counted_touch in enumerate(counted) if counted_touch == touch),
                windows=tuple((slot, rule.count - 1) for slot, rule in enumerate(windowed) if touch in rule.touches),
                breaks=frozenset(rule for rule, silence in silences.items() if _broken_by(silence, touch)),
                moves=_moves(moves, touch, (START, *self.stages)),
                starts=_by_stage(
                    (START, *self.stages),
                    [t for t in timers if t.last >= 0 and _starts(silences[t.rule], touch)],
                ),
                triggers=_triggers(triggers, touch, (START, *self.stages)),
            )
            does = (made.last, made.counts, made.windows, made.breaks, made.moves, made.starts, made.triggers)
            idle = not any(does)
            return None if idle else made

        named = {touch for rule in counting for touch in rule.touches}
        named |= {touch for trigger in spec.triggers for touch, _ in trigger.unless}
        named |= {touch for silence in spec.silences for touch in (*(silence.since or ()), *silence.unless)}
        named |= set(counted)
        self.rows: dict[str, Row | None] = {touch: row(touch) for touch in sorted(named - {ANY})}
        self.rows |= dict.fromkeys(sorted(company))
        self.default = row("")


def compile_journey(spec: JourneySpec, company: frozenset[str]) -> Journey:
    """`company` are the touches that are the company's acts: they never move and never break anything."""
    return Journey(spec, company)


T = TypeVar("T")


def _distinct(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))


def _broken_by(silence: SilenceSpec, touch: str) -> bool:
    """A touch that begins the silence anew needs not break it first."""
    return (touch in silence.unless or ANY in silence.unless) and not _starts(silence, touch)


def _starts(silence: SilenceSpec, touch: str) -> bool:
    return silence.since is not None and (touch in silence.since or ANY in silence.since)


def _looks_back(silence: SilenceSpec) -> bool:
    """Whether entering a stage can arm this silence although a touch has broken it before."""
    if silence.since is None or silence.froms is None or ANY in silence.since:
        return False
    return not set(silence.unless) <= set(silence.since)


def _timers(silences: Iterable[SilenceSpec], last_sets: list[tuple[str, ...]]) -> list[Timer]:
    ordered = sorted(silences, key=lambda silence: silence.to is None)
    return [
        Timer(
            rule=silence.rule,
            order=place,
            to=silence.to,
            signal=silence.rule.partition(":")[0],
            after=silence.after_ms,
            last=-1 if silence.since is None else last_sets.index(silence.since),
            broken=last_sets.index(silence.unless) if _looks_back(silence) else -1,
            scope=None if silence.froms is None else frozenset(silence.froms),
            grace=silence.grace_ms,
            expires=silence.expires_ms,
        )
        for place, silence in enumerate(ordered)
    ]


def _by_stage(stages: tuple[str, ...], timers: list[Timer]) -> dict[str, tuple[Timer, ...]]:
    pending_in = {stage: tuple(t for t in timers if t.scope is None or stage in t.scope) for stage in stages}
    return {stage: found for stage, found in pending_in.items() if found}


def _told(trigger: TriggerSpec, order: int) -> Timer:
    """What a signal that a touch has fired is while it waits: a timer that was due at once."""
    return Timer(
        rule=trigger.rule,
        order=order,
        to=None,
        signal=trigger.rule,
        after=0,
        last=-1,
        broken=-1,
        scope=None,
        grace=trigger.grace_ms,
        expires=trigger.expires_ms,
    )


def _moves(moves: list[tuple[EntrySpec, Move]], touch: str, stages: tuple[str, ...]) -> dict[str, tuple[Move, ...]]:
    fitting = [(entry, move) for entry, move in moves if touch in entry.touches]
    by_stage = {
        stage: tuple(move for entry, move in fitting if stage in entry.froms and (entry.to != stage or entry.repeat))
        for stage in stages
    }
    return {stage: found for stage, found in by_stage.items() if found}


def _triggers(
    triggers: list[tuple[TriggerSpec, Trigger]], touch: str, stages: tuple[str, ...]
) -> dict[str, tuple[Trigger, ...]] | None:
    fitting = [(spec, trigger) for spec, trigger in triggers if touch in spec.touches]
    by_stage = {stage: tuple(t for spec, t in fitting if spec.froms is None or stage in spec.froms) for stage in stages}
    return {stage: found for stage, found in by_stage.items() if found} or None
