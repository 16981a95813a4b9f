"""From the words of one journey file to its rules; every mistake is kept with its place and named in one go."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pipeline.adapters.journey_checks import endless, fingerprint, leaving, unreachable
from pipeline.adapters.journey_language import Enter, JourneyFile, Signal, Stage
from pipeline.adapters.yaml_documents import Document, Loc, Problem, refuse
from pipeline.adapters.yaml_files import one_of
from pipeline.domain.event import CHANNELS
from pipeline.domain.spec import ANY, START, EntrySpec, JourneySpec, SilenceSpec, StageSpec, TouchSpec

STALLED: Final = "stalled"
"""The signal of every stage that has a limit; the rule is `stalled:` and the stage."""

_START_WORD: Final = "start"
_ALL: Final = "*"
_SINCE: Final = re.compile(r"last (?P<touch>\S+)|entered( (?P<stage>\S+))?")


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
        self._waits: dict[str, tuple[str, ...]] = {}
        self._locs: dict[str, Loc] = {}
        self._problems: list[Problem] = []

    def spec(self) -> JourneySpec:
        stages = self._file.stages
        for place, stage in enumerate(stages):
            self._stage(place, stage)
        for name, signal in self._file.signals.items():
            self._signal(name, signal)
        # A rule that was refused is missing from the whole, which would then be blamed for it.
        refuse(self._problems)
        self._check_whole()
        refuse(self._problems)
        ids = [stage.id for stage in stages]
        return JourneySpec(
            name=self._file.journey,
            version=self._file.version,
            stages=tuple(StageSpec(stage.id, tuple(stage.labels.model_dump().items())) for stage in stages),
            entries=tuple(self._entries),
            silences=tuple(self._silences),
            fingerprint=fingerprint(ids, self._entries, self._silences, self._touches),
        )

    def _refuse(self, loc: Loc, message: str, suggestion: str | None = None, at_key: bool = False) -> None:
        self._problems.append(self._document.problem(loc, message, suggestion, at_key))

    def _stage(self, place: int, stage: Stage) -> None:
        loc: Loc = ("stages", place)
        if stage.id == _START_WORD:
            self._refuse((*loc, "id"), f"'{_START_WORD}' is where every customer begins: call the stage otherwise")
        if self._places[stage.id] != place:
            self._refuse((*loc, "id"), f"there is a stage '{stage.id}' already")
        if not stage.enter:
            self._refuse(loc, f"nothing enters the stage '{stage.id}': it needs `enter`")
        for number, enter in enumerate(stage.enter):
            rule = stage.id if number == 0 else f"{stage.id}/{number + 1}"
            self._locs[rule] = (*loc, "enter", number)
            self._enter(rule, place, stage.id, enter)
        if stage.stalled is not None:
            rule = f"{STALLED}:{stage.id}"
            self._locs[rule] = (*loc, STALLED)
            self._silence(rule, None, stage.stalled, None, (stage.id,), ())

    def _enter(self, rule: str, place: int, to: str, enter: Enter) -> None:
        loc = self._locs[rule]
        if (enter.when is None) == (enter.after is None):
            self._refuse(loc, "a rule enters by a touch (`when`) or by a silence (`after`): give one of them")
            return
        given = enter.model_dump(by_alias=True, exclude_none=True)
        for key in ("since", "unless") if enter.when else ("count", "within", "if"):
            if key in given:
                self._refuse((*loc, key), f"`{key}` belongs to `{'after' if enter.when else 'when'}`", at_key=True)
        if enter.when is not None:
            self._entry(rule, to, enter, enter.when, self._froms(loc, place, enter, counts_entry=False))
        elif enter.after is not None:
            since = self._since(loc, enter.since)
            if since and since.stage:
                self._refuse((*loc, "since"), f"write `since: entered` and `from: {since.stage}`")
            froms = self._froms(loc, place, enter, counts_entry=since is not None and since.touches is None)
            unless = self._named((*loc, "unless"), enter.unless or ())
            self._silence(rule, to, enter.after, since.touches if since else None, froms, unless)

    def _entry(self, rule: str, to: str, enter: Enter, when: tuple[str, ...], froms: tuple[str, ...]) -> None:
        loc = self._locs[rule]
        count = enter.count or 1
        if enter.within is not None and count == 1:
            self._refuse((*loc, "within"), "`within` needs a `count` of 2 or more", at_key=True)
        for number, condition in enumerate(enter.if_ or ()):
            self._touch((*loc, "if", number, "count"), condition.count)
        self._entries.append(
            EntrySpec(
                rule=rule,
                to=to,
                touches=self._named((*loc, "when"), when),
                froms=froms,
                count=count,
                within_ms=enter.within,
                at_least=tuple((condition.count, condition.gte) for condition in enter.if_ or ()),
            )
        )

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
        if enter.from_ is None:
            if counts_entry and place == 0:
                self._refuse(loc[:-1], "`since: entered` needs a stage above, or `from`: nobody enters the start")
            return (*start, *ids[:place])
        if enter.from_ == (_ALL,):
            froms = (*start, *(stage for stage in ids if stage != ids[place]))
        else:
            froms = self._listed_froms(loc, ids[place], enter.from_, counts_entry)
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
        if form["touch"] is None:
            return _Since(None, form["stage"])
        if form["touch"] != ANY:
            self._touch((*loc, "since"), form["touch"])
        return _Since((form["touch"],))

    def _signal(self, name: str, signal: Signal) -> None:
        loc: Loc = ("signals", name)
        if name == STALLED or name in self._locs:
            taken = "what `stalled` of a stage fires" if name == STALLED else "a stage"
            self._refuse(loc, f"'{name}' is {taken}: give the signal another name", at_key=True)
        self._locs.setdefault(name, loc)
        self._waits[name] = signal.wait_for or ()
        unless = self._named((*loc, "unless"), signal.unless or ())
        since = self._since(loc, signal.since)
        if since is None:
            return
        froms = self._signal_froms(loc, signal, since)
        self._once((*loc, "once"), signal.once, since)
        self._silence(name, None, signal.after, since.touches, froms, unless, signal.expires)

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
        """`once` says what is so anyway, for the reader; what it cannot say yet is refused."""
        holds = "per_entry" if since.touches is None else f"per_{since.touches[0]}"
        if once in (None, holds):
            return
        if once == "per_entry":
            self._refuse(loc, f"'per_entry' of a signal since a touch is not supported yet; this one is '{holds}'")
        else:
            self._refuse(loc, f"this signal fires once '{holds}': write that, or leave `once` out")

    def _named(self, loc: Loc, names: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            self._touch((*loc, number), name)
        return tuple(dict.fromkeys(names))

    def _touch(self, loc: Loc, name: str) -> None:
        """Only what a customer does can move a stage, be counted or break a silence."""
        if name == ANY:
            self._refuse(loc, "'any' stands only in `since: last any`")
        elif name not in self._rows:
            customer = tuple(row.name for row in self._touches if row.actor == "customer")
            self._refuse(loc, *one_of("touch", name, customer))
        elif self._rows[name].actor == "company":
            self._refuse(loc, f"'{name}' is the company's act: it moves no stage and breaks no silence")

    def _known_stage(self, loc: Loc, name: str, more: tuple[str, ...] = ()) -> None:
        if name not in self._places:
            self._refuse(loc, *one_of("stage", name, (*self._places, *more)))

    def _check_whole(self) -> None:
        for stage in unreachable(self._places, self._entries, self._silences):
            message = f"nothing enters the stage '{stage}': no way leads there from the start"
            self._refuse(("stages", self._places[stage]), message)
        if found := endless(self._silences):
            rule = next(s.rule for s in self._silences if s.to == found[1] and found[0] in (s.froms or ()))
            self._refuse(self._locs[rule], f"silence alone would go round for ever: {' → '.join(found)}")
        for number, silence in enumerate(self._silences):
            self._check_can_be_cancelled(silence)
            self._silences[number] = self._with_grace(silence)

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

    def _with_grace(self, silence: SilenceSpec) -> SilenceSpec:
        """Waits as long as a touch that would break the silence, or lead out of its stages, may be on its way."""
        channels = self._waits.get(silence.rule) or self._channels(
            {*(silence.since or ()), *silence.unless, *leaving(silence.froms or (), self._entries)}
        )
        grace = max((self._grace[channel] for channel in channels), default=0)
        return replace(silence, grace_ms=grace)

    def _channels(self, touches: set[str]) -> set[str]:
        everywhere = frozenset(CHANNELS)
        return {
            c for touch in touches for c in (everywhere if touch == ANY else self._rows[touch].channels or everywhere)
        }
