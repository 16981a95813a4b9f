"""What can be seen of the lanes from outside: their records in Redis, what they last said, and where the logs end."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.adapters.kafka.connection import Cluster, connection, step
from pipeline.adapters.kafka.feed_reader import FeedReader, FeedRecord
from pipeline.adapters.kafka.metadata import LATEST, TopicPartition, log_offsets
from pipeline.adapters.kafka.open_transactions import open_transactions
from pipeline.adapters.redis.reader import TableReader
from pipeline.application.lane_models import KEY as MODELS
from pipeline.application.lane_models import LaneModels, decode_models
from pipeline.application.lane_record import LaneRecord, decode_lane
from pipeline.application.ports import KafkaDoubt, ProgressRecord
from pipeline.config import Settings
from pipeline.errors import UserError

SILENT_TICKS: Final = 10
"""A lane that has said nothing for so many ticks has no owner."""
LEFT_ALONE_MS: Final = 10_000
"""A transaction that nothing was added to for so long is told as what holds a lane."""
_RECORDS_A_LANE: Final = 40

_decode_progress = msgspec.json.Decoder(ProgressRecord).decode


@dataclass(frozen=True, slots=True)
class LaneSeen:
    """One lane. `record`: as in Redis, at changelog position `position`; `said`: its owner's last word (at ms).

    `lag`: records of its inputs that it has not taken, also those that cannot be read yet; None if nothing is known.
    `behind_ms`: how old the oldest of them may be at most, by what the lane has proven; None on event time, or if
    nothing is proven. `state` is running, or anything else with the one `reason` why it does not move (a lane that runs
    has one where an input is held up); `since` when, in ms by its worker's clock.
    """

    partition: int
    record: LaneRecord | None
    position: str
    said: ProgressRecord | None
    said_at: int | None
    lag: int | None
    behind_ms: int | None
    state: str
    reason: str

    @property
    def since(self) -> int | None:
        return self.said_at if self.state == "unowned" else self.said.since if self.said else None

    @property
    def version(self) -> str:
        """Of its owner's program; empty if that is not known."""
        return self.said.version if self.said and self.state != "unowned" else ""

    @property
    def hot(self) -> Mapping[str, float]:
        """The share of what the lane did of late, by identity that has a large one, as subscribers see it."""
        return self.said.hot if self.said and self.state != "unowned" else {}

    @property
    def moves(self) -> bool:
        return self.state == "running" and not self.reason

    def total(self, outcome: str) -> int:
        """Events of all channels with this outcome."""
        return sum(getattr(tally, outcome) for tally in self.record.totals.values()) if self.record else 0


@dataclass(frozen=True, slots=True)
class LanesSeen:
    """All lanes of an application. `holder`: who holds the timers back; empty if nobody has said anything."""

    application: str
    lanes: tuple[LaneSeen, ...]
    watermark: int | None
    holder: str


def lane_records(settings: Settings) -> Mapping[int, tuple[str, LaneRecord | None]]:
    """By lane: the changelog position of its table, and its record. Blocks; UserError if Redis does not answer."""
    found: dict[int, tuple[str, LaneRecord | None]] = {}
    with TableReader(settings.application, settings.redis_url) as reader:
        for lane in range(settings.partitions):
            reading = reader.lane_record(lane)
            try:
                record = decode_lane(reading.value) if reading.value else None
            except msgspec.MsgspecError as error:
                raise UserError(f"{settings.table_key(lane)}: the lane record cannot be read: {error}", 1) from None
            found[lane] = ((reading.position or b"").decode(errors="replace"), record)
    return found


def lane_models(settings: Settings) -> Mapping[int, LaneModels]:
    """By lane: the journeys that were promoted there. Blocks; UserError as with `lane_records`."""
    found: dict[int, LaneModels] = {}
    with TableReader(settings.application, settings.redis_url) as reader:
        for lane in range(settings.partitions):
            try:
                found[lane] = decode_models(reader.profile(lane, MODELS).value)
            except msgspec.MsgspecError as error:
                raise UserError(f"{settings.table_key(lane)}: @models cannot be read: {error}", 1) from None
    return found


async def look(settings: Settings, now: int) -> LanesSeen:
    """Asks Redis and Kafka once; `now` is the wall clock in ms. UserError if one of them does not answer."""
    records = await asyncio.to_thread(lane_records, settings)
    inputs = [*settings.input_topics, settings.topic("journey.events"), settings.topic("journey.commands")]
    async with FeedReader(settings.brokers, inputs) as reader:
        stable = await reader.ends()
    ends, blocked = await _behind_transactions(settings, stable, now)
    said = await _last_words(settings)
    lanes = tuple(
        _seen(settings, lane, *records[lane], said.get(lane), ends, now, blocked.get(lane, ""))
        for lane in range(settings.partitions)
    )
    watermarks = [lane.record.watermark if lane.record else None for lane in lanes]
    known = [watermark for watermark in watermarks if watermark is not None]
    return LanesSeen(
        settings.application, lanes, min(known) if len(known) == len(lanes) else None, _holder(lanes, settings.clock)
    )


