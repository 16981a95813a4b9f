"""The work in Kafka: topics of one prefix with all events in their input, and the place of each transition's event."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.sender import RawSender, home_partition
from pipeline.config import Settings
from tests.benchmarks.oracle import Transition
from tests.benchmarks.systems.system import Assignment
from tests.benchmarks.systems.worker import settings_of

FLUSH_BYTES = 4 << 20
ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """Events in the order of sending and the transitions that are right, each beside the number of its event."""

    events: Sequence[tuple[str, bytes]]
    wanted: Sequence[Transition]
    causes: Sequence[int]

    def places(self, lanes: int) -> dict[tuple[str, int], tuple[int, int]]:
        """(customer, seq) of a transition: the partition of its event and the offset behind that."""
        homes: dict[str, int] = {}
        ends = [0] * lanes
        found: dict[tuple[str, int], tuple[int, int]] = {}
        caused = iter(zip(self.causes, self.wanted, strict=True))
        cause, transition = next(caused, (-1, None))
        for number, (customer, _) in enumerate(self.events):
            home = homes.get(customer)
            if home is None:
                home = homes[customer] = home_partition(customer.encode(), lanes)
            ends[home] += 1
            while cause == number and transition is not None:
                found[transition.customer, transition.seq] = (home, ends[home])
                cause, transition = next(caused, (-1, None))
        return found


def load(given: Assignment, work: Iterable[tuple[str, bytes]]) -> Settings:
    """Makes the topics of the assignment's prefix and sends the work into its input; the worker's settings."""
    settings = settings_of(given)
    asyncio.run(_load(settings, work))
    return settings


def make_topic(bootstrap: str, name: str, partitions: int) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap})
    for made in client.create_topics([NewTopic(name, partitions, 1)]).values():
        made.result(ANSWER_S)


def remove_topics(bootstrap: str, prefix: str) -> None:
    """Removes all topics whose names begin so."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in client.list_topics(timeout=ANSWER_S).topics if name.startswith(prefix)]
    for removed in (client.delete_topics(names) if names else {}).values():
        removed.result(ANSWER_S)


async def _load(settings: Settings, work: Iterable[tuple[str, bytes]]) -> None:
    await topics.apply(settings)
    (topic,) = settings.input_topics
    async with RawSender(settings.brokers, [topic]) as sender:
        for customer, value in work:
            sender.add(topic, customer.encode(), value)
            if sender.pending > FLUSH_BYTES:
                await sender.flush()
        await sender.flush()
