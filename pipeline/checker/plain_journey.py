"""A journey as plain values, read straight from its YAML: the checker's own reading.

It knows nothing of how the pipeline loads a journey, so that a slip there is seen. Files are taken to be right: whoever
wants to know what is wrong with one asks the linter. Durations are milliseconds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from pipeline.checker.plain_touches import CHANNELS, Row, read_touches

START = ""
"""The stage of a customer who has entered none yet."""

ANY = "any"
"""In `since: last any`: every act of the customer."""

_UNITS = {"ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


class _Constructor(SafeConstructor):
    """Leaves dates text, as they are in an event."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


@dataclass(frozen=True, slots=True)
class Entry:
    """An act moves the customer to `to`: one of `touches`, in one of the stages `froms`."""

    rule: str
    to: str
    touches: frozenset[str]
    froms: frozenset[str]
    count: int
    within: int | None
    at_least: tuple[tuple[str, int], ...]
    again: bool = False
    """Whether it also fits in the stage `to`, which is then entered once more."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """An act of `touches` fires the signal `rule`, in the stages `froms` (None: wherever the customer is).

    `unless`: touch -> for how long it forbids the signal, None for ever. `once`: "per_entry", "per_customer", for how
    long the signal is not told again, or None.
    """

    rule: str
    touches: frozenset[str]
    froms: frozenset[str] | None
    count: int
    within: int | None
    at_least: tuple[tuple[str, int], ...]
    unless: Mapping[str, int | None]
    once: str | int | None
    grace: int
    expires: int | None

    @property
    def signal(self) -> str:
        return self.rule


@dataclass(frozen=True, slots=True)
class Silence:
    """A timer. With `to` it moves the customer, else it fires the signal `signal`.

    `since`: the touches whose last one it counts from, None for the entry of the stage. `froms`: the stages it counts
    in, None for all of them and the start.
    """

    rule: str
    signal: str
    to: str | None
    after: int
    since: frozenset[str] | None
    froms: frozenset[str] | None
    unless: frozenset[str]
    grace: int
    expires: int | None


@dataclass(frozen=True, slots=True)
class Journey:
    """Rules in the order of the file, which decides between rules that fit alike."""

    name: str
    stages: tuple[str, ...]
    entries: tuple[Entry, ...]
    silences: tuple[Silence, ...]
    triggers: tuple[Trigger, ...] = ()

    @property
    def waiting(self) -> tuple[Silence | Trigger, ...]:
        """All rules that wait for a grace before they are told."""
        return (*self.silences, *self.triggers)


def read_file(path: Path) -> Any:
    """The YAML document in a file, as lists, mappings and scalars."""
    return parse_text(path.read_text(encoding="utf-8"))


def parse_text(text: str) -> Any:
    """The YAML document in a text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(text)


def duration(text: str) -> int:
    """Milliseconds of a text such as `90d`; ValueError if it is none."""
    form = re.fullmatch(r"\s*([0-9]+) ?([a-z]+)\s*", text)
    if form is None or form[2] not in _UNITS:
        raise ValueError(f"{text!r} is not a duration")
    return timedelta(**{_UNITS[form[2]]: int(form[1])}) // timedelta(milliseconds=1)


def read_journey(document: Mapping[str, Any], rows: Sequence[Row], grace: Mapping[str, int]) -> Journey:
    """The journey in a document. `grace` is ms by channel; what is not in it (on event time: all) waits for nothing."""
    rows = (*rows, *read_touches(document))
    stages = tuple(stage["id"] for stage in document["stages"])
    goes_on = tuple(stage["id"] for stage in document["stages"] if not stage.get("terminal"))
    entries: list[Entry] = []
    silences: list[Silence] = []
    triggers: list[Trigger] = []
    waits: dict[str, list[str]] = {}
    for place, stage in enumerate(document["stages"]):
        for number, enter in enumerate(several(stage.get("enter", ())), 1):
            rule = stage["id"] if number == 1 else f"{stage['id']}/{number}"
            froms = _froms(enter, stages, goes_on, place)
            waits[rule] = several(enter.get("wait_for", ()))
            if "when" in enter:
                entries.append(_entry(rule, stage["id"], enter, froms))
            else:
                silences.append(_silence(rule, rule, stage["id"], enter, froms))
        if "stalled" in stage:
            limit = {"after": stage["stalled"], "since": "entered"}
            silences.append(_silence(f"stalled:{stage['id']}", "stalled", None, limit, frozenset({stage["id"]})))
        for outcome, when in stage.get("outcome", {}).items():
            ends = {"when": when}
            entries.append(_entry(f"{stage['id']}/{outcome}", outcome, ends, frozenset({stage["id"]})))
    for name, signal in document.get("signals", {}).items():
        waits[name] = several(signal.get("wait_for", ()))
        if "when" in signal:
            triggers.append(_trigger(name, signal))
        else:
            silences.append(_silence(name, name, None, signal, _scope(signal)))

    def grace_of(rule: str, touches: Iterable[str], froms: frozenset[str] | None) -> int:
        channels = waits.get(rule) or _awaited(touches, froms, entries, rows)
        return max((grace.get(channel, 0) for channel in channels), default=0)

    return Journey(
        document["journey"],
        stages,
        tuple(entries),
        tuple(replace(s, grace=grace_of(s.rule, (*s.unless, *(s.since or ())), s.froms)) for s in silences),
        tuple(replace(t, grace=grace_of(t.rule, t.unless, t.froms)) for t in triggers),
    )


