"""What we may do on a cluster: whether it has an authorizer, and what it lets us do with each topic and the group.

Nothing is tried out. What a producer may do with its transactional id shows only when it starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.errors import for_code
from aiokafka.protocol.admin import (
    ApiVersionRequest,
    DescribeAclsRequest,
    DescribeGroupsRequest_v3,
    DescribeGroupsResponse_v3,
)
from aiokafka.protocol.api import Request

from pipeline.adapters.kafka.connection import Cluster
from pipeline.adapters.kafka.metadata import TopicIdsRequest

READ: Final = "READ"
WRITE: Final = "WRITE"
DESCRIBE: Final = "DESCRIBE"
DESCRIBE_CONFIGS: Final = "DESCRIBE_CONFIGS"

_BITS: Final[Mapping[str, int]] = {READ: 3, WRITE: 4, DESCRIBE: 8, DESCRIBE_CONFIGS: 10}
"""An answer has one bit for each operation, at the number that Kafka's protocol gives it."""

_SECURITY_DISABLED: Final = 54
_NOT_AUTHORIZED: Final = (29, 30)
_UNKNOWN_TOPIC: Final = 3
_METADATA, _FETCH = 3, 1
_TOPIC, _ANY_NAME, _ANY = 2, 1, 1


@dataclass(frozen=True, slots=True)
class Broker:
    """`at_least`: the oldest Kafka that answers like this one; None: it is older than 3.1, which gave topics ids."""

    node: int
    at_least: str | None


async def brokers(cluster: Cluster) -> list[Broker]:
    """What each broker speaks. Raises aiokafka's errors."""
    found = []
    for node in cluster.nodes():
        answer = await cluster.ask(node, ApiVersionRequest())
        served = {key: (oldest, newest) for key, oldest, newest in answer.api_versions}
        has_ids = served[_METADATA][1] >= 12
        modern = served[_FETCH][0] >= 4  # 4.0 took away what was older
        found.append(Broker(node, "4.0" if modern else "3.1" if has_ids else None))
    return found


async def has_authorizer(cluster: Cluster) -> bool:
    """Asks for rules about topics: only where there is no authorizer, the answer is that there are none."""
    request = DescribeAclsRequest(_TOPIC, None, _ANY_NAME, None, None, _ANY, _ANY)
    answer = await cluster.ask(cluster.any_node(), request)
    return bool(answer.error_code != _SECURITY_DISABLED)


async def forbidden_on_topics(cluster: Cluster, needed: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Topic -> operations of those needed that we may not do; topics that do not exist are left out."""
    answer = await cluster.ask(cluster.any_node(), TopicIdsRequest(needed, operations=True))
    found: dict[str, list[str]] = {}
    for code, name, _, _, _, allowed, _ in answer.topics:
        if code in _NOT_AUTHORIZED:
            found[name] = list(needed[name])
        elif code != _UNKNOWN_TOPIC and (lacking := _lacking(needed[name], allowed)):
            found[name] = lacking
    return found


async def forbidden_on_group(cluster: Cluster, group: str) -> list[str]:
    """Operations that a member of the group needs and that we may not do with it."""
    node = await cluster.group_coordinator(group)
    answer = await cluster.ask(node, AuthorizedOnGroup(group))
    code, *_, allowed = answer.groups[0]
    if code in _NOT_AUTHORIZED:
        return [DESCRIBE, READ]
    if code:
        raise for_code(code)(group)
    return _lacking((DESCRIBE, READ), allowed)


def _lacking(needed: Iterable[str], allowed: int) -> list[str]:
    return [operation for operation in needed if not allowed >> _BITS[operation] & 1]


class AuthorizedOnGroupV3(DescribeGroupsRequest_v3):  # type: ignore[misc]  # aiokafka has no types
    """As it goes over the wire; aiokafka 0.14 reads the answer without what we may do, which is its last field."""

    RESPONSE_TYPE = DescribeGroupsResponse_v3


class AuthorizedOnGroup(Request[AuthorizedOnGroupV3]):  # type: ignore[misc]  # aiokafka has no types
    """Asks for one group, and for what we may do with it."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, kind: type[AuthorizedOnGroupV3]) -> AuthorizedOnGroupV3:
        return kind([self._group], True)
