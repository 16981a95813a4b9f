"""Bugs in the lane's protocol: each is in the real adapters, and in the fakes that stand for them in a simulation."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import RedisError

from pipeline.adapters.kafka import producing, writer
from pipeline.adapters.redis.table import RedisTable
from pipeline.application import control, standstill, switching, taking
from pipeline.application import lane as lane_module
from pipeline.application.hold import Hold
from pipeline.application.intake import Batch
from pipeline.application.lane import Lane
from pipeline.application.lane_record import LaneRecord, Tally, decode_lane
from pipeline.application.merge import InputQueue
from pipeline.application.ports import Doubt, Fetched, LogBounds, Outgoing, Record, TableDoubt, TableWrite
from pipeline.application.standstill import Standstill
from pipeline.application.stitch import Effects, Stitch, Written
from pipeline.worker.consumer_thread import LaneConsumerThread
from tests.fakes.kafka import FakeChangelog, FakeInputs, FakeWriter
from tests.fakes.kafka.log import Log
from tests.fakes.table import FakeTable
from tests.mutants.registry import mutant

Offsets = Mapping[tuple[str, int], int]
Commit = Callable[[Sequence[Outgoing]], Any]


def after_making(patch: pytest.MonkeyPatch, change: Callable[[Lane], None]) -> None:
    """Every lane that is made is changed."""
    original = Lane.__init__

    def make(self: Lane, *arguments: Any, **more: Any) -> None:
        original(self, *arguments, **more)
        change(self)

    patch.setattr(Lane, "__init__", make)


def around_commit(patch: pytest.MonkeyPatch, around: Callable[[Any, Commit, Sequence[Outgoing]], Any]) -> None:
    """Every commit of every writer goes through `around(writer, commit, outgoing)`."""

    def change(lane: Lane) -> None:
        new_writer = lane._ports.new_writer

        def make() -> Any:
            made: Any = new_writer()
            original = made.commit

            async def commit(outgoing: Sequence[Outgoing]) -> Offsets:
                found: Offsets = await around(made, original, outgoing)
                return found

            made.commit = commit
            return made

        lane._ports = replace(lane._ports, new_writer=make)

    after_making(patch, change)


# ---- the transaction


@mutant("lane")
def the_position_is_kept_apart_from_the_state(patch: pytest.MonkeyPatch) -> None:
    """The lane record has a transaction of its own, after that of the state."""

    async def apart(_writer: Any, commit: Commit, outgoing: Sequence[Outgoing]) -> Offsets:
        *others, changelog = outgoing
        state = [*others, replace(changelog, entries=changelog.entries[:-1])]
        await commit([part for part in state if part.entries])
        found: Offsets = await commit([replace(changelog, entries=changelog.entries[-1:])])
        return found

    around_commit(patch, apart)


@mutant("lane")
def routed_records_are_sent_outside_of_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """What is at home elsewhere is sent before the transaction of the batch, in one of its own."""

    def is_routed(part: Outgoing) -> bool:
        return part.topic.endswith("journey.events")

    async def outside(_writer: Any, commit: Commit, outgoing: Sequence[Outgoing]) -> Offsets:
        if routed := [part for part in outgoing if is_routed(part)]:
            await commit(routed)
        found: Offsets = await commit([part for part in outgoing if not is_routed(part)])
        return found

    around_commit(patch, outside)


@mutant("lane", seed=7)
def a_commit_in_doubt_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    """The same transaction once more, in the same epoch."""

    async def again(made: Any, commit: Commit, outgoing: Sequence[Outgoing]) -> Offsets:
        try:
            found: Offsets = await commit(outgoing)
        except Doubt:
            made._usable = True
            found = await commit(outgoing)
        return found

    around_commit(patch, again)


@mutant("lane", seed=10)
def a_failed_batch_is_committed_over(patch: pytest.MonkeyPatch) -> None:
    """Nobody awaits what became of a produced batch: the transaction is committed without it."""
    fake_commit, send = FakeWriter.commit, producing._send

    async def without_some(self: FakeWriter, outgoing: Sequence[Outgoing]) -> Offsets:
        fault = next((fault for name, fault in self._kafka._faults if name == "commit"), None)
        if fault != "lost" or len(outgoing) < 2:
            return await fake_commit(self, outgoing)
        self._kafka._faults.remove(("commit", "lost"))
        return await fake_commit(self, outgoing[1:])

    async def shrug(cluster: Any, node: int, batches: Any, *rest: Any) -> None:
        *_, acknowledged = rest
        with suppress(Exception):
            await send(cluster, node, batches, *rest)
        for place in batches:
            acknowledged.setdefault(place, producing.Acknowledged(0, -1))

    patch.setattr(FakeWriter, "commit", without_some)
    patch.setattr(producing, "_send", shrug)


@mutant("lane", seed=10)
def the_lane_before_is_not_fenced(patch: pytest.MonkeyPatch) -> None:
    """A producer goes on in the epoch of the one before it."""
    fake_start, take_over = FakeWriter.start, writer.TransactionalWriter._take_over
    epochs: dict[str, tuple[int, int]] = {}

    async def start(self: FakeWriter) -> None:
        producers = self._kafka.producers
        if self._id not in producers:
            await fake_start(self)
            return
        self.epoch, self._usable = producers[self._id].epoch, True

    async def keep(self: writer.TransactionalWriter) -> tuple[int, int]:
        if self._id not in epochs:
            epochs[self._id] = await take_over(self)
        return epochs[self._id]

    patch.setattr(FakeWriter, "start", start)
    patch.setattr(writer.TransactionalWriter, "_take_over", keep)


@mutant("lane")
def the_totals_are_not_in_the_lane_record(patch: pytest.MonkeyPatch) -> None:
    """They are only in memory: whoever takes the lane begins to count anew."""

    def forget(value: bytes) -> LaneRecord:
        record = decode_lane(value)
        for channel in record.totals:
            record.totals[channel] = Tally()
        return record

    patch.setattr(taking, "decode_lane", forget)


# ---- taking the lane


@mutant("lane", seed=10)
def the_changelog_is_read_to_its_stable_end_before_the_fence(patch: pytest.MonkeyPatch) -> None:
    """The replay ends at the last stable offset of the moment before the lane is fenced."""
    take_all, ask = Lane._take_all, FakeChangelog.bounds

    async def stable(self: FakeChangelog, partition: int) -> LogBounds:
        found = await ask(self, partition)
        return replace(found, end=min(found.end, self._kafka.log(self._topic, partition).stable_end))

    class Early:
        """A changelog whose bounds were asked for before."""

        def __init__(self, changelog: Any, bounds: LogBounds) -> None:
            self._changelog, self._bounds = changelog, bounds

        async def bounds(self, _partition: int) -> LogBounds:
            return self._bounds

        def replay(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
            found: AsyncIterator[Sequence[Record]] = self._changelog.replay(partition, start, end)
            return found

    async def early(self: Lane) -> Any:
        ports = self._ports
        bounds = await ports.changelog.bounds(self._partition)
        self._ports = replace(ports, changelog=Early(ports.changelog, bounds))
        try:
            return await take_all(self)
        finally:
            self._ports = ports

    patch.setattr(FakeChangelog, "bounds", stable)
    patch.setattr(Lane, "_take_all", early)


@mutant("lane", seed=3)
def a_rebuilt_table_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    """It is renamed into place although Redis may have lost a part of it meanwhile."""
    check, place = RedisTable._check_filled, FakeTable._put_in_place

    async def only_the_position(self: RedisTable, filled: Any, seen: bytes | None, *_filled: int) -> None:
        *_, has_fields, has_due = await self._connection.call(
            (b"UNWATCH",), (b"HLEN", filled.table), (b"ZCARD", filled.due)
        )
        await check(self, filled, seen, has_fields, has_due)

    def whatever_is_there(self: FakeTable, key: str, seen: bytes | None, _filled: tuple[int, int]) -> None:
        stored = self._stored(key)
        place(self, key, seen, (len(stored.fields), len(stored.due)))

    patch.setattr(RedisTable, "_check_filled", only_the_position)
    patch.setattr(FakeTable, "_put_in_place", whatever_is_there)


# ---- the table


@mutant("lane")
def redis_is_written_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The table has the batch while its transaction may still be aborted."""
    original = Hold._commit

    async def commit(self: Hold, record: LaneRecord, written: Written, batch: Batch, effects: Effects) -> None:
        due = {key.encode(): at for key, at in effects.feed.due.items()}
        await self._table.apply(self.position, TableWrite(dict(written.profiles), due))
        await original(self, record, written, batch, effects)

    patch.setattr(Hold, "_commit", commit)


