"""Bringing a lane's table in step with the changelog: the part of taking a lane that reads and fills."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from pipeline.application import failpoints, lane_record
from pipeline.application.failpoints import Failpoint
from pipeline.application.lane_metrics import ReplayMeter
from pipeline.application.lane_record import PROFILES, LaneRecord, decode_lane
from pipeline.application.ports import Changelog, Doubt, LogBounds, Record, Refused, Table, TableWrite
from pipeline.domain.encoding import indexed_of
from pipeline.domain.erasing import MARK, decode_mark

CHUNK = 2_000
"""Fields a write to the table, while it is rolled forward."""

LOOK_BACK = (16, 20_000)
"""Offsets from the end in which the last lane record is looked for before the whole log is read."""

_MARK = MARK.encode()

NOWHERE = b""
"""The position of a lane that never committed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a lane stands: its record (None if it never committed), its changelog position, and what it took to know.

    `world`: the changelog topic's id.
    """

    record: LaneRecord | None
    position: bytes
    world: str
    replayed: int
    how: str


class Broken(Doubt):
    """The changelog does not end as every transaction does: with a lane record."""

    reason = "replaying"


def place(world: str, offset: int) -> bytes:
    """A changelog position: the topic's id and the offset of a lane record."""
    return f"{world}:{offset}".encode()


def _offset(position: bytes | None, bounds: LogBounds) -> int | None:
    """The offset in `position` if it lies in this very log."""
    if position is None:
        return None
    world, _, offset = position.decode("utf-8", "replace").rpartition(":")
    if world != bounds.topic_id or not offset.isdigit() or not bounds.start <= int(offset) < bounds.end:
        return None
    return int(offset)


async def stand(
    changelog: Changelog, table: Table, partition: int, attempt: str, oldest: int, now: int, meter: ReplayMeter
) -> Standing:
    """Replays what the table lacks and brings it to the last lane record; the writer must hold the fence already.

    `oldest`: ms a table may be behind before deletions could be missed in a replay of its tail; `now` is wall-clock ms.
    """
    seen = await table.position()
    bounds = await changelog.bounds(partition)
    await failpoints.reached(Failpoint.TAKE_BOUNDS)
    offset = _offset(seen, bounds)
    if seen is not None and offset is not None:
        standing = await _roll_forward(changelog, table, partition, seen, offset, bounds, now - oldest, meter)
        if standing is not None:
            return standing
    return await _rebuild(changelog, table, partition, attempt, seen, bounds, meter)


async def _roll_forward(
    changelog: Changelog,
    table: Table,
    partition: int,
    seen: bytes,
    offset: int,
    bounds: LogBounds,
    oldest: int,
    meter: ReplayMeter,
) -> Standing | None:
    """From the table's own position, inclusive; None if that record is gone or too old, so the whole must be read."""
    record: LaneRecord | None = None
    position, newest, last = seen, offset, offset
    fields: dict[bytes, bytes | None] = {}
    meter.begin(offset, bounds.end)
    async for records in changelog.replay(partition, offset, bounds.end):
        await failpoints.reached(Failpoint.TAKE_REPLAY)
        meter.read(records)
        for found in records:
            newest = found.offset
            if record is None and (found.offset != offset or found.key != lane_record.KEY or found.timestamp < oldest):
                return None
            fields[found.key or b""] = found.value
            if found.key == lane_record.KEY:
                record = _readable(partition, found)
                position, last = place(bounds.topic_id, found.offset), found.offset
                if len(fields) >= CHUNK:
                    await table.apply(position, _write(fields))
                    await table.position()
                    fields = {}
    if record is None:
        return None
    _check_end(partition, newest, last)
    if position != seen:
        await table.apply(position, _write(fields))
    return Standing(record, position, bounds.topic_id, meter.replayed, f"rolled forward from {offset}")


async def _rebuild(
    changelog: Changelog,
    table: Table,
    partition: int,
    attempt: str,
    seen: bytes | None,
    bounds: LogBounds,
    meter: ReplayMeter,
) -> Standing:
    """The whole log into keys of this attempt, which then take the table's place."""
    last = await _last_lane_record(changelog, partition, bounds)
    if last is None:
        if seen is None:
            return Standing(None, NOWHERE, bounds.topic_id, 0, "nothing in the changelog yet")
        await table.rebuild(attempt, seen, NOWHERE, _nothing())
        return Standing(None, NOWHERE, bounds.topic_id, 0, "emptied: the changelog has nothing")
    record = _readable(partition, last)
    position = place(bounds.topic_id, last.offset)
    whole = _Whole(changelog, partition, bounds, last.offset, meter)
    await table.rebuild(attempt, seen, position, whole.content())
    why = "no table" if seen is None else "it was of another log, older than it, or behind what was deleted"
    return Standing(record, position, bounds.topic_id, meter.replayed, f"rebuilt: {why}")


async def _last_lane_record(changelog: Changelog, partition: int, bounds: LogBounds) -> Record | None:
    """The newest committed lane record. Each transaction ends with one, so it mostly stands within the last offsets."""
    start = bounds.end
    for back in (*LOOK_BACK, bounds.end):
        if start <= bounds.start:
            break
        start = max(bounds.start, bounds.end - back)
        found: Record | None = None
        async for records in changelog.replay(partition, start, bounds.end):
            for record in records:
                if record.key == lane_record.KEY:
                    found = record
        if found is not None:
            return found
    return None


class _Whole:
    """All committed records of a changelog partition as writes to a table; the last of a field wins."""

    def __init__(self, changelog: Changelog, partition: int, bounds: LogBounds, last: int, meter: ReplayMeter) -> None:
        self._changelog = changelog
        self._partition = partition
        self._bounds = bounds
        self._last = last
        self._meter = meter

    async def content(self) -> AsyncIterator[TableWrite]:
        newest = -1
        self._meter.begin(self._bounds.start, self._bounds.end)
        async for records in self._changelog.replay(self._partition, self._bounds.start, self._bounds.end):
            await failpoints.reached(Failpoint.TAKE_FILL)
            self._meter.read(records)
            if records:
                newest = records[-1].offset
            yield _write({record.key or b"": record.value for record in records})
        _check_end(self._partition, newest, self._last)


def _readable(partition: int, found: Record) -> LaneRecord:
    """The lane record; raises Refused if the profiles beside it are none that this program knows."""
    record = decode_lane(found.value or b"")
    if record.profiles != PROFILES:
        raise Refused(
            f"lane {partition} was written by another version of this program: its profiles are of format "
            f"{record.profiles}, and {PROFILES} is what this one knows. Use another app_id, which replays the "
            "input; `make reset` empties the local Kafka and Redis"
        )
    return record


def _check_end(partition: int, newest: int, last: int) -> None:
    if newest != last:
        raise Broken(f"the changelog of lane {partition} ends at {newest}, its lane record is at {last}")


async def _nothing() -> AsyncIterator[TableWrite]:
    return
    yield


def _write(fields: dict[bytes, bytes | None]) -> TableWrite:
    """The fields with the scores that their profiles have in the index of timers."""
    due: dict[bytes, int | None] = {}
    for key, value in fields.items():
        if key.startswith(_MARK):
            due[key] = None if value is None else decode_mark(value).until
        elif not key.startswith(b"@"):
            due[key] = None if value is None else indexed_of(value)
    return TableWrite(fields, due)
