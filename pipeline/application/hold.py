"""A lane while it is held: batches through the fold, one transaction each, and the table after the commit.

Everything in here is true only as long as no doubt has come up; then the whole of it is dropped.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from pipeline.application import failpoints, lane_record
from pipeline.application.breaker import BreakerGauge
from pipeline.application.failpoints import Failpoint
from pipeline.application.heavy_hitters import HeavyHitters
from pipeline.application.intake import Arrival, Batch, Source, buried_at
from pipeline.application.lane_metrics import begin_stage_changes, count_stage_changes
from pipeline.application.lane_models import KEY as MODELS
from pipeline.application.lane_models import LaneModels, decode_models, encode_models
from pipeline.application.lane_record import LaneRecord, copy_lane, encode_lane
from pipeline.application.ports import Entry, Outgoing, Record, Table, TableDoubt, TableWrite, Writer
from pipeline.application.posting import bury_astray, by_home
from pipeline.application.rulebook import Rulebook, Rules
from pipeline.application.settings import LanePorts, LaneSettings
from pipeline.application.stitch import (
    NO_MARKS,
    SLICE,
    Effects,
    FoldRaised,
    Stitch,
    TimerRaised,
    Written,
    bring_up_to_date,
)
from pipeline.application.switching import obey
from pipeline.application.taking import NOWHERE, place
from pipeline.domain.erasing import MARK
from pipeline.domain.event import Reason
from pipeline.domain.messages import Erase
from pipeline.domain.moments import format_moment
from pipeline.domain.packing import Names

log = structlog.get_logger(__name__)

DUE_AT_ONCE = 2_000
"""How many customers' timers are looked at in one batch."""

_HEARD: Final[Mapping[str, tuple[Failpoint, Failpoint]]] = {
    "claim": (Failpoint.CLAIM_FOLDED, Failpoint.CLAIM_APPLIED),
    "adopt": (Failpoint.ADOPT_FOLDED, Failpoint.ADOPT_APPLIED),
    "release": (Failpoint.RELEASE_FOLDED, Failpoint.RELEASE_APPLIED),
    "give_back": (Failpoint.GIVE_BACK_FOLDED, Failpoint.GIVE_BACK_APPLIED),
}
"""By kind of message, the failpoints around the transaction of a batch with some of it."""

CARRIED_AT_ONCE = 500
"""How many customers are looked at in one batch for whether they must be carried over to another version."""


class Tripped(Exception):
    """The breaker opens: nothing of the batch was written."""


