"""`journey capacity`: what a load needs, reckoned from what was measured; or how much more running workers could take.

Exit status: 0 it is said, 1 a metrics page does not answer or shows no event, 2 a mistake in the call.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.application.capacity import Load, Need, Published
    from pipeline.application.capacity_observed import Rate, Room

_MOST: Final = 1e9
"""Events a second or customers: more is a slip of the keyboard."""
_BUSY_PERCENT: Final = 60


def capacity(
    events_per_second: Annotated[
        float | None, typer.Option("--events-per-second", metavar="N", help="Of all channels, in the busiest hour.")
    ] = None,
    customers: Annotated[
        int | None, typer.Option("--customers", metavar="N", help="Who have ever acted and are not erased.")
    ] = None,
    journeys: Annotated[int, typer.Option("--journeys", min=1, max=100, metavar="N", help="How many run.")] = 5,
    lanes: Annotated[
        int | None, typer.Option("--lanes", min=1, max=10_000, metavar="P", help="Partitions (default: a proposal).")
    ] = None,
    retention: Annotated[
        str | None, typer.Option("--retention", metavar="TIME", help="Of the feeds, as 30d (default: the topic's).")
    ] = None,
    input_retention: Annotated[
        str | None, typer.Option("--input-retention", metavar="TIME", help="Of the inputs (default: the topic's).")
    ] = None,
    busy: Annotated[
        int, typer.Option("--busy", min=1, max=100, metavar="PERCENT", help="Of its core, that a worker may use.")
    ] = _BUSY_PERCENT,
    cache_profiles: Annotated[
        int | None, typer.Option("--cache-profiles", min=1, metavar="N", help="As in the settings.", show_default=False)
    ] = None,
    observed: Annotated[
        bool, typer.Option("--observed", help="Look at running workers instead: their rates, and what is left.")
    ] = False,
    page: Annotated[
        list[str] | None,
        typer.Option("--page", metavar="HOST:PORT", help="A worker's pages, once for each (default: the settings')."),
    ] = None,
    over: Annotated[str, typer.Option("--over", metavar="TIME", help="Between two looks, with --observed.")] = "10s",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say which cores, workers, lanes, memory and disks a load needs, and where that is measured or only reckoned."""
    from pipeline.adapters.capacity_file import kept, published
    from pipeline.application.capacity import Load, need
    from pipeline.errors import UserError

    measured = published()
    if observed:
        if events_per_second is not None or customers is not None:
            raise UserError("--observed looks at what runs: leave --events-per-second and --customers away")
        _observe(measured, _pages(page, config), _ms("--over", over) / 1000, busy / 100, as_json)
        return
    if page:
        raise UserError("--page goes with --observed")
    load = Load(
        events_per_second=_given("--events-per-second", events_per_second),
        customers=int(_given("--customers", customers)),
        journeys=journeys,
        kept=kept(
            None if retention is None else _ms("--retention", retention),
            None if input_retention is None else _ms("--input-retention", input_retention),
        ),
        lanes=lanes,
        busy=busy / 100,
        **({} if cache_profiles is None else {"cache_profiles": cache_profiles}),
    )
    try:
        found = need(measured.measured, load)
    except ValueError as error:
        raise UserError(str(error)) from None
    if as_json:
        _print_json({"need": found, "measured": _around(measured)})
        return
    for line in told(load, found, measured):
        typer.echo(line)


def told(load: "Load", found: "Need", measured: "Published") -> list[str]:
    """The answer, in lines of text."""
    percent, cores = f"{load.busy * 100:.0f} %", _cores(found.workers)
    gone = "one more is there to take over if it goes"
    if found.without_one is not None:
        gone = f"with one gone, events take {found.without_one * 100:.0f} % of the others' cores"
    rows = (
        (
            "workers",
            f"{found.workers}, to use {percent} of a core each at most; events take {found.events_cores:.2f} cores;",
        ),
        ("", gone),
        ("lanes", f"{found.lanes}, {found.lanes / found.workers:.3g} a worker; fixed for good at the first start"),
        (
            "CPU in use",
            f"workers {found.cores:.2f} cores, Redis {found.redis_cores:.2f}, Kafka {found.broker_cores:.2f}",
        ),
        ("", f"at {found.transactions_per_second:,.0f} transactions/s; these grow, and cost less, the nearer to full"),
        ("at full", f"{found.most_events_per_second:,.0f} events/s, with {cores} quite full"),
        ("worker memory", f"{found.worker_mb:,.0f} MB each"),
        ("Redis memory", f"{found.redis_mb:,.0f} MB; as much again while it saves a snapshot under load"),
        ("changelog", f"{found.changelog_gb_a_day:,.1f} GB a day written; at rest {_between(found)} GB"),
        ("feeds", f"{found.feed_gb_a_day:,.1f} GB a day, {found.feed_gb:,.0f} GB kept {_days(load.kept.feeds_s)}"),
        ("customers topic", f"{found.customers_gb_a_day:,.1f} GB a day written, compacted"),
        (
            "inputs",
            f"{found.inputs_gb_a_day:,.1f} GB a day, {found.inputs_gb:,.0f} GB kept {_days(load.kept.inputs_s)}",
        ),
        ("rebuild", f"a lane {_seconds(found.rebuild_lane_s, found.rebuild_lane_most_s)}"),
        ("", f"all lanes at once {_seconds(found.rebuild_all_s, found.rebuild_all_most_s)}: Redis lost all"),
    )
    lines = [f"{load.events_per_second:,.6g} events/s, {load.customers:,} customers, {load.journeys} journeys need", ""]
    lines += [f"  {name:<16}{what}" for name, what in rows]
    lines += ["", "One copy of each log: times Kafka's replication factor. MB are 2^20 bytes, GB 10^9."]
    lines += _measured_on(measured)
    if found.redis_cores > load.busy:
        lines.append(
            f"! Redis has one core for commands, and {found.redis_cores:.2f} are needed: more than {percent} of it"
        )
    lines += [f"! not measured, but reckoned further: {each}" for each in found.extrapolated]
    return lines


