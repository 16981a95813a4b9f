"""What was measured, as tables for people."""

from collections.abc import Mapping, Sequence
from statistics import median

from pipeline.application.capacity import Measured, Model
from tests.benchmarks.results import (
    Cost,
    Growth,
    Hot,
    Latency,
    Models,
    Profile,
    Rebuild,
    Scrape,
    Stage,
    Stitching,
    Together,
)
from tests.benchmarks.sheet import Sheet

BESIDE = "kafka-streams"
NONE = "–"


def cost_table(costs: Sequence[Cost]) -> Sheet:
    """One row a run, in the order of running."""
    most = max(costs, key=lambda cost: cost.events)
    rows = [
        (
            str(cost.round + 1),
            f"{cost.system} {cost.version}" + ("" if cost.events == most.events else f" ({cost.events:,} events)"),
            _sum(cost.worker_us, cost.redis_us),
            _sum(cost.second_half.worker_us, cost.second_half.redis_us) if cost.second_half else NONE,
            f"{cost.broker_us:.1f}",
            f"{cost.events_per_second:,.0f}",
            f"{cost.second_half.events_per_second:,.0f}" if cost.second_half else NONE,
            _sum(cost.peak_mb, cost.redis_peak_mb or 0, digits=0),
            _size(cost.events_per_transaction),
            f"{cost.load_average:.1f}",
        )
        for cost in costs
    ]
    columns = (
        "round",
        "system",
        "whole",
        "2nd half",
        "broker",
        "events/s",
        "events/s, 2nd half",
        "peak MB",
        "events a transaction",
    )
    return Sheet(
        f"CPU µs an event: {most.events:,} events of {most.customers:,} customers, {most.lanes} lanes",
        "Whole, 2nd half and peak MB are of the system's own processes, + of its Redis where it has one; "
        "load is the machine's average as a run began",
        (*columns, "load"),
        rows,
        texts=2,
    )


def profile_table(profile: Profile) -> Sheet:
    """One row a stage, the dearest first, and their sum."""
    rows = [(stage.name, f"{stage.us:.2f}", f"{stage.us / profile.worker_us:.0%}") for stage in profile.stages]
    total = sum(stage.us for stage in profile.stages)
    return Sheet(
        f"Worker's CPU by stage: {profile.events:,} events of {profile.customers:,} customers, {profile.lanes} lanes",
        f"{profile.samples:,} samples; beside it Redis used {profile.redis_us:.2f} µs an event",
        ("stage", "µs an event", "share"),
        [*rows, ("all", f"{total:.2f}", f"{total / profile.worker_us:.0%}")],
    )


def models_table(found: Sequence[Models]) -> Sheet:
    """One row a round."""
    first = found[0]
    rows = [
        (
            str(each.round + 1),
            f"{each.alone_us:.1f}",
            f"{each.together_us:.1f}",
            f"{each.together_us / each.alone_us:.2f}",
            _stages(each.alone),
            _stages(each.together),
            f"{each.redis_bytes_median:,.0f}",
            f"{each.redis_bytes_mean:,.0f}",
            f"{each.load_average:.1f}",
        )
        for each in found
    ]
    names = " + ".join(stage.name for stage in first.alone)
    return Sheet(
        f"A lane's own CPU µs an event with one journey and with {first.journeys}: "
        f"{first.events:,} events of {first.customers:,} customers",
        f"One: the mean of each alone. Stages: {names}; Kafka and Redis are not in it. Bytes are what a customer "
        f"takes up in Redis with {first.journeys} journeys",
        ("round", "one", "all", "ratio", "one, by stage", "all, by stage", "median bytes", "mean bytes", "load"),
        rows,
    )


