"""I9: whether a timer could rightly fire when it did, given what Kafka had acknowledged by then."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from pipeline.checker import plain_fold
from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.plain_journey import Journey, Silence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = 1 << 62


def milliseconds(text: str) -> int:
    """Milliseconds of an RFC 3339 text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def moment(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`, as everything is published."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def falsely_fired(journey: Journey, silence: Silence, since: int, due: int, arrivals: Sequence[Arrival]) -> bool:
    """Whether the silence from `since` to `due` could not be, by the events alone that were acknowledged before due +
    grace, and that had to be folded before it fired.

    It could not if one of them breaks it. Nor if they are all that the customer did up to `due`, and no silence comes
    of that. Which of the later acknowledged events were folded by then is not known, so nothing rests on those.
    `arrivals` are accepted, in their order; each must know when it was acknowledged. Times ms.
    """
    ready = due + silence.grace
    timer = plain_fold.Pending(due, 0, since)
    folded = [a.act for a in arrivals if a.acknowledged is not None and a.acknowledged < ready]
    if any(not act.company and plain_fold.breaks(silence, timer, act) for act in folded):
        return True
    if len([act for act in folded if act.at <= due]) < len([a for a in arrivals if a.act.at <= due]):
        return False
    longest = due + max(other.grace for other in journey.silences)
    return not any(
        _holds(silence, since, due, plain_fold.fold(journey, folded, watermark)) for watermark in (ready, longest, FAR)
    )


def settled_by_event(silence: Silence, due: int, arrivals: Iterable[Arrival], until: int) -> bool:
    """Whether an event from after `due` may have settled a stage timer before time did; `until` in ms."""
    return silence.to is not None and any(a.act.at > due and a.at <= until for a in arrivals)


def _holds(silence: Silence, since: int, due: int, position: plain_fold.Position) -> bool:
    if silence.to is None:
        return any((fired.rule, fired.since, fired.due) == (silence.rule, since, due) for fired in position.signals)
    return any(
        (step.rule, step.since, step.at, step.event) == (silence.rule, since, due, None) for step in position.history
    )