@mutant("lane")
def the_table_is_written_without_a_guard(patch: pytest.MonkeyPatch) -> None:
    """No compare-and-set: whoever writes last wins, wherever the table stands."""

    async def commit(self: RedisTable, position: bytes, commands: Sequence[Any]) -> None:
        *_, done = await self._connection.call((b"UNWATCH",), (b"MULTI",), *commands, (b"EXEC",))
        for reply in done or ():
            if isinstance(reply, RedisError):
                raise TableDoubt(f"redis: {reply}")
        self._guarded, self._position = True, position

    def execute(self: FakeTable, connection: Any, act: Callable[[], None]) -> None:
        act()
        self._server.touch(self._key)
        self._watch(connection)

    patch.setattr(RedisTable, "_commit", commit)
    patch.setattr(FakeTable, "_execute", execute)
    for table in (RedisTable, FakeTable):
        patch.setattr(table, "_expect", lambda *_: None)
        patch.setattr(table, "_need_guard", lambda *_: None)


# ---- memory


@mutant("lane", seed=6)
def what_is_cached_outlives_a_doubt(patch: pytest.MonkeyPatch) -> None:
    """The cache is not rolled back when a transaction was aborted."""
    original, commit = Lane._accept, Hold._commit

    async def accept(self: Lane, standing: Any) -> Hold:
        hold = await original(self, standing)
        hold._cache = self.__dict__.setdefault("cache", hold._cache)
        return hold

    async def keep_and_commit(self: Hold, record: LaneRecord, written: Written, batch: Batch, effects: Effects) -> None:
        self._keep(effects)
        await commit(self, record, written, batch, effects)

    patch.setattr(Hold, "_commit", keep_and_commit)
    patch.setattr(Lane, "_accept", accept)


