"""Proof that a look at an application leaves no trace: logs, tables and groups before and after."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from pipeline.config import Settings
from tests.harness.reading import log_ends, redis_client

OWN = ("events", "commands", "transitions", "signals", "customers", "profiles", "progress", "dlq")


@dataclass(frozen=True, slots=True)
class Traces:
    """`ends`: the high watermark of each partition, what is not committed included; `keys`: what Redis holds; `groups`:
    the consumer groups that Kafka knows, which is where offsets are committed."""

    ends: Mapping[tuple[str, int], int]
    keys: Mapping[bytes, bytes]
    groups: frozenset[str]


def traces(settings: Settings) -> Traces:
    """Everything that somebody could have written."""
    own = [f"journey.{name}" for name in OWN]
    ends = log_ends(settings, [*(each.topic for each in settings.inputs), *own], committed=False)
    with redis_client(settings) as client:
        keys = {key: client.dump(key) for key in client.keys("*")}
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    groups = admin.list_consumer_groups().result()
    assert not groups.errors
    return Traces(ends, keys, frozenset(group.group_id for group in groups.valid))


@contextmanager
def untouched(settings: Settings) -> Iterator[None]:
    """Fails if anything was written meanwhile; nothing else may work on the stack."""
    before = traces(settings)
    yield
    after = traces(settings)
    assert after.ends == before.ends, "the ends of topics"
    assert after.keys == before.keys, "the keys of Redis"
    assert after.groups == before.groups, "the consumer groups"
