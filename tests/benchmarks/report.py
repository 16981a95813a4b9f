"""docs/benchmarks/README.md and its charts, made of the published results: no figure in them is typed by hand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

import msgspec

from pipeline.application.capacity import BUSY
from tests.benchmarks import capacity_page, charts, results, tables
from tests.benchmarks.results import (
    Capacity,
    Cost,
    Figure,
    Growth,
    Hot,
    Latency,
    Line,
    Models,
    Profile,
    Rebuild,
    Scrape,
    Stitching,
    Together,
)
from tests.benchmarks.sheet import Sheet
from tests.benchmarks.stitching import PLAIN, ROUTED
from tests.benchmarks.systems.system import ROOT

PAGES: Final = ROOT / "docs/benchmarks"
PUBLISHED: Final = PAGES / "results.jsonl"
F = TypeVar("F", bound=Figure)

BUSY_TEXT: Final = (
    "**The machine was busy with other work (load average up to {load:.0f}): nothing can be concluded from these "
    "figures, not even from the ratios: a system that commits by the clock then commits more often for its events.**"
)

HEAD: Final = """\
# What an event costs

    make bench                                   # all of it, half an hour
    make bench ARGS="cost --pairs 1 --events 200000"   # one figure, a minute
    python -m tests.benchmarks --help            # cost, latency, rebuild, models, capacity, …
    python -m tests.benchmarks publish           # this page out of what was measured last

One worker with all its features on (dead letters, routing, timers, bounded cache, public customer records, metrics) and
its Redis, exactly-once, beside what people would pick instead, each with its own settings as they come: Kafka Streams
(`exactly_once_v2`, one thread, a RocksDB store with changelog), Quix Streams (exactly-once) and stock Faust (at least
once, a tenth of the work). All do the same work on the same bytes and the same broker, in turn, another one first in
each round. A subscriber with `read_committed` tells how far each one is; its output is compared with what is right,
transition by transition: customer, seq, stages, time and causing event. A run with anything lost, doubled, wrong or out
of order ends the benchmark. CPU is user + system of all processes of the system, start-up included; the second half
begins at the first look at which half of the events are done.

