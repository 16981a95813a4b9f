"""Whole fetches out of an aiokafka consumer, below its `ConsumerRecord`.

aiokafka builds one dataclass a record; here a fetch is handed out as one list of the records its parser made, with the
range of positions that the fetch covers. It is switched on for one consumer, others in the process stay as they are:

    await consumer.start()
    fetcher = read_whole_fetches(consumer)
    for fetched in (await fetcher.fetched_records(partitions, timeout=1.0)).values(): ...

Written against aiokafka 0.14 (`consumer/fetcher.py`).
"""

import asyncio
import time
from collections.abc import Collection
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchError, FetchResult
from aiokafka.errors import KafkaError

from pipeline.adapters.kafka.connection import Cluster
from pipeline.adapters.kafka.parsing import drain
from pipeline.adapters.kafka.reader import PartitionReader
from pipeline.application.ports import Fetched, KafkaDoubt


class Unreadable(KafkaDoubt):
    """A partition cannot be read on at `offset`; `cause` is aiokafka's error, such as OffsetOutOfRangeError.

    The position stays where it was, so the next fetch asks for the same again: pause the partition, or seek.
    """

    def __init__(self, topic: str, partition: int, offset: int | None, cause: Exception) -> None:
        where = f"{topic}-{partition}" + ("" if offset is None else f"@{offset}")
        super().__init__(f"{where} cannot be read: {type(cause).__name__}: {cause}")
        self.topic, self.partition, self.offset, self.cause = topic, partition, offset, cause


