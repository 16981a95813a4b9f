"""The cluster: how old it is, what it lets us do, and transactions that readers wait for."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from pipeline.adapters.doctor.finding import Finding, not_checked
from pipeline.adapters.kafka import authorized
from pipeline.adapters.kafka.authorized import DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE
from pipeline.adapters.kafka.connection import Cluster, connection, step, until_settled
from pipeline.adapters.kafka.ending import Open, opened
from pipeline.adapters.kafka.open_transactions import TOO_OLD
from pipeline.adapters.kafka.topics import wanted
from pipeline.application.ports import KafkaDoubt
from pipeline.config import Settings

OVERDUE_MS: Final = 30_000
"""Brokers look every ten seconds for transactions that have timed out, and soon after write what ends them."""

_SEES: Final = (DESCRIBE, DESCRIBE_CONFIGS)
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "input": (*_SEES, READ),
    "events": (*_SEES, READ, WRITE),
    "commands": (*_SEES, READ),
    "changelog": (*_SEES, READ, WRITE),
    "progress": (*_SEES, READ, WRITE),
    "feed": (*_SEES, WRITE),
    "table": (*_SEES, WRITE),
    "dead-letters": (*_SEES, WRITE),
}
"""By role of a topic, what a worker does with it."""


async def look(settings: Settings, now: int) -> list[Finding]:
    """`now`: wall clock in ms. KafkaDoubt if it does not answer; what one part may not ask is a finding."""
    cluster = Cluster(connection(settings, "doctor"))
    try:
        async with step(f"Kafka at {settings.brokers}", settings.step_timeout_s):
            await cluster.open()
            found = [await _versions(cluster)]
        found += await _part("rights", settings, cluster, lambda: _rights(cluster, settings))
        found += await _part("transactions", settings, cluster, lambda: _transactions(cluster, settings, now))
        return found
    finally:
        await cluster.close()


async def _part(
    about: str, settings: Settings, cluster: Cluster, look: Callable[[], Awaitable[list[Finding]]]
) -> list[Finding]:
    """Asked again while the brokers refuse it for the moment only, as in an election."""
    try:
        async with step(about, settings.step_timeout_s):
            return await until_settled(cluster, settings.step_timeout_s, look)
    except KafkaDoubt as doubt:
        if isinstance(doubt.__cause__, TOO_OLD):
            return [not_checked(about, "this Kafka is too old to be asked")]
        return [not_checked(about, str(doubt))]


async def _versions(cluster: Cluster) -> Finding:
    found = await authorized.brokers(cluster)
    old = [broker.node for broker in found if broker.at_least is None]
    if old:
        return Finding(
            "kafka",
            "error",
            f"{_brokers(old)} older than 3.1, and topics have no ids there",
            "update Kafka to 3.1 or newer",
        )
    oldest = min(broker.at_least or "" for broker in found)
    return Finding("kafka", "ok", f"{_brokers([broker.node for broker in found])} {oldest} or newer")


def _brokers(nodes: Iterable[int]) -> str:
    named = sorted(nodes)
    return f"broker {named[0]} is" if len(named) == 1 else f"brokers {', '.join(map(str, named))} are"


async def _rights(cluster: Cluster, settings: Settings) -> list[Finding]:
    if not await authorized.has_authorizer(cluster):
        return [Finding("rights", "ok", "this Kafka has no authorizer: everybody may do everything")]
    needed = {plan.name: _NEEDED[plan.file.role] for plan in wanted(settings)}
    forbidden = await authorized.forbidden_on_topics(cluster, needed)
    tool = f"kafka-acls.sh --bootstrap-server {settings.brokers} --add --allow-principal User:…"
    found = [
        Finding(
            "rights",
            "error",
            f"on {topic} we may not {', '.join(operations)}",
            f"{tool} --topic {topic} " + " ".join(f"--operation {operation}" for operation in operations),
        )
        for topic, operations in forbidden.items()
    ]
    lacking = await authorized.forbidden_on_group(cluster, settings.application)
    if lacking:
        what = f"in the group {settings.application} we may not {', '.join(lacking)}"
        found.append(Finding("rights", "error", what, f"{tool} --group {settings.application} --operation READ"))
    if not found:
        found.append(
            Finding("rights", "ok", f"{len(needed)} topics and the group {settings.application} are open to us")
        )
    ids = f"{settings.application}-"
    unknown = f"whether we may write with the transactional ids {ids}*: Kafka tells only a producer that starts"
    return [*found, not_checked("rights", unknown)]


async def _transactions(cluster: Cluster, settings: Settings, now: int) -> list[Finding]:
    limit = settings.transaction_timeout_ms + OVERDUE_MS
    found = [_open(each, settings, now) for each in await opened(cluster, settings, limit, now)]
    return found or [Finding("transactions", "ok", f"none is open for longer than {limit // 1000} s")]


def _open(found: Open, settings: Settings, now: int) -> Finding:
    each = found.transaction
    where = f"{each.topic}-{each.partition}"
    age = f"{(now - each.last_ms) / 1000:.0f} s"
    abort = f"journey transactions abort --topic {each.topic} --partition {each.partition} --offset {each.start}"
    if found.ends_at is not None:
        return Finding(
            "transactions",
            "warning",
            f"{where}: one of {each.transactional_id} is open at offset {each.start}, untouched for {age}; readers "
            f"wait there for its end, and Kafka aborts it in {max(0, found.ends_at - now) // 1000} s",
            f"stop its sender; to end it now: {abort}",
        )
    what = (
        f"{where}: one of producer {each.producer_id} hangs at offset {each.start}, untouched for {age}: no "
        "coordinator that we may ask knows it, so nobody will end it, and readers wait there"
    )
    if each.topic in settings.input_topics:
        return Finding("transactions", "error", what, abort)
    return Finding(
        "transactions", "error", what, f"docs/operate.md, 'A transaction that never ends', says when: {abort} --force"
    )
