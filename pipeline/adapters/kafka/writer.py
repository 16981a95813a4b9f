"""The transactional producer of one lane.

It speaks the protocol by itself, on aiokafka's client: that of Kafka 4 where the cluster has it (`transactions`), else
the one before. aiokafka's own producer would commit over a batch that failed, repeats EndTxn without end (a late one
may meet the next transaction), and waits for ever to be stopped while the brokers are away; here every step ends, and
a doubt leaves nothing behind that goes on by itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import structlog
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
)
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest

from pipeline.adapters.kafka import hanging, transactions
from pipeline.adapters.kafka.batches import BATCH_BYTES, Batch, Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, Connection, check, step, until_settled
from pipeline.adapters.kafka.metadata import TopicPartition
from pipeline.adapters.kafka.producing import produce
from pipeline.application import failpoints
from pipeline.application.failpoints import Failpoint
from pipeline.application.ports import KafkaDoubt, Outgoing

log = structlog.get_logger(__name__)

COMMIT = True
NOT_ATTEMPTED = 55
MENDING_SHARE = 0.5
"""Of the time for a start: for so long a producer that started just before us may mend what only it knows how."""


class TransactionalWriter:
    """`ports.Writer`: one transaction a commit, one commit at a time; after a doubt only `start` makes it usable again.

    `now` dates the records, in ms; topics with LogAppendTime put the broker's time in its place. `partitions`: where a
    former producer of this id may have left a transaction open that Kafka holds for ended.
    """

    def __init__(
        self,
        connection: Connection,
        transactional_id: str,
        transaction_timeout_ms: int,
        now: Callable[[], int],
        batch_bytes: int = BATCH_BYTES,
        partitions: Sequence[TopicPartition] = (),
    ) -> None:
        self._cluster = Cluster(connection)
        self._limit = connection.step_timeout_s
        self._id = transactional_id
        self._transaction_timeout_ms = transaction_timeout_ms
        self._now = now
        self._batch_bytes = batch_bytes
        self._partitions = partitions
        self._usable = False
        self._coordinator: int | None = None
        self._begins_by_producing = False
        self._producer, self.epoch = -1, -1
        self._decision: hanging.Decision | None = None
        self._gives_way_until = 0.0
        self._stamps: dict[TopicPartition, Stamp] = {}

    async def start(self) -> None:
        await self.close()
        async with step(f"start of producer {self._id}", self._limit):
            await self._cluster.open()
            self._begins_by_producing = await transactions.begins_by_producing(self._cluster)
            self._gives_way_until = asyncio.get_running_loop().time() + self._limit * MENDING_SHARE
            self._producer, self.epoch = await until_settled(self._cluster, self._limit, self._take_over)
            if self._begins_by_producing and self._partitions:
                await self._mend()
        self._stamps.clear()
        self._usable = True

    async def commit(self, outgoing: Sequence[Outgoing]) -> Mapping[tuple[str, int], int]:
        if not self._usable:
            raise KafkaDoubt(f"producer {self._id} is not usable: it was not started, or has been in doubt since")
        self._usable = False
        batches = self._cut(outgoing)
        last: dict[TopicPartition, int] = {}
        if batches:
            async with step(f"transaction of producer {self._id}", self._limit):
                if not self._begins_by_producing:
                    await until_settled(self._cluster, self._limit, lambda: self._add(list(batches)))
                await failpoints.reached(Failpoint.COMMIT_BEGUN)
                # Kafka takes one batch a partition in a request.
                for rank in zip_longest(*batches.values()):
                    sent = {tp: batch for tp, batch in zip(batches, rank, strict=True) if batch is not None}
                    answer = await produce(self._cluster, sent, self._limit, self._id, begin=self._begins_by_producing)
                    last.update({tp: answer[tp].offset + batch.count - 1 for tp, batch in sent.items()})
            await failpoints.reached(Failpoint.COMMIT_PRODUCED)
            async with step(f"commit of producer {self._id}", self._limit):
                await self._end()
            await failpoints.reached(Failpoint.COMMIT_ANSWERED)
        self._usable = True
        return last

    async def close(self) -> None:
        self._usable = False
        self._coordinator = None
        await self._cluster.close()

    def _cut(self, outgoing: Sequence[Outgoing]) -> dict[TopicPartition, list[Batch]]:
        """All bytes are ready before the transaction begins, so that it stays open for as short as can be."""
        batches: dict[TopicPartition, list[Batch]] = defaultdict(list)
        now = self._now()
        for part in outgoing:
            tp = (part.topic, part.partition)
            stamp = self._stamps.setdefault(tp, Stamp(self._producer, self.epoch, 0, True))
            if part.entries:
                batches[tp] += cut(part.entries, now, stamp, self._batch_bytes)
        return batches

    async def _take_over(self) -> tuple[int, int]:
        """Asks for the id: aborts what an earlier producer left open, and fences it."""
        if self._begins_by_producing and self._partitions:
            self._decision = await self._decided()
        answer = await self._ask_coordinator(InitProducerIdRequest(self._id, self._transaction_timeout_ms))
        self._check(answer.error_code, f"start of producer {self._id}")
        return int(answer.producer_id), int(answer.producer_epoch)

    async def _decided(self) -> hanging.Decision | None:
        """How the transaction before us was ended, which our own start makes the coordinator forget.

        Raises ConcurrentTransactions while another producer that has made it forget may be mending.
        """
        code, told = hanging.told(await self._ask_coordinator(hanging.DescribeTransactions(self._id)))
        self._check(code, f"transactions of producer {self._id}")
        if told.started and asyncio.get_running_loop().time() < self._gives_way_until:
            left = await hanging.left_open(self._cluster, told.producer, self._partitions)
            if left:
                raise ConcurrentTransactions(f"start of producer {self._id}: another one mends {_named(left)}")
        return told.decision

    async def _mend(self) -> None:
        """Gives partitions without a marker the one that was decided; what was decided of others is for a person."""
        decision = self._decision
        left = await until_settled(
            self._cluster, self._limit, lambda: hanging.left_open(self._cluster, self._producer, self._partitions)
        )
        if not left:
            return
        if decision is None or not all(decision.is_of(each.epoch) for each in left.values()):
            log.error("transaction.hangs", producer=self._id, partitions=_named(left), mend="docs/operate.md")
            return
        await until_settled(self._cluster, self._limit, lambda: self._mark(left, decision.commit))
        log.warning("transaction.mended", producer=self._id, partitions=_named(left), committed=decision.commit)

    async def _mark(self, left: Mapping[TopicPartition, hanging.Left], commit: bool) -> None:
        try:
            await hanging.mark(self._cluster, self._producer, self.epoch, left, commit)
        except ClusterAuthorizationFailedError:
            await self._mark_by_transaction(list(left), commit)

    async def _mark_by_transaction(self, left: list[TopicPartition], commit: bool) -> None:
        """For who may not write markers: ends a transaction of our own there, with what was open in it.

        Who dies in the middle of it leaves an abort, whatever was decided.
        """
        # In the older protocol a partition can be part of a transaction without a record.
        await self._add(left)
        answer = await self._ask_coordinator(EndTxnRequest(self._id, self._producer, self.epoch, commit))
        self._check(answer.error_code, f"mending of producer {self._id}")
        self._producer, self.epoch = await until_settled(self._cluster, self._limit, self._take_over)

    async def _add(self, partitions: list[TopicPartition]) -> None:
        """Begins the transaction on these partitions."""
        by_topic: dict[str, list[int]] = defaultdict(list)
        for topic, partition in partitions:
            by_topic[topic].append(partition)
        answer = await self._ask_coordinator(
            AddPartitionsToTxnRequest(self._id, self._producer, self.epoch, list(by_topic.items()))
        )
        refused = [(code, topic, row) for topic, rows in answer.errors for row, code in rows if code]
        for code, topic, partition in sorted(refused, key=lambda each: each[0] == NOT_ATTEMPTED):
            self._check(code, f"transaction of producer {self._id} on {topic}-{partition}")

    async def _end(self) -> None:
        """Sent once, whatever comes of it: before version 4 of Kafka a second one could commit what has begun since."""
        end = transactions.EndTxnRequest if self._begins_by_producing else EndTxnRequest
        asking = self._ask_coordinator(end(self._id, self._producer, self.epoch, COMMIT))
        answer = await failpoints.meanwhile(Failpoint.COMMIT_SENT, asking)
        self._check(answer.error_code, f"commit of producer {self._id}")
        if self._begins_by_producing:
            self._producer, self.epoch = answer.producer_id, answer.producer_epoch
            self._stamps.clear()

    async def _ask_coordinator(self, request: Any) -> Any:
        if self._coordinator is None:
            self._coordinator = await self._cluster.coordinator(self._id)
        return await self._cluster.ask(self._coordinator, request, coordinator=True)

    def _check(self, code: int, what: str) -> None:
        try:
            check(code, what)
        except (CoordinatorNotAvailableError, NotCoordinatorError):
            self._coordinator = None
            raise


def _named(partitions: Iterable[TopicPartition]) -> list[str]:
    return sorted(f"{topic}-{partition}" for topic, partition in partitions)
