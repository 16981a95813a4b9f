"""`journey doctor` on a real Kafka and Redis: nothing is said of what is well, and what was planted is found."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
import redis
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from typer.testing import CliRunner

from pipeline.adapters.doctor import clocks, lanes, program
from pipeline.adapters.doctor import kafka as on_kafka
from pipeline.adapters.doctor.examination import examine
from pipeline.adapters.doctor.finding import Finding
from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.alter_configs import IncrementalAlterConfigsRequest
from pipeline.adapters.kafka.batches import Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, connection
from pipeline.adapters.kafka.producing import produce
from pipeline.application.lane import world_of
from pipeline.application.ports import ProgressRecord
from pipeline.cli.main import app
from pipeline.config import Settings
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import LOOPBACK, free_port
from tests.harness.application import Application
from tests.harness.waiting import eventually

P = 2


@pytest.fixture
async def settings(stack: Stack, prefix: str) -> Settings:
    made = settings_on(stack, prefix)
    await topics.apply(made)
    return made


def settings_on(stack: Stack, prefix: str) -> Settings:
    return Settings(
        brokers=stack.bootstrap,
        redis_url=stack.redis_url,
        prefix=prefix,
        app_id=f"{prefix}doctor",
        partitions=P,
        journeys=("five-stage",),
        http_port=free_port(),
        tick_s=0.2,
    )


async def examined(settings: Settings) -> dict[str, list[Finding]]:
    """Findings by what they are about."""
    found: dict[str, list[Finding]] = {}
    for finding in await examine(settings):
        found.setdefault(finding.about, []).append(finding)
    return found


def test_nothing_ails_a_pipeline_at_work(stack: Stack, prefix: str, tmp_path: Path) -> None:
    with Application(stack, tmp_path, prefix, http_port=free_port()) as app_here:
        app_here.worker().until_ready()
        asked = app_here.command("doctor", "--json")
        assert asked.returncode == 0, asked.stderr
        found = json.loads(asked.stdout)["findings"]
        assert [each for each in found if each["severity"] != "ok" and each["about"] != "program"] == []
        assert {each["about"] for each in found} >= {
            "settings", "journeys", "topics", "rights", "transactions", "kafka", "kafka clock", "redis clock",
            "redis policy", "redis memory", "redis persistence", "redis version", "lanes", "workers", "port",
            "libraries", "python",
        }  # fmt: skip
        shown = app_here.command("doctor")
        assert shown.returncode == 0
        assert "2 lanes run, on 1 worker" in shown.stdout


def test_settings_that_cannot_be_read_are_the_one_finding(tmp_path: Path) -> None:
    wrong = tmp_path / "settings.yaml"
    wrong.write_text("partitons: 4\n")
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(wrong)])
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["about"], finding["severity"]) == ("settings", "error")
    assert "settings.yaml:1" in finding["what"]
    assert "did you mean 'partitions'" in finding["what"]


async def test_a_journey_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("journey: mine\nversion: 1\n")
    found = await examined(settings.model_copy(update={"journeys": (str(path),)}))
    assert found["journeys"][0].severity == "error"
    assert str(path) in found["journeys"][0].what


async def test_a_missing_topic_and_a_wrong_one_are_found_with_what_mends_them(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        await admin.delete_topics([settings.topic("journey.signals")])
        wrong = {settings.topic("raw.web"): {"message.timestamp.type": "CreateTime"}}
        await admin._send_request(IncrementalAlterConfigsRequest(wrong))
    finally:
        await admin.close()
    found: list[Finding] = []

    async def changed_on_the_broker() -> bool:
        found[:] = (await examined(settings))["topics"]
        said = " ".join(each.what for each in found)
        return "missing" in said and "CreateTime" in said

    await eventually(changed_on_the_broker, "the broker shows both changes")
    missing = next(each for each in found if "missing" in each.what)
    assert settings.topic("journey.signals") in missing.what
    assert (missing.severity, missing.mend) == ("error", "run `journey topics apply`")
    changed = next(each for each in found if "message.timestamp.type is CreateTime" in each.what)
    assert (changed.severity, settings.topic("raw.web") in changed.what) == ("error", True)
    assert "journey topics apply --force" in changed.mend


@contextmanager
def configured(settings: Settings, **changed: object) -> Iterator[None]:
    """Redis with other settings; `_` stands for a dash."""
    with redis.Redis.from_url(settings.redis_url) as client:
        names = {name.replace("_", "-"): value for name, value in changed.items()}
        before = {name: client.config_get(name)[name] for name in names}
        try:
            for name, value in names.items():
                client.config_set(name, value)
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


async def test_a_redis_that_forgets_is_an_error(settings: Settings) -> None:
    with configured(settings, maxmemory_policy="allkeys-lru"):
        (finding,) = (await examined(settings))["redis policy"]
    assert (finding.severity, finding.mend) == ("error", "set maxmemory-policy to noeviction")


@pytest.mark.parametrize(("room", "severity"), [(1.18, "warning"), (1.0, "error")])
async def test_a_redis_without_room_is_found(settings: Settings, room: float, severity: str) -> None:
    with redis.Redis.from_url(settings.redis_url) as client:
        used = client.info("memory")["used_memory"]
    with configured(settings, maxmemory=int(used * room)):
        (finding,) = (await examined(settings))["redis memory"]
    assert finding.severity == severity
    assert "(maxmemory)" in finding.what


async def test_a_redis_without_a_file_is_a_warning(settings: Settings) -> None:
    with configured(settings, appendonly="no"):
        (finding,) = (await examined(settings))["redis persistence"]
    assert finding.severity == "warning"


async def test_kafka_away_is_one_error_and_the_rest_is_not_known(settings: Settings) -> None:
    found = await examined(settings.model_copy(update={"brokers": f"{LOOPBACK}:{free_port()}"}))
    errors = [each for those in found.values() for each in those if each.severity == "error"]
    assert [each.about for each in errors] == ["kafka"]
    assert "does not answer" in errors[0].what
    for about in ("topics", "rights", "transactions", "kafka clock", "lanes"):
        assert [(each.severity, each.what.partition(":")[0]) for each in found[about]] == [("note", "not checked")]
    assert found["redis policy"][0].severity == "ok"


async def test_redis_away_is_one_error_and_kafka_is_looked_at(settings: Settings) -> None:
    found = await examined(settings.model_copy(update={"redis_url": f"redis://{LOOPBACK}:{free_port()}/0"}))
    errors = [each for those in found.values() for each in those if each.severity == "error"]
    assert [each.about for each in errors] == ["redis"]
    assert found["topics"][0].severity == "ok"
    assert found["lanes"][0].what.startswith("not checked")


async def say(settings: Settings, producer: AIOKafkaProducer, **of_lanes: ProgressRecord) -> None:
    for said in of_lanes.values():
        topic = settings.topic("journey.progress")
        await producer.send_and_wait(topic, msgspec.json.encode(said), key=b"%d" % said.lane)


def said_of(
    settings: Settings, lane: int, state: str = "running", reason: str = "", version: str = "1.0"
) -> ProgressRecord:
    world = world_of(settings.application, "w")
    return ProgressRecord(lane, world, 0, 0, f"worker-{lane}", state, reason, "", version=version)


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    sender = AIOKafkaProducer(bootstrap_servers=settings.brokers)
    await sender.start()
    yield sender
    await sender.stop()


async def test_lanes_say_who_has_them_and_why_they_stand(settings: Settings, producer: AIOKafkaProducer) -> None:
    assert [each.severity for each in (await examined(settings))["lanes"]] == ["note"]
    slow = settings.model_copy(update={"tick_s": 20.0})  # what is said now stays fresh
    await say(settings, producer, one=said_of(settings, 0), two=said_of(settings, 1, "waiting", "redis", "1.1"))
    judged = await examine_lanes(slow)
    assert ("lanes", "error", "lane 1 is standing still: redis") in judged
    assert ("workers", "warning", "different versions: 1.0 on worker-0; 1.1 on worker-1") in judged
    await say(settings, producer, two=said_of(settings, 1))
    assert await examine_lanes(slow) == [("lanes", "ok", "2 lanes run, on 2 workers"), ("workers", "ok", "all run 1.0")]


async def examine_lanes(settings: Settings) -> list[tuple[str, str, str]]:
    return [(each.about, each.severity, each.what) for each in await lanes.look(settings, clocks._now())]


async def test_lanes_whose_worker_is_gone_have_no_owner(settings: Settings, producer: AIOKafkaProducer) -> None:
    await say(settings, producer, one=said_of(settings, 0), two=said_of(settings, 1))

    async def unowned() -> bool:
        return any(
            severity == "error" and "lanes 0, 1 are without an owner" in what
            for _, severity, what in await examine_lanes(settings)
        )

    await eventually(unowned, "the lanes have been silent for ten ticks", 10.0)


async def test_an_open_transaction_names_its_producer(
    settings: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_kafka, "OVERDUE_MS", -settings.transaction_timeout_ms - 1_000)  # so at once
    sender = AIOKafkaProducer(bootstrap_servers=settings.brokers, transactional_id=f"{prefix}forgetful")
    await sender.start()
    try:
        await sender.begin_transaction()
        await sender.send_and_wait(settings.topic("raw.web"), b"{}", partition=1)
        found = (await examined(settings))["transactions"]
        await sender.abort_transaction()
    finally:
        await sender.stop()
    (finding,) = found
    assert finding.severity == "warning", finding.what
    assert f"{settings.topic('raw.web')}-1: one of {prefix}forgetful is open at offset 0" in finding.what
    assert [each.severity for each in (await examined(settings))["transactions"]] == ["ok"]


async def test_a_clock_that_is_off_is_found_on_both_servers(
    settings: Settings, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clocks._now
    monkeypatch.setattr(clocks, "_now", lambda: real() - 5_000)
    stop = asyncio.Event()

    async def tick() -> None:
        while not stop.is_set():
            await say(settings, producer, one=said_of(settings, 0))

    ticking = asyncio.create_task(tick())
    found = await examined(settings)
    stop.set()
    await ticking
    for about in ("kafka clock", "redis clock"):
        (finding,) = found[about]
        assert finding.severity == "warning"
        assert finding.what.endswith("s ahead of this machine's")


async def test_a_port_that_somebody_else_has_is_an_error(settings: Settings) -> None:
    with closing(socket.create_server((LOOPBACK, settings.http_port))):
        (finding,) = (await examined(settings))["port"]
    assert finding.severity == "error"
    assert "taken by something that is no worker" in finding.what
    opened = program.look(settings.model_copy(update={"http_host": "0.0.0.0"}))
    assert [each.severity for each in opened if each.about == "port"] == ["ok", "warning"]


def test_a_library_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.9.0" if name == "aiokafka" else real(name))
    (finding,) = (each for each in program.look(Settings(http_port=free_port())) if each.about == "libraries")
    assert finding.severity == "error"
    assert "aiokafka is 0.9.0" in finding.what


async def test_what_an_authorizer_forbids_is_named_and_what_it_hides_is_admitted(prefix: str) -> None:
    guarded = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with Stack(props=guarded) as stack:
        settings = settings_on(stack, prefix)
        await topics.apply(settings)
        rights = (await examined(settings))["rights"]
        assert [each.severity for each in rights] == ["ok", "note"]
        assert "transactional ids" in rights[1].what
        signals = settings.topic("journey.signals")
        await forbid_writing(settings, signals)

        async def found() -> bool:
            errors = [each for each in (await examined(settings))["rights"] if each.severity == "error"]
            return [each.what for each in errors] == [f"on {signals} we may not WRITE"]

        await eventually(found, "the rule is known to the broker", 20.0)


async def forbid_writing(settings: Settings, topic: str) -> None:
    """Everybody may do everything with the topic but write to it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    anybody, on_topic, literal, everything, write = "User:*", 2, 3, 2, 4
    deny, allow = 2, 3
    try:
        for operation, permission in ((everything, allow), (write, deny)):
            rule = CreateAclsRequest(on_topic, topic, literal, anybody, "*", operation, permission)
            assert [code for code, _ in (await admin._send_request(rule)).creation_responses] == [0]
    finally:
        await admin.close()


