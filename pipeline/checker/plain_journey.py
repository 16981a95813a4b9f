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

from pipeline.checker.plain_touches import CHANNELS, Row

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


def read_file(path: Path) -> Any:
    """The YAML document in a file, as lists, mappings and scalars."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(path)


def duration(text: str) -> int:
    """Milliseconds of a text such as `90d`; ValueError if it is none."""
    form = re.fullmatch(r"\s*([0-9]+) ?([a-z]+)\s*", text)
    if form is None or form[2] not in _UNITS:
        raise ValueError(f"{text!r} is not a duration")
    return timedelta(**{_UNITS[form[2]]: int(form[1])}) // timedelta(milliseconds=1)


def read_journey(document: Mapping[str, Any], rows: Sequence[Row], grace: Mapping[str, int]) -> Journey:
    """The journey in a document. `grace` is ms by channel; what is not in it (on event time: all) waits for nothing."""
    stages = tuple(stage["id"] for stage in document["stages"])
    entries: list[Entry] = []
    silences: list[Silence] = []
    for place, stage in enumerate(document["stages"]):
        for number, enter in enumerate(several(stage["enter"]), 1):
            rule = stage["id"] if number == 1 else f"{stage['id']}/{number}"
            froms = _froms(enter, stages, place)
            if "when" in enter:
                entries.append(_entry(rule, stage["id"], enter, froms))
            else:
                silences.append(_silence(rule, rule, stage["id"], enter, froms))
        if "stalled" in stage:
            limit = {"after": stage["stalled"], "since": "entered"}
            silences.append(_silence(f"stalled:{stage['id']}", "stalled", None, limit, frozenset({stage["id"]})))
    for name, signal in document.get("signals", {}).items():
        silences.append(_silence(name, name, None, signal, _scope(signal)))
    wait_for = {name: several(signal.get("wait_for", ())) for name, signal in document.get("signals", {}).items()}
    waiting = [
        replace(
            silence,
            grace=max(
                (grace.get(c, 0) for c in wait_for.get(silence.rule, ()) or _awaited(silence, entries, rows)), default=0
            ),
        )
        for silence in silences
    ]
    return Journey(document["journey"], stages, tuple(entries), tuple(waiting))


def several(value: Any) -> list[Any]:
    """A lone value may stand where a list is meant."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _froms(enter: Mapping[str, Any], stages: Sequence[str], place: int) -> frozenset[str]:
    """By default the start and every stage above; `*` is the start and every other stage. Silences since the entry
    have the start as well here: nobody enters it, so there it arms nothing."""
    if "from" not in enter:
        return frozenset({START, *stages[:place]})
    names = several(enter["from"])
    if names == ["*"]:
        return frozenset({START, *stages} - {stages[place]})
    return frozenset(START if name == "start" else name for name in names)


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
        at_least=tuple((condition["count"], condition["gte"]) for condition in several(enter.get("if", ()))),
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
        since=frozenset(names) if kind == "last" else None,
        froms=froms,
        unless=frozenset(several(fields.get("unless", ()))),
        grace=0,
        expires=duration(fields["expires"]) if "expires" in fields else None,
    )


def _awaited(silence: Silence, entries: Iterable[Entry], rows: Iterable[Row]) -> set[str]:
    """The channels that could still deliver what breaks the silence, starts it anew, or leads out of its stages."""
    touches = silence.unless | (silence.since or frozenset())
    for entry in entries:
        if ((silence.froms or frozenset()) & entry.froms) - {entry.to}:
            touches |= entry.touches
    if ANY in touches:
        return set(CHANNELS)
    return {channel for row in rows if row.name in touches for channel in row.channels or CHANNELS}
