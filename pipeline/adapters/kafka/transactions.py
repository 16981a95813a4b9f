"""Kafka's transaction protocol since version 4 (KIP-890), as far as aiokafka does not know it.

A produce request begins the transaction on its partitions, and the end of a transaction gives the producer its next
epoch. So there is one round trip less, and what is still on its way from one transaction can never meet the next one.
Source of the formats: the files under `clients/src/main/resources/common/message` of apache/kafka.
"""

from io import BytesIO
from struct import Struct as Format
from typing import Any, Final, Self

from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
    UnsignedVarInt32,
)

from pipeline import __version__
from pipeline.adapters.kafka.connection import Cluster, check

FEATURE: Final = "transaction.version"
LEVEL: Final = 2
FINALIZED_FEATURES: Final = 2
"""Their tag in the answer."""

_NO_TAGS: Final = b"\0"
_ACKS_AND_TIMEOUT: Final = Format(">hi")
_PARTITION: Final = Format(">i")
_PARTITION_ANSWER: Final = Format(">ihqqq")
"""Partition, error, offset, append time, log start."""


async def begins_by_producing(cluster: Cluster) -> bool:
    """Whether the whole cluster speaks this protocol; raises aiokafka's errors."""
    answer = await cluster.ask(cluster.any_node(), _Features())
    check(answer.error_code, "features of Kafka")
    finalized = answer.tags.get(FINALIZED_FEATURES)
    if finalized is None:
        return False
    levels = {name: highest for name, highest, _, _ in _FEATURES.decode(BytesIO(finalized))}
    return bool(levels.get(FEATURE, 0) >= LEVEL)


_FEATURES: Final = CompactArray(("name", CompactString()), ("max", Int16), ("min", Int16), ("tags", TaggedFields))


class _FeaturesAnswerV3(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_versions", CompactArray(("key", Int16), ("min", Int16), ("max", Int16), ("tags", TaggedFields))),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _FeaturesV3(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 18
    API_VERSION = 3
    RESPONSE_TYPE = _FeaturesAnswerV3
    SCHEMA = Schema(("name", CompactString()), ("version", CompactString()), ("tags", TaggedFields))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """The one answer of a flexible version whose header has no tags, so that every client can read it."""
        return ResponseHeader_v0.decode(read_buffer)


class _Features(Request[_FeaturesV3]):  # type: ignore[misc]  # aiokafka has no types
    """ApiVersions, of which aiokafka keeps the versions only."""

    API_KEY = 18

    def build(self, kind: type[_FeaturesV3]) -> _FeaturesV3:
        return kind("journey", __version__, {})


class ProduceAnswerV12(ProduceResponse_v7):  # type: ignore[misc]  # aiokafka has no types
    """Read by hand: it comes once a transaction, and aiokafka's schemas cost ten times as much."""

    API_VERSION = 12

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> Self:
        """`topics` as in version 7; which record was refused and why, and other leaders, are passed over."""
        stream = data if isinstance(data, BytesIO) else BytesIO(data)
        topics = []
        for _ in range(_length(stream)):
            name = stream.read(_length(stream)).decode()
            rows = []
            for _ in range(_length(stream)):
                rows.append(_PARTITION_ANSWER.unpack(stream.read(_PARTITION_ANSWER.size)))
                for _ in range(_length(stream)):  # records that were refused
                    Int32.decode(stream)
                    stream.read(max(0, _length(stream)))
                    TaggedFields.decode(stream)
                stream.read(max(0, _length(stream)))  # the words of an error
                TaggedFields.decode(stream)
            TaggedFields.decode(stream)
            topics.append((name, rows))
        throttled = Int32.decode(stream)
        TaggedFields.decode(stream)
        return cls(topics, throttled)


class ProduceV12(ProduceRequest_v7):  # type: ignore[misc]  # aiokafka has no types
    """Begins the transaction of its partitions if it has a transactional id."""

    FLEXIBLE_VERSION = True
    API_VERSION = 12
    RESPONSE_TYPE = ProduceAnswerV12

    def encode(self) -> bytes:
        """Joins its parts once, so that the batches are copied once."""
        parts = [
            CompactString().encode(self.transactional_id),
            _ACKS_AND_TIMEOUT.pack(self.required_acks, self.timeout),
            UnsignedVarInt32.encode(len(self.topics) + 1),
        ]
        for topic, rows in self.topics:
            parts += CompactString().encode(topic), UnsignedVarInt32.encode(len(rows) + 1)
            for partition, data in rows:
                parts += _PARTITION.pack(partition), UnsignedVarInt32.encode(len(data) + 1), data, _NO_TAGS
            parts.append(_NO_TAGS)
        parts.append(_NO_TAGS)
        return b"".join(parts)


class _EndAnswerV5(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _EndV5(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 26
    API_VERSION = 5
    RESPONSE_TYPE = _EndAnswerV5
    SCHEMA = Schema(
        ("transactional_id", CompactString()),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("committed", Boolean),
        ("tags", TaggedFields),
    )


class EndTxnRequest(Request[_EndV5]):  # type: ignore[misc]  # aiokafka has no types
    """The answer has the producer's id and epoch for its next transaction."""

    API_KEY = 26

    def __init__(self, transactional_id: str, producer: int, epoch: int, commit: bool) -> None:
        self._fields: tuple[Any, ...] = (transactional_id, producer, epoch, commit, {})

    def build(self, kind: type[_EndV5]) -> _EndV5:
        return kind(*self._fields)


def _length(stream: BytesIO) -> int:
    """Of a compact string or array; -1 if it is null."""
    return int(UnsignedVarInt32.decode(stream)) - 1