def together_table(found: Sequence[Together]) -> Sheet:
    """One row a round."""
    first = found[0]
    rows = [
        (
            str(each.round + 1),
            _sum(each.alone.worker_us, each.alone.redis_us),
            _sum(each.together.worker_us, each.together.redis_us),
            f"{each.ratio:.2f}",
            f"{each.alone.broker_us:.1f}",
            f"{each.together.broker_us:.1f}",
            _size(each.alone.events_per_transaction),
            _size(each.together.events_per_transaction),
            f"{each.load_average:.1f}",
        )
        for each in found
    ]
    broker, size = "broker", "events a transaction"
    return Sheet(
        f"CPU µs an event of the worker + its Redis with one journey and with {first.journeys}: "
        f"{first.events:,} events, {first.lanes} lanes",
        "One: the mean of each alone; the ratio is of worker and Redis together, start-up not counted",
        ("round", "one", "all", "ratio", f"{broker}, one", "all", f"{size}, one", "all", "load"),
        rows,
    )


def stitching_table(found: Sequence[Stitching]) -> Sheet:
    """One row a round and way."""
    first = found[0]
    rows = [
        (
            str(each.round + 1),
            way.name,
            f"{way.us:.1f}",
            f"{way.us / each.ways[0].us:.2f}",
            _stages(way.stages),
            f"{way.sent:.2f}",
            f"{each.load_average:.1f}",
        )
        for each in found
        for way in each.ways
    ]
    names = " + ".join(stage.name for stage in first.ways[0].stages)
    return Sheet(
        f"Two lanes' own CPU µs an event by how it names its customer: {first.events:,} events of "
        f"{first.customers:,} customers",
        f"Stages, in both lanes together: {names}; Kafka and Redis are not in it. Sent are records on journey.events",
        ("round", "events name", "CPU", "ratio", "by stage", "sent an event", "load"),
        rows,
        texts=2,
    )


def _stages(stages: Sequence[Stage]) -> str:
    return " + ".join(f"{stage.us:.1f}" for stage in stages)


def ratio_table(costs: Sequence[Cost], beside: str = BESIDE) -> Sheet | None:
    """CPU an event as a share of another system's in the same round: each round, and the median. None without it."""
    ratios = {name: both_ratios(costs, name, beside) for name in dict.fromkeys(cost.system for cost in costs)}
    rows = [
        (
            name,
            " ".join(f"{ratio:.2f}" for ratio in whole),
            f"{median(whole):.2f}",
            " ".join(f"{ratio:.2f}" for ratio in second),
            f"{median(second):.2f}" if second else NONE,
        )
        for name, (whole, second) in ratios.items()
        if whole and name != beside
    ]
    if not rows:
        return None
    return Sheet(
        f"CPU an event as a share of that of {beside} in the same round",
        "Redis is counted in; a share below 1 is cheaper",
        ("system", "whole, by round", "median", "2nd half, by round", "median"),
        rows,
    )


def both_ratios(costs: Sequence[Cost], name: str, beside: str) -> tuple[list[float], list[float]]:
    """Of a system's CPU an event to another's, whole and second half, for each round that has both."""
    others = {cost.round: cost for cost in costs if cost.system == beside}
    pairs = [(cost, others[cost.round]) for cost in costs if cost.system == name and cost.round in others]
    halves = [(second_half_us(one), second_half_us(other)) for one, other in pairs]
    return (
        [whole_us(one) / whole_us(other) for one, other in pairs],
        [one / other for one, other in halves if one is not None and other is not None],
    )


def whole_us(cost: Cost) -> float:
    """System and Redis together."""
    return cost.worker_us + cost.redis_us


def second_half_us(cost: Cost) -> float | None:
    return cost.second_half.worker_us + cost.second_half.redis_us if cost.second_half else None


def latency_table(latencies: Sequence[Latency]) -> Sheet:
    """One row a run."""
    first = latencies[0]
    rows = [
        (
            f"{latency.system} {latency.version}",
            *(f"{each:.1f}" for each in (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms)),
            f"{latency.transitions:,}",
            _sum(latency.worker_us, latency.redis_us),
            f"{latency.broker_us:.1f}",
            _size(latency.events_per_transaction),
            f"{latency.sent_per_second:,.0f}",
            f"{latency.load_average:.1f}",
        )
        for latency in latencies
    ]
    return Sheet(
        f"ms from sending to a subscriber: {first.asked_per_second:,.0f} events/s over {first.lanes} lanes, one worker",
        "CPU in µs an event, + of Redis",
        (
            "system",
            "p50",
            "p90",
            "p99",
            "most",
            "transitions",
            "CPU",
            "broker",
            "events a transaction",
            "sent/s",
            "load",
        ),
        rows,
    )


