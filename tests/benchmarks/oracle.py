"""What the common work should come to: a fold that shares no code with anything that is measured, and its judgement.

The rules, in order, for an event of a customer at time t. One of the last 16 accepted events again: nothing happens. A
customer (purchase, retention, advocacy) of whom nothing was heard for more than 30 days lapsed 30 days after the last
event. Then at most one rule moves the customer, dated t; three views since the last move count as a rule.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

SILENCE = timedelta(days=30)
CUSTOMERS = ("purchase", "retention", "advocacy")
START = "none"
LAPSED = "lapsed"


class Transition(NamedTuple):
    """One stage change; `occurred_at` as it is published, `cause` the id of the event that brought it about."""

    customer: str
    seq: int
    source: str
    target: str
    occurred_at: str
    cause: str


class Event(msgspec.Struct):
    """The fields that the fold reads."""

    id: str
    type: str
    channel: str
    occurred_at: str


@dataclass(slots=True)
class State:
    """Of one customer."""

    stage: str = START
    seq: int = 0
    views: int = 0
    last_seen: datetime | None = None
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=16))


class Oracle:
    """The fold over all customers."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._decode = msgspec.json.Decoder(Event).decode

    @property
    def customers(self) -> int:
        return len(self._states)

    def fold(self, customer: str, value: bytes) -> list[Transition]:
        """What this event brings about: no transition, one, or a lapse and one."""
        state = self._states.get(customer)
        if state is None:
            state = self._states[customer] = State()
        event = self._decode(value)
        if event.id in state.recent:
            return []
        at = datetime.fromisoformat(event.occurred_at[:-1])
        found: list[Transition] = []

        def move(stage: str, moment: str) -> None:
            state.seq += 1
            found.append(Transition(customer, state.seq, state.stage, stage, moment, event.id))
            state.stage, state.views = stage, 0

        if state.last_seen and state.stage in CUSTOMERS and at - state.last_seen > SILENCE:
            move(LAPSED, (state.last_seen + SILENCE).isoformat(timespec="milliseconds") + "Z")
        state.views += event.type == "product_viewed"
        target = _rule(state.stage, event.type, state.views)
        if target:
            move(target, event.occurred_at)
        state.last_seen = max(state.last_seen or at, at)
        state.recent.append(event.id)
        return found


def _rule(stage: str, kind: str, views: int) -> str:
    if kind == "order_placed" and stage in {START, "awareness", "consideration", LAPSED}:
        return "purchase"
    if stage == START:
        return "awareness"
    if stage == "awareness" and (kind in {"cart_added", "email_clicked"} or views >= 3):
        return "consideration"
    if stage == LAPSED:
        return "consideration"
    if stage == "purchase" and kind in {"order_placed", "support_requested"}:
        return "retention"
    if stage in {"purchase", "retention"} and kind in {"referral_sent", "review_written"}:
        return "advocacy"
    return ""


def expected(work: Iterable[tuple[str, bytes]]) -> list[Transition]:
    """All transitions of the work."""
    oracle = Oracle()
    return [transition for customer, value in work for transition in oracle.fold(customer, value)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How an output differs from what is right; all zero but `right` means correct."""

    right: int
    missing: int
    surplus: int
    doubled: int
    gaps: int

    @property
    def correct(self) -> bool:
        return not (self.missing or self.surplus or self.doubled or self.gaps)

    def __str__(self) -> str:
        wrong = f"{self.missing} missing, {self.surplus} surplus, {self.doubled} doubled, {self.gaps} gaps in a seq"
        return f"{self.right:,} transitions: " + ("all right" if self.correct else wrong)


def judge(wanted: Sequence[Transition], found: Iterable[Transition]) -> Judgement:
    """Compares an output, in log order in each partition, with what is wanted.

    Where the output says a lapse without naming an event (a timer moved the customer), its cause is not compared.
    """
    right: Mapping[tuple[str, int], Transition] = {(each.customer, each.seq): each for each in wanted}
    seen: Counter[tuple[str, int]] = Counter()
    last: dict[str, int] = {}
    surplus = gaps = 0
    for transition in found:
        place = (transition.customer, transition.seq)
        gaps += transition.seq != last.get(transition.customer, 0) + 1
        last[transition.customer] = transition.seq
        other = right.get(place)
        if other is not None and transition.target == LAPSED and not transition.cause:
            transition = transition._replace(cause=other.cause)
        if transition == other:
            seen[place] += 1
        else:
            surplus += 1
    doubled = sum(count - 1 for count in seen.values())
    return Judgement(len(right), len(right) - len(seen), surplus, doubled, gaps)
