"""Sending batches to the leaders of their partitions."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aiokafka.errors import BrokerResponseError
from aiokafka.protocol.api import Request
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.types import Int16, Int32, String

from pipeline.adapters.kafka.batches import Batch
from pipeline.adapters.kafka.connection import Cluster, check, until_settled
from pipeline.adapters.kafka.metadata import TopicPartition
from pipeline.adapters.kafka.transactions import ProduceV12
from pipeline.application.ports import Doubt, KafkaDoubt

ALL_REPLICAS = -1


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The offset of a batch's first record, and the broker's append time in ms; -1: the topic keeps the sender's."""

    offset: int
    appended: int


class _ProduceV7(ProduceRequest_v7):  # type: ignore[misc]  # aiokafka has no types
    """Joins its parts once. aiokafka's own encoding copies all batches anew at each of its six levels."""

    def encode(self) -> bytes:
        parts = [
            String().encode(self.transactional_id),
            Int16.encode(self.required_acks),
            Int32.encode(self.timeout),
            Int32.encode(len(self.topics)),
        ]
        for topic, rows in self.topics:
            parts += String().encode(topic), Int32.encode(len(rows))
            for partition, data in rows:
                parts += Int32.encode(partition), Int32.encode(len(data)), data
        return b"".join(parts)


class _Produce(Request[_ProduceV7]):  # type: ignore[misc]  # aiokafka has no types
    """One request to the leader of all these partitions, to be acknowledged by all replicas in sync.

    `begin`: the transaction on these partitions begins by it.
    """

    API_KEY = 0

    def __init__(
        self,
        transactional_id: str | None,
        timeout_ms: int,
        begin: bool,
        batches: Mapping[str, list[tuple[int, bytearray]]],
    ) -> None:
        self._fields = (transactional_id, ALL_REPLICAS, timeout_ms, list(batches.items()))
        self._begin = begin

    def prepare(self, versions: dict[int, tuple[int, int]]) -> ProduceRequest_v7:
        return ProduceV12(*self._fields) if self._begin else super().prepare(versions)

    def build(self, kind: type[_ProduceV7]) -> _ProduceV7:
        return kind(*self._fields)


async def produce(
    cluster: Cluster,
    batches: Mapping[TopicPartition, Batch],
    seconds: float,
    transactional_id: str | None = None,
    *,
    begin: bool = False,
) -> Mapping[TopicPartition, Acknowledged]:
    """Sends one batch to each partition, again to those that refuse it for the moment, until all are acknowledged.

    `begin`: the transaction begins by it, where `transactions.begins_by_producing`. Needs a `step` around it. Raises
    Fenced, KafkaDoubt, or aiokafka's error of a partition that refused.
    """
    request = partial(_Produce, transactional_id, int(seconds * 1000), begin)
    acknowledged: dict[TopicPartition, Acknowledged] = {}

    async def send_pending() -> None:
        by_leader: dict[int, dict[TopicPartition, Batch]] = defaultdict(dict)
        for tp, batch in batches.items():
            if tp not in acknowledged:
                by_leader[await cluster.leader(*tp)][tp] = batch
        refusals = await asyncio.gather(
            *(_send(cluster, node, led, request, acknowledged) for node, led in by_leader.items())
        )
        for refusal in refusals:
            if refusal is not None:
                raise refusal

    await until_settled(cluster, seconds, send_pending)
    return acknowledged


async def _send(
    cluster: Cluster,
    node: int,
    batches: Mapping[TopicPartition, Batch],
    request: Callable[[Mapping[str, list[tuple[int, bytearray]]]], _Produce],
    acknowledged: dict[TopicPartition, Acknowledged],
) -> Exception | None:
    """One request to one leader. The gravest of its refusals: one for good, before one for the moment."""
    by_topic: dict[str, list[tuple[int, bytearray]]] = defaultdict(list)
    for (topic, partition), batch in batches.items():
        by_topic[topic].append((partition, batch.data))
    answer = await cluster.ask(node, request(by_topic))
    refusal: Exception | None = None
    for topic, rows in answer.topics:
        for partition, code, offset, appended, *_ in rows:
            batch = batches[topic, partition]
            what = f"{topic}-{partition} refused a batch of {batch.count} records, {len(batch.data)} bytes"
            try:
                check(code, what)
                if offset < 0:
                    raise KafkaDoubt(f"{topic}-{partition} acknowledged a batch without its offset")
            except (BrokerResponseError, Doubt) as error:
                if refusal is None or getattr(refusal, "retriable", False):
                    refusal = error
            else:
                acknowledged[topic, partition] = Acknowledged(offset, appended)
    return refusal