@mutant("lane")
def a_changed_profile_is_evicted_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    """Who has changed in a batch and is due in the same batch is read again from the table, as they were before it."""

    def read_again(self: Stitch, key: str, stored: Mapping[str, bytes | None], _effects: Effects) -> Any:
        return self._open(key, stored[key], 0)

    patch.setattr(Stitch, "_reopen", read_again)


# ---- inputs


class Trusting(InputQueue):
    """Takes what comes, hole or not."""

    def offer(self, fetched: Fetched) -> bool:
        if self.reached is not None and fetched.start > self.reached:
            self.reached = fetched.start
        return super().offer(fetched)


@mutant("lane", seed=14)
def holes_in_the_positions_are_not_seen(patch: pytest.MonkeyPatch) -> None:
    """A fetch that does not join on to the last one is taken."""

    def change(lane: Lane) -> None:
        lane._merge.queues = {topic: Trusting(queue.source) for topic, queue in lane._merge.queues.items()}

    after_making(patch, change)


@mutant("lane", seed=6)
def inputs_are_read_uncommitted(patch: pytest.MonkeyPatch) -> None:
    """What a sender has aborted, or has not yet committed, is folded."""
    create, fetch = LaneConsumerThread._create_worker_consumer, FakeInputs.fetch

    def create_uncommitted(self: LaneConsumerThread, transport: Any) -> Any:
        consumer = create(self, transport)
        consumer._isolation_level = "read_uncommitted"
        return consumer

    def fetch_uncommitted(self: FakeInputs, topic: str, partition: int) -> Any:
        read = Log.read
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Log, "read", lambda log, position, most, **_: read(log, position, most, committed=False))
            return fetch(self, topic, partition)

    patch.setattr(LaneConsumerThread, "_create_worker_consumer", create_uncommitted)
    patch.setattr(FakeInputs, "fetch", fetch_uncommitted)


