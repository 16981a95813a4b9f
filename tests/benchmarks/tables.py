"""What was measured, as tables for people."""

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from tests.benchmarks.results import Cost

BESIDE = "kafka-streams"


def cost_table(costs: Sequence[Cost]) -> Table:
    """One row a run, in the order of running."""
    first = costs[0]
    table = Table(
        title=f"CPU µs an event; {first.events:,} events of {first.customers:,} customers, {first.lanes} lanes",
        caption="the worker's figures are worker + Redis; every run's transitions were all right",
    )
    for name in ("round", "system"):
        table.add_column(name)
    for name in ("whole", "2nd half", "broker", "events/s", "2nd half", "peak MB", "events a transaction", "load"):
        table.add_column(name, justify="right")
    for cost in costs:
        table.add_row(
            str(cost.round + 1),
            cost.system + ("" if cost.events == first.events else f" ({cost.events:,} events)"),
            _sum(cost.worker_us, cost.redis_us),
            _sum(cost.second_half_worker_us, cost.second_half_redis_us),
            f"{cost.broker_us:.1f}",
            f"{cost.events_per_second:,.0f}",
            f"{cost.second_half_events_per_second:,.0f}",
            _sum(cost.peak_mb, cost.redis_peak_mb or 0, digits=0),
            f"{cost.events_per_transaction:,.0f}" if cost.events_per_transaction else "",
            f"{cost.load_average:.1f}",
        )
    return table


def ratio_table(costs: Sequence[Cost], beside: str = BESIDE) -> Table | None:
    """CPU an event as a share of another system's in the same round: each round, and the median. None without it."""
    others = {cost.round: cost for cost in costs if cost.system == beside}
    names = list(dict.fromkeys(cost.system for cost in costs if cost.system != beside))
    if not others or not names:
        return None
    table = Table(title=f"CPU an event (worker + Redis) as a share of that of {beside} in the same round")
    table.add_column("system")
    for name in ("whole, by round", "median", "2nd half, by round", "median"):
        table.add_column(name, justify="right")
    for name in names:
        pairs = [(cost, others[cost.round]) for cost in costs if cost.system == name and cost.round in others]
        whole = [whole_us(one) / whole_us(other) for one, other in pairs]
        second = [second_half_us(one) / second_half_us(other) for one, other in pairs]
        if pairs:
            table.add_row(name, _list(whole), f"{median(whole):.2f}", _list(second), f"{median(second):.2f}")
    return table


def whole_us(cost: Cost) -> float:
    """System and Redis together."""
    return cost.worker_us + cost.redis_us


def second_half_us(cost: Cost) -> float:
    return cost.second_half_worker_us + cost.second_half_redis_us


def _sum(first: float, second: float, digits: int = 1) -> str:
    return f"{first:.{digits}f} + {second:.{digits}f}" if second else f"{first:.{digits}f}"


def _list(ratios: Sequence[float]) -> str:
    return " ".join(f"{ratio:.2f}" for ratio in ratios)
