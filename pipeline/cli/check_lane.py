"""Reads one lane of a real cluster into the checker, in an order that makes a consistent cut of a live pipeline.

The cut is a lane record that is chosen before anything else is read: what it counts must be in the topics, and what is
there beyond it must be counted by a later one, which is read at last.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.adapters.identity_kinds import hash_key, identities_of
from pipeline.adapters.kafka.connection import step, until_settled
from pipeline.adapters.kafka.logs import Logs
from pipeline.adapters.kafka.metadata import EARLIEST, LATEST, topic_id
from pipeline.adapters.redis.reader import TableReader
from pipeline.application.ports import Doubt, Record
from pipeline.checker.lane_changelog import LANE, read_record
from pipeline.checker.lane_check import NOTHING, Cut, LaneCheck, LaneResult
from pipeline.checker.lane_table import TableRead
from pipeline.checker.plain_identity import IdentityRules, Kind
from pipeline.checker.rules import Input, Rules, read_models
from pipeline.config import Settings
from pipeline.errors import UserError

TAIL = 2_000

Taker = Callable[[Sequence[Record]], None]
Report = Callable[[int], None]
"""Is told how many more positions have been read."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of the cluster before the lanes are read: a cut for each, and the bounds of all logs."""

    cuts: Mapping[int, Cut]
    latest: int | None
    """The highest watermark of all cuts, ms."""
    starts: Mapping[tuple[str, int], int]
    changelog_id: str
    positions: int
    """How much there is to read, markers and all."""


def rules_of(settings: Settings) -> Rules:
    """The settings as the checker understands them."""
    live = settings.clock == "live"
    rows, journeys, versions = read_models(settings.touches, settings.journeys, settings.grace if live else {})
    return Rules(
        application=settings.application,
        prefix=settings.prefix,
        partitions=settings.partitions,
        inputs=tuple(Input(settings.topic(i.topic), i.channel, i.channel_field) for i in settings.inputs),
        event_clock=not live,
        lateness=settings.lateness,
        limit=settings.recent_limit,
        future=settings.future if live else None,
        max_bytes=settings.max_event_bytes,
        max_depth=settings.max_depth,
        rows=rows,
        journeys=journeys,
        versions=versions,
        grace=settings.grace if live else {},
        identities=_identities(settings),
    )


def _identities(settings: Settings) -> IdentityRules:
    """UserError if personal identities are to be hashed without a key."""
    identities_of(settings)
    never = settings.never_identify
    return IdentityRules(
        tuple(Kind(kind.kind, kind.personal, kind.normalise, kind.region) for kind in settings.identities),
        never.values,
        never.patterns,
        hash_key(settings) or b"",
    )


async def survey(settings: Settings, rules: Rules) -> Survey:
    """Chooses the cuts. UserError (exit code 2) if Kafka or a topic is not there, or does not answer."""
    profiles, limit = rules.topic("profiles"), settings.step_timeout_s
    own = [rules.topic(n) for n in ("events", "commands", "transitions", "signals", "customers", "dlq")]
    lanes = range(rules.partitions)
    places = [(t, lane) for t in (*(source.topic for source in rules.inputs), *own, profiles) for lane in lanes]
    try:
        async with Logs(settings, "check") as logs:
            starts, ends = await logs.bounds(places, EARLIEST), await logs.bounds(places, LATEST)
            async with step(f"the id of {profiles}", limit):
                identity = await until_settled(logs.cluster, limit, lambda: topic_id(logs.cluster, profiles))
            cuts = {
                lane: await _cut(logs, profiles, lane, starts[profiles, lane], ends[profiles, lane]) for lane in lanes
            }
    except Doubt as doubt:
        raise UserError(f"could not check: {doubt}") from None
    watermarks = [cut.record["watermark"] for cut in cuts.values() if cut.record["watermark"] is not None]
    return Survey(
        cuts, max(watermarks, default=None), starts, identity, sum(ends[place] - starts[place] for place in places)
    )


async def _cut(logs: Logs, topic: str, lane: int, first: int, end: int) -> Cut:
    """The newest lane record, found from the end of the log."""
    back = TAIL
    while True:
        start = max(first, end - back)
        newest: Record | None = None
        async for records in logs.read(topic, lane, start, end):
            newest = next((record for record in reversed(records) if record.key == LANE), newest)
        if newest is not None:
            return Cut(newest.offset, read_record(newest.value or b""))
        if start == first:
            return Cut(-1, NOTHING)
        back *= 8


class LaneReading:
    """One reading of one lane. `kept`: examples of each kind; `report` is told of progress."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        seen: Survey,
        lane: int,
        kept: int,
        report: Report,
        without: Sequence[str] = (),
    ) -> None:
        self._settings, self._rules, self._survey, self._lane = settings, rules, seen, lane
        self._report = report
        self._starts = {topic: start for (topic, partition), start in seen.starts.items() if partition == lane}
        self._kept, self._without = kept, without

    def run(self) -> LaneResult:
        """Reads and judges. UserError (exit code 2) if something cannot be read."""
        try:
            with TableReader(self._settings.application, self._settings.redis_url) as tables:
                return asyncio.run(self._read(tables))
        except Doubt as doubt:
            raise UserError(f"could not check lane {self._lane}: {doubt}") from None

    async def _read(self, tables: TableReader) -> LaneResult:
        rules, cut, lane, starts = self._rules, self._survey.cuts[self._lane], self._lane, self._starts
        position = _offset(tables.lane_record(lane).position)
        everywhere = {other: each.record["next"] for other, each in self._survey.cuts.items()}
        check = LaneCheck(
            rules, lane, cut, self._survey.latest, starts, position, self._without, self._kept, everywhere
        )
        async with Logs(self._settings, f"check-{lane}") as logs:
            # Asked after the cut was chosen, so all that it counts lies before these ends.
            ends = {topic: end for (topic, _), end in (await logs.bounds([(t, lane) for t in starts], LATEST)).items()}

            async def take(topic: str, taker: Taker, start: int | None = None, end: int | None = None) -> None:
                reached = starts[topic] if start is None else start
                async for records in logs.read(topic, lane, reached, ends[topic] if end is None else end):
                    taker(records)
                    self._report(records[-1].offset + 1 - reached)
                    reached = records[-1].offset + 1

            positions, events = cut.record["next"], rules.topic("events")
            profiles, commands = rules.topic("profiles"), rules.topic("commands")
            await take(profiles, check.changelog.take)
            check.know_versions()
            rules = check.rules
            for source in rules.inputs:
                await take(source.topic, partial(check.inputs.raw, source), end=positions.get(source.topic, 0))
            await take(commands, partial(check.inputs.obey, position=positions.get(commands, 0)))
            await take(events, partial(check.inputs.messages, position=positions.get(events, 0)))
            await take(rules.topic("transitions"), check.feed.transitions)
            await take(rules.topic("signals"), check.feed.signals)
            await take(rules.topic("customers"), check.feed.states)
            await take(rules.topic("dlq"), check.letters.take)
            whole = tables.whole(lane)
            newest = (await logs.bounds([(profiles, lane)], LATEST))[profiles, lane]
            await take(profiles, check.changelog.take, start=ends[profiles], end=newest)
        table = TableRead(whole.name, whole.first, whole.last, whole.fields, whole.due)
        return check.finish(table, self._survey.changelog_id)


def _offset(position: bytes | None) -> int | None:
    text = (position or b"").decode(errors="replace").rpartition(":")[2]
    return int(text) if text.isdecimal() else None