class Hold:
    """`record`, `models` and `position` are those of the last committed transaction, `earliest` the next score in the
    index. `rules` are those that `stitch` folds by: not the ones of `models` for the moment after a switch, until
    `rule` is called.
    """

    def __init__(
        self,
        partition: int,
        settings: LaneSettings,
        ports: LanePorts,
        rules: Rules,
        stitch: Stitch,
        rulebook: Rulebook,
        gauge: BreakerGauge,
        hitters: HeavyHitters,
        writer: Writer,
        table: Table,
        record: LaneRecord,
        models: LaneModels,
        position: bytes,
        world: str,
        earliest: int | None,
    ) -> None:
        self._partition = partition
        self._settings = settings
        self._ports = ports
        self._rulebook = rulebook
        self._gauge = gauge
        self._hitters = hitters
        self._writer = writer
        self._table = table
        self.record = record
        self.position = position
        self.world = world
        self.models = models
        self.switched = False
        self.earliest = earliest
        self._cache: dict[str, bytes] = {}
        self.rule(rules, stitch)

    def rule(self, rules: Rules, stitch: Stitch) -> None:
        """Folds by these rules from here on."""
        self.rules, self._stitch, self.switched = rules, stitch, False
        # What is new in the list is committed with the first profiles that are written by it.
        stitch.names = Names(self.record.names).with_more(stitch.vocabulary())
        self.record.names = stitch.names.names
        begin_stage_changes(self._ports.metrics, [model.journey for model in rules.models.values()])
        self._cursor = 0
        # Parked timers are in no index, so that nobody looks at them; other code or rules look at them once more.
        self._returning = [key for key, code in self.record.parked_by.items() if code != stitch.code]
        if self._returning:
            self.earliest = 0

    @property
    def carrying(self) -> bool:
        """Whether there may be customers who are still under a former version."""
        return bool(self.record.carrying)

    async def fold(
        self,
        runs: Sequence[tuple[Source, Sequence[Record]]],
        positions: Mapping[str, int],
        watermark: int | None,
    ) -> None:
        """Takes the records and what is due, and commits; `positions` is where the inputs stand behind them.

        Raises Doubt, after which the hold must be dropped, or Tripped, after which it stands where it stood.
        """
        small = sum(len(records) for _, records in runs) <= SLICE
        async with contextlib.nullcontext() if small else self._ports.turn:
            batch = Batch()
            for source, records in runs:
                for first in range(0, len(records), SLICE):
                    if first:
                        await asyncio.sleep(0)
                    self._stitch.intake.take(source, records[first : first + SLICE], batch)
            timers = watermark is not None and self.earliest is not None and watermark >= self.earliest
            effects = await self._settle_bugs(batch, watermark, timers)
            bury_astray(batch, effects, self._stitch.intake)
            written = self._ports.traces.write_out(batch, effects)
            arrived = len(batch.arrivals)
            self._hitters.saw(batch.arrivals, self._ports.clock.monotonic())
            batch.arrivals.clear()
        await failpoints.reached(Failpoint.BATCH_FOLDED)
        heard = [_HEARD[kind] for kind in batch.told if kind in _HEARD]
        for folded, _ in heard:
            await failpoints.reached(folded)
        record = copy_lane(self.record)
        bring_up_to_date(record, batch, effects, self._stitch.code)
        record.next = dict(positions)
        record.watermark = watermark
        if effects.carried_to == 0:
            record.carrying = {}
        models = self._obey(batch, record)
        await self._commit(record, written, batch, effects, models)
        self._ports.traces.committed()
        if batch.dead:
            self._tell_dead(batch)
        for _, applied in heard:
            await failpoints.reached(applied)
        self._keep(effects)
        self._cursor = effects.carried_to or 0
        if timers:
            self._returning.clear()
            self.earliest = await self._table.earliest()
        self._gauge.folded(self._ports.clock.monotonic(), arrived + effects.due)
        self._ports.metrics.observe("batch_events", arrived)
        self._ports.metrics.observe("batch_bytes", sum(len(r.value or b"") for _, records in runs for r in records))

    def _obey(self, batch: Batch, record: LaneRecord) -> LaneModels | None:
        """What orders about versions make of `record` and of the models; None if they are as they were."""
        if not batch.orders:
            return None
        models = decode_models(encode_models(self.models))
        rules = self.rules
        for order in batch.orders:
            obey(order, self._partition, record, models, rules, self._rulebook, record.next)
        self.switched = any(
            own.version != rules.models[name].journey.version
            for name, own in models.journeys.items()
            if name in rules.models
        )
        return models

    def cached(self) -> int:
        """How many profiles are in memory."""
        return len(self._cache)

    async def look_at_table(self) -> None:
        """TableDoubt if the table is not where it was left, or Redis does not answer."""
        found = await self._table.position()
        if (found or NOWHERE) != self.position:
            raise TableDoubt(f"redis: the table is at {found!r}, not at {self.position!r}", "moved")

    async def note(self, change: Callable[[LaneRecord], None]) -> None:
        """Commits a change of the lane record alone."""
        record = copy_lane(self.record)
        change(record)
        await self._table.load((), self.position)
        await self._commit(record, Written([], [], [], []), Batch(), Effects(""))

    async def _settle_bugs(self, batch: Batch, watermark: int | None, timers: bool) -> Effects:
        """Folds, and folds again without what raised, until nothing raises."""
        parked: dict[str, str] = {}
        published_at = format_moment(self._ports.clock.now())
        while True:
            effects = Effects(published_at)
            for tally in batch.counts.values():
                tally.folded = tally.duplicate = tally.late = tally.erased = 0
            try:
                await self._fold_once(batch, watermark, timers, parked, effects)
                return effects
            except FoldRaised as raised:
                self._isolate(raised, batch)
            except TimerRaised as raised:
                parked[raised.key] = str(raised)
                log.error("timers.parked", lane=self._partition, reason=_kind(raised))
                self._count_raise(raised.key, len(batch.arrivals) + effects.due)

    async def _fold_once(
        self, batch: Batch, watermark: int | None, timers: bool, parked: Mapping[str, str], effects: Effects
    ) -> None:
        stored = await self._load(batch.arrivals)
        await failpoints.reached(Failpoint.BATCH_LOADED)
        marks = await self._marks(batch.arrivals, stored) if self.record.erased else NO_MARKS
        for _ in self._stitch.fold(batch.arrivals, stored, watermark, batch, effects, parked, marks):
            await asyncio.sleep(0)
        due: dict[str, None] = {}
        if watermark is not None:
            due = {key: None for key, at in effects.feed.due.items() if at is not None and at <= watermark}
        if timers and watermark is not None:
            scores = effects.feed.due
            for field, at in await self._table.due(watermark, DUE_AT_ONCE):
                if (key := field.decode()).startswith(MARK):
                    effects.marks.setdefault(key, None)  # it is time to forget that somebody was erased
                    continue
                now = scores.get(key, at)
                if now is not None and now <= watermark:
                    due[key] = None
            due |= dict.fromkeys(self._returning)
            effects.returned += self._returning
            stored |= await self._read([key for key in due if key not in stored])
        if self.carrying:
            effects.carried_to, fields = await self._table.scan(self._cursor, CARRIED_AT_ONCE)
            keys = [key for field in fields if not (key := field.decode()).startswith("@") and key not in parked]
            stored |= await self._read([key for key in keys if key not in stored])
            for _ in self._stitch.carry_over(keys, stored, watermark, effects):
                await asyncio.sleep(0)
        for key, why in parked.items():
            due.pop(key, None)
            self._stitch.park(key, stored, why, effects)
        effects.due += len(due)
        if due and watermark is not None:
            for _ in self._stitch.let_time_pass(list(due), stored, watermark, effects):
                await asyncio.sleep(0)

    async def _load(self, arrivals: Sequence[Arrival]) -> dict[str, bytes | None]:
        """The profiles of everybody in the batch; reading the table also guards the write that follows."""
        cache = self._cache
        stored: dict[str, bytes | None] = {arrival.key: cache.get(arrival.key) for arrival in arrivals}
        absent = [key for key, data in stored.items() if data is None]
        began = self._ports.clock.monotonic()
        loaded = await self._table.load([key.encode() for key in absent], self.position)
        metrics = self._ports.metrics
        metrics.observe("table_load_seconds", self._ports.clock.monotonic() - began)
        metrics.increment("cache_lookups_total", len(stored) - len(absent), "hit")
        metrics.increment("cache_lookups_total", len(absent), "miss")
        stored.update(zip(absent, loaded, strict=True))
        return stored

    async def _marks(self, arrivals: Sequence[Arrival], stored: Mapping[str, bytes | None]) -> dict[str, bytes]:
        """Of those who have no record, or are to be erased: that they were erased before."""
        keys = list(dict.fromkeys(a.key for a in arrivals if stored[a.key] is None or isinstance(a.message, Erase)))
        if not keys:
            return {}
        fields = [self._stitch.erasure.mark_key(key).encode() for key in keys]
        found = await self._table.load(fields, self.position)
        return {key: mark for key, mark in zip(keys, found, strict=True) if mark is not None}

    async def _read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """Further profiles, for their timers."""
        stored: dict[str, bytes | None] = {key: self._cache.get(key) for key in keys}
        absent = [key for key, data in stored.items() if data is None]
        if absent:
            loaded = await self._table.load([key.encode() for key in absent], self.position)
            stored.update(zip(absent, loaded, strict=True))
        return stored

    async def _commit(
        self,
        record: LaneRecord,
        written: Written,
        batch: Batch,
        effects: Effects,
        models: LaneModels | None = None,
    ) -> None:
        topics, partition, clock = self._settings.topics, self._partition, self._ports.clock
        sent = by_home(batch, effects, self._stitch.intake)
        record.owner = self._settings.owner
        record.code = self._settings.code
        lane = encode_lane(record)
        if models is not None:
            written.profiles.append((MODELS, encode_models(models)))
        changelog: list[Entry] = [(key, value, ()) for key, value in written.profiles]
        changelog.append((lane_record.KEY, lane, ()))
        outgoing = [
            Outgoing(topics.transitions, partition, written.transitions),
            Outgoing(topics.signals, partition, written.signals),
            Outgoing(topics.customers, partition, written.customers),
            Outgoing(topics.dead_letters, partition, batch.dead),
            *(Outgoing(topics.events, home, entries) for home, entries in sent.items()),
            Outgoing(topics.profiles, partition, changelog),
        ]
        began = clock.monotonic()
        outcome = "doubtful"
        try:
            offsets = await self._writer.commit([out for out in outgoing if out.entries])
            outcome = "committed"
        finally:
            self._ports.metrics.increment("lane_transactions_total", 1, str(partition), outcome)
        committed = clock.monotonic()
        position = place(self.world, offsets[topics.profiles, partition])
        fields: dict[bytes, bytes | None] = dict(written.profiles)
        fields[lane_record.KEY] = lane
        due = {key.encode(): at for key, at in effects.feed.due.items()}
        due |= {key.encode(): None if mark is None else mark.until for key, mark in effects.marks.items()}
        await self._table.apply(position, TableWrite(fields, due))
        metrics = self._ports.metrics
        metrics.observe("transaction_seconds", committed - began)
        metrics.observe("table_apply_seconds", clock.monotonic() - committed)
        count_stage_changes(metrics, effects.feed.transitions)
        self.record, self.position = record, position
        self.models = models or self.models
        scores = [at for at in due.values() if at is not None]
        if scores:
            self.earliest = min(scores) if self.earliest is None else min(self.earliest, *scores)

    def _keep(self, effects: Effects) -> None:
        """The newest profiles stay in memory, up to this lane's share."""
        cache = self._cache
        for key, data in effects.profiles.items():
            cache.pop(key, None)
            if data is not None:
                cache[key] = data
        surplus = len(cache) - self._ports.cache_share()
        if surplus > 0:
            for key in [key for key, _ in zip(cache, range(surplus), strict=False)]:
                del cache[key]

    def _tell_dead(self, batch: Batch) -> None:
        """One line a reason: with a flood of them there is nothing to learn from each."""
        first: dict[Reason, str] = {}
        for reason, (_, _, headers) in zip(batch.reasons, batch.dead, strict=True):
            if reason not in first:
                first[reason] = buried_at(headers)
        for why, position in first.items():
            count = batch.reasons.count(why)
            log.warning("events.dead", lane=self._partition, position=position, reason=why, count=count)

    def _isolate(self, raised: FoldRaised, batch: Batch) -> None:
        arrival = raised.arrival
        batch.arrivals = [other for other in batch.arrivals if other is not arrival]
        if arrival.channel:
            batch.counts[arrival.channel].dead += 1
        elif arrival.source.kind == "commands":
            batch.commands.obeyed -= 1
            batch.commands.dead += 1
        self._stitch.intake.bury(arrival.source, arrival.record, "fold_error", raised, batch, raised.trace)
        log.error(
            "event.isolated",
            lane=self._partition,
            position=f"{arrival.source.topic}-{self._partition}@{arrival.record.offset}",
            reason=_kind(raised),
        )
        self._count_raise(arrival.key, len(batch.arrivals))

    def _count_raise(self, key: str, in_hand: int) -> None:
        reason = self._gauge.raised(self._ports.clock.monotonic(), key, in_hand)
        if reason is not None:
            raise Tripped(reason)


def _kind(raised: Exception) -> str:
    """What was raised, without its words: they may name a customer, and belong into the dead letter or the profile."""
    return type(raised.__cause__).__name__
