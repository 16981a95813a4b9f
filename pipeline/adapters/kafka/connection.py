"""How this program reaches Kafka: one place for addresses, names and time limits, and for what an error means."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    BrokerResponseError,
    ConcurrentTransactions,
    KafkaError,
    LeaderNotAvailableError,
    UnknownError,
    UnknownTopicOrPartitionError,
    for_code,
)

from pipeline.application.ports import Doubt, Fenced, KafkaDoubt
from pipeline.config import Settings

log = structlog.get_logger(__name__)

INVALID_PRODUCER_EPOCH, PRODUCER_FENCED = 47, 90
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.002, 0.1
REFUSAL_SHARE = 0.9
"""Of a step's time: what is refused for longer is reported as what it is, not as no answer."""
CLOSE_LIMIT_S = 3.0

METADATA_REFRESHES = 2
"""The first answer may have been asked for before this topic was on the list."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are (`host:port,host:port`), the name that they log for us, and how long one step may take."""

    brokers: str
    client_id: str
    step_timeout_s: float

    def options(self) -> dict[str, Any]:
        """Arguments that every aiokafka client, consumer and producer takes."""
        return {
            "bootstrap_servers": self.brokers,
            "client_id": self.client_id,
            # Shorter than the step: a request that hangs then closes its connection before the step gives up.
            "request_timeout_ms": int(self.step_timeout_s * REFUSAL_SHARE * 1000),
        }


def connection(settings: Settings, role: str) -> Connection:
    """The connection of one part of the program; `role` is for the brokers' logs, such as `writer-3`."""
    return Connection(settings.brokers, f"{settings.application}-{role}", settings.step_timeout_s)


@asynccontextmanager
async def step(what: str, seconds: float) -> AsyncIterator[None]:
    """Bounds its block in time and turns whatever Kafka does to it into a KafkaDoubt that begins with `what`.

    A CancelledError that nobody asked this task for is a doubt too: aiokafka lets its own escape
    (`consumer.stop()` right after `assign()` does).
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except Doubt:
        raise
    except TimeoutError as error:
        raise KafkaDoubt(f"{what}: no answer from Kafka within {seconds:g} s") from error
    except (KafkaError, OSError, NotImplementedError) as error:  # the last: aiokafka, for a broker that is too old
        raise KafkaDoubt(f"{what}: {type(error).__name__}: {error}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise KafkaDoubt(f"{what}: the Kafka client was cancelled from inside") from error


def check(code: int, what: str) -> None:
    """Raises Fenced or aiokafka's error for a code out of an answer; 0 is good."""
    if code == 0:
        return
    if code in (INVALID_PRODUCER_EPOCH, PRODUCER_FENCED):
        raise Fenced(f"{what}: another producer has taken over (error {code})")
    kind = for_code(code)
    raise kind(f"{what} (error {code})" if kind is UnknownError else what)


async def until_settled(cluster: "Cluster", seconds: float, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """Repeats what the brokers refuse for the moment only, as in an election, and raises it after `seconds`."""
    patience = asyncio.get_running_loop().time() + seconds * REFUSAL_SHARE
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except BrokerResponseError as error:
            passing = error.retriable or isinstance(error, ConcurrentTransactions)
            if not passing or asyncio.get_running_loop().time() > patience:
                raise
            if error.invalid_metadata:
                await cluster.refresh()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


class Cluster:
    """The brokers, as far as single requests go: no retries and nothing in the background but aiokafka's metadata.

    Raises aiokafka's errors; put `step` around it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client: Any = None
        self._opening = asyncio.Lock()

    @classmethod
    def around(cls, client: AIOKafkaClient) -> "Cluster":
        """The brokers by way of somebody else's client, who also closes it."""
        cluster = cls(Connection(client._bootstrap_servers, client._client_id, client._request_timeout_ms / 1000))
        cluster._client = client
        return cluster

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Finds the brokers; nothing to do if it is open. What breaks later is connected again by the next request."""
        async with self._opening:
            if self._client is not None:
                return
            client = AIOKafkaClient(**self._connection.options())
            try:
                await client.bootstrap()
            except BaseException:
                await client.close()
                raise
            self._client = client

    async def close(self) -> None:
        """Never raises, never takes longer than a few seconds."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await client.close()
        except (KafkaError, OSError, TimeoutError) as error:
            log.debug("kafka.close", client=self._connection.client_id, reason=type(error).__name__)

    async def ask(self, node: int, request: Any, *, coordinator: bool = False) -> Any:
        """Sends one request to one broker; to a coordinator on a connection of its own, so not behind a fetch."""
        group = ConnectionGroup.COORDINATION if coordinator else ConnectionGroup.DEFAULT
        return await self._opened().send(node, request, group=group)

    async def leader(self, topic: str, partition: int) -> int:
        """The broker that leads a partition; raises a retriable error while there is none."""
        client = self._opened()
        tp = TopicPartition(topic, partition)
        node = client.cluster.leader_for_partition(tp)
        refreshed = 0
        while (node is None or node < 0) and refreshed < METADATA_REFRESHES:
            client.add_topic(topic)
            await self.refresh()
            refreshed += 1
            node = client.cluster.leader_for_partition(tp)
        if node is not None and node >= 0:
            return int(node)
        if node is None:
            raise UnknownTopicOrPartitionError(f"{topic}-{partition}")
        raise LeaderNotAvailableError(f"{topic}-{partition}")

    async def by_leader(self, places: Iterable[tuple[str, int]]) -> dict[int, dict[str, list[int]]]:
        """Partitions by the broker that leads them, and by topic; raises as `leader` does."""
        led: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for topic, partition in places:
            led[await self.leader(topic, partition)][topic].append(partition)
        return led

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each has that exists."""
        metadata = await self._opened().fetch_all_metadata()
        counts = {topic: len(metadata.partitions_for_topic(topic) or ()) for topic in topics}
        return {topic: count for topic, count in counts.items() if count}

    async def coordinator(self, transactional_id: str) -> int:
        return int(await self._opened().coordinator_lookup(CoordinationType.TRANSACTION, transactional_id))

    async def group_coordinator(self, group: str) -> int:
        return int(await self._opened().coordinator_lookup(CoordinationType.GROUP, group))

    def nodes(self) -> list[int]:
        """Every broker that is known."""
        return sorted(int(broker.nodeId) for broker in self._opened().cluster.brokers())

    def any_node(self) -> int:
        node = self._opened().get_random_node()
        if node is None:
            raise LeaderNotAvailableError("no broker is known")
        return int(node)

    def refresh(self) -> Awaitable[Any]:
        """Reads the metadata again, whether it is awaited or not."""
        future: Awaitable[Any] = self._opened().force_metadata_update()
        return future

    def _opened(self) -> Any:
        if self._client is None:
            raise KafkaDoubt("the connection to Kafka is closed")
        return self._client
