"""`journey promote` and `journey rollback`: all lanes go to another version of a journey at one point, or none does.

Exit status: 0 all lanes run it and every customer is carried over, 1 it was refused or a lane is behind, 2 a mistake in
the file or in the call.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.lanes_seen import LanesSeen
    from pipeline.application.lane_record import LaneRecord
    from pipeline.application.promotion import Plan
    from pipeline.config import Settings

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the switch.")]
Wait = Annotated[
    int, typer.Option("--wait", min=1, max=60, metavar="SECONDS", help="How long the lanes may take to answer.")
]
LOOK_S = 0.3

SETTLE_S = 10.0
"""Lanes that have just been shared out anew are waited for so long, before it is refused that one does not move."""


def promote(
    model: Annotated[Path, typer.Argument(metavar="MODEL.yaml", help="The new version's file.")],
    reason: Reason,
    wait: Wait = 30,
    config: Config = None,
) -> None:
    """Switch all lanes to a new version of a journey while they run, and carry every customer over."""
    from pipeline.adapters.version_switch import plan_promote

    settings = load_settings(config)
    _lead(settings, wait, lambda seen: plan_promote(settings, model, seen, reason))


def rollback(
    journey: Annotated[str, typer.Argument(metavar="JOURNEY", help="The name of the journey.")],
    reason: Reason,
    wait: Wait = 30,
    config: Config = None,
) -> None:
    """Switch all lanes back to the version before the last promote, and lead every customer back."""
    from pipeline.adapters.version_switch import plan_rollback

    settings = load_settings(config)
    _lead(settings, wait, lambda seen: plan_rollback(settings, journey, seen, reason))


def _lead(settings: "Settings", wait: int, make: "Callable[[LanesSeen], Plan]") -> None:
    from pipeline.adapters.lanes_seen import look

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def lead() -> None:
        until = time.monotonic() + SETTLE_S
        seen = await look(settings, time.time_ns() // 1_000_000)
        while not all(lane.moves for lane in seen.lanes) and time.monotonic() < until:
            await asyncio.sleep(LOOK_S)
            seen = await look(settings, time.time_ns() // 1_000_000)
        await _switch(settings, seen, make(seen), wait)

    asyncio.run(lead())


async def _switch(settings: "Settings", seen: "LanesSeen", plan: "Plan", wait: int) -> None:
    from pipeline.adapters.version_switch import RunningLanes, WallClock
    from pipeline.application.promotion import Leader

    clock = WallClock()
    lanes = RunningLanes(settings, seen, clock)
    at = clock.now() if settings.clock == "live" else seen.watermark or clock.now()
    before = _moved(await lanes.records(), plan.journey)
    try:
        await Leader(lanes, clock, plan, at, wait).lead()
        typer.echo(f"{plan.journey}: all {settings.partitions} lanes run version {plan.version}")
        while True:
            records = await lanes.records()
            if not any(record.carrying for record in records.values() if record is not None):
                break
            await clock.sleep(LOOK_S)
        moved = _moved(records, plan.journey) - before
        typer.echo(f"{plan.journey}: {moved:,} customers carried over from version {plan.former}")
    finally:
        await lanes.close()


def _moved(records: "Mapping[int, LaneRecord | None]", journey: str) -> int:
    """Customers who were ever carried over."""
    known = [record.transitions.get(journey, {}) for record in records.values() if record is not None]
    return sum(kinds.get("moved", 0) for kinds in known)
