"""The fold once more, slowly and from scratch: the judge of the fast one.

It shares no line with `pipeline.domain`. Every step names the rule of docs/semantics.md that it carries out, so the two
can be read side by side. Times are milliseconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_journey import ANY, START, Entry, Journey, Silence, Trigger


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a customer's history (rule 16): at `at` the rule `rule` moved them from stage `origin` to `to`.

    `event` is the id of the event that did it, or None where a timer did, due at `at` after a silence since `since`.
    """

    at: int
    rule: str
    origin: str
    to: str
    event: str | None
    since: int | None = None

    def id(self, customer: str, journey: str) -> str:
        """The entry's id: the same whenever and however often the history is computed."""
        return f"{customer}:{journey}:{self.rule}:{self.at if self.event is None else self.event}"


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """A signal that has fired: `rule` was silent from `since` to `due`."""

    due: int
    rule: str
    since: int


@dataclass(frozen=True, slots=True, order=True)
class Pending:
    """A timer that waits: `rank` is the silence's place in the file, so the smallest of several is the next to fire."""

    due: int
    rank: int
    since: int


@dataclass(slots=True)
class Position:
    """Where a customer stands in one journey, and all that decides what comes next."""

    stage: str = START
    since: int | None = None
    pending: set[Pending] = field(default_factory=set)
    shown: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    windows: dict[str, list[int]] = field(default_factory=dict)
    lived: list[tuple[int, str]] = field(default_factory=list)
    """The customer's acts, time and touch, and how many of them there were when the present stage was entered."""
    entered_after: int = 0
    told: list[tuple[int, str, int]] = field(default_factory=list)
    """The signals that acts have fired: time, rule, and how many moves there had been."""
    waiting: list[tuple[int, str]] = field(default_factory=list)
    """Those of them that nobody has been told of: time and rule."""
    kept: dict[frozenset[str], int] = field(default_factory=dict)
    """Under another version: when the last of some touches was, as far as the version before kept that."""
    counts_from: dict[str, int] = field(default_factory=dict)
    """Under another version: from which of the acts a signal counts that the version before did not have."""
    history: list[Step] = field(default_factory=list)
    signals: list[Firing] = field(default_factory=list)


def fold(journey: Journey, acts: Iterable[Act], watermark: int | None) -> Position:
    """The position after all accepted acts of one customer, which must come in order, at this watermark."""
    position = Position()
    for act in acts:
        take(journey, position, act)
    if watermark is not None:
        pass_time(journey, position, watermark)
    return position


def take(journey: Journey, position: Position, act: Act) -> None:
    """One act in its order: rules 7 to 12."""
    settle(journey, position, act.at)
    if act.company:
        return
    position.pending -= {p for p in position.pending if breaks(journey.silences[p.rank], p, act)}
    count(journey, position, act)
    entry = next((e for e in journey.entries if fits(e, position, act)), None)
    if entry is not None:
        position.history.append(Step(act.at, entry.rule, position.stage, entry.to, act.id))
        move(journey, position, entry.to, act.at)
    start(journey, position, act)
    for trigger in journey.triggers:
        tell(trigger, position, act)


def settle(journey: Journey, position: Position, before: int) -> None:
    """Rule 7: every stage timer due before this time fires, also those that a fired one arms."""
    while (timer := next_stage_timer(journey, position)) is not None and timer.due < before:
        fire(journey, position, timer)


def pass_time(journey: Journey, position: Position, watermark: int) -> None:
    """Rules 13 and 14: stage timers that the watermark has reached fire in order, then signals."""

    def ready(timer: Pending) -> bool:
        return watermark >= timer.due + journey.silences[timer.rank].grace

    while (timer := next_stage_timer(journey, position)) is not None and ready(timer):
        fire(journey, position, timer)
    for timer in sorted(position.pending):
        silence = journey.silences[timer.rank]
        if silence.to is None and ready(timer):
            position.signals.append(Firing(timer.due, silence.rule, timer.since))
    graces = {trigger.rule: trigger.grace for trigger in journey.triggers}
    for at, rule in position.waiting:
        if watermark >= at + graces[rule]:
            position.signals.append(Firing(at, rule, at))


def tell(trigger: Trigger, position: Position, act: Act) -> None:
    """Rule 20: whether the act fires the signal, after all else that it does."""
    if act.touch not in trigger.touches or not (trigger.froms is None or position.stage in trigger.froms):
        return
    counted = [at for at, touch in position.lived[since_when(trigger, position) :] if touch in trigger.touches]
    newest = counted[-trigger.count :]
    if len(newest) < trigger.count and trigger.count > 1:
        return
    if trigger.within is not None and newest[-1] - newest[0] >= trigger.within:
        return
    if any(position.shown.get(touch, 0) < least for touch, least in trigger.at_least):
        return
    for touch, forbids in trigger.unless.items():
        last = last_of(position, {touch})
        if last is not None and (forbids is None or act.at - last < forbids):
            return
    before = [(at, moves) for at, rule, moves in position.told if rule == trigger.rule]
    if (act.at, trigger.rule) in position.waiting:
        return
    if trigger.once == "per_customer" and before:
        return
    if trigger.once == "per_entry" and any(moves == len(position.history) for _, moves in before):
        return
    if isinstance(trigger.once, int) and any(act.at - at < trigger.once for at, _ in before):
        return
    position.told.append((act.at, trigger.rule, len(position.history)))
    position.waiting.append((act.at, trigger.rule))