def _observe(measured: "Published", urls: list[str], over_s: float, busy: float, as_json: bool) -> None:
    from pipeline.adapters.metrics_pages import look_at_all
    from pipeline.application.capacity import Model
    from pipeline.application.capacity_observed import rate, room
    from pipeline.errors import UserError

    before = look_at_all(urls)
    time.sleep(over_s)
    after = look_at_all(urls)
    rates: list[Rate] = []
    for url, was, now in zip(urls, before, after, strict=True):
        try:
            rates.append(rate(was, now))
        except ValueError as error:
            raise UserError(f"nothing can be said of {url}: {error}", 1) from None
    try:
        left = room(rates, Model(measured.measured), busy)
    except ValueError as error:
        raise UserError(f"{error} ({over_s:g} s): look when there is traffic, or longer (--over)", 1) from None
    seen = {lane for each in after for lane in each.lanes}
    missing = max(each.all_lanes for each in after) - len(seen)
    if as_json:
        _print_json({"workers": dict(zip(urls, rates, strict=True)), "room": left, "lanes_not_seen": missing})
        return
    for line in observed_lines(urls, rates, left, busy, missing):
        typer.echo(line)
    for line in _measured_on(measured):
        typer.echo(line)


def observed_lines(
    urls: "Sequence[str]", rates: "Sequence[Rate]", left: "Room", busy: float, missing: int
) -> list[str]:
    """What workers do, and what they could take, in lines of text."""
    lines = [
        f"{url}: {each.lanes} lanes, {each.events_per_second:,.0f} events/s in {each.transactions_per_second:,.0f} "
        f"transactions/s, {each.cores:.2f} cores, {each.mb:,.0f} MB, lag {each.lag:,}"
        for url, each in zip(urls, rates, strict=True)
    ]
    lines.append(
        f"all: {left.events_per_second:,.0f} events/s, {left.cores:.2f} cores: "
        f"{left.cores / left.events_per_second * 1e6:,.0f} µs an event"
    )
    percent = f"{busy * 100:.0f} %"
    cores = _cores(len(rates))
    lines.append(f"With {percent} of {cores} they could take {left.at_least:,.0f} events/s at what an event costs now,")
    lines.append(f"and about {left.about:,.0f} with the larger transactions that come with more load.")
    if left.at_least < left.events_per_second:
        lines.append(f"! they use more than {percent} of their cores already")
    if sum(each.lag_change for each in rates) > 0.05 * left.events_per_second:
        lines.append("! the lag grows: they do not keep up")
    if missing > 0:
        lines.append(f"! {missing} lanes run on no page that was given: give each worker's with --page")
    return lines


def _pages(given: list[str] | None, config: Path | None) -> list[str]:
    from pipeline.adapters.metrics_pages import page
    from pipeline.errors import UserError

    if given:
        return [page(each) for each in given]
    settings = load_settings(config)
    if not settings.http_port:
        raise UserError("http_port is 0 in the settings: workers show no metrics")
    return [page(f"{settings.http_host}:{settings.http_port}")]


def _given(option: str, value: float | None) -> float:
    from pipeline.errors import UserError

    if value is None:
        raise UserError(f"{option} is missing; or look at what runs, with --observed")
    if not 0 < value <= _MOST:
        raise UserError(f"{option} {value:g}: a number above 0 and up to {_MOST:,.0f} is needed")
    return value


def _ms(option: str, text: str) -> int:
    from pipeline.domain.duration import parse_duration
    from pipeline.errors import UserError

    try:
        ms = parse_duration(text)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from None
    if not ms:
        raise UserError(f"{option}: it is to be longer than {text}")
    return ms


def _cores(count: int) -> str:
    return f"{count} cores" if count > 1 else "1 core"


def _between(found: "Need") -> str:
    return f"{found.changelog_gb_clean:,.2f} to {found.changelog_gb_most:,.1f}"


def _seconds(least: float, most: float) -> str:
    return f"{least:,.1f} s if just compacted, up to {most:,.0f} s before"


def _days(seconds: float) -> str:
    return f"for {seconds / 86_400:,.4g} days"


def _measured_on(measured: "Published") -> list[str]:
    machine = f"{measured.machine}, {measured.cores} cores, {measured.memory_gb:g} GB"
    with_what = f"commit {measured.commit}, Kafka {measured.kafka}, {measured.redis}"
    lines = [f"Measured {measured.at[:10]} on {machine}, {with_what}."]
    if measured.busy:
        load = f"load average {measured.load_average:.0f}"
        lines.append(f"! that machine was busy with other work ({load}): costs may be far from what they are")
    return lines


def _around(measured: "Published") -> dict[str, object]:
    import msgspec

    return {name: value for name, value in msgspec.structs.asdict(measured).items() if name != "measured"}


def _print_json(content: dict[str, object]) -> None:
    import orjson

    sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")
