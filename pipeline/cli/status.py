"""`journey status`: every lane, who owns it, how far it is, and why it does not move if it does not.

Exit status: 0 all lanes move, 1 one does not (or Kafka or Redis does not answer), 2 a mistake in the call.
"""

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Final

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.lanes_seen import LaneSeen, LanesSeen

_COLUMNS: Final = (
    *("lane", "state", "owner", "for", "lag", "behind", "folded", "late", "dead"),
    *("position", "watermark", "said", "version", "why"),
)


def status(config: Config = None, as_json: Json = False) -> None:
    """Show every lane: owner, lag, position, state, the one reason why it does not move, and who holds the timers."""
    from pipeline.adapters.lanes_seen import look

    settings = load_settings(config)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    now = time.time_ns() // 1_000_000
    seen = asyncio.run(look(settings, now))
    if as_json:
        _print_json(seen)
    else:
        _show(seen, now)
    if not all(lane.moves for lane in seen.lanes):
        raise typer.Exit(1)


def _show(seen: "LanesSeen", now: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.cli.lines import minute

    table = Table(box=None, pad_edge=False, header_style="dim")
    numbers = ("lane", "lag", "behind", "folded", "late", "dead")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in numbers else "left")
    for lane in seen.lanes:
        table.add_row(
            str(lane.partition),
            f"[{'green' if lane.moves else 'red'}]{lane.state}[/]",
            lane.said.owner if lane.said else "–",
            since(lane, now),
            "–" if lane.lag is None else f"{lane.lag:,}",
            "–" if lane.behind_ms is None else f"{lane.behind_ms / 1000:.0f} s",
            f"{lane.total('folded'):,}",
            f"{lane.total('late'):,}",
            f"{lane.total('dead'):,}",
            lane.position.rpartition(":")[2] or "–",
            minute(lane.record.watermark if lane.record else None),
            "never" if lane.said_at is None else f"{max(0, now - lane.said_at) / 1000:.0f} s ago",
            lane.version or "–",
            lane.reason,
        )
    # Cut to nobody's screen: a file or a pipe gets whole lines.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    console.print(table)
    for line in versions(seen):
        console.print(line)
    timers = f"timers stand at {minute(seen.watermark)}" if seen.watermark is not None else "no timer fires yet"
    console.print(f"{seen.application}: {timers}" + (f"; held by {seen.holder}" if seen.holder else ""))


def since(lane: "LaneSeen", now: int) -> str:
    """How long the lane has been as it is: `4 s`, `3 min`, `2 h`, `5 d`."""
    if lane.since is None:
        return "–"
    seconds = max(0, now - lane.since) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def versions(seen: "LanesSeen") -> list[str]:
    """A line for each journey of which more is to be said than that all lanes run one version of it."""
    running: dict[str, dict[int, list[int]]] = {}
    for lane in seen.lanes:
        for name, mark in (lane.record.models if lane.record else {}).items():
            running.setdefault(name, {}).setdefault(mark.version, []).append(lane.partition)
    said = [
        f"{name}: " + "; ".join(f"version {version} in {_those(lanes, seen)}" for version, lanes in sorted(by.items()))
        for name, by in running.items()
        if len(by) > 1 or max(by) > 1
    ]
    for lane in seen.lanes:
        record = lane.record
        if record is not None and record.candidate is not None:
            next_one = record.candidate
            said.append(
                f"lane {lane.partition}: version {next_one.version} of {next_one.journey} is prepared, "
                + ("and waits for the decision" if next_one.ready else f"but could not run: {next_one.why}")
            )
        for name, version in (record.carrying if record is not None else {}).items():
            said.append(f"lane {lane.partition}: still carries customers of {name} over to version {version}")
    return said


def _those(lanes: list[int], seen: "LanesSeen") -> str:
    if len(lanes) == len(seen.lanes):
        return "all lanes"
    return f"lane{'s' if len(lanes) > 1 else ''} {', '.join(map(str, lanes))}"


def _print_json(seen: "LanesSeen") -> None:
    import orjson

    content = {
        "application": seen.application,
        "watermark": seen.watermark,
        "timers_held_by": seen.holder,
        "lanes": [_described(lane) for lane in seen.lanes],
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def _described(lane: "LaneSeen") -> dict[str, object]:
    record = lane.record
    return {
        "lane": lane.partition,
        "state": lane.state,
        "reason": lane.reason,
        "owner": lane.said.owner if lane.said else None,
        "said_at": lane.said_at,
        "since": lane.since,
        "version": lane.version or None,
        "lag": lane.lag,
        "behind_ms": lane.behind_ms,
        "position": lane.position or None,
        "watermark": record.watermark if record else None,
        "next": record.next if record else {},
        "totals": {
            outcome: lane.total(outcome) for outcome in ("read", "folded", "duplicate", "routed", "late", "dead")
        },
        "versions": {name: mark.version for name, mark in record.models.items()} if record else {},
        "carrying": record.carrying if record else {},
        "stages": record.stages if record else {},
        "breaker": record.breaker.reason if record and record.breaker else None,
        "paused": record.paused.reason if record and record.paused else None,
        "parked": record.parked if record else 0,
        "skipped": len(record.skipped) if record else 0,
    }
