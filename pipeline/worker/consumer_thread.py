"""aiokafka's consumer in a thread and event loop of its own, as the lanes need it.

Faust starts the thread, which is the member of the consumer group. Everything here runs in the thread's loop, so one
step is never interrupted by another: a partition is drained and paused, or sought and resumed, in one step.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ConsumerRebalanceListener

from pipeline.adapters.kafka.records import Unreadable, WholeFetches, read_whole_fetches
from pipeline.application.ports import Fetched, KafkaDoubt
from pipeline.config import Settings
from pipeline.errors import UserError
from pipeline.worker.beat import Beat
from pipeline.worker.lanes import LaneSet

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

REFUSALS = (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    TopicAuthorizationFailedError,
)
"""What a broker says to a worker that it will never let in: waiting does not help, a person must act."""

REBALANCING = 27
RETRY_S = 1.0
BEAT_S = 0.5
LEAVE_S = 3.0
PARTITIONS_IN_FULL = 4
"""An answer to a fetch holds at most so many times `fetch_max_bytes`; it bounds memory and the steps of the thread."""


@dataclass(frozen=True, slots=True)
class Haul:
    """What one drain brought: what goes to the lanes, and what they must be told they will never get."""

    fetched: Sequence[Fetched]
    lost: Sequence[Fetched]


class HeldAssignment(ConsumerRebalanceListener):  # type: ignore[misc]  # faust and aiokafka have no types
    """Pauses every partition before anything is fetched: only a lane knows where its inputs go on."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        thread = self._thread
        assert isinstance(thread, LaneConsumerThread)
        thread.hold(assigned)
        await super().on_partitions_assigned(assigned)


class LaneConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # faust and aiokafka have no types
    """The consumer's thread; `settings` and `lanes` must be set before it starts."""

    settings: Settings
    lanes: LaneSet
    beat: Beat

    _fetches: WholeFetches
    _sought: set[TopicPartition]

    def run(self, coroutine: Coroutine[Any, Any, Answer]) -> Awaitable[Answer]:
        """Runs a coroutine in this thread and brings its result to the caller's loop; KafkaDoubt once stopped."""
        try:
            return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop))
        except RuntimeError as closed:
            coroutine.close()
            raise KafkaDoubt("the consumer has stopped") from closed

    def soon(self, step: Callable[..., object], *args: object) -> None:
        """Does a step in this thread, without an answer; nothing once it has stopped."""
        if not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(step, *args)

    async def on_start(self) -> None:
        self._sought = set()
        await super().on_start()
        self._fetches = read_whole_fetches(self._ensure_consumer())
        self.add_future(self._keep_beating())

    async def on_thread_stop(self) -> None:
        """Leaves the group, if Kafka answers in time, and closes every connection in any case."""
        consumer = self._consumer
        try:
            async with asyncio.timeout(LEAVE_S):
                await super().on_thread_stop()
        except (TimeoutError, asyncio.CancelledError) as error:
            # aiokafka lets the cancellation of a fetch escape while a broker is away. Faust would then wait for this
            # thread for ever.
            log.warning(
                "kafka.leave", reason=type(error).__name__, then="the group will miss this worker for a session"
            )
        if consumer is not None:
            await consumer._client.close()

    async def _keep_beating(self) -> None:
        while not self.should_stop:
            self.beat.touch()
            await asyncio.sleep(BEAT_S)

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        # Faust passes none of these on; aiokafka reads them when the consumer starts.
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_min_bytes = self.settings.fetch_min_bytes
        consumer._fetch_max_wait_ms = self.settings.fetch_max_wait_ms
        consumer._max_partition_fetch_bytes = self.settings.fetch_max_bytes
        consumer._fetch_max_bytes = PARTITIONS_IN_FULL * self.settings.fetch_max_bytes
        return consumer

    # ---- assignment

    def hold(self, assigned: Iterable[Any]) -> None:
        """Pauses what was assigned, at a position that nobody reads from.

        With a position, even a wrong one, aiokafka does not ask for the group's offsets. They decide nothing here.
        """
        consumer = self._ensure_consumer()
        self._sought.clear()
        for tp in assigned:
            consumer._subscription.pause(tp)
            self._fetches.seek_to(tp, 0)

    def assigned_topics(self) -> Mapping[int, set[str]]:
        """The topics assigned here, by partition number."""
        topics: dict[int, set[str]] = {}
        for tp in self._ensure_consumer().assignment():
            topics.setdefault(tp.partition, set()).add(tp.topic)
        return topics

    async def heartbeat(self, generation: int) -> str | None:
        """None if the group's coordinator takes a heartbeat with this generation, else why not."""
        coordinator = self._ensure_consumer()._coordinator
        if coordinator.generation != generation:
            return f"the group is at generation {coordinator.generation}, this lane was assigned in {generation}"
        request = HeartbeatRequest(coordinator.group_id, generation, coordinator.member_id)
        try:
            answer = await coordinator._send_req(request)
        except KafkaError as error:
            return f"no heartbeat: {type(error).__name__}: {error}"
        if answer.error_code == REBALANCING:
            return "the group is rebalancing"
        return for_code(answer.error_code).__name__ if answer.error_code else None

    # ---- reading

    async def fetch(self, timeout: float) -> Haul:
        """Drains all that is fetched, waiting up to `timeout` seconds, and pauses what its lane has no room for.

        Raises UserError if the broker will never let this worker read, ConsumerStoppedError at the end.
        """
        consumer = self._ensure_consumer()
        try:
            self._check(consumer)
            with consumer._subscription.fetch_context():
                taken = await self._fetches.fetched_records((), timeout)
        except Unreadable as unreadable:
            return self._unreadable(consumer, unreadable)
        except KafkaError as error:
            self._refused(error)
            log.warning("kafka.group", reason=type(error).__name__, why=str(error))
            await asyncio.sleep(RETRY_S)
            return Haul((), ())
        for tp in taken:
            lane = self.lanes.get(tp.partition)
            if lane is not None and lane.full(tp.topic) and consumer._subscription.is_assigned(tp):
                consumer._subscription.pause(tp)
        return Haul(list(taken.values()), ())

    def _check(self, consumer: AIOKafkaConsumer) -> None:
        """Looks at aiokafka's background tasks, which otherwise end or wait for ever without a sign."""
        if consumer._closed or self._fetches._closed:
            raise ConsumerStoppedError
        if self._fetches._fetch_task.done():
            raise RuntimeError("aiokafka's fetch routine has ended")
        if consumer._coordinator._coordination_task.done():
            raise RuntimeError("aiokafka's group routine has ended")
        consumer._coordinator.check_errors()

    def _refused(self, error: KafkaError) -> None:
        if isinstance(error, ConsumerStoppedError):
            raise error
        if isinstance(error, REFUSALS):
            raise UserError(
                f"Kafka at {self.settings.brokers} refuses the consumer group {self.settings.application!r}: "
                f"{type(error).__name__}: {error}. Check the ACLs of its topics and group, and that session_timeout_s "
                "lies between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms."
            ) from error

    def _unreadable(self, consumer: AIOKafkaConsumer, unreadable: Unreadable) -> Haul:
        cause, offset = unreadable.cause, unreadable.offset
        if isinstance(cause, KafkaError):
            self._refused(cause)
        tp = TopicPartition(unreadable.topic, unreadable.partition)
        place = f"{tp.topic}-{tp.partition}@{offset}"
        log.error("kafka.unreadable", lane=tp.partition, position=place, reason=type(cause).__name__)
        if not consumer._subscription.is_assigned(tp):
            return Haul((), ())
        consumer._subscription.pause(tp)
        if isinstance(cause, OffsetOutOfRangeError) and offset is not None:
            return Haul((), [Fetched(tp.topic, tp.partition, offset, offset + 1, (), caught_up=False)])
        # Broken bytes may be broken on one replica, or on the way: ask again. The watchdog ends what never gets better.
        asyncio.get_running_loop().call_later(RETRY_S, self.resume, tp)
        return Haul((), ())

    async def seek_and_resume(self, tp: TopicPartition, offset: int) -> None:
        """Reads on at `offset`; raises KafkaDoubt if the partition is not assigned here."""
        consumer = self._ensure_consumer()
        if not consumer._subscription.is_assigned(tp):
            raise KafkaDoubt(f"{tp.topic}-{tp.partition} is not assigned to this worker")
        self._fetches.seek(tp, offset)
        self._sought.add(tp)
        consumer._subscription.resume(tp)

    async def pause(self, tp: TopicPartition) -> None:
        """Stops fetching; nothing if the partition is not assigned here."""
        consumer = self._ensure_consumer()
        self._sought.discard(tp)
        if consumer._subscription.is_assigned(tp):
            consumer._subscription.pause(tp)

    def resume(self, tp: TopicPartition) -> None:
        """Fetches on from where it paused; nothing before a lane has sought the partition in this assignment."""
        consumer = self._ensure_consumer()
        if tp in self._sought and consumer._subscription.is_assigned(tp):
            consumer._subscription.resume(tp)

    # ---- the logs themselves

    async def starts(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition that the broker still has."""
        found: dict[TopicPartition, int] = await self._ensure_consumer().beginning_offsets(partitions)
        return found

    async def ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offset of each partition: as far as it can be read now."""
        found: dict[TopicPartition, int] = await self._ensure_consumer().end_offsets(partitions)
        return found

    async def publish_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Sends the group's offsets once, for tools that show lag.

        The request is made by hand: aiokafka's `commit` would try again without end, and would rejoin the group on some
        answers. Nothing may follow from this one.
        """
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator
        by_topic: dict[str, list[tuple[int, int, str]]] = {}
        for tp, offset in offsets.items():
            if consumer._subscription.is_assigned(tp):
                by_topic.setdefault(tp.topic, []).append((tp.partition, offset, ""))
        if by_topic:
            keep = OffsetCommitRequest.DEFAULT_RETENTION_TIME
            request = OffsetCommitRequest(
                coordinator.group_id, coordinator.generation, coordinator.member_id, keep, list(by_topic.items())
            )
            await coordinator._send_req(request)
