"""Which events count, by the checker's own reading: order, duplicates, lateness, the limit (rules 1 to 6).

Rules are those of docs/semantics.md. Times are milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pipeline.checker.plain_touches import Row, touch_of

Kind = Literal["accepted", "duplicate", "late"]


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """One event with its touch. Acts compare in the order of rule 2: the first five fields, in this order."""

    at: int
    appended: int
    partition: int
    offset: int
    id: str
    touch: str = field(compare=False)
    channel: str = field(compare=False)
    company: bool = field(compare=False, default=False)


def act_of(
    event: Mapping[str, Any], channel: str, rows: Sequence[Row], appended: int, partition: int, offset: int
) -> Act:
    """A raw event, decoded from JSON, as an act (rule 1). It must be valid."""
    at = event["occurred_at"]
    if isinstance(at, str):
        at = (datetime.fromisoformat(at) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    touch = touch_of(event, channel, rows)
    return Act(at, appended, partition, offset, event["id"], touch, channel, event.get("actor") == "company")


@dataclass(slots=True)
class Counters:
    """What a profile counts beside the journeys (rule 6). `touches` are the customer's own acts by channel."""

    touches: dict[str, int] = field(default_factory=dict)
    company: int = 0
    first_seen: int | None = None
    last_seen: int | None = None


@dataclass(slots=True)
class Admission:
    """What becomes of a customer's events in the order of their arrival: rules 3 to 5.

    `lateness` in ms, `limit` in events. `remembered` are the accepted acts that can still be placed exactly, in order.
    """

    lateness: int
    limit: int
    remembered: list[Act] = field(default_factory=list)
    newest: int | None = None
    pushed_out: Act | None = None
    truncated: bool = False

    def arrive(self, act: Act) -> Kind:
        """Judges one act, and remembers it if it is accepted."""
        if any(other.id == act.id for other in self.remembered):
            return "duplicate"
        if self.newest is not None and act.at < self.newest - self.lateness:
            return "late"
        if self.pushed_out is not None and act < self.pushed_out:
            return "late"
        self.newest = act.at if self.newest is None else max(self.newest, act.at)
        self.remembered = sorted(a for a in [*self.remembered, act] if a.at >= self.newest - self.lateness)
        while len(self.remembered) > self.limit:
            self.pushed_out, self.truncated = self.remembered.pop(0), True
        return "accepted"


def outcomes(arrivals: Iterable[Act], lateness: int, limit: int) -> list[Kind]:
    """The outcome of every event of one customer, in the order of arrival."""
    admission = Admission(lateness, limit)
    return [admission.arrive(act) for act in arrivals]


def accepted(arrivals: Sequence[Act], lateness: int, limit: int) -> list[Act]:
    """The acts that count, in the order in which they are folded."""
    kinds = outcomes(arrivals, lateness, limit)
    return sorted(act for act, kind in zip(arrivals, kinds, strict=True) if kind == "accepted")


def counters(acts: Iterable[Act]) -> Counters:
    """Rule 6, over all accepted acts of a customer."""
    total = Counters()
    for act in acts:
        if act.company:
            total.company += 1
        else:
            total.touches[act.channel] = total.touches.get(act.channel, 0) + 1
        total.first_seen = act.at if total.first_seen is None else min(total.first_seen, act.at)
        total.last_seen = act.at if total.last_seen is None else max(total.last_seen, act.at)
    return total
