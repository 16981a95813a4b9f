"""Random journeys, as documents that the linter accepts, and random lives to lead through them. Times are a few ms.

Chance is a string of bytes: one draw for Hypothesis, which makes it fast, and zeros are the simplest choice, so it can
still find the smallest case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.property.two_folds import CUSTOMER, Raw, Sent

GRACE = {"web": 0, "email": 3, "social": 0, "phone": 8, "store": 15}
TOUCHES: Raw = {
    "touches": {
        "looked": {"type": "look"},
        "carted": {"type": "cart", "channel": ["web", "email"]},
        "ordered": {"type": "order", "channel": ["web", "phone", "store"]},
        "urged": {"type": "call", "channel": "phone", "where": {"mood.now": ["angry", None]}},
        "talked": {"type": ["call", "chat"]},
        "mailed": {"type": "mail", "actor": "company"},
    }
}
ACTS = ("looked", "carted", "ordered", "urged", "talked")
LABELS = {"en": "a", "tr": "b", "pl": "c", "fa": "d"}
EVENTS: Sequence[tuple[str, str, Raw]] = (
    ("look", "web", {}),
    ("look", "social", {}),
    ("cart", "web", {}),
    ("cart", "email", {}),
    ("order", "web", {}),
    ("order", "store", {}),
    ("call", "phone", {"properties": {"mood": {"now": "angry"}}}),
    ("call", "phone", {}),
    ("call", "phone", {"properties": {"mood": {"now": "calm"}}}),
    ("call", "phone", {"properties": {"mood": 1}}),
    ("chat", "web", {}),
    ("mail", "email", {"actor": "company"}),
    ("mail", "email", {}),
    ("cart", "store", {}),
    ("look", "web", {"actor": "company"}),
)
"""Type, channel and other fields of events: most are a touch, some are unclassified or the company's."""

T = TypeVar("T")


def thrown(number: int) -> st.SearchStrategy[bytes]:
    """The bytes for a `Dice`."""
    return st.binary(min_size=number, max_size=number)


class Dice:
    """Choices out of bytes; after the last byte every choice is the first."""

    def __init__(self, thrown: bytes) -> None:
        self._thrown = iter(thrown)

    def below(self, sides: int) -> int:
        """0 to `sides` - 1, of at most 256."""
        return next(self._thrown, 0) % sides

    def once_in(self, sides: int) -> bool:
        return self.below(sides) == sides - 1

    def one(self, names: Sequence[T]) -> T:
        return names[self.below(len(names))]

    def some(self, names: Sequence[T], most: int = 2) -> list[T]:
        """1 to `most` different ones."""
        chosen: list[T] = []
        for _ in range(1 + self.below(most)):
            name = self.one(names)
            if name not in chosen:
                chosen.append(name)
        return chosen

    def duration(self, longest: int) -> str:
        return f"{1 + self.below(longest)}ms"


def touch_rule(dice: Dice, others: Sequence[str]) -> dict[str, Any]:
    """An `enter` by a touch; without `from` it has the default."""
    rule: dict[str, Any] = {"when": dice.some(ACTS), "back": True}
    if not dice.once_in(4):
        rule["from"] = "*" if dice.once_in(2) else dice.some(others, 4)
    if dice.once_in(3):
        rule["count"] = 2 + dice.below(2)
        if dice.once_in(2):
            rule["within"] = dice.duration(30)
    if dice.once_in(6):
        rule["if"] = {"count": dice.one(ACTS), "gte": 1 + dice.below(3)}
    if dice.once_in(6):
        rule["repeat"] = "count"
    return rule


def silent_rule(dice: Dice, before: Sequence[str]) -> dict[str, Any]:
    """An `enter` by a silence."""
    since = dice.one(("entered", "last any", *(f"last {touch}" for touch in ACTS)))
    froms = [name for name in dice.some(before, 3) if name != "start" or since != "entered"]
    rule: dict[str, Any] = {"after": dice.duration(15), "since": since, "from": froms or before[-1], "back": True}
    if dice.once_in(2):
        rule["unless"] = dice.some(ACTS)
    if dice.once_in(4):
        rule["wait_for"] = dice.some(tuple(GRACE))
    return rule


def signal_by_a_touch(dice: Dice, stages: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"when": dice.some(ACTS)}
    if dice.once_in(2):
        found["count"] = 2 + dice.below(2)
        if dice.once_in(2):
            found["within"] = dice.duration(30)
    if dice.once_in(4):
        found["if"] = {"count": dice.one(ACTS), "gte": 1 + dice.below(3)}
    if dice.once_in(2):
        found["in"] = dice.some(("start", *stages), 3)
    if dice.once_in(2):
        names = [touch for touch in dice.some(ACTS) if touch not in found["when"]]
        unless = {touch: dice.duration(20) for touch in names} if dice.once_in(2) else names
        found |= {"unless": unless} if unless else {}
    if dice.once_in(2):
        found["once"] = dice.one(("per_entry", "per_customer", "5ms", "20ms"))
    return found


