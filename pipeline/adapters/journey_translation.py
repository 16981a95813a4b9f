"""From the words of one journey file to its rules; every mistake is kept with its place and named in one go."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pipeline.adapters.journey_checks import endless, fingerprint, hidden, leaving, outrun, unreachable
from pipeline.adapters.journey_language import AtLeast, Enter, JourneyFile, Signal, Stage
from pipeline.adapters.yaml_documents import Document, Loc, Problem, refuse
from pipeline.adapters.yaml_files import one_of
from pipeline.domain.carry import REFOLD, STAY
from pipeline.domain.duration import format_duration, parse_duration
from pipeline.domain.event import CHANNELS
from pipeline.domain.spec import (
    ANY,
    START,
    CarryOver,
    EntrySpec,
    JourneySpec,
    Once,
    SilenceSpec,
    StageSpec,
    TouchSpec,
    TriggerSpec,
)

STALLED: Final = "stalled"
"""The signal of every stage that has a limit; the rule is `stalled:` and the stage."""

_START_WORD: Final = "start"
_ALL: Final = "*"
_SINCE: Final = re.compile(r"last (?P<touches>\S+( or \S+)*)|entered( (?P<stage>\S+))?")
MOST_RULES: Final = 1_000
"""A journey has at most so many: what it counts is kept for each of its customers."""


@dataclass(frozen=True, slots=True)
class _Since:
    """What a silence counts from: the last of `touches`, or the entry of a stage (of `stage`, if it is named)."""

    touches: tuple[str, ...] | None
    stage: str | None = None


class Translation:
    """One file on its way to a spec. Methods add to `_problems` and go on with what is sound."""

    def __init__(
        self, document: Document, file: JourneyFile, touches: tuple[TouchSpec, ...], grace: Mapping[str, int]
    ) -> None:
        self._document = document
        self._file = file
        self._touches = touches
        self._rows = {row.name: row for row in touches}
        self._grace = grace
        self._places = {stage.id: place for place, stage in enumerate(file.stages)}
        self._entries: list[EntrySpec] = []
        self._silences: list[SilenceSpec] = []
        self._triggers: list[TriggerSpec] = []
        self._terminal = frozenset(stage.id for stage in file.stages if stage.terminal)
        self._outcomes = frozenset(name for stage in file.stages for name in stage.outcome)
        self._waits: dict[str, tuple[str, ...]] = {}
        self._locs: dict[str, Loc] = {}
        self._problems: list[Problem] = []
        self._partial = False
        self.warnings: list[Problem] = []
        """What may be meant, but says something else than its author may think; known after `spec`."""

    def spec(self, odd: bool = False) -> JourneySpec:
        """The rules; UserError with all mistakes. `odd`: not for what can be followed, but can hardly be meant."""
        stages = self._file.stages
        rules = sum(len(stage.enter) + len(stage.outcome) for stage in stages) + len(self._file.signals)
        if rules > MOST_RULES:
            self._refuse(("journey",), f"{rules:,} rules: a journey has at most {MOST_RULES:,}; make several of it")
            refuse(self._problems)
        self._rules()
        # A rule that was refused is missing from the whole, which would then be blamed for it.
        refuse(self._problems)
        self._check_whole()
        self._check_carry_over()
        if not odd:
            self._check_sense()
        refuse(self._problems)
        ids = [stage.id for stage in stages]
        return JourneySpec(
            name=self._file.journey,
            version=self._file.version,
            stages=tuple(
                StageSpec(stage.id, tuple(stage.labels.model_dump().items()), stage.terminal) for stage in stages
            ),
            entries=tuple(self._entries),
            silences=tuple(self._silences),
            fingerprint=fingerprint(ids, self._entries, self._silences, self._triggers, self._touches),
            triggers=tuple(self._triggers),
            touches=tuple(row.spec(name) for name, row in self._file.touches.items()),
            carry_over=self._carry_over(),
        )

    @property
    def lines(self) -> dict[str, int]:
        """Where each rule begins in the file, from 1; known after `spec`."""
        return {rule: self._document.mark(loc, at_key=True).line for rule, loc in self._locs.items()}

    def mistakes(self) -> list[Problem]:
        """What is wrong with single rules, of a file whose unreadable parts have been left out."""
        self._partial = True
        self._rules()
        return self._problems

    def _rules(self) -> None:
        for place, stage in enumerate(self._file.stages):
            self._stage(place, stage)
        for name, signal in self._file.signals.items():
            self._signal(name, signal)

    def _refuse(self, loc: Loc, message: str, suggestion: str | None = None, at_key: bool = False) -> None:
        self._problems.append(self._document.problem(loc, message, suggestion, at_key))

    def _stage(self, place: int, stage: Stage) -> None:
        loc: Loc = ("stages", place)
        if stage.id == _START_WORD:
            self._refuse((*loc, "id"), f"'{_START_WORD}' is where every customer begins: call the stage otherwise")
        if self._places[stage.id] != place:
            self._refuse((*loc, "id"), f"there is a stage '{stage.id}' already")
        if not stage.enter and stage.id not in self._outcomes and not self._partial:
            self._refuse(loc, f"nothing enters the stage '{stage.id}': it needs `enter`")
        for number, enter in enumerate(stage.enter):
            rule = stage.id if number == 0 else f"{stage.id}/{number + 1}"
            self._locs[rule] = (*loc, "enter", number)
            self._enter(rule, place, stage.id, enter)
        if stage.stalled is not None:
            rule = f"{STALLED}:{stage.id}"
            self._locs[rule] = (*loc, STALLED)
            self._silence(rule, None, stage.stalled, None, (stage.id,), ())
        for name, when in stage.outcome.items():
            self._outcome((*loc, "outcome", name), stage, name, when)

    def _outcome(self, loc: Loc, stage: Stage, name: str, when: tuple[str, ...]) -> None:
        """The touches end the journey here: a rule that leads from this stage to the terminal one of that name."""
        if name not in self._places:
            message, near = one_of("outcome", name, tuple(sorted(self._terminal)))
            self._refuse(loc, f"{message}; an outcome is a stage with `terminal: true`", near, at_key=True)
        elif name not in self._terminal:
            self._refuse(loc, f"the stage '{name}' is no outcome: it needs `terminal: true`", at_key=True)
        elif name == stage.id:
            self._refuse(loc, f"'{name}' cannot be entered from itself", at_key=True)
        rule = f"{stage.id}/{name}"
        self._locs[rule] = loc
        self._entries.append(EntrySpec(rule, name, self._named(loc, when), (stage.id,), 1, None, ()))

    def _enter(self, rule: str, place: int, to: str, enter: Enter) -> None:
        loc = self._locs[rule]
        if (enter.when is None) == (enter.after is None):
            self._refuse(loc, "a rule enters by a touch (`when`) or by a silence (`after`): give one of them")
            return
        given = enter.model_dump(by_alias=True, exclude_none=True)
        for key in ("since", "unless", "wait_for") if enter.when else ("count", "within", "if", "repeat"):
            if key in given:
                self._refuse((*loc, key), f"`{key}` belongs to `{'after' if enter.when else 'when'}`", at_key=True)
        if enter.when is not None:
            self._entry(rule, to, enter, enter.when, self._froms(loc, place, enter, counts_entry=False))
        elif enter.after is not None:
            since = self._since(loc, enter.since)
            if since and since.stage:
                self._refuse((*loc, "since"), f"write `since: entered` and `from: {since.stage}`")
            froms = self._froms(loc, place, enter, counts_entry=since is not None and since.touches is None)
            unless = self._breaking((*loc, "unless"), enter.unless or {})
            self._waits[rule] = enter.wait_for or ()
            self._silence(rule, to, enter.after, since.touches if since else None, froms, unless)

    def _entry(self, rule: str, to: str, enter: Enter, when: tuple[str, ...], froms: tuple[str, ...]) -> None:
        loc = self._locs[rule]
        count = self._count(loc, enter.count, enter.within)
        self._entries.append(
            EntrySpec(
                rule=rule,
                to=to,
                touches=self._named((*loc, "when"), when),
                froms=froms,
                count=count,
                within_ms=enter.within,
                at_least=self._at_least((*loc, "if"), enter.if_ or ()),
                repeat=enter.repeat is not None,
            )
        )

    def _count(self, loc: Loc, count: int | None, within: int | None) -> int:
        if within is not None and count in (None, 1):
            self._refuse((*loc, "within"), "`within` needs a `count` of 2 or more", at_key=True)
        return count or 1

    def _at_least(self, loc: Loc, conditions: tuple[AtLeast, ...]) -> tuple[tuple[str, int], ...]:
        for number, condition in enumerate(conditions):
            self._touch((*loc, number, "count"), condition.count)
        return tuple((condition.count, condition.gte) for condition in conditions)

    def _silence(
        self,
        rule: str,
        to: str | None,
        after: int,
        since: tuple[str, ...] | None,
        froms: tuple[str, ...] | None,
        unless: tuple[str, ...],
        expires: int | None = None,
    ) -> None:
        self._silences.append(SilenceSpec(rule, to, after, since, froms, unless, 0, expires))

    def _froms(self, loc: Loc, place: int, enter: Enter, counts_entry: bool) -> tuple[str, ...]:
        """The stages that a rule applies in; with `counts_entry` the start is none, as nobody enters it."""
        ids = list(self._places)
        start = () if counts_entry else (START,)
        loc = (*loc, "from")
        again = ids[place : place + 1] if enter.repeat else []
        if enter.from_ is None:
            if counts_entry and place == 0:
                self._refuse(loc[:-1], "`since: entered` needs a stage above, or `from`: nobody enters the start")
            return (*start, *(stage for stage in ids[:place] if stage not in self._terminal), *again)
        if enter.from_ == (_ALL,):
            goes_on = (stage for stage in ids if stage != ids[place] and stage not in self._terminal)
            froms = (*start, *goes_on, *again)
        else:
            froms = self._listed_froms(loc, ids[place], enter.from_, counts_entry)
            froms = (*froms, *(stage for stage in again if stage not in froms))
        later = [stage for stage in froms if self._places.get(stage, -1) > place]
        if later and not enter.back:
            names = ", ".join(f"'{stage}'" for stage in later)
            self._refuse(loc, f"this moves back, from {names} to '{ids[place]}': write `back: true` if that is meant")
        return froms

    def _listed_froms(self, loc: Loc, to: str, names: tuple[str, ...], counts_entry: bool) -> tuple[str, ...]:
        for number, name in enumerate(names):
            at = (*loc, number)
            if name == _ALL:
                self._refuse(at, f"'{_ALL}' stands alone: it is every stage and the start")
            elif name == to:
                self._refuse(at, f"'{to}' cannot be entered from itself")
            elif name != _START_WORD:
                self._known_stage(at, name, (_START_WORD,))
            elif counts_entry:
                self._refuse(at, "nobody enters the start: `since: entered` cannot count from there")
        return tuple(START if name == _START_WORD else name for name in dict.fromkeys(names))

    def _since(self, loc: Loc, text: str | None) -> _Since | None:
        """None if it is missing or not understood, which is refused."""
        if text is None:
            self._refuse(loc, "`after` needs `since`: `last` and a touch, or `entered`")
            return None
        form = _SINCE.fullmatch(text)
        if form is None:
            self._refuse((*loc, "since"), f"'{text}' is not understood: write `last` and a touch, or `entered`")
            return None
        if form["touches"] is None:
            return _Since(None, form["stage"])
        touches = tuple(form["touches"].split(" or "))
        if touches != (ANY,):
            for touch in touches:
                self._touch((*loc, "since"), touch)
        return _Since(touches)

    def _signal(self, name: str, signal: Signal) -> None:
        loc: Loc = ("signals", name)
        if name == STALLED or name in self._locs:
            taken = "what `stalled` of a stage fires" if name == STALLED else "a stage"
            self._refuse(loc, f"'{name}' is {taken}: give the signal another name", at_key=True)
        self._locs.setdefault(name, loc)
        self._waits[name] = signal.wait_for or ()
        if (signal.when is None) == (signal.after is None):
            self._refuse(loc, "a signal comes of a touch (`when`) or of a silence (`after`): give one of them")
            return
        given = signal.model_dump(by_alias=True, exclude_none=True)
        for key in ("since",) if signal.when else ("count", "within", "if"):
            if key in given:
                self._refuse((*loc, key), f"`{key}` belongs to `{'after' if signal.when else 'when'}`", at_key=True)
        if signal.when is not None:
            self._trigger(name, signal, signal.when)
        elif signal.after is not None:
            self._silent_signal(name, signal, signal.after)

    def _trigger(self, name: str, signal: Signal, when: tuple[str, ...]) -> None:
        loc: Loc = ("signals", name)
        touches = self._named((*loc, "when"), when)
        count = self._count(loc, signal.count, signal.within)
        unless = signal.unless or {}
        for number, (touch, time) in enumerate(unless.items()):
            at: Loc = (*loc, "unless", number) if time is None else (*loc, "unless", touch)
            if touch in touches:
                self._refuse(at, f"it never fires: '{touch}' stands in `when` too", at_key=time is not None)
            else:
                self._touch(at, touch, at_key=time is not None)
        froms = None if signal.in_ is None else self._scope((*loc, "in"), signal.in_, counts_entry=False)
        conditions = self._at_least((*loc, "if"), signal.if_ or ())
        once = self._often((*loc, "once"), signal.once)
        if froms is None and count == 1 and not conditions and not unless and once is None:
            self._warn(
                loc, f"'{name}' is told at every '{touches[0]}': it has no `count`, `if`, `in`, `unless` or `once`"
            )
        self._triggers.append(
            TriggerSpec(
                rule=name,
                touches=touches,
                froms=froms,
                count=count,
                within_ms=signal.within,
                at_least=conditions,
                unless=tuple(unless.items()),
                once=once,
                grace_ms=0,
                expires_ms=signal.expires,
            )
        )

    def _often(self, loc: Loc, once: str | None) -> Once | None:
        if once is None:
            return None
        if once in ("per_entry", "per_customer"):
            return "entry" if once == "per_entry" else "customer"
        try:
            found = parse_duration(once)
        except ValueError:
            found = 0
        if not found:
            self._refuse(loc, "`once` of a signal with `when` is per_entry, per_customer or a time such as 30d")
        return found

    def _silent_signal(self, name: str, signal: Signal, after: int) -> None:
        loc: Loc = ("signals", name)
        unless = self._breaking((*loc, "unless"), signal.unless or {})
        since = self._since(loc, signal.since)
        if since is None:
            return
        froms = self._signal_froms(loc, signal, since)
        self._once((*loc, "once"), signal.once, since)
        self._silence(name, None, after, since.touches, froms, unless, signal.expires)

    def _signal_froms(self, loc: Loc, signal: Signal, since: _Since) -> tuple[str, ...] | None:
        froms = None if signal.in_ is None else self._scope((*loc, "in"), signal.in_, since.touches is None)
        if since.stage:
            self._known_stage((*loc, "since"), since.stage)
            if froms is not None:
                self._refuse((*loc, "in"), f"`since: entered {since.stage}` says the stage already", at_key=True)
            return (since.stage,)
        if since.touches is None and froms is None:
            self._refuse((*loc, "since"), f"`entered` needs its stage, such as `entered {next(iter(self._places))}`")
        return froms

    def _scope(self, loc: Loc, names: tuple[str, ...], counts_entry: bool) -> tuple[str, ...]:
        for number, name in enumerate(names):
            if name != _START_WORD:
                self._known_stage((*loc, number), name, (_START_WORD,))
            elif counts_entry:
                self._refuse((*loc, number), "nobody enters the start: `since: entered` cannot count from there")
        return tuple(START if name == _START_WORD else name for name in dict.fromkeys(names))

    def _once(self, loc: Loc, once: str | None, since: _Since) -> None:
        """`once` says what is so anyway, for the reader."""
        holds = "per_entry" if since.touches is None else f"per_{'_or_'.join(since.touches)}"
        if once not in (None, holds):
            self._refuse(loc, f"this signal fires once '{holds}': write that, or leave `once` out")

    def _breaking(self, loc: Loc, unless: Mapping[str, int | None]) -> tuple[str, ...]:
        """The touches that break a silence, whenever they come in it."""
        for touch, time in unless.items():
            if time is not None:
                self._refuse((*loc, touch), "a touch breaks a silence at any time: give names, without a time")
        return self._named(loc, tuple(unless))

    def _named(self, loc: Loc, names: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            self._touch((*loc, number), name)
        return tuple(dict.fromkeys(names))

    def _warn(self, loc: Loc, message: str, at_key: bool = True) -> None:
        self.warnings.append(self._document.problem(loc, message, at_key=at_key))

    def _touch(self, loc: Loc, name: str, at_key: bool = False) -> None:
        """Only what a customer does can move a stage, be counted or break a silence."""
        if name == ANY:
            self._refuse(loc, "'any' stands only in `since: last any`", at_key=at_key)
        elif name not in self._rows:
            customer = tuple(row.name for row in self._touches if row.actor == "customer")
            self._refuse(loc, *one_of("touch", name, customer), at_key=at_key)
        elif self._rows[name].actor == "company":
            self._refuse(loc, f"'{name}' is the company's act: it moves no stage and breaks no silence", at_key=at_key)

    def _known_stage(self, loc: Loc, name: str, more: tuple[str, ...] = ()) -> None:
        if name not in self._places:
            self._refuse(loc, *one_of("stage", name, (*self._places, *more)))

    def _check_carry_over(self) -> None:
        """What can be said without the version before; `journey_versions` has the rest."""
        found = self._file.carry_over
        if found is None:
            return
        if found.from_version >= self._file.version:
            self._refuse(("carry_over", "from_version"), f"customers come from a version below {self._file.version}")
        for stage, target in found.stages.items():
            loc = ("carry_over", "stages", stage)
            if target == STAY:
                if stage not in self._places:
                    self._refuse(loc, f"nobody can stay in '{stage}': it is no stage of this version")
            elif target != REFOLD:
                self._known_stage(loc, target, (STAY, REFOLD))

    def _carry_over(self) -> CarryOver | None:
        found = self._file.carry_over
        if found is None:
            return None
        ways = {stage: None if target == REFOLD else target for stage, target in found.stages.items()}
        return CarryOver(found.from_version, tuple((stage, to) for stage, to in ways.items() if to != STAY))

    def _check_whole(self) -> None:
        for stage in unreachable(self._places, self._entries, self._silences):
            message = f"nothing enters the stage '{stage}': no way leads there from the start"
            self._refuse(("stages", self._places[stage]), message)
        if found := endless(self._silences):
            rule = next(s.rule for s in self._silences if s.to == found[1] and found[0] in (s.froms or ()))
            self._refuse(self._locs[rule], f"silence alone would go round for ever: {' → '.join(found)}")
        for number, silence in enumerate(self._silences):
            self._check_can_be_cancelled(silence)
            grace, slowest = self._grace_of(silence.rule, (*(silence.since or ()), *silence.unless), silence.froms)
            self._silences[number] = replace(silence, grace_ms=grace)
            if grace > silence.after_ms:
                self._warn_of_grace(self._silences[number], slowest)
        for number, trigger in enumerate(self._triggers):
            grace, _ = self._grace_of(trigger.rule, tuple(touch for touch, _ in trigger.unless), trigger.froms)
            self._triggers[number] = replace(trigger, grace_ms=grace)

    def _check_sense(self) -> None:
        """What can be followed, but can hardly be meant."""
        left = {stage for entry in self._entries for stage in entry.froms if entry.to != stage}
        left |= {stage for silence in self._silences if silence.to is not None for stage in silence.froms or ()}
        for place, stage in enumerate(self._file.stages):
            loc: Loc = ("stages", place)
            if stage.id not in left and not stage.terminal:
                self._refuse(
                    (*loc, "id"),
                    f"'{stage.id}' is a dead end: nothing leads out of it; if the journey may end here, "
                    "write `terminal: true`",
                )
        for silence in self._silences:
            if silence.since == (ANY,) and silence.unless:
                message = "`unless` adds nothing: any act of the customer ends a silence since `last any`"
                self._refuse((*self._locs[silence.rule], "unless"), message, at_key=True)
        for rule, others in hidden(self._entries).items():
            names = " and ".join(f"'{other}'" for other in others)
            self._refuse(self._locs[rule], f"this never moves anybody: {names} above fits wherever this does")
        for rule, other in outrun(self._silences).items():
            self._refuse(self._locs[rule], f"this never moves anybody: the silence of '{other}' is always over first")

    def _check_can_be_cancelled(self, silence: SilenceSpec) -> None:
        if silence.to is not None or silence.unless or silence.since == (ANY,):
            return
        # The touch that a silence counts from starts it anew; that alone is no way out.
        if not leaving(silence.froms or (), self._entries):
            name = silence.rule.partition(":")[0]
            way = (
                "give `unless`, or `in` with a stage that a touch leaves"
                if name != STALLED
                else "no touch leaves the stage"
            )
            self._refuse(self._locs[silence.rule], f"nothing cancels the signal '{name}': {way}")

    def _grace_of(self, rule: str, cancel: tuple[str, ...], froms: tuple[str, ...] | None) -> tuple[int, str]:
        """How long a rule waits, in ms: as long as a touch of `cancel`, or one that leads out of its stages, may be on
        its way; and the slowest channel by which one can come."""
        channels = self._waits.get(rule) or self._channels({*cancel, *leaving(froms or (), self._entries)})
        return max(((self._grace[channel], channel) for channel in channels), default=(0, ""))

    def _warn_of_grace(self, silence: SilenceSpec, slowest: str) -> None:
        name = silence.rule.partition(":")[0]
        self._warn(
            self._locs[silence.rule],
            f"'{name}' is told {format_duration(silence.grace_ms)} after its {format_duration(silence.after_ms)}, "
            f"because it waits for {slowest}; `wait_for` names the channels to wait for",
        )

    def _channels(self, touches: set[str]) -> set[str]:
        everywhere = frozenset(CHANNELS)
        return {
            c for touch in touches for c in (everywhere if touch == ANY else self._rows[touch].channels or everywhere)
        }