def several(value: Any) -> list[Any]:
    """A lone value may stand where a list is meant."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _froms(enter: Mapping[str, Any], stages: Sequence[str], goes_on: Sequence[str], place: int) -> frozenset[str]:
    """By default the start and every stage above; `*` is the start and every other stage, of both those only in which
    the journey `goes_on`. Silences since the entry have the start as well here: nobody enters it, so there it arms
    nothing."""
    again = frozenset({stages[place]} if "repeat" in enter else ())
    if "from" not in enter:
        return frozenset({START, *stages[:place]} & {START, *goes_on}) | again
    names = several(enter["from"])
    if names == ["*"]:
        return frozenset({START, *goes_on} - {stages[place]}) | again
    return frozenset(START if name == "start" else name for name in names) | again


def _scope(signal: Mapping[str, Any]) -> frozenset[str] | None:
    words = signal["since"].split()
    if words[0] == "entered" and len(words) > 1:
        return frozenset({words[1]})
    if "in" not in signal:
        return None
    return frozenset(START if name == "start" else name for name in several(signal["in"]))


def _entry(rule: str, to: str, enter: Mapping[str, Any], froms: frozenset[str]) -> Entry:
    return Entry(
        rule=rule,
        to=to,
        touches=frozenset(several(enter["when"])),
        froms=froms,
        count=enter.get("count", 1),
        within=duration(enter["within"]) if "within" in enter else None,
        at_least=_at_least(enter),
        again="repeat" in enter,
    )


def _at_least(rule: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((condition["count"], condition["gte"]) for condition in several(rule.get("if", ())))


def _trigger(name: str, signal: Mapping[str, Any]) -> Trigger:
    unless = signal.get("unless", {})
    times = unless if isinstance(unless, Mapping) else dict.fromkeys(several(unless))
    once = signal.get("once")
    return Trigger(
        rule=name,
        touches=frozenset(several(signal["when"])),
        froms=frozenset(START if s == "start" else s for s in several(signal["in"])) if "in" in signal else None,
        count=signal.get("count", 1),
        within=duration(signal["within"]) if "within" in signal else None,
        at_least=_at_least(signal),
        unless={touch: None if time is None else duration(time) for touch, time in times.items()},
        once=once if once is None or once.startswith("per_") else duration(once),
        grace=0,
        expires=duration(signal["expires"]) if "expires" in signal else None,
    )


def _silence(
    rule: str, signal: str, to: str | None, fields: Mapping[str, Any], froms: frozenset[str] | None
) -> Silence:
    kind, *names = fields["since"].split()
    return Silence(
        rule=rule,
        signal=signal,
        to=to,
        after=duration(fields["after"]),
        since=frozenset(names) - {"or"} if kind == "last" else None,
        froms=froms,
        unless=frozenset(several(fields.get("unless", ()))),
        grace=0,
        expires=duration(fields["expires"]) if "expires" in fields else None,
    )


def _awaited(
    named: Iterable[str], froms: frozenset[str] | None, entries: Iterable[Entry], rows: Iterable[Row]
) -> set[str]:
    """The channels that could still deliver one of the touches `named`, or one that leads out of the stages."""
    touches = set(named)
    for entry in entries:
        if ((froms or frozenset()) & entry.froms) - (frozenset() if entry.again else {entry.to}):
            touches |= entry.touches
    if ANY in touches:
        return set(CHANNELS)
    return {channel for row in rows if row.name in touches for channel in row.channels or CHANNELS}
