"""What a subscriber knows of one customer in one journey, by names that a fold can be compared under."""

from collections.abc import Collection, Sequence

from pipeline.checker.net_history import Subscriber
from pipeline.checker.plain_journey import Journey


def moves_of(
    customer: str, journey: str, moves: Sequence[tuple[int, str | None, str | None]]
) -> dict[str, tuple[str | None, str | None]]:
    """Each switch that a customer in a stage was told of, by its number."""
    told = [(version, before, after) for version, before, after in moves if before or after]
    return {
        f"switch {number} of {customer} in {journey}, to version {version}": (before, after)
        for number, (version, before, after) in enumerate(told, 1)
    }


def known_of(customer: str, journey: Journey, subscriber: Subscriber, signals: Collection[str]) -> dict[str, object]:
    """What a subscriber of both feeds knows of a customer in one journey, of which `signals` are told."""
    known: dict[str, object] = {}
    track = subscriber.tracks.get((customer, journey.name))
    if track is not None:
        known.update({entry: tuple(value) for entry, value in {**track.closed, **track.entries}.items()})
        known.update(moves_of(customer, journey.name, track.moves))
        known[f"stage of {customer} in {journey.name}"] = track.stage
    for name in signals:
        told = subscriber.signals.get((customer, journey.name, name))
        for due in told.holding.values() if told is not None else ():
            known[f"signal {customer}:{journey.name}:{name} of {due}"] = True
    return known