This page is made of [results.jsonl](results.jsonl); no figure on it is typed by hand. What is counted and not timed is
held to a budget in CI: `python -m tests.benchmarks counts`.
"""

LATENCY_TEXT: Final = """\
Sender, broker, worker, Redis and subscriber share the machine. The sender waits 5 ms for company, as Kafka 4's producer
does by default; the broker is warm, and runs with both of its compilers. An event then waits for its fetch (at most
`fetch_max_wait_ms`), for the transaction before its own, and for its own: a fetch has events of every lane, so that all
lanes fold and commit at the same time. What a transaction costs decides; see
[decision 2](../decisions/0002-transactional-writer.md).
"""

MODELS_TEXT: Final = """\
The built-in journeys on the simulator's traffic, each alone and then all at once on the same events: what a lane does
between the fetch and the transaction.
"""

STITCHING_TEXT: Final = """\
The same events of the same customers in four ways: all with the customer id; with that and the id of a browser; 30 %
with a browser alone, a third of them of customers who say later who they are; and all with the customer id again, but
each first in a lane in which its customer is not at home, so that it goes through `journey.events` once.
"""

CAPACITY_TEXT: Final = """\
[How much it takes](../operate/capacity.md) has what a worker, Redis and Kafka use by events a second, lanes, customers
and journeys, and the command that reckons with it.
"""

HOT_TEXT: Final = """\
Each fifth event is of one identity: a customer; a kiosk, a browser with which a new customer signs up each time; a
robot, each time with a browser that was never seen before. The kiosk and the robot have so many events before anything
is measured, which the worker folds at once when it starts. What the worker says of the ordinary customers is judged.
"""

PROFILE_TEXT: Final = """\
The worker under a sampler that counts only what holds the interpreter's lock; what the kernel charged beyond that was
outside of it. Compiled code counts for the line that calls it. How it came to this is in
[decision 7](../decisions/0007-compiled-hot-path.md).
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach: at most so much, or at least where `least`; `take` is None while it was not measured."""

    what: str
    on_the_way: float
    goal: float
    take: Callable[["Published"], float | None]
    least: bool = False

    def row(self, published: "Published") -> Sequence[str]:
        sign = "≥" if self.least else "≤"
        found = self.take(published)
        measured = "not measured" if found is None else _short(found)
        goals = (f"{sign} {_short(goal)}{self._reached(found, goal)}" for goal in (self.on_the_way, self.goal))
        return self.what, *goals, measured

    def _reached(self, found: float | None, goal: float) -> str:
        if found is None:
            return ""
        return " ✓" if (found >= goal if self.least else found <= goal) else " ✗"


class Published:
    """The lines of the results file by what they measured."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)

    def figures(self, kind: type[F]) -> list[F]:
        return [line.figure for line in self.lines if isinstance(line.figure, kind)]

    def circumstances(self, kind: type[Figure]) -> str:
        """When, on what and with what, and whether the machine was too busy to be believed."""
        lines = [line for line in self.lines if isinstance(line.figure, kind)]
        around, load = lines[0].circumstances, max(line.figure.load_average for line in lines)
        busy = "" if load <= around.cores * BUSY else f" {BUSY_TEXT.format(load=load)}"
        return (
            f"{around.at[:10]}, commit {around.commit}: {around.machine}, {around.cores} cores for all parts together, "
            f"{around.memory_gb:g} GB, {around.system}; Python {around.python}, Kafka {around.kafka}, {around.redis}, "
            f"Java {around.java} for Kafka Streams.{busy}"
        )

    def ratio(self, beside: str, part: int) -> float | None:
        """Median of the worker's CPU an event to another's: the whole (0) or the second half (1)."""
        found = tables.both_ratios(self.figures(Cost), "worker", beside)[part]
        return median(found) if found else None

    def across(self, beside: str) -> float | None:
        """The worker's median to that of a system with another share of the work."""
        ours, theirs = ([tables.whole_us(c) for c in self.figures(Cost) if c.system == n] for n in ("worker", beside))
        return median(ours) / median(theirs) if ours and theirs else None

    def latency(self, name: str) -> float | None:
        found = [getattr(each, name) for each in self.figures(Latency) if each.system == "worker"]
        return median(found) if found else None

    def rebuilt(self) -> float | None:
        found = [each.profiles_per_core_second for each in self.figures(Rebuild)]
        return median(found) if found else None

    def grown(self, take: Callable[[Growth], float], least_customers: int = 0) -> float | None:
        """The most at any number of customers."""
        found = [take(each) for each in self.figures(Growth) if each.customers >= least_customers]
        return max(found) if found else None

    def together(self) -> float | None:
        """All journeys at once to one."""
        found = [each.together_us / each.alone_us for each in self.figures(Models)]
        return median(found) if found else None

    def stitched(self, name: str) -> float | None:
        """Events that name their customer in that way to those that only do by its id."""
        found = [{way.name: way.us for way in each.ways} for each in self.figures(Stitching)]
        return median(us[name] / us[PLAIN] for us in found) if found else None

    def whole_together(self) -> float | None:
        """The same of worker and Redis, on the real Kafka."""
        found = [each.ratio for each in self.figures(Together)]
        return median(found) if found else None

    def scraped(self) -> float | None:
        """The longest."""
        return max((each.max_ms for each in self.figures(Scrape)), default=None)

    def bytes_together(self) -> float | None:
        found = [each.redis_bytes_median for each in self.figures(Models)]
        return median(found) if found else None

    def spread(self) -> float | None:
        """The dearest event to that with the fewest customers."""
        found = {each.customers: each.worker_us + each.redis_us for each in self.figures(Growth)}
        return max(found.values()) / found[min(found)] if len(found) > 1 else None


GOALS: Final = (
    Goal("CPU, share of Kafka Streams, whole", 0.6, 0.25, lambda found: found.ratio("kafka-streams", 0)),
    Goal("CPU, share of Kafka Streams, 2nd half", 1.0, 1 / 3, lambda found: found.ratio("kafka-streams", 1)),
    Goal("CPU, share of Quix Streams, whole", 0.2, 0.2, lambda found: found.across("quix-streams")),
    Goal("CPU, share of stock Faust, whole", 0.025, 0.025, lambda found: found.across("stock-faust")),
    Goal("latency p50, ms", 50, 40, lambda found: found.latency("p50_ms")),
    Goal("latency p99, ms", 120, 100, lambda found: found.latency("p99_ms")),
    Goal("worker's peak MB, 1,000,000 customers", 400, 400, lambda found: found.grown(lambda g: g.peak_mb, 1_000_000)),
    Goal("Redis bytes a customer, mean", 700, 700, lambda found: found.grown(lambda g: g.redis_bytes_mean)),
    Goal("CPU, five journeys at once to one", 1.3, 1.3, Published.together),
    Goal("CPU with Redis and Kafka's client, five journeys at once to one", 1.3, 1.3, Published.whole_together),
    Goal("Redis bytes a customer with five journeys, median", 700, 700, Published.bytes_together),
    Goal("CPU, event routed once to one that is not", 1.8, 1.8, lambda found: found.stitched(ROUTED)),
    Goal("CPU, dearest number of customers to the least", 1.2, 1.2, Published.spread),
    Goal("scrape of a worker with a backlog, ms at most", 50, 50, Published.scraped),
    Goal("profiles rebuilt a core second", 50_000, 50_000, Published.rebuilt, least=True),
)


