"""What is wrong with a journey as a whole, though each of its rules is sound. Pure questions about rules."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from json import dumps

from pipeline.adapters.touch_files import may_take
from pipeline.domain.spec import ANY, START, EntrySpec, SilenceSpec, TouchSpec


def unreachable(stages: Iterable[str], entries: Sequence[EntrySpec], silences: Sequence[SilenceSpec]) -> list[str]:
    """Stages that no chain of rules leads to from the start, in file order."""
    moves = [(entry.froms, entry.to) for entry in entries]
    moves += [(silence.froms or (), silence.to) for silence in silences if silence.to is not None]
    reached, found = set[str](), {START}
    while found:
        reached |= found
        found = {to for froms, to in moves if reached.intersection(froms)} - reached
    return [stage for stage in stages if stage not in reached]


def endless(silences: Sequence[SilenceSpec]) -> list[str]:
    """A round of stages through which silence alone would move a customer for ever; empty if there is none."""
    follow: dict[str, list[str]] = {}
    for silence in silences:
        for stage in silence.froms or ():
            if silence.to is not None:
                follow.setdefault(stage, []).append(silence.to)

    def walk(path: list[str]) -> list[str]:
        for stage in follow.get(path[-1], ()):
            if stage in path:
                return [*path[path.index(stage) :], stage]
            if found := walk([*path, stage]):
                return found
        return []

    return next((found for stage in follow if (found := walk([stage]))), [])


def leaving(stages: Iterable[str], entries: Sequence[EntrySpec]) -> set[str]:
    """The touches that can move a customer out of one of these stages, into any other."""
    return {
        touch
        for stage in stages
        for entry in entries
        if stage in entry.froms and entry.to != stage
        for touch in entry.touches
    }


def fingerprint(
    stages: Sequence[str],
    entries: Sequence[EntrySpec],
    silences: Sequence[SilenceSpec],
    touches: Sequence[TouchSpec],
) -> str:
    """SHA-256 (first 16 hex digits) of all that decides where a customer is and what fires.

    Of the touch table it has the rows that the rules name and those above that may take an event from them. Grace is
    left out: it is a setting, and changes when something is published, not what.
    """
    named = {touch for entry in entries for touch in (*entry.touches, *(name for name, _ in entry.at_least))}
    named |= {touch for silence in silences for touch in (*(silence.since or ()), *silence.unless)} - {ANY}
    rows = [
        row
        for place, row in enumerate(touches)
        if row.name in named or any(below.name in named and may_take(row, below) for below in touches[place + 1 :])
    ]
    decides = [
        list(stages),
        [[e.rule, e.to, sorted(e.touches), sorted(e.froms), e.count, e.within_ms, sorted(e.at_least)] for e in entries],
        [
            [s.rule, s.to, s.after_ms, _sorted(s.since), _sorted(s.froms), sorted(s.unless), s.expires_ms]
            for s in silences
        ],
        [
            [
                *(row.name, row.actor, _sorted(row.types), _sorted(row.channels), _sorted(row.sources)),
                sorted(
                    [list(condition.path), sorted(dumps(value) for value in condition.values)]
                    for condition in row.where
                ),
            ]
            for row in rows
        ],
    ]
    return sha256(dumps(decides, separators=(",", ":")).encode()).hexdigest()[:16]


def _sorted(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
