"""Transactions that Kafka has ended and left open on a partition, and their mending.

Kafka's coordinator takes a partition that has no leader while markers are sent for a deleted one and notes the
transaction as complete without its marker there (`KRaftMetadataCache.getPartitionLeaderEndpoint` in apache/kafka 4).
No `read_committed` reader comes past such a partition any more. What was decided is still known to the coordinator
until the next producer of that id starts, so it is asked before.

Source of the format: DescribeTransactions (KIP-664) in apache/kafka, under `clients/src/main/resources/common/message`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from pipeline.adapters.kafka.connection import Cluster
from pipeline.adapters.kafka.metadata import TopicPartition
from pipeline.adapters.kafka.open_transactions import producers_of

TRANSACTIONAL_ID_NOT_FOUND: Final = 105
_COMMITTED: Final = frozenset(("PrepareCommit", "CompleteCommit"))
_ABORTED: Final = frozenset(("PrepareAbort", "CompleteAbort"))


@dataclass(frozen=True, slots=True)
class Decision:
    """How the last transaction of an id was ended by its coordinator, and the producer's epoch since."""

    epoch: int
    commit: bool

    def is_of(self, epoch: int) -> bool:
        """Whether it ended what was produced in `epoch`: the end of a transaction begins the next epoch (KIP-890)."""
        return epoch == self.epoch - 1


def decision_of(answer: Any) -> tuple[int, Decision | None]:
    """The error of an answer to `DescribeTransactions` of one id, and what it says.

    None while a transaction is under way, and once another producer has started since.
    """
    code, _, state, _, _, _, epoch, _, _ = answer.states[0]
    if code == TRANSACTIONAL_ID_NOT_FOUND:
        return 0, None
    if code or (state not in _COMMITTED and state not in _ABORTED):
        return code, None
    return 0, Decision(epoch, state in _COMMITTED)


async def left_open(
    cluster: Cluster, producer: int, partitions: Sequence[TopicPartition]
) -> Mapping[TopicPartition, int]:
    """The epochs in which transactions of this producer began that are open on these partitions.

    Partitions whose producers may not be asked for are passed over. Raises aiokafka's errors.
    """
    return {
        (topic, partition): epoch
        for topic, partition, code, producers in await producers_of(cluster, partitions)
        if not code
        for identifier, epoch, _, _, _, begun, _ in producers
        if identifier == producer and begun >= 0
    }


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
