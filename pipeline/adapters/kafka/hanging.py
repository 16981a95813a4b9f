"""Transactions that Kafka has ended and left open on a partition, and their mending.

Kafka's coordinator takes a partition that has no leader while markers are sent for a deleted one and notes the
transaction as complete without its marker there (`KRaftMetadataCache.getPartitionLeaderEndpoint` in apache/kafka 4).
No `read_committed` reader comes past such a partition any more. What was decided is still known to the coordinator
until the next producer of that id starts, so it is asked before.

Source of the formats: DescribeTransactions (KIP-664) and WriteTxnMarkers (KIP-98) in apache/kafka, under
`clients/src/main/resources/common/message`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from pipeline.adapters.kafka.connection import Cluster, check
from pipeline.adapters.kafka.metadata import TopicPartition
from pipeline.adapters.kafka.open_transactions import producers_of

TRANSACTIONAL_ID_NOT_FOUND: Final = 105
_COMMITTED: Final = frozenset(("PrepareCommit", "CompleteCommit"))
_ABORTED: Final = frozenset(("PrepareAbort", "CompleteAbort"))
_STARTED: Final = "Empty"


@dataclass(frozen=True, slots=True)
class Decision:
    """How the last transaction of an id was ended by its coordinator, and the producer's epoch since."""

    epoch: int
    commit: bool

    def is_of(self, epoch: int) -> bool:
        """Whether it ended what was produced in `epoch`: the end of a transaction begins the next epoch (KIP-890)."""
        return epoch == self.epoch - 1


@dataclass(frozen=True, slots=True)
class Told:
    """What the coordinator says of one id: the producer that has it, and how its last transaction stands.

    `ends_at`: when Kafka aborts one that is under way (ms by the coordinator's clock); of no meaning else.
    """

    producer: int
    epoch: int
    state: str
    ends_at: int

    @property
    def decision(self) -> Decision | None:
        """None while a transaction is under way, and once another producer has started since."""
        if self.state not in _COMMITTED and self.state not in _ABORTED:
            return None
        return Decision(self.epoch, self.state in _COMMITTED)

    @property
    def started(self) -> bool:
        """Whether a producer has started and begun nothing: it may be about to mend what the one before left."""
        return self.state == _STARTED


def told(answer: Any) -> tuple[int, Told]:
    """The error of an answer to `DescribeTransactions` of one id, and what it says."""
    code, _, state, timeout_ms, started_ms, producer, epoch, _, _ = answer.states[0]
    return (0 if code == TRANSACTIONAL_ID_NOT_FOUND else code), Told(producer, epoch, state, started_ms + timeout_ms)


@dataclass(frozen=True, slots=True)
class Left:
    """A transaction that is open on a partition: the producer's epoch in it, and that of the coordinator whose marker
    was the last there."""

    epoch: int
    coordinator_epoch: int


async def left_open(
    cluster: Cluster, producer: int, partitions: Sequence[TopicPartition]
) -> Mapping[TopicPartition, Left]:
    """The transactions of this producer that are open on these partitions.

    Partitions whose producers may not be asked for are passed over. Raises aiokafka's errors.
    """
    return {
        (topic, partition): Left(epoch, coordinator_epoch)
        for topic, partition, code, producers in await producers_of(cluster, partitions)
        if not code
        for identifier, epoch, _, _, coordinator_epoch, begun, _ in producers
        if identifier == producer and begun >= 0
    }


async def mark(cluster: Cluster, producer: int, epoch: int, left: Mapping[TopicPartition, Left], commit: bool) -> None:
    """Writes the marker itself to the leaders of these partitions, for a producer whose earlier selves are fenced.

    No other producer can come in between, as it could in a transaction of our own. Raises aiokafka's errors;
    ClusterAuthorizationFailedError where we are allowed neither `ALTER` nor `CLUSTER_ACTION` on the cluster.
    """
    by_leader = await cluster.by_leader(left)
    coordinator_epoch = max(0, *(each.coordinator_epoch for each in left.values()))
    asked = {
        node: WriteTxnMarkers(producer, epoch, commit, topics, coordinator_epoch) for node, topics in by_leader.items()
    }
    for answer in await asyncio.gather(*(cluster.ask(node, request) for node, request in asked.items())):
        for _, topics, _ in answer.markers:
            for topic, rows, _ in topics:
                for partition, code, _ in rows:
                    check(code, f"marker on {topic}-{partition}")


class _TransactionsAnswerV0(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString()),
                ("state", CompactString()),
                ("timeout_ms", Int32),
                ("start_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(("topic", CompactString()), ("rows", CompactArray(Int32)), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeTransactionsV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _TransactionsAnswerV0
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString())), ("tags", TaggedFields))


class DescribeTransactions(Request[_DescribeTransactionsV0]):  # type: ignore[misc]  # aiokafka has no types
    """What the coordinator knows of one id."""

    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._id = transactional_id

    def build(self, kind: type[_DescribeTransactionsV0]) -> _DescribeTransactionsV0:
        return kind([self._id], {})


class _MarkersAnswerV1(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 27
    API_VERSION = 1
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString()),
                        (
                            "partitions",
                            CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _WriteTxnMarkersV1(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 27
    API_VERSION = 1
    RESPONSE_TYPE = _MarkersAnswerV1
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("commit", Boolean),
                (
                    "topics",
                    CompactArray(("topic", CompactString()), ("rows", CompactArray(Int32)), ("tags", TaggedFields)),
                ),
                ("coordinator_epoch", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class WriteTxnMarkers(Request[_WriteTxnMarkersV1]):  # type: ignore[misc]  # aiokafka has no types
    """How the transactions of one producer ended, for a leader; topic -> partitions."""

    API_KEY = 27

    def __init__(
        self, producer: int, epoch: int, commit: bool, topics: Mapping[str, Sequence[int]], coordinator_epoch: int
    ) -> None:
        rows: list[Any] = [(topic, list(partitions), {}) for topic, partitions in topics.items()]
        self._marker: Any = (producer, epoch, commit, rows, coordinator_epoch, {})

    def build(self, kind: type[_WriteTxnMarkersV1]) -> _WriteTxnMarkersV1:
        return kind([self._marker], {})
