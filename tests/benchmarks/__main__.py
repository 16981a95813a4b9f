"""Measures this project, and what people would pick instead, on one Kafka and Redis that it starts itself."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import redis
import typer
from rich.console import Console

from pipeline.dev.stack import Stack
from tests.benchmarks import (
    budget,
    capacity,
    common_work,
    cost,
    counts,
    growth,
    hot,
    latency,
    models,
    profile,
    report,
    results,
    scrape,
    stitching,
    tables,
    together,
)
from tests.benchmarks.results import (
    RESULTS,
    Capacity,
    Circumstances,
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
from tests.benchmarks.systems.known import SYSTEMS, available
from tests.benchmarks.systems.system import ROOT, System

logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it tells of every retry of a new topic

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(width=140)

F = TypeVar("F", bound=Figure)
Pairs = Annotated[int, typer.Option(min=1, help="Rounds; in each every system runs once, in turn.")]
Systems = Annotated[str, typer.Option(help=f"Which to run, with commas between: {', '.join(SYSTEMS)}.")]
Results = Annotated[Path, typer.Option(help="The file that lines for machines are added to.")]


@app.callback()
def benchmarks() -> None:
    """Commands, each for one figure."""


@app.command("cost")
def cost_command(
    pairs: Pairs = 3,
    events: Annotated[int, typer.Option(min=1_000, help="Events; a tenth as many customers.")] = 1_000_000,
    systems: Systems = "worker,kafka-streams",
    results_file: Results = RESULTS,
) -> None:
    """CPU an event, events a second, memory; each output is judged by the oracle."""
    ready = _available(systems)
    with _bench(results_file) as bench:
        bench.say("making the work")
        work = cost.make_work(common_work.events(events, max(1, events // 10)))
        for figure in cost.rounds(bench.stack, ready, work, pairs, bench.directory, bench.say):
            bench.keep(figure)
        found = bench.found(Cost)
    console.print(tables.cost_table(found).rich())
    if ratios := tables.ratio_table(found):
        console.print(ratios.rich())


@app.command("latency")
def latency_command(
    pairs: Pairs = 1,
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 2_000.0,
    lanes: Annotated[int, typer.Option(min=1, help="Lanes, all of one worker.")] = 12,
    warm_s: Annotated[
        float, typer.Option(min=0, help="Seconds from the first transition on that do not count.")
    ] = 60.0,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds that count.")] = 30.0,
    systems: Systems = "worker,kafka-streams",
    results_file: Results = RESULTS,
) -> None:
    """From the sending of an event to its transition at a subscriber: p50, p90, p99."""
    ready = _available(systems)
    course = latency.Course(rate, lanes, warm_s, seconds)
    with _bench(results_file, optimise=True) as bench:
        for number in range(pairs):
            for system in ready:
                bench.keep(latency.measure(bench.stack, system, course, bench.directory, number, bench.say))
        found = bench.found(Latency)
    console.print(tables.latency_table(found).rich())


@app.command("growth")
def growth_command(
    customers: Annotated[str, typer.Option(help="Numbers of customers, with commas between.")] = "10000,100000,1000000",
    events: Annotated[int, typer.Option(min=1_000, help="Events that count, once all customers are known.")] = 400_000,
    results_file: Results = RESULTS,
) -> None:
    """What an event costs and a customer takes up, from few customers to many."""
    with _bench(results_file) as bench:
        for number in (int(each) for each in customers.split(",")):
            bench.keep(growth.measure(bench.stack, growth.Size(number, events), bench.directory, bench.say))
        found = bench.found(Growth)
    console.print(tables.growth_table(found).rich())


@app.command("rebuild")
def rebuild_command(
    customers: Annotated[int, typer.Option(min=100, help="Profiles that are rebuilt.")] = 200_000,
    results_file: Results = RESULTS,
) -> None:
    """How fast the tables are rebuilt after Redis has lost all."""
    with _bench(results_file) as bench:
        size = growth.Size(customers, customers)
        bench.keep(growth.measure_rebuild(bench.stack, size, bench.directory, bench.say))
        found = bench.found(Rebuild)
    console.print(tables.rebuild_table(found).rich())


@app.command("profile")
def profile_command(
    events: Annotated[int, typer.Option(min=1_000, help="Events; a tenth as many customers.")] = 1_000_000,
    results_file: Results = RESULTS,
) -> None:
    """Where the worker's time goes, by stage."""
    with _bench(results_file) as bench:
        bench.say("making the work")
        work = cost.make_work(common_work.events(events, max(1, events // 10)))
        bench.keep(profile.measure(bench.stack, work, bench.directory, bench.say))
        (found,) = bench.found(Profile)
    console.print(tables.profile_table(found).rich())


@app.command("models")
def models_command(
    pairs: Pairs = 2,
    events: Annotated[int, typer.Option(min=1_000, help="Events of the simulator's customers.")] = 100_000,
    results_file: Results = RESULTS,
) -> None:
    """What five journeys at once cost beside one, and what a customer takes up in Redis then."""
    with _bench(results_file) as bench:
        for figure in models.measure(bench.stack, events, pairs, bench.directory, bench.say):
            bench.keep(figure)
        found = bench.found(Models)
    console.print(tables.models_table(found).rich())


@app.command("stitching")
def stitching_command(
    pairs: Pairs = 3,
    events: Annotated[int, typer.Option(min=1_000, help="Events; a tenth as many customers.")] = 200_000,
    results_file: Results = RESULTS,
) -> None:
    """What it costs to know customers by several identities, and to send an event on to another lane."""
    with _bench(results_file) as bench:
        for figure in stitching.measure(events, pairs, bench.say):
            bench.keep(figure)
        found = bench.found(Stitching)
    console.print(tables.stitching_table(found).rich())


@app.command("hot")
def hot_command(
    heats: Annotated[str, typer.Option(help=f"Who is hot, with commas between: {', '.join(hot.HEATS)}.")] = ",".join(
        hot.HEATS
    ),
    rate: Annotated[float, typer.Option(min=1, help="Events a second; each fifth is hot.")] = 1_000.0,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds that count.")] = 30.0,
    claims: Annotated[int, typer.Option(min=0, help="Customers who have used the kiosk before.")] = 10_000,
    browsers: Annotated[int, typer.Option(min=0, help="Browsers that the robot has come with before.")] = 1_000_000,
    results_file: Results = RESULTS,
) -> None:
    """How long everybody else waits while one identity takes far more than its share, and what memory that takes."""
    chosen = [heat for heat in hot.HEATS if heat in heats.split(",")]
    if unknown := set(heats.split(",")) - set(hot.HEATS):
        raise typer.BadParameter(f"nobody is {', '.join(sorted(unknown))}; there are {', '.join(hot.HEATS)}")
    course = hot.Course(rate=rate, seconds=seconds, claims=claims, browsers=browsers)
    with _bench(results_file, optimise=True) as bench:
        for number, heat in enumerate(chosen):
            bench.keep(hot.measure(bench.stack, heat, course, bench.directory, number, bench.say))
        found = bench.found(Hot)
    console.print(tables.hot_table(found).rich())


@app.command("together")
def together_command(
    pairs: Pairs = 2,
    events: Annotated[int, typer.Option(min=1_000, help="Events of the simulator's customers.")] = 100_000,
    results_file: Results = RESULTS,
) -> None:
    """What five journeys at once cost a worker and its Redis beside one, on the real Kafka."""
    with _bench(results_file) as bench:
        for figure in together.measure(bench.stack, events, pairs, bench.directory, bench.say):
            bench.keep(figure)
        found = bench.found(Together)
    console.print(tables.together_table(found).rich())


@app.command("capacity")
def capacity_command(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and smaller points, a minute and a half.")] = False,
    results_file: Results = RESULTS,
) -> None:
    """What a worker, Redis and Kafka use by events a second, lanes, customers, journeys: data of `journey capacity`."""
    with _bench(results_file, optimise=True) as bench:
        load_average = os.getloadavg()[0]
        measured = capacity.measure(bench.stack, capacity.QUICK if quick else capacity.FULL, bench.directory, bench.say)
        bench.keep(Capacity(measured, load_average))
    for sheet in (tables.full_speed_table(measured), tables.steady_table(measured)):
        console.print(sheet.rich())


@app.command("scrape")
def scrape_command(
    events: Annotated[int, typer.Option(min=1_000, help="Events of the simulator's customers.")] = 200_000,
    results_file: Results = RESULTS,
) -> None:
    """How long Prometheus waits for the page of a worker that is busy."""
    with _bench(results_file, optimise=True) as bench:
        bench.keep(scrape.measure(bench.stack, events, bench.directory, bench.say))
        found = bench.found(Scrape)
    console.print(tables.scrape_table(found).rich())


@app.command("all")
def all_command(results_file: Results = RESULTS) -> None:
    """Every figure with the usual sizes: half an hour on a quiet machine with two cores."""
    cost_command(systems="worker,kafka-streams,quix-streams,stock-faust", results_file=results_file)
    latency_command(results_file=results_file)
    rebuild_command(results_file=results_file)
    growth_command(results_file=results_file)
    models_command(results_file=results_file)
    stitching_command(results_file=results_file)
    hot_command(results_file=results_file)
    together_command(results_file=results_file)
    profile_command(results_file=results_file)
    scrape_command(results_file=results_file)
    capacity_command(results_file=results_file)


@app.command("counts")
def counts_command(
    renew: Annotated[bool, typer.Option("--renew", help="Make what is counted now the budget.")] = False,
) -> None:
    """The work for an event, counted, against the committed budget; exit code 1 if something went up. Times nothing."""
    budget.ensure_same_conditions()
    with Stack() as stack, tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        counted = counts.count(stack, Path(directory))
    console.print(tables.counts_table(counted, budget.read()).rich())
    if renew:
        budget.write(counted)
        console.print(f"{budget.BUDGET.relative_to(ROOT)} is renewed; say in the commit why it may go up")
    elif raised := budget.exceeded(counted, budget.read()):
        console.print("\n".join(raised), style="red")
        console.print(f"If that is meant: {budget.RENEWAL}, and say why in the commit.")
        raise typer.Exit(1)


@app.command("publish")
def publish_command(results_file: Results = RESULTS) -> None:
    """Makes docs/benchmarks out of the newest call of each figure."""
    report.publish(results_file)
    console.print(f"{report.PAGES.relative_to(ROOT)} is made anew")


def _available(names: str) -> Sequence[System]:
    """The systems that can be had; says which cannot. BadParameter on an unknown name."""
    unknown = [name for name in names.split(",") if name not in SYSTEMS]
    if unknown:
        raise typer.BadParameter(f"no system {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    with console.status("preparing what is measured"):
        ready, absent = available(names.split(","))
    for line in absent:
        console.print(line, style="yellow")
    if not ready:
        raise SystemExit("nothing to measure")
    return ready


@dataclass(frozen=True, slots=True)
class Bench:
    """One call: its stack, a directory that is removed, and what has been measured."""

    stack: Stack
    directory: Path
    say: Callable[[str], None]
    results_file: Path
    circumstances: Circumstances
    figures: list[Figure] = field(default_factory=list)

    def keep(self, figure: Figure) -> None:
        self.figures.append(figure)
        results.append(self.results_file, Line(figure, self.circumstances))

    def found(self, kind: type[F]) -> list[F]:
        return [figure for figure in self.figures if isinstance(figure, kind)]


@contextmanager
def _bench(results_file: Path, *, optimise: bool = False) -> Iterator[Bench]:
    with (
        console.status("starting Kafka and Redis") as status,
        Stack(heap_mb=512, optimise=optimise) as stack,
        tempfile.TemporaryDirectory(prefix="benchmark-") as directory,
    ):
        yield Bench(stack, Path(directory), status.update, results_file, _circumstances(stack))


def _circumstances(stack: Stack) -> Circumstances:
    info = redis.Redis.from_url(stack.redis_url).info("server")
    assert isinstance(info, dict)
    name = "Valkey" if "valkey_version" in info else "Redis"
    return results.circumstances(f"{name} {info.get('valkey_version', info['redis_version'])}")


if __name__ == "__main__":
    app()