class WholeFetches(Fetcher):  # type: ignore[misc]  # aiokafka has no types
    """A fetcher whose `fetched_records` returns a `Fetched` a partition, empty ones included.

    An empty one is a fetch that holds only markers or aborted records, or, once after a `seek`, the answer that there
    is nothing to read yet (`start == end`, `caught_up`): without it a quiet input looks like a slow broker.
    """

    sought: set[TopicPartition]
    """Partitions that have handed out nothing since they were sought."""

    at_end: set[TopicPartition]
    """Sought partitions whose broker has answered that there is nothing to read yet."""

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Reads on at `offset`; raises aiokafka's IllegalStateError if the partition is not assigned."""
        self.seek_to(tp, offset)
        self.at_end.discard(tp)
        self.sought.add(tp)

    async def fetched_records(
        self, partitions: Collection[TopicPartition], timeout: float | None = 0, max_records: int | None = None
    ) -> dict[TopicPartition, Fetched]:
        """What has been fetched of `partitions` (of all, if empty), waiting up to `timeout` seconds for it.

        `max_records` is there for aiokafka's signature only: a fetch is never split. Raises `Unreadable` for a
        partition that has an error, but only when nothing else is ready, so nothing that was taken is lost.
        """
        deadline = time.monotonic() + (timeout or 0)
        while True:
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            ready, failed = self._take_ready(partitions)
            if failed is not None and not ready:
                ready = await self._take_failed(failed)
            left = deadline - time.monotonic()
            if ready or left <= 0:
                return ready
            waiter = self._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=left)
            if not done or self._closed:
                waiter.cancel()
                return {}
            waiter.result()  # aiokafka reports errors of the group here

    def _take_ready(
        self, partitions: Collection[TopicPartition]
    ) -> tuple[dict[TopicPartition, Fetched], TopicPartition | None]:
        """What can be handed out, and a partition that cannot, if there is one."""
        ready: dict[TopicPartition, Fetched] = {}
        failed: TopicPartition | None = None
        for tp in [*self._records, *self.at_end.difference(self._records)]:
            if partitions and tp not in partitions:
                if not self._subscriptions.is_assigned(tp):
                    self._drop(tp)
                continue
            held = self._records.get(tp)
            if isinstance(held, FetchResult):
                fetched, held = self._take_whole(tp, held)
            elif held is None:
                fetched = self._take_nothing(tp)
            else:
                fetched = None
            if fetched is not None:
                self.sought.discard(tp)
                self.at_end.discard(tp)
                ready[tp] = fetched
            elif isinstance(held, FetchError):
                failed = tp
        return ready, failed

    async def _take_failed(self, tp: TopicPartition) -> dict[TopicPartition, Fetched]:
        cause, position = self._records[tp]._error, self._position(tp)
        try:
            if not isinstance(cause, UnicodeDecodeError) or position is None:
                raise Unreadable(tp.topic, tp.partition, position, cause) from cause
            reader = PartitionReader(
                Cluster.around(self._client),
                tp.topic,
                tp.partition,
                position,
                committed=self._isolation_level == READ_COMMITTED,
                max_bytes=self._max_partition_fetch_bytes,
            )
            try:
                fetched = await reader.fetch(wait_ms=0)
            except KafkaError as error:
                raise Unreadable(tp.topic, tp.partition, position, error) from error
            if self._position(tp) != position:  # sought or taken away meanwhile
                return {}
            self._subscriptions.subscription.assignment.state_value(tp).consumed_to(fetched.end)
            return {tp: fetched}
        finally:
            self._drop(tp)

    def _take_whole(self, tp: TopicPartition, held: FetchResult) -> tuple[Fetched | None, FetchError | None]:
        """Everything that one fetch of one partition holds; nothing if a seek, pause or rebalance has overtaken it."""
        records = held._partition_records
        if not held.check_assignment(tp):
            self._drop(tp)
            return None, None
        start = records.next_fetch_offset
        found, error = drain(records)
        end = records.next_fetch_offset
        if error is not None and end == start:
            self._records[tp] = failure = FetchError(error=error, backoff=self._prefetch_backoff)
            return None, failure
        self._drop(tp)
        state = held._assignment.state_value(tp)
        state.consumed_to(end)
        return Fetched(tp.topic, tp.partition, start, end, found, end >= self._readable_end(state)), None

    def _take_nothing(self, tp: TopicPartition) -> Fetched | None:
        position = self._position(tp)
        if position is None:
            self.at_end.discard(tp)
            return None
        return Fetched(tp.topic, tp.partition, position, position, (), True)

    def _drop(self, tp: TopicPartition) -> None:
        """Forgets what is held of a partition, so that it is fetched again from its position."""
        self._records.pop(tp, None)
        self.at_end.discard(tp)
        self._notify(self._wait_consume_future)

    def _position(self, tp: TopicPartition) -> int | None:
        subscription = self._subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(tp) if assignment is not None else None
        return state.position if state is not None and state.has_valid_position else None

    def _readable_end(self, state: Any) -> int:
        """The end of what the last answer allowed to read: the last stable offset, or the high watermark."""
        end: int = state.lso if self._isolation_level == READ_COMMITTED else state.highwater
        return end

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        asked = [(TopicPartition(topic, row[0]), row[1]) for topic, rows in request.topics for row in rows]
        for tp, _ in asked:
            assignment.state_value(tp).lso = None  # set again by a good answer only
        news: bool = await super()._proc_fetch_request(assignment, node_id, request)
        if not assignment.active:
            return news
        for tp, offset in asked:
            state = assignment.state_value(tp)
            if tp not in self.sought or tp in self._records or state.lso is None:
                continue
            if state.has_valid_position and state.position == offset and offset >= self._readable_end(state):
                self.at_end.add(tp)
                news = True
        return news


def read_whole_fetches(consumer: AIOKafkaConsumer) -> WholeFetches:
    """Makes this started consumer hand out `Fetched`; call it in the consumer's own loop, any number of times."""
    fetcher: Any = consumer._fetcher
    if fetcher is None:
        raise RuntimeError("the consumer has no fetcher yet: start it first")
    if not isinstance(fetcher, WholeFetches):
        # aiokafka makes its fetcher in the middle of start(), and takes no other.
        fetcher.__class__ = WholeFetches
        fetcher.sought, fetcher.at_end = set(), set()
    return cast(WholeFetches, fetcher)
