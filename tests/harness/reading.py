"""What is in Kafka and Redis, read as anybody can: committed records, hashes, indexes."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipeline.application.lane_record import LaneRecord, decode_lane, first_lane_record
from pipeline.config import Settings

KAFKA_S = 20.0
LANE = b"@lane"
POSITION = b"@pos"


@dataclass(frozen=True, slots=True)
class Message:
    """One committed record; `appended` is the broker's time in ms."""

    topic: str
    partition: int
    offset: int
    appended: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None]


def read_committed(settings: Settings, *topics: str) -> list[Message]:
    """All committed records of these topics (without prefix), in log order in each partition, up to their ends now.

    A transaction that is open when this is called ends the reading of its partition.
    """
    ends = log_ends(settings, topics, committed=True)
    found: list[Message] = []
    waiting = {place for place, end in ends.items() if end > 0}
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "log_level": 0,
            "group.id": "nobody",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        }
    )
    with closing(consumer):
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in waiting])
        deadline = time.monotonic() + KAFKA_S
        while waiting:
            # It returns when it has so many, or when the time is over.
            messages = consumer.consume(1_000, timeout=0.02)
            if messages:
                deadline = time.monotonic() + KAFKA_S
            assert time.monotonic() < deadline, f"nothing came from {sorted(waiting)} within {KAFKA_S:g} s"
            for message in messages:
                place = (message.topic(), message.partition())
                # At the end of a partition the position says that what follows are markers and aborted records.
                if message.error() is not None or message.offset() + 1 >= ends[place]:
                    waiting.discard(place)
                if message.error() is None and message.offset() < ends[place]:
                    found.append(_message(message))
    return sorted(found, key=lambda each: (each.topic, each.partition, each.offset))


def read_by_topic(settings: Settings, *topics: str) -> list[list[Message]]:
    """The same, each topic for itself, in the order asked for."""
    found: dict[str, list[Message]] = {settings.topic(topic): [] for topic in topics}
    for message in read_committed(settings, *topics):
        found[message.topic].append(message)
    return list(found.values())


def log_ends(settings: Settings, topics: Sequence[str], *, committed: bool) -> dict[tuple[str, int], int]:
    """Where the partitions end now: for readers of committed records, or in all."""
    isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    return _offsets(settings, topics, OffsetSpec.latest(), isolation)


def log_starts(settings: Settings, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The first offset of each partition that is still there."""
    return _offsets(settings, topics, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)


def delete_before(settings: Settings, topic: str, partition: int, offset: int) -> None:
    """Does what retention does: removes all records of the partition before this offset."""
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    place = TopicPartition(settings.topic(topic), partition, offset)
    for done in admin.delete_records([place]).values():
        done.result(KAFKA_S)


def last_lane_records(settings: Settings) -> dict[int, LaneRecord]:
    """Each lane's record as the changelog has it; that of a lane which never committed is empty."""
    return lane_records_in(settings, read_committed(settings, "journey.profiles"))


def lane_records_in(settings: Settings, changelog: Iterable[Message]) -> dict[int, LaneRecord]:
    """The same, of a changelog that is read already."""
    found = {lane: first_lane_record(settings.application, settings.partitions) for lane in range(settings.partitions)}
    for message in changelog:
        if message.key == LANE and message.value is not None:
            found[message.partition] = decode_lane(message.value)
    return found


@dataclass(frozen=True, slots=True)
class Table:
    """A lane in Redis: where it stands, its fields without that, and the index of its timers."""

    position: bytes | None
    fields: Mapping[bytes, bytes]
    due: Mapping[bytes, int]

    @property
    def offset(self) -> int:
        """The changelog offset in the position; -1 if there is none."""
        return -1 if self.position is None else int(self.position.rpartition(b":")[2])


def read_tables(settings: Settings) -> dict[int, Table]:
    """All lanes, each read in one step."""
    with redis_client(settings) as client:
        return {lane: _table(settings, client, lane) for lane in range(settings.partitions)}


def lane_records(settings: Settings) -> dict[int, LaneRecord]:
    """Each lane's record as Redis has it; lanes without one are left out."""
    with redis_client(settings) as client:
        found = {lane: client.hget(settings.table_key(lane), "@lane") for lane in range(settings.partitions)}
    return {lane: decode_lane(value) for lane, value in found.items() if value is not None}


@contextmanager
def redis_client(settings: Settings) -> Iterator[Any]:
    """A client for whatever a test wants to do to Redis; it answers in bytes."""
    with closing(redis.Redis.from_url(settings.redis_url)) as client:
        yield client


def _table(settings: Settings, client: Any, lane: int) -> Table:
    key = settings.table_key(lane)
    with client.pipeline(transaction=True) as step:
        step.hgetall(key)
        step.zrange(f"{key}:due", 0, -1, withscores=True)
        fields, due = step.execute()
    position = fields.pop(POSITION, None)
    return Table(position, fields, {member: int(score) for member, score in due})


def _offsets(
    settings: Settings, topics: Sequence[str], spec: Any, isolation: IsolationLevel
) -> dict[tuple[str, int], int]:
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    metadata = admin.list_topics(timeout=KAFKA_S).topics
    names = [settings.topic(topic) for topic in topics]
    asked = {TopicPartition(name, number): spec for name in names for number in metadata[name].partitions}
    answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=KAFKA_S)
    return {(place.topic, place.partition): answer.result(KAFKA_S).offset for place, answer in answers.items()}


def _message(message: Any) -> Message:
    _, appended = message.timestamp()
    return Message(
        message.topic(),
        message.partition(),
        message.offset(),
        appended,
        message.key(),
        message.value(),
        dict(message.headers() or ()),
    )