class Reluctant:
    """Inputs that never resume."""

    def __init__(self, inputs: Any) -> None:
        self._inputs = inputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inputs, name)

    def resume(self, topic: str, partition: int) -> None:
        pass


@mutant("lane", seed=1)
def a_paused_input_is_not_resumed(patch: pytest.MonkeyPatch) -> None:
    """Whose queue was full once is never read again."""

    def change(lane: Lane) -> None:
        lane._ports = replace(lane._ports, inputs=Reluctant(lane._ports.inputs))

    after_making(patch, change)


@mutant("lane", seed=2)
def a_stop_before_the_first_step_is_not_heard(patch: pytest.MonkeyPatch) -> None:
    """A lane that is to stop before it has begun goes on."""
    original = Lane.run

    async def forget_and_run(self: Lane, generation: int) -> None:
        self._stop.clear()
        await original(self, generation)

    patch.setattr(Lane, "run", forget_and_run)


# ---- orders


@mutant("lane", seed=7)
def a_paused_lane_goes_on(patch: pytest.MonkeyPatch) -> None:
    """The order to pause is remembered and shown, and the lane folds all the same."""
    original = Lane._stood

    async def stood(self: Lane, hold: Hold) -> bool:
        return hold.record.paused is None and await original(self, hold)

    patch.setattr(Lane, "_stood", stood)


@mutant("lane", seed=5)
def an_order_to_resume_is_not_heard(patch: pytest.MonkeyPatch) -> None:
    """A lane that was paused stands for good."""
    original = control.find_order

    def find(records: Any, order: Any, lane: int, start: int) -> Any:
        return None if order == "resume" else original(records, order, lane, start)

    patch.setattr(standstill, "find_order", find)


@mutant("lane", seed=5)
def an_order_to_pause_counts_again(patch: pytest.MonkeyPatch) -> None:
    """An order that was obeyed is obeyed once more when its turn comes, or after a restart."""
    original = Standstill.wait_for_resume

    async def wait(self: Standstill, hold: Hold, why: str, detail: str, after: int) -> None:
        await original(self, hold, why, detail, after)
        hold.record.control = 0

    patch.setattr(Standstill, "wait_for_resume", wait)


# ---- versions


@mutant("lane", seed=4)
def nobody_is_swept(patch: pytest.MonkeyPatch) -> None:
    """Only customers whom an event touches are carried over to a promoted version."""
    original = switching._switch

    def switch(candidate: Any, lane: int, record: LaneRecord, *more: Any) -> None:
        original(candidate, lane, record, *more)
        record.carrying = {}

    patch.setattr(switching, "_switch", switch)


@mutant("lane", seed=4)
def a_lane_misses_the_decision(patch: pytest.MonkeyPatch) -> None:
    """Lane 0 goes on under the former version where all have switched."""
    original = switching._switch

    def switch(candidate: Any, lane: int, *more: Any) -> None:
        if lane:
            original(candidate, lane, *more)

    patch.setattr(switching, "_switch", switch)


@mutant("lane", seed=4)
def customers_are_carried_over_twice(patch: pytest.MonkeyPatch) -> None:
    """The first customer of each sweep is told of the switch once more."""
    original = Stitch.carry_over

    def carry_over(self: Stitch, keys: Sequence[str], stored: Any, watermark: Any, effects: Effects) -> Any:
        yield from original(self, keys, stored, watermark, effects)
        moved = [each for each in effects.feed.transitions if each.kind == "moved"]
        if moved:
            effects.feed.transitions.append(moved[0])

    patch.setattr(Stitch, "carry_over", carry_over)


@mutant("lane", seed=14)
def time_goes_on_under_the_former_version(patch: pytest.MonkeyPatch) -> None:
    """What the former version decides ends where a customer is carried over, not at the switch."""
    original = switching.rules_of

    def rules_of(lane: int, models: Any, record: LaneRecord, rulebook: Any) -> Any:
        rules = original(lane, models, record, rulebook)
        for carry in rules.fold.carries.values():
            carry.watermark += 5_000
        return rules

    patch.setattr(lane_module, "rules_of", rules_of)