def growth_table(growths: Sequence[Growth]) -> Sheet:
    """One row a number of customers."""
    rows = [
        (
            f"{growth.customers:,}",
            _sum(growth.worker_us, growth.redis_us),
            f"{growth.broker_us:.1f}",
            f"{growth.events_per_second:,.0f}",
            _size(growth.events_per_transaction),
            f"{growth.peak_mb:,.0f}",
            f"{growth.redis_mb:,.0f}",
            f"{growth.redis_bytes_mean:,.0f}",
            f"{growth.redis_bytes_median:,.0f}",
            f"{growth.load_average:.1f}",
        )
        for growth in growths
    ]
    columns = ("customers", "CPU", "broker", "events/s", "events a transaction", "peak MB", "Redis MB")
    return Sheet(
        "the worker by its number of customers, all of them known before",
        "CPU in µs an event, + of Redis; bytes a customer are of Redis, its index and overhead too",
        (*columns, "bytes a customer, mean", "median", "load"),
        rows,
        texts=0,
    )


def rebuild_table(rebuilds: Sequence[Rebuild]) -> Sheet:
    """One row a run."""
    rows = [
        (
            f"{rebuild.profiles:,}",
            f"{rebuild.seconds:.1f}",
            f"{rebuild.profiles_per_second:,.0f}",
            f"{rebuild.profiles_per_core_second:,.0f}",
            _sum(rebuild.worker_us, rebuild.redis_us),
            f"{rebuild.load_average:.1f}",
        )
        for rebuild in rebuilds
    ]
    return Sheet(
        "rebuilding the tables of one worker",
        "A core second is one of the worker or of Redis; CPU in µs a profile, + of Redis",
        ("profiles", "seconds", "profiles/s", "profiles a core second", "CPU", "load"),
        rows,
        texts=0,
    )


def full_speed_table(measured: Measured) -> Sheet:
    """One row a point: a worker with a backlog."""
    rows = [
        (
            str(each.journeys),
            f"{each.customers:,}",
            f"{each.identities:,}",
            f"{each.cache_profiles:,}",
            f"{each.events_per_second:,.0f}",
            _sum(each.worker_us, each.redis_us),
            f"{each.broker_us:.1f}",
            _size(each.events_per_transaction),
            f"{each.misses:.2f}",
            f"{each.worker_mb:,.0f}",
            f"{each.redis_mb:,.1f}",
            f"{each.redis_bytes:,.0f}",
            f"{each.changelog_bytes:,.0f}",
            f"{each.feed_bytes:,.0f}",
            f"{each.rebuild_records:,} in {each.rebuild_s:.1f} s",
        )
        for each in measured.full
    ]
    columns = ("journeys", "customers", "identities", "cache", "events/s", "CPU", "broker", "events a transaction")
    return Sheet(
        f"One worker with a backlog, {measured.full[0].lanes} lanes",
        "CPU in µs an event, worker + Redis; misses are look-ups an event that memory lacked; Redis MB are what it "
        "grew by, bytes those of a customer in its tables; changelog and feeds (transitions, signals) in bytes written "
        "an event; rebuilt are all tables, out of so many records of the changelog",
        (*columns, "misses", "peak MB", "Redis MB", "bytes", "changelog", "feeds", "rebuilt"),
        rows,
        texts=0,
    )