def signal(dice: Dice, stages: Sequence[str]) -> dict[str, Any]:
    if dice.once_in(3):
        return signal_by_a_touch(dice, stages)
    since = dice.one(
        ("entered", f"entered {stages[-1]}", "last any", "last looked or carted", *(f"last {touch}" for touch in ACTS))
    )
    found: dict[str, Any] = {"after": dice.duration(20), "since": since, "unless": dice.some(ACTS)}
    if since == "entered":
        found["in"] = dice.some(stages, 3)
    elif since.startswith("last") and dice.once_in(2):
        found["in"] = dice.some(("start", *stages), 3)
    if dice.once_in(4):
        found["wait_for"] = dice.some(tuple(GRACE))
    if dice.once_in(4):
        found["expires"] = dice.duration(10)
    return found


def journey(dice: Dice, name: str) -> Raw:
    """A journey of a few stages, all of which can be entered, without a round of silences."""
    stages = tuple("abcd"[: 2 + dice.below(3)])
    rows: list[dict[str, Any]] = []
    for place, stage in enumerate(stages):
        others = ("start", *(other for other in stages if other != stage))
        first = touch_rule(dice, others)
        if first.get("from") != "*":
            first["from"] = sorted({*first.get("from", ()), others[dice.below(place + 1)]})
        enter = [first]
        if dice.once_in(2):
            enter.append(touch_rule(dice, others))
        if place and not dice.once_in(3):
            # A silence leads on only, so that silence alone cannot go round.
            enter.append(silent_rule(dice, ("start", *stages[:place])))
        rows.append({"id": stage, "labels": LABELS, "enter": enter})
    for row in rows:
        if dice.once_in(5) and _can_be_left(row["id"], rows):
            row["stalled"] = dice.duration(20)
    if dice.once_in(4):
        # An outcome: a stage of its own, so that all others can still be entered as they were.
        one = dice.one(rows)
        one["outcome"] = {"ended": dice.some(ACTS)}
        rows.append({"id": "ended", "labels": LABELS, "terminal": True})
        if dice.once_in(2):
            rows[0]["enter"].append({"from": "ended", "when": dice.some(ACTS), "back": True})
    turn = dice.below(len(rows))
    return {
        "journey": name,
        "version": 1,
        "stages": rows[turn:] + rows[:turn],
        "signals": {f"signal-{n}": signal(dice, stages) for n in range(dice.below(4))},
    }


def _can_be_left(stage: str, rows: Sequence[Raw]) -> bool:
    """Whether a touch leads from this stage to another; the linter asks that of a stage with `stalled`."""
    rules = [rule for row in rows for rule in row["enter"] if row["id"] != stage and "when" in rule]
    return any(stage in rule.get("from", ()) or rule.get("from") == "*" for rule in rules)


@dataclass(frozen=True, slots=True)
class Life:
    """What happens to one customer. A step is an event that arrives, a number of ms by which the watermark rises, or
    None: the profile leaves the cache and comes back. `lateness` in ms, `limit` in events. `by_index`: the customer is
    looked at only if the index of timers says so."""

    lateness: int
    limit: int
    by_index: bool
    steps: tuple[Sent | int | None, ...]

    @property
    def sent(self) -> list[Sent]:
        return [step for step in self.steps if isinstance(step, Sent)]


FOREVER = 1_000_000
"""A lateness, or a limit, that is never reached."""


def event(dice: Dice, number: int, at: int) -> Sent:
    """The event `number`; id, partition and offset follow from that, so a copy is a copy."""
    kind, channel, more = EVENTS[min(dice.below(20), dice.below(len(EVENTS)))]
    raw = {"id": f"e{number}", "type": kind, "occurred_at": at, "customer_id": CUSTOMER, **more}
    return Sent(raw, channel, dice.below(4), number % 2, number)


def life(dice: Dice, steps: int, late: bool = True, copies: bool = True) -> Life:
    """So many steps, less those that chance makes nothing. `late`: some events are late, or pushed out by the limit.

    Where the limit is small there are no copies: one that comes back after its event was pushed out is another event.
    """
    limit = dice.one((FOREVER, FOREVER, 4, 2, 1)) if late else FOREVER
    lateness = dice.one((FOREVER, 30, 10, 3, 0)) if late else FOREVER
    pace, jitter, rise = dice.one((1, 3, 8)), dice.one((0, 6, 40)), dice.one((4, 8, 16))
    by_index = dice.once_in(2)
    made: list[Sent | int | None] = []
    sent: list[Sent] = []
    for number in range(steps):
        what = dice.below(12)
        if what == 1:
            made.append(None)
        elif what == 2 and sent and copies and limit == FOREVER:
            made.append(dice.one(sent))
        elif what in {3, 4, 5}:
            made.append(dice.below(rise * pace))
        elif what:
            leap = 120 if dice.once_in(40) else 0
            sent.append(event(dice, number, max(0, number * pace + leap + 4 - dice.below(jitter + 5))))
            made.append(sent[-1])
    return Life(lateness, limit, by_index, tuple(made))
