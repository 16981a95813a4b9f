"""Transactions that others have left open on our topics, and their end: always an abort."""

import time
from dataclasses import dataclass
from typing import Final

from pipeline.adapters.kafka import hanging
from pipeline.adapters.kafka.connection import Cluster, Connection, check, connection, step, until_settled
from pipeline.adapters.kafka.open_transactions import OpenTransaction, open_transactions
from pipeline.adapters.kafka.topics import wanted
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.config import Settings
from pipeline.errors import UserError

_SENDER_TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Open:
    """An open transaction, and when Kafka aborts it by itself (its coordinator's clock, ms).

    That is None if no coordinator knows it: then nobody will.
    """

    transaction: OpenTransaction
    ends_at: int | None


async def opened(cluster: Cluster, settings: Settings, older_than_ms: int, now: int) -> list[Open]:
    """Those on our topics that nothing was added to for so long. Raises aiokafka's errors."""
    counts = await cluster.partition_counts(plan.name for plan in wanted(settings) if plan.file.role != "progress")
    places = [(topic, number) for topic, count in counts.items() for number in range(count)]
    found = await open_transactions(cluster, places, older_than_ms, now)
    return [Open(each, await _ends_at(cluster, each)) for each in found]


async def _ends_at(cluster: Cluster, found: OpenTransaction) -> int | None:
    if found.transactional_id is None:
        return None
    node = await cluster.coordinator(found.transactional_id)
    answer = await cluster.ask(node, hanging.DescribeTransactions(found.transactional_id), coordinator=True)
    code, told = hanging.told(answer)
    check(code, f"transactions of {found.transactional_id}")
    return told.ends_at


async def listed(settings: Settings, older_than_ms: int = 0) -> list[Open]:
    """As `opened`, with a connection of its own. KafkaDoubt if Kafka does not answer."""
    limit = settings.step_timeout_s
    async with step(f"Kafka at {settings.brokers}", limit), Cluster(connection(settings, "transactions")) as cluster:
        now = time.time_ns() // 1_000_000
        return await until_settled(cluster, limit, lambda: opened(cluster, settings, older_than_ms, now))


async def abort(settings: Settings, topic: str, partition: int, offset: int, force: bool) -> str:
    """Aborts the transaction that begins at this offset; returns whose it was.

    If a coordinator knows it, as a new producer of its id, which fences its sender; if none does, with a marker.
    UserError if there is none, or if it is one of our lanes'. KafkaDoubt if Kafka does not answer or refuses.
    """
    here = [
        each.transaction
        for each in await listed(settings)
        if (each.transaction.topic, each.transaction.partition, each.transaction.start) == (topic, partition, offset)
    ]
    if not here:
        raise UserError(
            f"no transaction is open on {topic}-{partition} from offset {offset}; `journey transactions list` has all",
            1,
        )
    [found] = here
    name = found.transactional_id
    if name is not None and name.startswith(f"{settings.application}-"):
        raise UserError(f"{name} is a lane of ours; it ends its transaction within transaction_timeout_ms by itself", 1)
    ours = connection(settings, "transactions")
    if name is not None:
        writer = TransactionalWriter(ours, name, _SENDER_TIMEOUT_MS, lambda: 0)
        await writer.start()
        await writer.close()
        return name
    if topic not in settings.input_topics and not force:
        raise UserError(
            f"{topic} is written by our lanes: what was decided of this transaction must be kept. Read "
            "'A transaction that never ends' in docs/operate.md, then add --force",
            1,
        )
    await _mark(ours, found)
    return f"producer {found.producer_id}"


async def _mark(ours: Connection, found: OpenTransaction) -> None:
    place = (found.topic, found.partition)
    limit = ours.step_timeout_s
    async with step(f"abort on {found.topic}-{found.partition}", limit), Cluster(ours) as cluster:
        left = await until_settled(cluster, limit, lambda: hanging.left_open(cluster, found.producer_id, [place]))
        if place in left:
            epoch = left[place].epoch
            await until_settled(
                cluster, limit, lambda: hanging.mark(cluster, found.producer_id, epoch, left, commit=False)
            )