def since_when(trigger: Trigger, position: Position) -> int:
    """From which of the acts a trigger counts: from all with `within`, else from the entry of the stage on."""
    known_from = position.counts_from.get(trigger.rule, 0)
    return known_from if trigger.within is not None else max(known_from, position.entered_after)


def next_stage_timer(journey: Journey, position: Position) -> Pending | None:
    """The pending stage timer with the earliest due; of several, the first in the file."""
    return min((p for p in position.pending if journey.silences[p.rank].to is not None), default=None)


def fire(journey: Journey, position: Position, timer: Pending) -> None:
    """Rules 7 and 13: a stage timer moves the customer at its due."""
    silence = journey.silences[timer.rank]
    assert silence.to is not None
    position.history.append(Step(timer.due, silence.rule, position.stage, silence.to, None, timer.since))
    move(journey, position, silence.to, timer.due)


def move(journey: Journey, position: Position, to: str, at: int) -> None:
    """Rule 11: what a move, by an act or by a timer, does besides changing the stage."""
    position.stage, position.since = to, at
    position.entered_after = len(position.lived)
    position.pending = {p for p in position.pending if stays(journey.silences[p.rank], p, at)}
    for entry in journey.entries:
        if entry.within is None:
            position.windows.pop(entry.rule, None)
    for rank, silence in enumerate(journey.silences):
        if silence.froms is None or to not in silence.froms:
            continue
        if silence.since is None:
            position.pending.add(Pending(at + silence.after, rank, at))
            continue
        last, broken = last_of(position, silence.since), last_of(position, silence.unless)
        if last is None or (broken is not None and broken > last):
            continue
        due = last + silence.after
        if due >= at:
            position.pending.add(Pending(due, rank, last))
        elif silence.to is not None:
            position.pending.add(Pending(at, rank, last))


def stays(silence: Silence, timer: Pending, moved_at: int) -> bool:
    """Whether a pending timer outlives a move: signals that do not look at the stage, and those due before it."""
    if silence.to is not None:
        return False
    return silence.froms is None or timer.due < moved_at


def breaks(silence: Silence, timer: Pending, act: Act) -> bool:
    """Rule 8: whether the act ends this silence."""
    named = act.touch in silence.unless or ANY in silence.unless or starts(silence, act.touch)
    return named and timer.since < act.at <= timer.due


def start(journey: Journey, position: Position, act: Act) -> None:
    """Rule 12: the silences that count from this act begin anew."""
    for rank, silence in enumerate(journey.silences):
        if starts(silence, act.touch) and pends_in(silence, position.stage):
            position.pending -= {p for p in position.pending if p.rank == rank and p.due >= act.at}
            position.pending.add(Pending(act.at + silence.after, rank, act.at))


def starts(silence: Silence, touch: str) -> bool:
    """Whether the silence runs since the last of this touch."""
    return silence.since is not None and (touch in silence.since or ANY in silence.since)


def pends_in(silence: Silence, stage: str) -> bool:
    """Whether the silence counts in this stage."""
    return silence.froms is None or stage in silence.froms


def count(journey: Journey, position: Position, act: Act) -> None:
    """Rule 9: what the customer has shown includes this act before any rule looks at it."""
    position.shown[act.touch] = position.shown.get(act.touch, 0) + 1
    position.last[act.touch] = position.last[ANY] = act.at
    position.lived.append((act.at, act.touch))
    for entry in journey.entries:
        if entry.count > 1 and act.touch in entry.touches:
            times = [*position.windows.get(entry.rule, []), act.at]
            position.windows[entry.rule] = times[-entry.count :]


def fits(entry: Entry, position: Position, act: Act) -> bool:
    """Rule 10: whether this entry rule moves the customer on this act."""
    if act.touch not in entry.touches or position.stage not in entry.froms:
        return False
    if entry.to == position.stage and not entry.again:
        return False
    if any(position.shown.get(touch, 0) < least for touch, least in entry.at_least):
        return False
    if entry.count == 1:
        return True
    times = position.windows[entry.rule]
    return len(times) == entry.count and (entry.within is None or times[-1] - times[0] < entry.within)


def last_of(position: Position, touches: Iterable[str]) -> int | None:
    """When the last of these touches was shown."""
    times = [position.last[touch] for touch in touches if touch in position.last]
    times += [at for those, at in position.kept.items() if those == set(touches)]
    return max(times, default=None)


def net_history(customer: str, journey: Journey, position: Position) -> Mapping[str, tuple[int, str]]:
    """What a subscriber of the feed should hold at rest (rule 18): entry id -> (time, stage)."""
    return {step.id(customer, journey.name): (step.at, step.to) for step in position.history}
