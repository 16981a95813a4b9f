"""What is wrong with a journey as a whole, though each of its rules is sound. Pure questions about rules."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from json import dumps

from pipeline.adapters.touch_files import may_take
from pipeline.domain.spec import ANY, START, EntrySpec, SilenceSpec, TouchSpec, TriggerSpec


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

    cleared = set[str]()
    for first, after_first in follow.items():
        path, left = [first], [iter(after_first)]
        while path:
            for stage in left[-1]:
                if stage in path:
                    return [*path[path.index(stage) :], stage]
                if stage not in cleared:
                    path.append(stage)
                    left.append(iter(follow.get(stage, ())))
                    break
            else:
                cleared.add(path.pop())
                left.pop()
    return []


def hidden(entries: Iterable[EntrySpec]) -> dict[str, list[str]]:
    """The rules that never move anybody, because of every touch and stage of theirs one above fits: rule -> those."""
    taken: dict[tuple[str, str], str] = {}
    found: dict[str, list[str]] = {}
    for entry in entries:
        fits = [(touch, stage) for touch in entry.touches for stage in entry.froms if stage != entry.to or entry.repeat]
        above = [taken.get(one) for one in fits]
        if above and None not in above:
            found[entry.rule] = [rule for rule in dict.fromkeys(above) if rule is not None]
        elif entry.count == 1 and not entry.at_least:
            for one in fits:
                taken.setdefault(one, entry.rule)
    return found


def outrun(silences: Iterable[SilenceSpec]) -> dict[str, str]:
    """The stage timers that never move anybody, because another is over whenever theirs is, and first: rule -> that."""
    # Where a silence is over before its stage is entered, the file's order decides and not the longer time.
    silences = tuple(silences)
    above = {silence.rule: place for place, silence in enumerate(silences)}
    timers = sorted((s for s in silences if s.to is not None), key=lambda silence: silence.after_ms)
    found: dict[str, str] = {}
    for place, timer in enumerate(timers):
        for first in timers[:place]:
            if (
                first.since == timer.since
                and (timer.since is None or above[first.rule] < above[timer.rule])
                and set(timer.froms or ()) <= set(first.froms or ())
                and set(first.unless) <= set(timer.unless)
            ):
                found[timer.rule] = first.rule
                break
    return found


def leaving(stages: Iterable[str], entries: Sequence[EntrySpec]) -> set[str]:
    """The touches that can move a customer out of one of these stages, into any other."""
    return {
        touch
        for stage in stages
        for entry in entries
        if stage in entry.froms and (entry.to != stage or entry.repeat)
        for touch in entry.touches
    }


def fingerprint(
    stages: Sequence[str],
    entries: Sequence[EntrySpec],
    silences: Sequence[SilenceSpec],
    triggers: Sequence[TriggerSpec],
    touches: Sequence[TouchSpec],
) -> str:
    """SHA-256 (first 16 hex digits) of all that decides where a customer is and what fires.

    Of the touch table it has the rows that the rules name and those above that may take an event from them. Grace is
    left out: it is a setting, and changes when something is published, not what.
    """
    named = {touch for entry in entries for touch in (*entry.touches, *(name for name, _ in entry.at_least))}
    named |= {touch for silence in silences for touch in (*(silence.since or ()), *silence.unless)} - {ANY}
    for trigger in triggers:
        named |= {*trigger.touches, *(touch for touch, _ in (*trigger.at_least, *trigger.unless))}
    rows = [
        row
        for place, row in enumerate(touches)
        if row.name in named or any(below.name in named and may_take(row, below) for below in touches[place + 1 :])
    ]
    decides = [
        list(stages),
        [
            [e.rule, e.to, sorted(e.touches), sorted(e.froms), e.count, e.within_ms, sorted(e.at_least)]
            + ["repeat"] * e.repeat
            for e in entries
        ],
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
    if triggers:
        decides.append(
            [
                [
                    *(t.rule, sorted(t.touches), _sorted(t.froms), t.count, t.within_ms, sorted(t.at_least)),
                    *(sorted(t.unless, key=str), t.once, t.expires_ms),
                ]
                for t in triggers
            ]
        )
    return sha256(dumps(decides, separators=(",", ":")).encode()).hexdigest()[:16]


def _sorted(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
