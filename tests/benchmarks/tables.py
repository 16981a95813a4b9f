"""What was measured, as tables for people."""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.table import Table

from tests.benchmarks.results import Cost, Growth, Latency, Rebuild

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


def latency_table(latencies: Sequence[Latency]) -> Table:
    """One row a run."""
    first = latencies[0]
    table = Table(
        title=f"ms from sending to a subscriber, {first.asked_per_second:,.0f} events/s over {first.lanes} lanes",
        caption="CPU in µs an event (worker + Redis); every transition was right",
    )
    table.add_column("system")
    for name in ("p50", "p90", "p99", "most", "CPU", "broker", "transitions", "events a transaction", "sent/s", "load"):
        table.add_column(name, justify="right")
    for latency in latencies:
        table.add_row(
            latency.system,
            *(f"{each:.1f}" for each in (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms)),
            _sum(latency.worker_us, latency.redis_us),
            f"{latency.broker_us:.1f}",
            f"{latency.transitions:,}",
            f"{latency.events_per_transaction:,.0f}" if latency.events_per_transaction else "",
            f"{latency.sent_per_second:,.0f}",
            f"{latency.load_average:.1f}",
        )
    return table


def growth_table(growths: Sequence[Growth]) -> Table:
    """One row a number of customers."""
    table = Table(
        title="the worker by its number of customers; all of them known before",
        caption="CPU in µs an event (worker + Redis)",
    )
    for name in (
        "customers",
        "CPU",
        "broker",
        "events/s",
        "events a transaction",
        "peak MB",
        "Redis MB",
        "Redis bytes a customer, mean",
        "median",
        "load",
    ):
        table.add_column(name, justify="right")
    for growth in growths:
        table.add_row(
            f"{growth.customers:,}",
            _sum(growth.worker_us, growth.redis_us),
            f"{growth.broker_us:.1f}",
            f"{growth.events_per_second:,.0f}",
            f"{growth.events_per_transaction:,.0f}" if growth.events_per_transaction else "",
            f"{growth.peak_mb:,.0f}",
            f"{growth.redis_mb:,.0f}",
            f"{growth.redis_bytes_mean:,.0f}",
            f"{growth.redis_bytes_median:,.0f}",
            f"{growth.load_average:.1f}",
        )
    return table


def rebuild_table(rebuilds: Sequence[Rebuild]) -> Table:
    """One row a run."""
    table = Table(title="rebuilding the tables of one worker", caption="a core second: of the worker or of Redis")
    for name in ("profiles", "seconds", "profiles/s", "profiles a core second", "µs a profile", "load"):
        table.add_column(name, justify="right")
    for rebuild in rebuilds:
        table.add_row(
            f"{rebuild.profiles:,}",
            f"{rebuild.seconds:.1f}",
            f"{rebuild.profiles_per_second:,.0f}",
            f"{rebuild.profiles_per_core_second:,.0f}",
            _sum(rebuild.worker_us, rebuild.redis_us),
            f"{rebuild.load_average:.1f}",
        )
    return table


def counts_table(counted: Mapping[str, float], budget: Mapping[str, float]) -> Table:
    """What was counted beside the budget."""
    table = Table(title="the work for the events of the counting run")
    table.add_column("what")
    for name in ("counted", "budget", "change"):
        table.add_column(name, justify="right")
    for name in dict.fromkeys((*counted, *budget)):
        now, was = counted.get(name, 0), budget.get(name, 0)
        change = "" if now == was else f"{now / was - 1:+.1%}" if was else "new"
        table.add_row(name, f"{now:,}", f"{was:,}", change)
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
