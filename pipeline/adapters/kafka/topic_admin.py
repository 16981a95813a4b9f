"""One connection to a cluster for its topics: what is there, making them, setting them.

Never asks a broker about a topic by its name: where topics are created automatically, the question would create it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from pipeline.adapters.kafka.alter_configs import IncrementalAlterConfigsRequest
from pipeline.adapters.kafka.connection import connection
from pipeline.adapters.kafka.topic_plans import (
    EXISTENCE,
    PARTITIONS,
    Difference,
    FoundTopic,
    TopicPlan,
    differences,
    wanted,
    wanted_replicas,
)
from pipeline.config import Settings
from pipeline.errors import UserError

SETTLE_S: Final = 10.0
"""How long a change may take until every question shows it."""

_PAUSE_S: Final = 0.05


class Unreachable(UserError):
    """Kafka did not answer at all: it may only be starting."""


@asynccontextmanager
async def topic_admin(settings: Settings) -> AsyncIterator["TopicAdmin"]:
    """The planned topics on the cluster. Raises Unreachable, and UserError if Kafka refuses."""
    admin = AIOKafkaAdminClient(**connection(settings, "topics").options())
    try:
        await admin.start()
        yield TopicAdmin(admin, settings)
    except KafkaConnectionError as error:
        raise Unreachable(
            f"Kafka does not answer at {settings.brokers}: is it running, and is `brokers` right?", 1
        ) from error
    except TimeoutError as error:
        raise Unreachable(f"Kafka at {settings.brokers} took too long to answer", 1) from error
    except (KafkaError, OSError) as error:
        raise UserError(f"Kafka at {settings.brokers}: {error or type(error).__name__}") from error
    finally:
        await admin.close()


def _refused(code: int, message: str | None, doing: str) -> None:
    """UserError for a code out of an answer, unless it is 0."""
    if code:
        raise UserError(f"Kafka refused {doing}: {message or for_code(code).description} (error {code})")


class TopicAdmin:
    """One connection to the cluster, and what is planned. Raises aiokafka's errors and UserError."""

    def __init__(self, admin: AIOKafkaAdminClient, settings: Settings) -> None:
        self.plans = wanted(settings)
        self._admin = admin
        self._settings = settings
        self._brokers = 1
        self._electing: set[str] = set()

    async def differences(self) -> list[Difference]:
        return self.compare(await self.found())

    def compare(self, found: Mapping[str, FoundTopic]) -> list[Difference]:
        return differences(self.plans, found, self._brokers, self._settings.brokers)

    async def found(self) -> dict[str, FoundTopic]:
        """The planned topics that exist."""
        metadata = (await self._admin._get_cluster_metadata()).to_object()
        self._brokers = len(metadata["brokers"])
        names = {plan.name for plan in self.plans}
        there = {
            topic["topic"]: topic["partitions"]
            for topic in metadata["topics"]
            if topic["topic"] in names and topic["partitions"]
        }
        self._electing = {name for name, partitions in there.items() if any(each["leader"] < 0 for each in partitions)}
        configs = await self._configs(there)
        return {
            name: FoundTopic(len(partitions), min(len(each["replicas"]) for each in partitions), configs[name])
            for name, partitions in there.items()
            if name in configs
        }

    async def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        configs: dict[str, dict[str, str]] = {}
        for answer in await self._admin.describe_configs(resources):
            for resource in answer.to_object()["resources"]:
                name, code = resource["resource_name"], resource["error_code"]
                if code == UnknownTopicOrPartitionError.errno:  # deleted since, or not known to this broker yet
                    continue
                _refused(code, resource["error_message"], f"reading the settings of {name}")
                configs[name] = {entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]}
        return configs

    async def create(self, plans: Sequence[TopicPlan], replication: int | None) -> None:
        replicas = replication or wanted_replicas(self._brokers)
        if not plans:
            return
        new = [
            NewTopic(plan.name, plan.partition_count, replicas, topic_configs=plan.creation_config(replicas))
            for plan in plans
        ]
        for name, code, message in (await self._admin.create_topics(new)).topic_errors:
            if code != TopicAlreadyExistsError.errno:  # somebody else was quicker: it is compared like any other
                _refused(code, message, f"making {name}")

    async def add_partitions(self, mended: Iterable[Difference]) -> None:
        plans = {plan.name: plan for plan in self.plans}
        more = {
            each.topic: NewPartitions(plans[each.topic].partition_count)
            for each in mended
            if each.setting == PARTITIONS
        }
        if more:
            await self._admin.create_partitions(more)

    async def set_configs(self, mended: Iterable[Difference]) -> None:
        by_topic: dict[str, dict[str, str]] = {}
        for difference in mended:
            if difference.setting not in (EXISTENCE, PARTITIONS):
                by_topic.setdefault(difference.topic, {})[difference.setting] = difference.value
        if not by_topic:
            return
        answer: Any = await self._admin._send_request(IncrementalAlterConfigsRequest(by_topic))
        for code, message, _, name in answer.resources:
            _refused(code, message, f"setting {', '.join(by_topic[name])} of {name}")

    async def until_gone(self, mended: Sequence[Difference]) -> list[Difference]:
        """What still differs, asked again until nothing of `mended` does and each of its partitions has a leader.

        Brokers learn of changes one by one, so the last one to be asked may not know yet.
        """
        gone = {(difference.topic, difference.setting) for difference in mended}
        touched = {difference.topic for difference in mended}
        deadline = time.monotonic() + SETTLE_S
        while True:
            left = await self.differences()
            late = [difference for difference in left if (difference.topic, difference.setting) in gone]
            if not (late or touched & self._electing) or time.monotonic() > deadline:
                return left
            await asyncio.sleep(_PAUSE_S)
