"""The lanes, as they last spoke: without an owner, standing still, or run by programs of different versions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from pipeline.adapters import lanes_seen
from pipeline.adapters.doctor.finding import Finding
from pipeline.adapters.lanes_seen import LaneSeen
from pipeline.config import Settings

MUCH: Final = 0.2
"""The share of a lane from which on an identity is worth a look of its own accord."""

_START: Final = "start workers with these settings: journey worker"


async def look(settings: Settings, now: int) -> list[Finding]:
    """`now`: wall clock in ms. UserError if Kafka or Redis does not answer."""
    seen = await lanes_seen.look(settings, now)
    return [*judged(seen.lanes), *_versions(seen.lanes), *_hot(seen.lanes)]


def judged(lanes: Iterable[LaneSeen]) -> Iterator[Finding]:
    """Who owns them, and what keeps those that stand; lanes with the same trouble together."""
    alike: dict[tuple[str, str], list[LaneSeen]] = defaultdict(list)
    every = list(lanes)
    for lane in every:
        if not lane.moves:
            alike[lane.state, lane.reason].append(lane)
    if all(lane.said is None for lane in every):
        yield Finding("lanes", "note", "no worker has taken a lane yet", _START)
        return
    for (state, reason), those in alike.items():
        which = _numbers(those)
        if state == "unowned":
            yield Finding("lanes", "error", f"{which} without an owner: {reason}", _START)
        elif state == "paused":
            yield Finding("lanes", "warning", f"{which} paused: {reason.partition(';')[0]}", "journey lane resume")
        elif state == "waiting":
            mend = "docs/operate.md, 'Why does a lane not move?', says what to do about each reason"
            yield Finding("lanes", "error", f"{which} standing still: {reason}", mend)
        else:
            yield Finding("lanes", "note", f"{which} {state}: {reason or 'it passes'}")
    if not alike:
        owners = {lane.said.owner for lane in every if lane.said is not None}
        count = f"{len(owners)} worker" + ("s" if len(owners) > 1 else "")
        yield Finding("lanes", "ok", f"{len(every)} lanes run, on {count}")


def _versions(lanes: Iterable[LaneSeen]) -> Iterator[Finding]:
    """Of the workers that own lanes now."""
    running: dict[str, set[str]] = defaultdict(set)
    for lane in lanes:
        if lane.said is not None and lane.state != "unowned":
            running[lane.said.version or "an older program"].add(lane.said.owner)
    if len(running) == 1:
        yield Finding("workers", "ok", f"all run {next(iter(running))}")
    elif running:
        shown = "; ".join(f"{version} on {', '.join(sorted(owners))}" for version, owners in sorted(running.items()))
        yield Finding("workers", "warning", f"different versions: {shown}", "deploy one version to all workers")


def _hot(lanes: Iterable[LaneSeen]) -> Iterator[Finding]:
    """Lanes that do much for one identity."""
    for lane in lanes:
        largest = max(lane.hot.values(), default=0.0)
        if largest >= MUCH:
            what = f"lane {lane.partition}: {largest:.0%} of what it does is for one identity"
            yield Finding("lanes", "note", what, f"journey identity hot --lane {lane.partition}")


def _numbers(lanes: Iterable[LaneSeen]) -> str:
    numbers = [str(lane.partition) for lane in lanes]
    return f"lane {numbers[0]} is" if len(numbers) == 1 else f"lanes {', '.join(numbers)} are"
