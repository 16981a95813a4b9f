"""The retained input, replayed through two models at once."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.adapters.kafka.logs import Logs
from pipeline.application.comparison import Comparison, compare
from pipeline.application.ports import Doubt
from pipeline.application.replay import Replay
from pipeline.cli.lines import minute
from pipeline.cli.reading_progress import Advance, reading_progress
from pipeline.cli.replaying import Inputs, conditions, garbage_collected_seldom, load_model
from pipeline.config import Settings
from pipeline.errors import UserError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is replayed: `share` of the customers, what was appended `since` (ms), `most` records. `kept`: examples."""

    share: float = 1.0
    since: int | None = None
    most: int | None = None
    kept: int = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """What came out. `replayed` says in words what the numbers rest on, `caveats` what they leave out."""

    old: Replay
    new: Replay
    comparison: Comparison
    replayed: str
    caveats: list[str]


def run(settings: Settings, old: str, new: str, wanted: Wanted) -> Compared:
    """Replays and compares. UserError on a mistake in a journey, or if something cannot be read."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    rules = conditions(settings, wanted.share)
    replays = [Replay(load_model(settings, name), rules) for name in (old, new)]
    with garbage_collected_seldom(), reading_progress(settings.application) as advance:
        inputs = asyncio.run(_replay(settings, replays, wanted, advance))
    before, after = replays
    comparison = compare(before.told.stages, after.told.stages, before.profiles, wanted.kept)
    caveats = list(_caveats(before, after, inputs, wanted))
    return Compared(before, after, comparison, _replayed(before, wanted), caveats)


async def _replay(settings: Settings, replays: list[Replay], wanted: Wanted, advance: Advance) -> Inputs:
    try:
        async with Logs(settings, "diff") as logs:
            inputs = Inputs(settings, logs)
            await inputs.begin(wanted.since)
            await inputs.read_on(replays, advance, wanted.most)
    except Doubt as doubt:
        raise UserError(f"could not compare: {doubt}") from None
    return inputs


def _replayed(replay: Replay, wanted: Wanted) -> str:
    of = "" if wanted.share == 1 else f" (a sample of {wanted.share:.4g})"
    until = "" if replay.watermark is None else f", silences until {minute(replay.watermark)}"
    return f"{replay.events:,} events of {len(replay.profiles):,} customers{of}{until}"


def _caveats(old: Replay, new: Replay, inputs: Inputs, wanted: Wanted) -> Iterator[str]:
    if not inputs.records:
        since = "" if wanted.since is None else f" since {minute(wanted.since)}"
        yield f"nothing to replay: no events in {', '.join(inputs.topics)}{since}"
        return
    if not old.profiles:
        yield f"nobody to compare: of {inputs.records:,} records, none is an event of a customer in the sample"
    if not inputs.complete:
        yield f"stopped after {inputs.records:,} records, as far as {minute(old.watermark)}"
    if wanted.since is not None:
        yield f"customers begin at {minute(wanted.since)}: what they did before is not replayed"
    elif inputs.begins_late:
        more = f" and {len(inputs.begins_late) - 1} more" if len(inputs.begins_late) > 1 else ""
        yield f"retention has deleted the beginning of {inputs.begins_late[0]}{more}: what was there is not replayed"
    if old.watermark is None:
        yield "no silence has fired: on event time the senders must say up to where everything is sent"
    if old.dead:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in old.dead.most_common())
        yield f"records that are no events: {reasons}"
    for replay in (old, new):
        for what, count in replay.raised.items():
            yield f"the program failed {count:,} times by {replay.model.title} ({what}): those are left out"
