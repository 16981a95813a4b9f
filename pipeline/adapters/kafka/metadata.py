"""What a broker says about topics: their ids, and where their logs begin and end."""

import asyncio
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping
from io import BytesIO

from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from pipeline.adapters.kafka.connection import Cluster, check
from pipeline.application.ports import KafkaDoubt

EARLIEST, LATEST = -2, -1
READ_UNCOMMITTED = 0
NO_REPLICA = -1

TopicPartition = tuple[str, int]


async def topic_id(cluster: Cluster, topic: str) -> str:
    """The id that the topic got when it was made; a topic made anew under the same name has another."""
    answer = await cluster.ask(cluster.any_node(), TopicIdsRequest([topic]))
    error, _, found, *_ = answer.topics[0]
    check(error, topic)
    if found == NO_TOPIC_ID:
        raise KafkaDoubt(f"{topic} has no topic id: Kafka 3.1 or newer is needed")
    return str(found)


async def log_offsets(
    cluster: Cluster, partitions: Iterable[TopicPartition], at: int
) -> Mapping[TopicPartition, int | KafkaError]:
    """The EARLIEST or LATEST offset of each log, read_uncommitted: the latest is the high watermark.

    Asks every leader once, all at the same time; what one of them refuses is in the answer as an error.
    """
    found: dict[TopicPartition, int | KafkaError] = {}
    by_leader: dict[int, list[TopicPartition]] = defaultdict(list)

    async def lead(topic: str, partition: int) -> None:
        try:
            by_leader[await cluster.leader(topic, partition)].append((topic, partition))
        except KafkaError as error:
            found[topic, partition] = error

    async def ask(node: int, led: list[TopicPartition]) -> None:
        by_topic: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for topic, partition in led:
            by_topic[topic].append((partition, at))
        try:
            answer = await cluster.ask(node, OffsetRequest(NO_REPLICA, READ_UNCOMMITTED, list(by_topic.items())))
        except KafkaError as error:
            found.update(dict.fromkeys(led, error))
            return
        for topic, rows in answer.topics:
            for partition, code, _, offset in rows:
                found[topic, partition] = offset if code == 0 else for_code(code)(f"{topic}-{partition}")

    await asyncio.gather(*(lead(*each) for each in dict.fromkeys(partitions)))
    await asyncio.gather(*(ask(node, led) for node, led in by_leader.items()))
    if any(isinstance(offset, KafkaError) and offset.invalid_metadata for offset in found.values()):
        cluster.refresh()
    return found


class Uuid(AbstractType):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes, as text the way Kafka's own tools show them: base64 for URLs, without padding."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        return urlsafe_b64encode(data.read(16)).rstrip(b"=").decode()


NO_TOPIC_ID = Uuid.decode(BytesIO(bytes(16)))


class TopicIdsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    """Metadata v12 (KIP-516), which has the topic ids; aiokafka ends at v5."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString()),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class TopicIdsRequestV12(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """Metadata v12 as it is sent."""

    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = TopicIdsResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIdsRequest(Request[TopicIdsRequestV12]):  # type: ignore[misc]  # aiokafka has no types
    """Asks for topics by name, and makes none; `operations`: also what we may do with each."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str], operations: bool = False) -> None:
        self._topics = list(topics)
        self._operations = operations

    def build(self, kind: type[TopicIdsRequestV12]) -> TopicIdsRequestV12:
        return kind([(bytes(16), topic, {}) for topic in self._topics], False, self._operations, {})
