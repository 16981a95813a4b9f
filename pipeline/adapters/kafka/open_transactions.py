"""Transactions that are open on a topic, by what the leaders keep of each producer (KIP-664, Kafka 3.0), and which of
them a coordinator still knows. One that none knows hangs: nobody will ever end it, and readers wait for it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from pipeline.adapters.kafka.connection import Cluster, check
from pipeline.adapters.kafka.metadata import TopicPartition


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """Begun at offset `start`, last written to at `last_ms` (the broker's clock). `transactional_id` is None if no
    coordinator knows the producer."""

    topic: str
    partition: int
    start: int
    last_ms: int
    producer_id: int
    transactional_id: str | None


async def open_transactions(
    cluster: Cluster, places: Iterable[TopicPartition], older_than_ms: int, now: int
) -> list[OpenTransaction]:
    """Those that nothing was added to for so long. Raises aiokafka's errors; NotImplementedError or
    IncompatibleBrokerVersion where a broker is too old to tell."""
    found: list[tuple[str, int, int, int, int]] = []
    for topic, partition, code, producers in await producers_of(cluster, places):
        check(code, f"producers of {topic}-{partition}")
        found += [
            (topic, partition, start, last_ms, producer_id)
            for producer_id, _, _, last_ms, _, start, _ in producers
            if start >= 0 and now - last_ms > older_than_ms
        ]
    known = await _transactional_ids(cluster, {row[-1] for row in found})
    return [OpenTransaction(*row, known.get(row[-1])) for row in found]


async def producers_of(
    cluster: Cluster, places: Iterable[TopicPartition]
) -> list[tuple[str, int, int, Sequence[tuple[Any, ...]]]]:
    """Topic, partition, error, and a row of `DescribeProducersResponseV0` for each producer that the leader keeps."""
    by_leader = await cluster.by_leader(places)
    answers = await asyncio.gather(*(cluster.ask(node, DescribeProducers(asked)) for node, asked in by_leader.items()))
    return [
        (topic, partition, code, producers)
        for answer in answers
        for topic, partitions, _ in answer.topics
        for partition, code, _, producers, _ in partitions
    ]


async def _transactional_ids(cluster: Cluster, producers: set[int]) -> dict[int, str]:
    """By producer id, of those whose transaction some coordinator has as open or ending."""
    if not producers:
        return {}
    answers = await asyncio.gather(*(cluster.ask(node, ListTransactions(producers)) for node in cluster.nodes()))
    known: dict[int, str] = {}
    for answer in answers:
        check(answer.error_code, "transactions")
        known |= {producer: name for name, producer, _, _ in answer.transaction_states}
    return known


class DescribeProducersResponseV0(Response):  # type: ignore[misc]  # aiokafka has no types
    """What a leader keeps of each producer; a `start` of -1 says that no transaction of it is open there."""

    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString()),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString()),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("start", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducersRequestV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """As it goes over the wire."""

    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeProducersResponseV0
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("name", CompactString()), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducers(Request[DescribeProducersRequestV0]):  # type: ignore[misc]  # aiokafka has no types
    """Asks a leader for the producers of some of its partitions, topic -> partitions."""

    API_KEY = 61

    def __init__(self, topics: dict[str, list[int]]) -> None:
        self._topics = topics

    def build(self, kind: type[DescribeProducersRequestV0]) -> Any:
        return kind([(topic, partitions, {}) for topic, partitions in self._topics.items()], {})


class ListTransactionsResponseV0(Response):  # type: ignore[misc]  # aiokafka has no types
    """The transactions that a coordinator has in some states."""

    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(CompactString())),
        (
            "transaction_states",
            CompactArray(
                ("transactional_id", CompactString()),
                ("producer_id", Int64),
                ("transaction_state", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class ListTransactionsRequestV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """As it goes over the wire."""

    API_KEY = 66
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ListTransactionsResponseV0
    SCHEMA = Schema(
        ("state_filters", CompactArray(CompactString())),
        ("producer_id_filters", CompactArray(Int64)),
        ("tags", TaggedFields),
    )


class ListTransactions(Request[ListTransactionsRequestV0]):  # type: ignore[misc]  # aiokafka has no types
    """Asks a coordinator which of these producers have a transaction that is open or ending."""

    API_KEY = 66
    _STATES: Sequence[str] = ("Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence")

    def __init__(self, producers: Iterable[int]) -> None:
        self._producers = sorted(producers)

    def build(self, kind: type[ListTransactionsRequestV0]) -> Any:
        return kind(list(self._STATES), self._producers, {})


TOO_OLD = (IncompatibleBrokerVersion, NotImplementedError)
"""What asking a broker raises that does not know these questions."""
