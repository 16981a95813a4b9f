"""A lane: everything that one partition number owns, and the protocol that loses and doubles nothing.

    take      prove membership, fence, replay, bring the table in step, seek
    work      batch in -> fold -> one transaction -> table, after the commit
    doubt     drop what is uncertain, back off, take again

The lane record, last in every transaction, is the only truth about the position. docs/guarantees.md says why.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Literal

import structlog

from pipeline.application import failpoints
from pipeline.application.breaker import BreakerGauge
from pipeline.application.failpoints import Failpoint
from pipeline.application.heavy_hitters import HeavyHitters
from pipeline.application.hold import Hold, Tripped
from pipeline.application.intake import Intake
from pipeline.application.lane_metrics import ReplayMeter, begin_counts
from pipeline.application.lane_models import KEY as MODELS
from pipeline.application.lane_models import decode_models
from pipeline.application.lane_record import ModelMark, first_lane_record
from pipeline.application.merge import Merge
from pipeline.application.models import marks, refuse
from pipeline.application.ports import (
    Abandoned,
    Doubt,
    Fenced,
    Fetched,
    KafkaDoubt,
    LaneReport,
    ProgressRecord,
    Refused,
    Table,
    TableDoubt,
    Writer,
)
from pipeline.application.progress import LaneProgress, Watermark, punctuated
from pipeline.application.rulebook import Rulebook, Rules
from pipeline.application.settings import LanePorts, LaneSettings
from pipeline.application.standstill import PAUSED, Standstill, Steps
from pipeline.application.stitch import Stitch
from pipeline.application.switching import rules_of
from pipeline.application.taking import Standing, stand
from pipeline.domain.identity import Key, public_key
from pipeline.domain.touches import TouchTable

log = structlog.get_logger(__name__)

State = Literal["new", "taking", "running", "waiting", "parked", "stopped"]

BACK_OFF = (0.1, 2.0)
"""First and longest wait after a doubt, in seconds."""

MEMBERSHIP_WAIT = 0.5
IDLE_CHECK = 0.02

TABLE_CHECK = 5.0
"""Seconds after which a lane that has nothing to do asks Redis whether the table still stands where it was left."""


class Lane:
    """Implements ports.LaneHandle. `rulebook` and `watermark` are shared by the lanes of a process."""

    def __init__(
        self,
        partition: int,
        settings: LaneSettings,
        ports: LanePorts,
        rulebook: Rulebook,
        new_intake: Callable[[TouchTable], Intake],
        watermark: Watermark,
    ) -> None:
        self._partition = partition
        self._settings = settings
        self._ports = ports
        self._rulebook = rulebook
        self._new_intake = new_intake
        self._watermark = watermark
        self._raw = tuple(source.topic for source in settings.sources if source.kind == "raw")
        self._merge = Merge(settings.sources)
        self._writer: Writer | None = None
        self._table: Table | None = None
        self._hold: Hold | None = None
        self._taking: asyncio.Task[Standing] | None = None
        self._progress = self._new_progress()
        self._gauge = BreakerGauge(settings.breaker)
        self._hitters = HeavyHitters()
        self._fenced_at: list[float] = []
        self._attempts = 0
        self._doubts = 0
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._generation = -1
        self._seeking: set[str] = set()
        self._full: dict[str, bool] = {}
        self._missing: dict[str, float] = {}
        self._said_at: dict[str, int] = {}
        self._state: State = "new"
        self._reason = ""
        self._detail = ""
        self._since = self._moved = self._table_seen = ports.clock.monotonic()
        steps = Steps(
            say=lambda reason, detail: self._set("waiting", reason, detail),
            stopping=self._stop.is_set,
            sleep=self._sleep,
            silence=self._silence,
            pause_all=self._pause_all,
            seek=self._seek,
            seek_again=self._seek_again,
            seek_inputs=self._seek_inputs,
        )
        self._standstill = Standstill(partition, settings, ports, self._merge, steps)

    # ------------------------------------------------------------------ the worker's side

    @property
    def partition(self) -> int:
        return self._partition

    def offer(self, fetched: Fetched) -> None:
        queue = self._merge.queues.get(fetched.topic)
        if queue is None:
            return
        if not queue.offer(fetched):
            self._seeking.add(fetched.topic)
        if queue.queued >= self._ports.queue_share():
            self._full[fetched.topic] = True  # until resumed: what was drained before the pause may still come
        self._wake.set()

    def lost(self, fetched: Fetched) -> None:
        queue = self._merge.queues.get(fetched.topic)
        if queue is None or queue.reached is None:
            return
        # Also the one answer after a seek that there is nothing to read: without it the input would be waited for.
        if fetched.end > queue.reached or (fetched.caught_up and not queue.caught_up):
            self._seeking.add(fetched.topic)
            self._wake.set()

    def full(self, topic: str) -> bool:
        return self._full.get(topic, False)

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    @property
    def _stopping(self) -> bool:
        return self._stop.is_set()

    def report(self) -> LaneReport:
        hold = self._hold
        return LaneReport(
            partition=self._partition,
            generation=self._generation,
            state=self._state,
            reason=self._reason,
            detail=self._detail,
            since=self._since,
            moved=self._moved,
            queued=sum(queue.queued for queue in self._merge.queues.values()),
            next={} if hold is None else hold.record.next,
            position="" if hold is None else hold.position.decode(),
            watermark=None if hold is None else hold.record.watermark,
            empty=[topic for topic, queue in self._merge.queues.items() if not queue.queued],
        )

    async def release(self) -> None:
        await failpoints.reached(Failpoint.LANE_RELEASED)
        await self._drop(Doubt())
        self._ports.metrics.forget(self._partition)
        self._set("stopped")

    async def run(self, generation: int) -> None:
        try:
            await self._run(generation)
        finally:
            self._stop.clear()  # not before: a stop may come ahead of the first step

    async def _run(self, generation: int) -> None:
        self._generation = generation
        begin_counts(self._ports.metrics, self._partition)
        self._progress = self._new_progress()
        doubt: Doubt | None = None
        while doubt is not None or not self._stopping:
            try:
                if doubt is not None:
                    await self._settle(doubt)
                    doubt = None
                    continue
                hold = self._hold or await self._take()
                if hold is not None:
                    await self._flowing()
                    await self._work(hold)
            except Doubt as found:
                doubt = found
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    await self._drop(Doubt())
                    raise
                # Nobody cancelled this task: a client library let its own cancellation escape.
                doubt = KafkaDoubt("a client was cancelled from within")
            except Abandoned:
                await self._drop(Doubt())
                raise
            except Exception as error:  # a bug of ours in the lane: the state in memory is not to be trusted
                log.exception("lane.bug", lane=self._partition, reason=type(error).__name__)
                doubt = KafkaDoubt(f"{type(error).__name__} in the lane: the log has it as lane.bug")
        await failpoints.reached(Failpoint.LANE_PARKED)
        self._silence()
        self._set("parked")

    # ------------------------------------------------------------------ taking and doubts

    async def _take(self) -> Hold | None:
        """The lane in hand; None if asked to stop, and the take then goes on in the background."""
        self._set("taking", "replaying")
        if self._taking is None:
            self._taking = asyncio.create_task(self._take_all(), name=f"take lane {self._partition}")
        taking = self._taking
        began = self._ports.clock.monotonic()
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((taking, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not taking.done():
            return None
        self._taking = None
        standing = taking.result()
        hold = self._hold = await self._accept(standing)
        self._table_seen = self._ports.clock.monotonic()
        await failpoints.reached(Failpoint.TAKE_ACCEPTED)
        self._ports.metrics.increment("lane_takes_total", 1, str(self._partition))
        log.info(
            "lane.taken",
            lane=self._partition,
            generation=self._generation,
            position=standing.position.decode(),
            replayed=standing.replayed,
            how=standing.how,
            seconds=round(self._ports.clock.monotonic() - began, 3),
        )
        return hold

    async def _take_all(self) -> Standing:
        ports, settings = self._ports, self._settings
        why = await ports.inputs.confirm_membership(self._generation)
        if why is not None:
            raise KafkaDoubt(f"not a member: {why}")
        await failpoints.reached(Failpoint.TAKE_MEMBERSHIP)
        if self._writer is None:
            writer = ports.new_writer()
            self._writer = writer
            await writer.start()
            await failpoints.reached(Failpoint.TAKE_FENCE)
        if self._table is not None:
            await self._table.close()
        self._table = ports.new_table()
        await self._table.open()
        self._attempts += 1
        attempt = f"{settings.owner}.{self._attempts}"
        meter = ReplayMeter(self._partition, ports.metrics, ports.clock)
        standing = stand(
            ports.changelog, self._table, self._partition, attempt, settings.oldest_ms, ports.clock.now(), meter
        )
        try:
            found = await asyncio.wait_for(standing, settings.take)
        except TimeoutError:
            raise KafkaDoubt(f"taking the lane took longer than {settings.take:.0f} s") from None
        meter.done()
        return found

    async def _accept(self, standing: Standing) -> Hold:
        """What was found, checked against what this process is to run."""
        settings, writer, table = self._settings, self._writer, self._table
        if writer is None or table is None:
            raise KafkaDoubt("the take was dropped")
        record = standing.record or first_lane_record(settings.application, settings.partitions)
        if record.partitions != settings.partitions:
            raise Refused(
                f"lane {self._partition} was begun with {record.partitions} partitions, the settings say "
                f"{settings.partitions}: another number is another app_id and a replay of the input"
            )
        if record.identity_key and settings.identity_key not in ("", record.identity_key):
            raise Refused(
                f"lane {self._partition} knows its customers by hashes of another key: with the one of the settings "
                "(identity_key, identity_key_file) all who have an address or a number would be somebody else. Give "
                "it the key that it was begun with; another one is another app_id and a replay of the input"
            )
        record.identity_key = record.identity_key or settings.identity_key
        models = decode_models(None)
        if standing.record is not None:
            models = decode_models(*await table.load([MODELS], standing.position))
        rules = rules_of(self._partition, models, record, self._rulebook)
        live = _marks(rules)
        refused = refuse(record.models, live)
        if refused is not None:
            raise Refused(f"lane {self._partition}: {refused}")
        breaker = record.breaker
        if breaker is not None and (breaker.code != settings.code or breaker.models != live):
            log.info("lane.breaker_closed", lane=self._partition, why="another version of the code or of a model")
            record.breaker = None
        record.models = {**record.models, **live}  # a journey that is left out for a while may come back
        earliest = await table.earliest()
        self._gauge.reset()
        # A changelog that was made anew is another world: neither progress nor the watermark goes over to it.
        self._progress = self._new_progress()
        self._watermark.enter(world_of(settings.application, standing.world))
        self._ports.metrics.publish(self._partition, record)
        return Hold(
            self._partition,
            settings,
            self._ports,
            rules,
            self._stitch(rules),
            self._rulebook,
            self._gauge,
            self._hitters,
            writer,
            table,
            record,
            models,
            standing.position,
            standing.world,
            earliest,
        )

    def _stitch(self, rules: Rules) -> Stitch:
        return Stitch(rules.fold, self._new_intake(rules.table), rules.mark, self._settings.erasure)

    async def _settle(self, doubt: Doubt) -> None:
        """The one path for every doubt: drop, back off, prove membership; the caller takes again."""
        self._silence()
        await self._drop(doubt)
        self._doubts += 1
        first, longest = BACK_OFF
        wait = min(longest, first * 2 ** min(self._doubts - 1, 10)) * (0.5 + self._ports.clock.random() / 2)
        self._set("waiting", doubt.reason, str(doubt))
        tell = log.info if self._stopping else log.warning
        tell("lane.doubt", lane=self._partition, reason=doubt.reason, why=str(doubt)[:300], wait=round(wait, 2))
        self._ports.metrics.increment("lane_doubts_total", 1, str(self._partition), doubt.reason)
        if isinstance(doubt, TableDoubt):
            self._ports.metrics.increment("table_failures_total", 1, doubt.failure)
        if isinstance(doubt, Fenced):
            self._count_fence(doubt)
        await self._pause_all()
        await self._rest(wait)
        while not self._stopping:
            why = await self._membership()
            if why is None:
                return
            self._set("waiting", "membership", why)
            await self._rest(MEMBERSHIP_WAIT)

    def _count_fence(self, doubt: Fenced) -> None:
        now = self._ports.clock.monotonic()
        self._fenced_at = [at for at in self._fenced_at if at > now - 60] + [now]
        if len(self._fenced_at) > self._settings.fences:
            raise Abandoned(
                f"lane {self._partition} was fenced {len(self._fenced_at)} times within a minute: another application "
                f"uses the transactional id {self._settings.application}-{self._partition} ({doubt})"
            )

    async def _membership(self) -> str | None:
        try:
            return await self._ports.inputs.confirm_membership(self._generation)
        except Doubt as doubt:
            return str(doubt)

    async def _drop(self, doubt: Doubt) -> None:
        """Forgets everything that is not known to be committed; a doubt about the table leaves the writer its fence."""
        self._hold = None
        taking, self._taking = self._taking, None
        if taking is not None:
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await taking
        writer, table = self._writer, self._table
        self._table = None
        if table is not None:
            await table.close()
        if writer is not None and not isinstance(doubt, TableDoubt):
            self._writer = None
            await writer.close()

    def _silence(self) -> None:
        """Nothing that still comes in is taken until the inputs are sought again."""
        for queue in self._merge.queues.values():
            queue.restart(None)
        self._full.clear()
        self._seeking.clear()
        self._missing.clear()

    async def _pause_all(self) -> None:
        for topic in self._merge.queues:
            try:
                await self._ports.inputs.pause(topic, self._partition)
            except Doubt:
                return

    # ------------------------------------------------------------------ work

    async def _flowing(self) -> None:
        """Until what is fetched reaches the lane, or it is to stop."""
        flowing = asyncio.ensure_future(self._ports.inputs.flowing())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((flowing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if flowing.done():
                flowing.result()
        finally:
            flowing.cancel()
            stopping.cancel()

    async def _work(self, hold: Hold) -> None:
        if self._stopping:
            return
        await self._seek_inputs(hold)
        while not self._stopping:
            if await self._stood(hold):
                continue
            if self._seeking:
                await self._seek_again()
                continue
            if not self._merge.ready():
                self._read_nothing(hold)
                if not self._timers_due(hold) and not hold.carrying:
                    if self._table_unseen():
                        await self._look_at_table(hold)
                    else:
                        await self._sleep()
                    continue
            elif await self._waited_for_older():
                continue
            self._set("running")
            try:
                await self._batch(hold)
            except Tripped as tripped:
                await self._standstill.open_breaker(hold, str(tripped), _marks(hold.rules))

    async def _stood(self, hold: Hold) -> bool:
        """Whether the lane had to stand still, and was resumed or is to stop."""
        if (breaker := hold.record.breaker) is not None:
            await self._standstill.wait_for_resume(hold, "breaker", breaker.reason, breaker.after)
            self._gauge.reset()
            return True
        if hold.record.paused is not None or await self._standstill.paused_by_order(hold):
            pause = hold.record.paused
            if pause is not None:
                await self._standstill.wait_for_resume(hold, PAUSED, pause.reason, pause.after)
            return True
        return False

    async def _seek_inputs(self, hold: Hold) -> None:
        """Every input from the lane record on; what retention took unread is never passed over silently."""
        inputs, topics = self._ports.inputs, list(self._merge.queues)
        starts = await inputs.log_starts(topics, self._partition)
        for topic in topics:
            position = hold.record.next.get(topic, starts[topic])
            if position < starts[topic]:
                position = await self._standstill.wait_for_skip(hold, topic, position)
            hold.record.next[topic] = position
        self._silence()
        for topic in topics:
            self._merge.queues[topic].restart(hold.record.next[topic])
            await self._seek(topic, hold.record.next[topic])
        self._set("running")

    async def _seek(self, topic: str, offset: int) -> None:
        await failpoints.reached(Failpoint.SEEK_BEFORE)
        await self._ports.inputs.seek(topic, self._partition, offset)
        await failpoints.reached(Failpoint.SEEK_AFTER)

    async def _seek_again(self) -> None:
        """Some of what was fetched never got here: the inputs with a hole are read again from where the lane is."""
        topics, self._seeking = sorted(self._seeking), set()
        if not topics:
            return
        starts = await self._ports.inputs.log_starts(topics, self._partition)
        for topic in topics:
            reached = self._merge.queues[topic].reached
            if reached is None:
                continue
            if starts[topic] > reached:
                raise KafkaDoubt(f"{topic}-{self._partition}: retention passed the lane at {reached}")
            log.info("lane.sought_again", lane=self._partition, topic=topic, position=reached)
            await self._seek(topic, reached)

    async def _batch(self, hold: Hold) -> None:
        runs = self._merge.take(self._settings.most)
        for source, _ in runs:
            topic = source.topic
            if self._full.get(topic) and self._merge.queues[topic].queued <= self._ports.queue_share() // 2:
                self._full[topic] = False
                self._ports.inputs.resume(topic, self._partition)
        await failpoints.reached(Failpoint.BATCH_TAKEN)
        await hold.fold(runs, self._merge.positions(), self._value(hold))
        await failpoints.reached(Failpoint.BATCH_APPLIED)
        if hold.switched:
            rules = rules_of(self._partition, hold.models, hold.record, self._rulebook)
            hold.rule(rules, self._stitch(rules))
            self._gauge.reset()
        self._doubts = 0
        self._moved = self._table_seen = self._ports.clock.monotonic()
        appended = {source.topic: records[-1].timestamp for source, records in runs}
        self._progress.committed(hold.record.next, appended)
        self._ports.metrics.publish(self._partition, hold.record)

    def _value(self, hold: Hold) -> int | None:
        """The highest watermark that this lane knows: it never steps back, not even over a restart."""
        known, used = self._watermark.value, hold.record.watermark
        if known is None or used is None:
            return used if known is None else known
        return max(known, used)

    def _timers_due(self, hold: Hold) -> bool:
        value = self._value(hold)
        return value is not None and hold.earliest is not None and value >= hold.earliest

    async def _waited_for_older(self) -> bool:
        """Waits a moment for inputs that may have older records than those here; for each at most `merge_wait`, until
        it is heard from again."""
        now = self._ports.clock.monotonic()
        self._missing = {topic: self._missing.get(topic, now) for topic in self._merge.missing()}
        if all(now - since >= self._settings.merge_wait for since in self._missing.values()):
            return False
        await self._rest(IDLE_CHECK)
        return True

    def _table_unseen(self) -> bool:
        return self._ports.clock.monotonic() - self._table_seen > TABLE_CHECK

    async def _look_at_table(self, hold: Hold) -> None:
        """With nothing to read, nobody else would notice before the next event that Redis is away or has lost data."""
        await hold.look_at_table()
        self._table_seen = self._ports.clock.monotonic()

    def _read_nothing(self, hold: Hold) -> None:
        """Markers and aborted records move the position too, and there is nothing to commit about them."""
        positions = self._merge.positions()
        if positions != hold.record.next:
            hold.record.next = positions
            self._moved = self._ports.clock.monotonic()
        self._progress.committed(positions, {})

    # ------------------------------------------------------------------ progress

    def passed(self) -> int | None:
        """The watermark (ms) in the lane record: what was appended before is folded or routed. None if unknown."""
        return None if self._hold is None else self._hold.record.watermark

    def progress_record(self) -> ProgressRecord:
        """What the lane can say of its progress now, and how it is."""
        hold = self._hold
        raw, holds, events, world = None, "", None, ""
        if hold is not None:
            self._said_at = dict(hold.record.next)
            world = world_of(self._settings.application, hold.world)
            if hold.record.breaker is None:
                raw, holds = (
                    punctuated(self._raw, hold.record.punctuation)
                    if self._settings.event_clock
                    else self._progress.raw()
                )
                events = self._progress.events()
        clock, settings = self._ports.clock, self._settings
        hot = {public_key(Key(key)): round(share, 3) for key, share in self._hitters.named(clock.monotonic()).items()}
        self._ports.metrics.set("lane_hottest_identity_ratio", max(hot.values(), default=0.0), str(self._partition))
        return ProgressRecord(
            self._partition,
            world,
            raw,
            events,
            settings.owner,
            self._state,
            self._reason or self._detail,
            holds,
            since=clock.now() - round((clock.monotonic() - self._since) * 1000),
            version=settings.code,
            hot=hot,
        )

    def ticked(self, ticked_at: int, offset: int, ends: Mapping[str, int | None]) -> None:
        """A tick of this lane was acknowledged, and the ends of its inputs asked for after that."""
        hold = self._hold
        if hold is None:
            return
        # An end before what was read when the tick was sent: another log of that name, of which nothing is read.
        proving = {topic: end for topic, end in ends.items() if end is not None and end >= self._said_at.get(topic, 0)}
        self._progress.ticked(ticked_at, offset, proving)
        self._progress.committed(hold.record.next, {})
        lane = str(self._partition)
        for topic, end in ends.items():
            if end is not None:
                self._ports.metrics.set("lane_lag_records", max(0, end - hold.record.next.get(topic, 0)), lane, topic)
        if self._table_unseen():
            self._wake.set()

    def watermark_rose(self) -> None:
        """The watermark that the lanes share has a new value."""
        if self._hold is not None and self._timers_due(self._hold):
            self._wake.set()

    def cached(self) -> int:
        """How many profiles are in memory."""
        return 0 if self._hold is None else self._hold.cached()

    def _new_progress(self) -> LaneProgress:
        raw = [source.topic for source in self._settings.sources if source.kind != "events"]
        return LaneProgress(raw, self._settings.topics.events)

    # ------------------------------------------------------------------ waiting

    async def _sleep(self) -> None:
        """Until something came in, timers may be due, or the lane is to stop."""
        self._wake.clear()
        if not self._stopping:
            await self._wake.wait()

    async def _rest(self, seconds: float) -> None:
        """A pause that a stop cuts short."""
        stopping = asyncio.create_task(self._stop.wait())
        pause = asyncio.create_task(self._ports.clock.sleep(seconds))
        try:
            await asyncio.wait((stopping, pause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            pause.cancel()

    def _set(self, state: State, reason: str = "", detail: str = "") -> None:
        if (state, reason) != (self._state, self._reason):
            self._since = self._ports.clock.monotonic()
            self._ports.metrics.lane_state(self._partition, state, reason)
        self._state, self._reason, self._detail = state, reason, detail


def _marks(rules: Rules) -> dict[str, ModelMark]:
    return marks([model.journey for model in rules.models.values()])


def world_of(application: str, changelog_id: str) -> str:
    """What `journey.progress` records of one application on one changelog have in common."""
    return f"{application}:{changelog_id}"
