"""What running workers do and use, by two looks at their metrics, and how much more they could take."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.application.capacity import WORKER, Model


@dataclass(frozen=True, slots=True)
class Look:
    """One worker at a moment (s of a clock that only goes on): CPU seconds, events and transactions so far.

    `events` are all that found their end in its lanes, `lag` is in records, `lanes` are those that run here and
    `all_lanes` how many the application has; MB are 2^20 bytes.
    """

    at_s: float
    cpu_s: float
    events: int
    transactions: int
    mb: float
    lag: int
    lanes: tuple[int, ...]
    all_lanes: int


@dataclass(frozen=True, slots=True)
class Rate:
    """One worker between two looks; a core is one second of CPU a second. `lag_change`: records a second."""

    lanes: int
    events_per_second: float
    transactions_per_second: float
    cores: float
    mb: float
    lag: int
    lag_change: float


@dataclass(frozen=True, slots=True)
class Room:
    """What workers could take, in events a second, if they may use so much of their cores.

    `at_least`: at what an event costs them now, transactions and all. `about`: without what idling and transactions
    cost where that was measured, since transactions grow with the load.
    """

    events_per_second: float
    cores: float
    at_least: float
    about: float


def rate(before: Look, after: Look) -> Rate:
    """ValueError if the worker was started anew between the looks, or there is no time between them."""
    seconds = after.at_s - before.at_s
    if seconds <= 0 or after.cpu_s < before.cpu_s or after.transactions < before.transactions:
        raise ValueError("it was started anew meanwhile")
    return Rate(
        lanes=len(after.lanes),
        # Lanes bring their totals along, so that one worker's may leap when a lane moves; the sum over all may not.
        events_per_second=(after.events - before.events) / seconds,
        transactions_per_second=(after.transactions - before.transactions) / seconds,
        cores=(after.cpu_s - before.cpu_s) / seconds,
        mb=after.mb,
        lag=after.lag,
        lag_change=(after.lag - before.lag) / seconds,
    )


def room(rates: Sequence[Rate], model: Model, busy: float) -> Room:
    """ValueError if no event was processed: nothing can be said then."""
    events, cores = sum(each.events_per_second for each in rates), sum(each.cores for each in rates)
    if events <= 0:
        raise ValueError("no event was processed between the two looks")
    a_transaction = model.a_transaction(WORKER)
    beside = sum(model.idling(WORKER, each.lanes) + a_transaction * each.transactions_per_second for each in rates)
    usable = busy * len(rates)
    # However cheap an event seems beside its transactions, no less than where it was measured with large ones.
    cheapest = min(point.worker_us for point in model.by_journeys) / 1e6
    own = min(cores / events, max(cheapest, (cores - beside) / events))
    return Room(events, cores, at_least=usable * events / cores, about=usable / own)