async def test_a_transaction_that_nobody_will_end_hangs(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a broker of before 4.0, which takes a late record for a transaction that was never begun."""
    with Stack(props={"transaction.partition.verification.enable": "false"}) as stack:
        settings = settings_on(stack, prefix)
        monkeypatch.setattr(on_kafka, "OVERDUE_MS", -settings.transaction_timeout_ms - 1_000)  # so at once
        await topics.apply(settings)
        await leave_hanging(settings, settings.topic("raw.store"))
        (finding,) = (await examined(settings))["transactions"]
    assert finding.severity == "error"
    assert f"{settings.topic('raw.store')}-0: one of producer" in finding.what
    assert "hangs at offset 0" in finding.what
    assert finding.mend.endswith(f"abort --topic {settings.topic('raw.store')} --partition 0 --offset 0")


async def leave_hanging(settings: Settings, topic: str) -> None:
    sender = AIOKafkaProducer(bootstrap_servers=settings.brokers, transactional_id="gone")
    await sender.start()
    identity = sender._txn_manager
    stamp = Stamp(identity.producer_id, identity.producer_epoch, 0, transactional=True)
    (batch,) = cut([(None, b"{}", [])], clocks._now(), stamp)
    async with Cluster(connection(settings, "gone")) as cluster:
        await produce(cluster, {(topic, 0): batch}, 5.0, "gone")
    await sender.stop()
