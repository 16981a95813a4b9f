"""`ports.Inputs` on the consumer's thread: what a lane may ask of the consumer of its worker."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted

from pipeline.application.ports import KafkaDoubt
from pipeline.worker.consumer_thread import LaneConsumerThread
from pipeline.worker.transport import LaneConsumer

Answer = TypeVar("Answer")


class ConsumerInputs:
    """The inputs of all lanes of a worker; usable once `attach` has given it the consumer.

    Every question is bounded by `step_timeout_s` and raises KafkaDoubt when it goes unanswered.
    """

    def __init__(self, step_timeout_s: float) -> None:
        self._step_timeout_s = step_timeout_s
        self._consumer: LaneConsumer | None = None

    def attach(self, consumer: LaneConsumer) -> None:
        """Says which consumer is meant."""
        self._consumer = consumer

    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the consumer's thread, once there is one."""
        consumer = self._consumer
        return None if consumer is None or consumer._thread is None else consumer.thread.thread_loop

    async def flowing(self) -> None:
        """Returns once fetched records reach the lanes."""
        await self._attached().flowing.wait()

    async def seek(self, topic: str, partition: int, offset: int) -> None:
        """Reads on at `offset` and resumes; KafkaDoubt if the partition is not assigned here."""
        tp = TopicPartition(topic, partition)
        await self._ask(f"seek of {topic}-{partition}@{offset}", lambda thread: thread.seek_and_resume(tp, offset))

    async def pause(self, topic: str, partition: int) -> None:
        """Stops fetching; a `seek` must follow."""
        tp = TopicPartition(topic, partition)
        await self._ask(f"pause of {topic}-{partition}", lambda thread: thread.pause(tp))

    def resume(self, topic: str, partition: int) -> None:
        """Fetches on from where the partition paused, soon."""
        thread = self._attached().thread
        thread.soon(thread.resume, TopicPartition(topic, partition))

    async def log_starts(self, topics: Sequence[str], partition: int) -> Mapping[str, int]:
        """The first offset that each log still has."""
        partitions = [TopicPartition(topic, partition) for topic in topics]
        found = await self._ask(f"first offsets of partition {partition}", lambda thread: thread.starts(partitions))
        return {tp.topic: offset for tp, offset in found.items()}

    async def ends(self, partitions: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """As far as each (topic, partition) can be read now: its last stable offset."""
        asked = [TopicPartition(topic, partition) for topic, partition in partitions]
        found = await self._ask("last offsets", lambda thread: thread.ends(asked))
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def publish_offsets(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Shows positions to lag tools as the group's offsets; they decide nothing."""
        positions = {TopicPartition(topic, partition): offset for (topic, partition), offset in offsets.items()}
        await self._ask("group offsets", lambda thread: thread.publish_offsets(positions))

    async def confirm_membership(self, generation: int) -> str | None:
        """None if a heartbeat with this generation succeeds, else why not."""
        try:
            return await self._ask("heartbeat", lambda thread: thread.heartbeat(generation))
        except KafkaDoubt as doubt:
            return str(doubt)

    def _attached(self) -> LaneConsumer:
        if self._consumer is None:
            raise KafkaDoubt("the consumer has not started")
        return self._consumer

    async def _ask(self, what: str, question: Callable[[LaneConsumerThread], Coroutine[Any, Any, Answer]]) -> Answer:
        thread = self._attached().thread
        try:
            async with asyncio.timeout(self._step_timeout_s):
                return await thread.run(question(thread))
        except TimeoutError:
            raise KafkaDoubt(f"{what}: no answer within {self._step_timeout_s:g} s") from None
        except (KafkaError, ConsumerNotStarted) as error:
            raise KafkaDoubt(f"{what}: {type(error).__name__}: {error}") from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The thread ended under the question. Nobody cancelled the lane, so this must not look as if.
            raise KafkaDoubt(f"{what}: the consumer is stopping") from None