async def _behind_transactions(
    settings: Settings, stable: Mapping[TopicPartition, int], now: int
) -> tuple[Mapping[TopicPartition, int], Mapping[int, str]]:
    """Where the logs end, read or not; and by lane what is unread because a transaction was left open before it."""
    limit = settings.step_timeout_s
    try:
        async with step(f"Kafka at {settings.brokers}", limit), Cluster(connection(settings, "reader")) as cluster:
            found = await log_offsets(cluster, stable, LATEST)
            ends = {place: max(stable[place], end) for place, end in found.items() if isinstance(end, int)}
            held = [place for place, end in ends.items() if end > stable[place]]
            open_ones = await open_transactions(cluster, held, LEFT_ALONE_MS, now) if held else []
    except KafkaDoubt as doubt:
        raise UserError(str(doubt), 1) from None
    blocked = {
        each.partition: f"{each.topic}: {ends[each.topic, each.partition] - each.start:,} records wait behind a "
        f"transaction that was left open at offset {each.start}; `journey doctor` says whose it is"
        for each in open_ones
    }
    return {**stable, **ends}, blocked


async def _last_words(settings: Settings) -> Mapping[int, tuple[int, ProgressRecord]]:
    """By lane: when it last reported (ms, the broker's clock), and what."""
    async with FeedReader(settings.brokers, [settings.topic("journey.progress")]) as reader:
        words = _words(settings, await reader.last(_RECORDS_A_LANE * settings.partitions))
        if len(words) < settings.partitions:
            words = _words(settings, await reader.everything())
    return words


def _words(settings: Settings, records: Iterable[FeedRecord]) -> dict[int, tuple[int, ProgressRecord]]:
    # Here, because few who count lanes need what a lane is made of.
    from pipeline.application.lane import world_of

    words: dict[int, tuple[int, ProgressRecord]] = {}
    for record in records:
        try:
            said = _decode_progress(record.value or b"")
        except msgspec.MsgspecError:
            continue
        # Other applications may share the topic; a lane that is just being taken belongs to no world yet.
        if not said.world or said.world.startswith(world_of(settings.application, "")):
            words[said.lane] = (record.timestamp, said)
    return words


def _seen(
    settings: Settings,
    lane: int,
    position: str,
    record: LaneRecord | None,
    word: tuple[int, ProgressRecord] | None,
    ends: Mapping[TopicPartition, int],
    now: int,
    blocked: str,
) -> LaneSeen:
    said_at, said = word or (None, None)
    lag = None
    if record is not None:
        lag = sum(
            max(0, end - record.next.get(topic, 0)) for (topic, partition), end in ends.items() if partition == lane
        )
    silent_s = (now - said_at) / 1000 if said_at is not None else None
    if silent_s is None:
        state, reason = "unowned", "no worker has taken it yet"
    elif silent_s > SILENT_TICKS * settings.tick_s:
        state, reason = "unowned", f"no worker has reported for {round(silent_s)} s"
    else:
        state, reason = (said.state, said.reason) if said else ("unowned", "")
    if record is not None and record.breaker is not None:
        state, reason = "waiting", f"breaker: {record.breaker.reason}; `journey lane resume --lane {lane} --reason …`"
    elif record is not None and record.paused is not None and state != "unowned":
        state, reason = "paused", f"{record.paused.reason}; `journey lane resume --lane {lane} --reason …`"
    elif state == "running" and not reason:
        reason = blocked
    behind = None
    if settings.clock == "live" and said is not None and said.raw is not None:
        behind = max(0, now - said.raw) if lag else 0
    return LaneSeen(lane, record, position, said, said_at, lag, behind, state, reason)


def _holder(lanes: Iterable[LaneSeen], clock: str) -> str:
    """The lane and topic with the least progress: nobody's timers pass it."""
    silent = [lane.partition for lane in lanes if lane.state == "unowned"]
    if silent:
        return f"lane {silent[0]}" + (f" and {len(silent) - 1} more" if len(silent) > 1 else "") + ": without an owner"
    said = [lane.said for lane in lanes if lane.said is not None]
    if not said:
        return ""
    least = min(said, key=lambda word: -1 if word.raw is None else word.raw)
    what = "punctuation" if clock == "event" else "progress"
    return f"lane {least.lane} {least.holds}" + (f": no {what} yet" if least.raw is None else "")