def render(lines: Iterable[Line]) -> str:
    """The page."""
    found = Published(lines)
    goals = Sheet(
        "Goals",
        "Medians over the rounds",
        ("what", "at first", "in the end", "measured"),
        [g.row(found) for g in GOALS],
    )
    parts = [HEAD, goals.markdown()]
    if costs := found.figures(Cost):
        parts += ["## Cost", found.circumstances(Cost), "![CPU an event by system](cost.svg)"]
        parts += [sheet.markdown() for sheet in (tables.ratio_table(costs), tables.cost_table(costs)) if sheet]
    if latencies := found.figures(Latency):
        parts += ["## Latency", found.circumstances(Latency), "![Latency by system](latency.svg)"]
        parts += [LATENCY_TEXT, tables.latency_table(latencies).markdown()]
    if growths := found.figures(Growth):
        parts += ["## Growth", found.circumstances(Growth), "![CPU an event by customers](growth.svg)"]
        parts.append(tables.growth_table(growths).markdown())
    if rebuilds := found.figures(Rebuild):
        parts += ["## Rebuild", found.circumstances(Rebuild), tables.rebuild_table(rebuilds).markdown()]
    if models := found.figures(Models):
        parts += ["## Five journeys at once", found.circumstances(Models), MODELS_TEXT]
        parts.append(tables.models_table(models).markdown())
    if stitched := found.figures(Stitching):
        parts += ["## Several identities", found.circumstances(Stitching), STITCHING_TEXT]
        parts.append(tables.stitching_table(stitched).markdown())
    if hot := found.figures(Hot):
        parts += ["## Hot identities", found.circumstances(Hot), HOT_TEXT, tables.hot_table(hot).markdown()]
    if together := found.figures(Together):
        parts += ["## Five journeys at once, worker and Redis", found.circumstances(Together)]
        parts.append(tables.together_table(together).markdown())
    if scrapes := found.figures(Scrape):
        parts += ["## A scrape", found.circumstances(Scrape), tables.scrape_table(scrapes).markdown()]
    if found.figures(Capacity):
        parts += ["## By the load", CAPACITY_TEXT]
    if profiles := found.figures(Profile):
        parts += ["## Where the time goes", found.circumstances(Profile), PROFILE_TEXT]
        parts.append(tables.profile_table(profiles[-1]).markdown())
    return "\n\n".join(part.strip() for part in parts) + "\n"


def publish(measured: Path, pages: Path = PAGES) -> None:
    """Takes the newest session of each figure, and writes results, page and charts."""
    lines = newest(results.read(measured))
    pages.mkdir(parents=True, exist_ok=True)
    (pages / PUBLISHED.name).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    (pages / "README.md").write_text(render(lines))
    found = Published(lines)
    if costs := found.figures(Cost):
        charts.draw(charts.cost_chart(costs), pages / "cost.svg")
    if latencies := found.figures(Latency):
        charts.draw(charts.latency_chart(latencies), pages / "latency.svg")
    if growths := found.figures(Growth):
        charts.draw(charts.growth_chart(growths), pages / "growth.svg")
    for line in lines:
        if isinstance(line.figure, Capacity):
            capacity_page.publish(line, found.circumstances(Capacity))


def newest(lines: Iterable[Line]) -> Sequence[Line]:
    """Of each figure the lines of the last call that measured it; calls for other sizes before it are left out."""
    by_kind: dict[type[Figure], list[Line]] = {}
    for line in lines:
        kind = type(line.figure)
        kept = by_kind.setdefault(kind, [])
        if kept and kept[-1].circumstances.session != line.circumstances.session:
            kept.clear()
        kept.append(line)
    return [line for kept in by_kind.values() for line in kept]


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:,.0f}"
