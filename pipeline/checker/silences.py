"""I9: whether a timer could rightly fire when it did, given what Kafka had acknowledged by then."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from pipeline.checker import plain_fold
from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.plain_journey import Journey, Silence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(text: str) -> int:
    """Milliseconds of an RFC 3339 text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def moment(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`, as everything is published."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rightly_fired(
    journey: Journey, silence: Silence, since: int, due: int, arrivals: Sequence[Arrival], until: int | None
) -> bool:
    """Whether there was a watermark at or above due + grace, and not above `until`, at which the silence from `since`
    to `due` held, with all events folded that were acknowledged before that watermark.

    `arrivals` are accepted, in their order; each must know when it was acknowledged. Times ms.
    """
    ready = due + silence.grace
    later = sorted({arrival.acknowledged + 1 for arrival in arrivals if arrival.acknowledged is not None})
    for watermark in (ready, *(time for time in later if time > ready and (until is None or time <= until))):
        acts = [a.act for a in arrivals if a.acknowledged is not None and a.acknowledged < watermark]
        if _holds(journey, silence, since, due, plain_fold.fold(journey, acts, watermark)):
            return True
    return False


def settled_by_event(silence: Silence, due: int, arrivals: Iterable[Arrival], until: int) -> bool:
    """Whether an event from after `due` may have settled a stage timer before time did; `until` in ms."""
    return silence.to is not None and any(a.act.at > due and a.at <= until for a in arrivals)


def _holds(journey: Journey, silence: Silence, since: int, due: int, position: plain_fold.Position) -> bool:
    if silence.to is None:
        return any((fired.rule, fired.since, fired.due) == (silence.rule, since, due) for fired in position.signals)
    return any(
        (step.rule, step.since, step.at, step.event) == (silence.rule, since, due, None) for step in position.history
    )
