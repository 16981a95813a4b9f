"""A journey whose version changed while customers were in it: what each version decides, and what goes over.

Rules 22 to 26 of docs/semantics.md, sharing no line with `pipeline.domain`.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from pipeline.checker import plain_fold
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_fold import Pending, Position, last_of
from pipeline.checker.plain_journey import ANY, START, Entry, Journey, Silence, Trigger

BEFORE_ALL = -1


@dataclass(frozen=True, slots=True)
class Switch:
    """A lane went over from the rules `former` of a journey to `journey`, its version `version`.

    `stages`: where those of a stage go, None to have them folded again; who is in none of them stays. `watermark`: up
    to where time had passed in the lane; `positions`: up to where it had read each topic: all that `former` decides.
    """

    former: Journey
    journey: Journey
    version: int
    stages: Mapping[str, str | None]
    watermark: int | None
    positions: Mapping[str, int]

    def folds_again(self, stage: str) -> bool:
        """Whether those in the stage are folded again: it says so, or nobody says where a stage that is gone leads."""
        if stage == START:
            return False
        return self.stages[stage] is None if stage in self.stages else stage not in self.journey.stages

    def target(self, stage: str) -> str:
        """Where those in the stage go who are not folded again."""
        return self.stages.get(stage) or stage

    def told(self, grace: int, due: int) -> bool:
        """Whether a signal is told by the time of the switch, or would be."""
        return self.watermark is not None and self.watermark >= due + grace


@dataclass(frozen=True, slots=True)
class Moved:
    """What a customer is told of a switch: the stage before, and the one after."""

    version: int
    origin: str
    to: str


@dataclass(slots=True)
class Life:
    """A customer in one journey under all of its versions, one after the other."""

    position: Position
    moves: list[Moved] = field(default_factory=list)


def live(
    first: Journey, switches: Sequence[Switch], parts: Sequence[Sequence[Act]], watermark: int | None, lateness: int
) -> Life:
    """`parts`: the accepted acts that each version found, one more than there are `switches`; any order within."""
    journey, life = first, Life(Position())
    closed, newest = BEFORE_ALL, BEFORE_ALL
    for place, part in enumerate(parts):
        acts = [act for act in sorted(part) if act.at > closed]
        newest = max([newest, *(act.at for act in part)])
        began = deepcopy(life.position)
        for act in acts:
            plain_fold.take(journey, life.position, act)
        if place < len(switches):
            if newest != BEFORE_ALL:
                closed = _go_over(switches[place], life, began, acts, newest, lateness)
            journey = switches[place].journey
    if watermark is not None:
        plain_fold.pass_time(journey, life.position, watermark)
    return life


def _go_over(switch: Switch, life: Life, began: Position, acts: Sequence[Act], newest: int, lateness: int) -> int:
    """Rules 22 to 26; returns the moment up to which nothing changes any more. `began`: before `acts`."""
    old = life.position
    if switch.watermark is not None:
        plain_fold.pass_time(switch.former, old, switch.watermark)
    closed = max(newest, BEFORE_ALL if old.since is None else old.since)
    if switch.folds_again(old.stage):
        made = _again(switch, old, began, acts, newest - lateness, closed)
    else:
        made = _converted(switch, old, switch.target(old.stage), closed)
    if old.history or made.stage != START:
        life.moves.append(Moved(switch.version, old.stage, made.stage))
    life.position = made
    return closed


def _again(switch: Switch, old: Position, base: Position, acts: Sequence[Act], horizon: int, closed: int) -> Position:
    """Rule 24: the acts that can still be placed, folded by the new version from where the customer was before them."""
    for act in acts:
        if act.at < horizon:
            plain_fold.take(switch.former, base, act)
    plain_fold.settle(switch.former, base, horizon)
    target = START if switch.folds_again(base.stage) else switch.target(base.stage)
    made = _converted(switch, base, target, BEFORE_ALL if base.since is None else base.since)
    for act in acts:
        if act.at >= horizon:
            plain_fold.take(switch.journey, made, act)
    silences = switch.journey.silences
    pending = {
        p if silences[p.rank].to is None else replace(p, due=max(p.due, closed + 1))
        for p in made.pending
        if silences[p.rank].to is not None or not switch.told(silences[p.rank].grace, p.due)
    }
    graces = {trigger.rule: trigger.grace for trigger in switch.journey.triggers}
    more = len(old.history) - len(made.history)
    return replace(
        made,
        pending=pending,
        waiting=[(at, rule) for at, rule in made.waiting if not switch.told(graces[rule], at)],
        told=[(at, rule, moves + more) for at, rule, moves in made.told],
        history=list(old.history),
        signals=list(old.signals),
    )


def _converted(switch: Switch, old: Position, stage: str, closed: int) -> Position:
    """Rules 23 and 25: what both versions keep, and the silences that go on."""
    former, journey = switch.former, switch.journey
    since = None if stage == START else old.since
    both = _last_sets(former) & _last_sets(journey)
    kept = {touches: at for touches in both if (at := last_of(old, touches)) is not None}
    counted = _counted(former) & _counted(journey)
    windows = _windows(former) & _windows(journey)
    rules = {rule for rule, *_ in windows}
    told = {rule for rule, _ in _told(former) & _told(journey)}
    graces = {trigger.rule: trigger.grace for trigger in former.triggers}
    ours = {trigger.rule for trigger in journey.triggers}
    made = Position(
        stage=stage,
        since=since,
        shown={touch: number for touch, number in old.shown.items() if touch in counted},
        windows={rule: times for rule, times in old.windows.items() if rule in rules},
        lived=list(old.lived),
        entered_after=old.entered_after,
        told=[one for one in old.told if one[1] in told],
        waiting=[(at, rule) for at, rule in old.waiting if rule in ours and not switch.told(graces[rule], at)],
        kept=kept,
        counts_from={rule: old.counts_from.get(rule, 0) if rule in rules else len(old.lived) for rule in ours},
        history=list(old.history),
        signals=list(old.signals),
    )
    for rank, silence in enumerate(journey.silences):
        for begun in _begun(switch, old, silence, stage, since, kept):
            due = begun + silence.after
            if silence.to is not None:
                made.pending.add(Pending(max(due, closed + 1), rank, begun))
            elif not switch.told(silence.grace, due):
                made.pending.add(Pending(due, rank, begun))
    return made


def _begun(
    switch: Switch,
    old: Position,
    silence: Silence,
    stage: str,
    since: int | None,
    kept: Mapping[frozenset[str], int],
) -> set[int]:
    """Rule 25: since when a silence lasts under the new version."""
    counts = silence.froms is None or stage in silence.froms
    found: set[int] = set()
    former = next((rank for rank, other in enumerate(switch.former.silences) if _same(other, silence)), None)
    if former is not None:
        grace = switch.former.silences[former].grace
        waits = {p for p in old.pending if p.rank == former}
        if silence.to is None:
            waits = {p for p in waits if not switch.told(grace, p.due)}
        left = BEFORE_ALL if old.since is None else old.since
        found = {p.since for p in waits if counts or p.due < left}
        if plain_fold.pends_in(switch.former.silences[former], old.stage):
            return found
    if not counts:
        return found
    if silence.since is None:
        return found if since is None else found | {since}
    last = kept.get(silence.since)
    if last is None:
        return found
    if not silence.unless <= silence.since:
        if silence.unless not in _last_sets(switch.former) & _last_sets(switch.journey):
            return found
        if kept.get(silence.unless, BEFORE_ALL) > last:
            return found
    return found | {last}


def _same(one: Silence, other: Silence) -> bool:
    """The same silence, whatever its length and its stages."""
    return (one.rule, one.to is None, one.since, one.unless) == (
        other.rule,
        other.to is None,
        other.since,
        other.unless,
    )


def _last_sets(journey: Journey) -> set[frozenset[str]]:
    """Of which touches the version keeps when the last was."""
    found = {silence.since for silence in journey.silences if silence.since is not None}
    for silence in journey.silences:
        looks_back = silence.since is not None and silence.froms is not None and ANY not in silence.since
        if looks_back and silence.since is not None and not silence.unless <= silence.since:
            found.add(silence.unless)
    return found | {frozenset({touch}) for trigger in journey.triggers for touch in trigger.unless}


def _counted(journey: Journey) -> set[str]:
    """Which touches the version counts."""
    rules: list[Entry | Trigger] = [*journey.entries, *journey.triggers]
    return {touch for rule in rules for touch, _ in rule.at_least}


def _windows(journey: Journey) -> set[tuple[str, int, bool, frozenset[str]]]:
    """For which rules the version keeps times."""
    rules: list[Entry | Trigger] = [*journey.entries, *journey.triggers]
    return {(rule.rule, rule.count, rule.within is None, rule.touches) for rule in rules if rule.count > 1}


def _told(journey: Journey) -> set[tuple[str, bool]]:
    """For which signals the version keeps whether they were told, and whether for the stage only."""
    return {(trigger.rule, trigger.once == "per_entry") for trigger in journey.triggers if trigger.once is not None}
