"""I9: no timer fires by the passing of time while what would have broken the silence was acknowledged and is unread."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.checker.plain_admission import Act
from pipeline.domain.moments import parse_moment

BREAKS: Mapping[tuple[str, str], frozenset[str] | None] = {
    ("shop", "cold"): None,
    ("shop", "cart_left"): frozenset({"cart", "ordered"}),
}
"""By journey and what fires (a stage or a signal): the touches that break the silence; None: every act."""


def false_silences(
    acts: Mapping[str, Sequence[Act]], published: Iterable[tuple[int, Mapping[str, Any]]], grace: int
) -> list[str]:
    """Firings that an act in time should have prevented.

    `acts` are the accepted ones by customer, `published` the transitions and signals with their append times, all ms. A
    stage timer that a later act of its customer (or towards it) overtook was settled by that act, not by time.
    """
    return [
        f"{record['id']}: {record['cause']['rule']} fired at {at} for {_moment(record, 'due')}, but {act.id} "
        f"({act.touch}) of {act.at} was acknowledged at {act.appended}"
        for at, record in published
        if (act := _broken_by(acts.get(record["customer_id"], ()), at, record, grace)) is not None
    ]


def _broken_by(acts: Sequence[Act], at: int, record: Mapping[str, Any], grace: int) -> Act | None:
    """The act in time that breaks the silence of this record, if it is one of a timer."""
    fires = (record["journey"], record.get("signal") or record["to"])
    if "timer" not in record["cause"] or record["kind"] not in {"entered", "corrected", "fired"} or fires not in BREAKS:
        return None
    since, due = _moment(record, "since"), _moment(record, "due")
    touches = BREAKS[fires]
    if "signal" not in record and any(act.at > due and act.appended <= at for act in acts):
        return None
    for act in acts:
        breaks = not act.company and (touches is None or act.touch in touches)
        if breaks and since < act.at <= due and act.appended < due + grace:
            return act
    return None


def _moment(record: Mapping[str, Any], name: str) -> int:
    return parse_moment(record["cause"]["timer"][name])
