"""Topics on a real broker: made, compared, mended, and left alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.topics import Unreachable
from pipeline.cli.topics import app
from pipeline.config import Input, Settings
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import free_port
from pipeline.errors import UserError


@pytest.fixture
def settings(bootstrap: str, prefix: str) -> Settings:
    return Settings(brokers=bootstrap, prefix=prefix, partitions=3)


@asynccontextmanager
async def connected(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    async with connected(bootstrap) as client:
        yield client


async def make(admin: AIOKafkaAdminClient, name: str, partitions: int, **config: str) -> None:
    """A topic as somebody else would make it; `_` stands for a dot."""
    named = {setting.replace("_", "."): value for setting, value in config.items()}
    answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=named)])
    assert answer.topic_errors == [(name, 0, None)]


async def config_of(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    (resource,) = answer.to_object()["resources"]
    return {entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]}


async def partitions_of(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, int]:
    return {
        topic["topic"].removeprefix(prefix): len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["topic"].startswith(prefix)
    }


async def test_apply_makes_all_topics_as_wanted_and_then_has_nothing_to_do(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    assert {each.setting for each in await topics.check(settings)} == {"topic"}
    first = await topics.apply(settings)
    assert len(first.changed) == 13
    assert first.left == []
    assert await topics.check(settings) == []
    assert await topics.ensure_as_wanted(settings) == []
    assert await topics.apply(settings) == topics.Applied([], [])

    made = await partitions_of(admin, settings.prefix)
    assert made.pop("journey.progress") == 1
    assert set(made.values()) == {3}
    changelog = await config_of(admin, settings.topic("journey.profiles"))
    assert changelog["cleanup.policy"] == "compact"
    assert changelog["message.timestamp.type"] == "LogAppendTime"
    assert changelog["max.message.bytes"] == "8388608"


async def test_a_missing_topic_keeps_a_worker_from_starting(settings: Settings) -> None:
    with pytest.raises(UserError, match="not as a worker needs them") as raised:
        await topics.ensure_as_wanted(settings)
    assert raised.value.exit_code == 2
    assert f"{settings.prefix}raw.web, {settings.prefix}raw.email" in raised.value.message
    assert "run `journey topics apply`" in raised.value.message


async def test_asking_does_not_make_a_topic_where_topics_are_made_automatically(prefix: str) -> None:
    with Stack(props={"auto.create.topics.enable": "true"}) as generous:
        settings = Settings(brokers=generous.bootstrap, prefix=prefix)
        assert {each.setting for each in await topics.check(settings)} == {"topic"}
        assert {state.state for state in await topics.list_topics(settings)} == {"missing"}
        async with connected(generous.bootstrap) as admin, asyncio.timeout(30):
            # This broker takes a while to make what is asked for; one that is asked for later is made later.
            while "asked-for" not in await admin.list_topics():
                await admin.describe_topics(["asked-for"])
        assert {state.state for state in await topics.list_topics(settings)} == {"missing"}


async def test_an_own_topic_is_mended_and_its_other_settings_are_kept(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    name = settings.topic("journey.events")
    await make(admin, name, 3, segment_ms="3600000", retention_ms="60000")
    applied = await topics.apply(settings)
    assert (name, "message.timestamp.type", "CreateTime") in {
        (each.topic, each.setting, each.found) for each in applied.changed
    }
    assert {(each.topic, each.setting, each.required) for each in applied.left} == {(name, "retention.ms", False)}
    assert await topics.ensure_as_wanted(settings) == applied.left
    config = await config_of(admin, name)
    assert (config["message.timestamp.type"], config["segment.ms"]) == ("LogAppendTime", "3600000")

    assert (await topics.apply(settings, recommended=True)).left == []
    config = await config_of(admin, name)
    assert (config["retention.ms"], config["segment.ms"]) == ("604800000", "3600000")


async def test_an_input_of_others_is_changed_only_by_force(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    name = settings.topic("raw.web")
    await make(admin, name, 1, cleanup_policy="compact", retention_ms="-1")
    applied = await topics.apply(settings)
    assert {(each.topic, each.setting) for each in applied.left} == {
        (name, setting) for setting in ("partitions", "message.timestamp.type", "cleanup.policy")
    }
    with pytest.raises(UserError, match=r"journey topics apply --force"):
        await topics.ensure_as_wanted(settings)

    assert (await topics.apply(settings, force=True)).left == []
    config = await config_of(admin, name)
    assert (config["cleanup.policy"], config["message.timestamp.type"]) == ("delete", "LogAppendTime")
    assert config["retention.ms"] == "-1"
    assert (await partitions_of(admin, settings.prefix))["raw.web"] == 3


async def test_another_number_of_lanes_changes_nothing(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await make(admin, settings.topic("journey.profiles"), 2)
    await make(admin, settings.topic("raw.web"), 2)
    before = await partitions_of(admin, settings.prefix)
    with pytest.raises(UserError, match=r"journey\.profiles has 2 partitions, `partitions` is 3; .*`partitions: 2`"):
        await topics.apply(settings, force=True)
    assert await partitions_of(admin, settings.prefix) == before


async def test_inputs_of_the_settings_are_made_like_the_default_ones(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    own = settings.model_copy(update={"inputs": (Input(topic="till", channel_field="where"),)})
    assert (await topics.apply(own)).left == []
    assert (await config_of(admin, own.topic("till")))["message.timestamp.type"] == "LogAppendTime"
    assert "raw.web" not in await partitions_of(admin, own.prefix)


async def test_the_number_of_copies_can_be_too_high_for_the_cluster(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"Kafka refused making .*replicat"):
        await topics.apply(settings, replication=3)


async def test_no_broker_is_one_sentence() -> None:
    with pytest.raises(Unreachable, match=r"Kafka does not answer at 127\.0\.0\.1:\d+: is it running") as raised:
        await topics.check(Settings(brokers=f"127.0.0.1:{free_port()}"))
    assert raised.value.exit_code == 1


def test_the_commands_for_people_and_for_programs(bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BROKERS": bootstrap, "PREFIX": prefix, "PARTITIONS": "2"}.items():
        monkeypatch.setenv(f"JOURNEY_{name}", value)
    journey = CliRunner()

    missing = journey.invoke(app, ["check"])
    assert missing.exit_code == 1
    assert missing.stdout.startswith(f"A worker does not start with these:\n  {prefix}raw.web, ")

    made = journey.invoke(app, ["apply"])
    assert made.exit_code == 0
    assert f"{prefix}journey.dlq: made\n" in made.stdout
    assert made.stdout.endswith("All topics are as they should be.\n")

    checked = journey.invoke(app, ["check", "--strict", "--json"])
    assert (checked.exit_code, json.loads(checked.stdout)) == (0, {"differences": []})

    listed = json.loads(journey.invoke(app, ["list", "--json"]).stdout)["topics"]
    assert len(listed) == 13
    progress = next(topic for topic in listed if topic["name"] == f"{prefix}journey.progress")
    assert (progress["state"], progress["partitions"]) == ("as wanted", {"wanted": "1", "found": 1})

    table = journey.invoke(app, ["list"])
    assert table.exit_code == 0
    lines = table.stdout.splitlines()
    assert len(lines) == 14
    assert lines[1].split()[:5] == [f"{prefix}raw.web", "input", "2", "1", "as"]


def test_a_settings_file_is_read(tmp_path_factory: pytest.TempPathFactory, bootstrap: str, prefix: str) -> None:
    path = tmp_path_factory.mktemp("settings") / "journey.yaml"
    path.write_text(f"brokers: {bootstrap}\nprefix: {prefix}\npartitions: 1\n")
    made = CliRunner().invoke(app, ["apply", "--config", str(path), "--json"])
    assert made.exit_code == 0
    assert len(json.loads(made.stdout)["changed"]) == 13
