"""A journey as a graph, taken from its compiled table: stages, the rules between them, the signals they fire."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.domain.compile import Journey, Move, Trigger
from pipeline.domain.duration import format_duration
from pipeline.domain.spec import ANY, START, EntrySpec, JourneySpec, SilenceSpec, TriggerSpec

RuleKind = Literal["touch", "silence"]


@dataclass(frozen=True, slots=True)
class ChartStage:
    """A stage and its label by language; in a `terminal` one the journey may end."""

    id: str
    labels: Mapping[str, str]
    terminal: bool


@dataclass(frozen=True, slots=True)
class ChartRule:
    """A rule: from the stages `froms` (START is one) to the stage `to`, or to the signal `signal`; one of the two.

    `when` are touches, or a silence in words; `but` are its conditions. `froms` is empty for a signal that does not
    look at the stage. `back`: it leads to an earlier stage than one that it leads from.
    """

    rule: str
    kind: RuleKind
    froms: tuple[str, ...]
    to: str
    signal: str
    when: tuple[str, ...]
    but: tuple[str, ...]
    back: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that a picture of a journey shows, in file order."""

    name: str
    version: int
    stages: tuple[ChartStage, ...]
    rules: tuple[ChartRule, ...]

    @property
    def signals(self) -> tuple[ChartRule, ...]:
        return tuple(rule for rule in self.rules if rule.signal)

    @property
    def moves(self) -> tuple[ChartRule, ...]:
        return tuple(rule for rule in self.rules if not rule.signal)


def chart_of(spec: JourneySpec, journey: Journey) -> Chart:
    """`journey` is `spec` compiled: it says what leads where, the spec how the author put the conditions."""
    places = {stage: place for place, stage in enumerate((START, *journey.stages))}
    rules = [*_entries(spec, journey, places), *_silences(spec, journey, places), *_triggers(spec, journey, places)]
    stages = tuple(ChartStage(stage.id, dict(stage.labels), stage.terminal) for stage in spec.stages)
    return Chart(
        spec.name, spec.version, stages, tuple(sorted(rules, key=lambda rule: places.get(rule.to, len(places))))
    )


def _entries(spec: JourneySpec, journey: Journey, places: Mapping[str, int]) -> Iterable[ChartRule]:
    touches, froms = _where((touch, row.moves) for touch, row in journey.rows.items() if row)
    for entry in spec.entries:
        if entry.rule in touches:
            leads_from = tuple(sorted(froms[entry.rule], key=places.__getitem__))
            yield ChartRule(
                rule=entry.rule,
                kind="touch",
                froms=leads_from,
                to=entry.to,
                signal="",
                when=tuple(touch for touch in entry.touches if touch in touches[entry.rule]),
                but=_conditions(entry),
                back=_back(leads_from, entry.to, places),
            )


def _triggers(spec: JourneySpec, journey: Journey, places: Mapping[str, int]) -> Iterable[ChartRule]:
    touches, froms = _where((touch, row.triggers) for touch, row in journey.rows.items() if row and row.triggers)
    for trigger in spec.triggers:
        if trigger.rule in touches:
            told_in = () if trigger.froms is None else froms[trigger.rule]
            yield ChartRule(
                rule=trigger.rule,
                kind="touch",
                froms=tuple(sorted(told_in, key=places.__getitem__)),
                to="",
                signal=trigger.rule,
                when=tuple(touch for touch in trigger.touches if touch in touches[trigger.rule]),
                but=(*_conditions(trigger), *_forbidden(trigger)),
                back=False,
            )


def _where(
    rows: Iterable[tuple[str, Mapping[str, Sequence[Move] | Sequence[Trigger]]]],
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """By rule: the touches that it acts on, and the stages in which."""
    touches: dict[str, set[str]] = {}
    stages: dict[str, set[str]] = {}
    for touch, by_stage in rows:
        for stage, rules in by_stage.items():
            for one in rules:
                touches.setdefault(one.rule, set()).add(touch)
                stages.setdefault(one.rule, set()).add(stage)
    return touches, stages


def _forbidden(trigger: TriggerSpec) -> Iterable[str]:
    if trigger.unless:
        names = (name if ms is None else f"{name} in {format_duration(ms)}" for name, ms in trigger.unless)
        yield f"unless {' or '.join(names)}"
    if trigger.once is not None:
        per = trigger.once
        yield f"once {f'in {format_duration(per)}' if isinstance(per, int) else f'per {per}'}"
    if trigger.froms is None:
        yield "in every stage"


def _conditions(entry: EntrySpec | TriggerSpec) -> tuple[str, ...]:
    found = []
    if entry.count > 1:
        window = "in this stage" if entry.within_ms is None else f"within {format_duration(entry.within_ms)}"
        found.append(f"{entry.count} times {window}")
    found += [f"if {name} ≥ {least}" for name, least in entry.at_least]
    return tuple(found)


def _silences(spec: JourneySpec, journey: Journey, places: Mapping[str, int]) -> Iterable[ChartRule]:
    for silence in spec.silences:
        timer = journey.timers[silence.rule]
        froms = tuple(sorted(timer.scope or (), key=places.__getitem__))
        yield ChartRule(
            rule=silence.rule,
            kind="silence",
            froms=froms,
            to=timer.to or "",
            signal="" if timer.to else timer.signal,
            when=(f"{format_duration(timer.after)} {_since(silence)}",),
            but=tuple(_limits(silence)),
            back=timer.to is not None and _back(froms, timer.to, places),
        )


def _limits(silence: SilenceSpec) -> Iterable[str]:
    if silence.unless:
        yield f"unless {' or '.join(silence.unless)}"
    if silence.froms is None:
        yield "in every stage"


def _since(silence: SilenceSpec) -> str:
    if silence.since is None:
        return "in this stage"
    return "without any act" if ANY in silence.since else f"since the last {' or '.join(silence.since)}"


def _back(froms: Iterable[str], to: str, places: Mapping[str, int]) -> bool:
    return any(places[stage] > places[to] for stage in froms)