def steady_table(measured: Measured) -> Sheet:
    """One row a point: a worker at a steady rate, and what the model says of it."""
    model = Model(measured)
    rows = []
    for each in measured.steady:
        said = model.steadily(each)
        rows.append(
            (
                str(each.journeys),
                str(each.lanes),
                f"{each.events_per_second:,.0f}",
                f"{each.transactions_per_second:,.0f}",
                f"{said.transactions_per_second:,.0f}",
                _sum(each.worker_cores, each.redis_cores, digits=2),
                _sum(said.worker_cores, said.redis_cores, digits=2),
                f"{each.broker_cores:.2f}",
                f"{said.broker_cores:.2f}",
                f"{each.changelog_bytes_per_second / 1e3:,.0f}",
                f"{said.changelog_bytes_per_second / 1e3:,.0f}",
                f"{each.feed_bytes_per_second / 1e3:,.0f}",
                f"{said.feed_bytes_per_second / 1e3:,.0f}",
            )
        )
    columns = ("journeys", "lanes", "events/s", "transactions/s", "reckoned", "cores", "reckoned")
    return Sheet(
        f"One worker at a steady rate, {measured.steady[0].customers:,} customers at a time",
        "Measured, and beside it what the model makes of it; cores of the worker + Redis; kB are 10^3 bytes",
        (*columns, "broker", "reckoned", "changelog kB/s", "reckoned", "feeds kB/s", "reckoned"),
        rows,
        texts=0,
    )


def scrape_table(found: Sequence[Scrape]) -> Sheet:
    """One row a run."""
    rows = [
        (
            f"{each.series:,}",
            f"{each.bytes / 1e3:,.0f}",
            str(each.scrapes),
            *(f"{ms:.1f}" for ms in (each.first_ms, each.p50_ms, each.max_ms)),
            f"{each.events_per_second:,.0f}",
            f"{each.worker_cores:.2f}",
            f"{each.load_average:.1f}",
        )
        for each in found
    ]
    first = found[0]
    return Sheet(
        f"ms until the page of a worker with a backlog is there: {first.journeys} journeys, {first.lanes} lanes",
        "The worker has a backlog all the time; kB are 10^3 bytes",
        ("series", "kB", "scrapes", "first", "p50", "most", "events/s", "cores", "load"),
        rows,
        texts=0,
    )


def hot_table(found: Sequence[Hot]) -> Sheet:
    """One row a run."""
    rows = [
        (
            hot.heat,
            f"{hot.before:,}",
            f"{hot.before_s:.0f}" if hot.before else "",
            *(f"{each:.1f}" for each in (hot.p50_ms, hot.p99_ms, hot.commit_p50_ms, hot.commit_p99_ms)),
            f"{hot.worker_mb:,.0f}",
            f"{hot.redis_mb:,.0f}",
            f"{hot.sent_per_second:,.0f}",
            f"{hot.transitions:,}",
            f"{hot.load_average:.1f}",
        )
        for hot in found
    ]
    columns = ("who is hot", "its events before", "folded in s", "p50", "p99", "commit p50", "commit p99")
    return Sheet(
        f"what a hot identity does to everybody else: one worker, {found[0].lanes} lanes",
        "ms, p50 and p99 from sending to a subscriber, of ordinary customers only; MB are peaks of the whole run",
        (*columns, "worker MB", "Redis MB", "ordinary events/s", "transitions", "load"),
        rows,
    )


def counts_table(counted: Mapping[str, float], budget: Mapping[str, float]) -> Sheet:
    """What was counted beside the budget."""
    rows = []
    for name in dict.fromkeys((*counted, *budget)):
        now, was = counted.get(name, 0), budget.get(name, 0)
        change = "" if now == was else f"{now / was - 1:+.1%}" if was else "new"
        rows.append((name, f"{now:,}", f"{was:,}", change))
    return Sheet(
        "the work for the events of the counting run", "Nothing is timed", ("what", "counted", "budget", "change"), rows
    )


def _sum(first: float, second: float, digits: int = 1) -> str:
    return f"{first:.{digits}f} + {second:.{digits}f}" if second else f"{first:.{digits}f}"


def _size(events: float | None) -> str:
    return f"{events:,.0f}" if events else ""
