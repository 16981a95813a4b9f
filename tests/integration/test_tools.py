"""The commands that look at a pipeline and order it about, against a real Kafka and Redis and without a worker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import redis
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.feed_reader import FeedReader
from pipeline.adapters.kafka.sender import RawSender, home_partition
from pipeline.adapters.lanes_watched import Watch
from pipeline.application.intake import decode_command
from pipeline.application.lane import world_of
from pipeline.application.lane_record import Breaker, Pause, encode_lane, first_lane_record
from pipeline.application.ports import ProgressRecord
from pipeline.cli.main import app
from pipeline.config import Settings, load
from pipeline.dev.stack import Stack
from pipeline.domain.encoding import encode
from pipeline.domain.feed import Feed
from pipeline.domain.identity import Key
from pipeline.domain.profile import event_of, new_profile
from pipeline.errors import UserError
from pipeline.worker.wiring import compile_rules

MONDAY = 1_736_154_000_000  # 2025-01-06 09:00
DAY = 86_400_000
P = 2

Call = Callable[..., Awaitable[Result]]


@pytest.fixture
def settings_file(stack: Stack, prefix: str, tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"brokers: {stack.bootstrap}\nredis_url: {stack.redis_url}\nprefix: '{prefix}'\napp_id: '{prefix}tools'\n"
        f"partitions: {P}\njourneys: five-stage\n"
    )
    return path


@pytest.fixture
async def settings(settings_file: Path) -> Settings:
    loaded = load(settings_file, {})
    await topics.apply(loaded)
    return loaded


@pytest.fixture
def call(settings_file: Path) -> Call:
    async def called(*arguments: str) -> Result:
        # A command has an event loop of its own, so it needs a thread beside the test's.
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--config", str(settings_file)])

    return called


def put(settings: Settings, lane: int, fields: dict[str, bytes]) -> None:
    with redis.Redis.from_url(settings.redis_url) as client:
        client.hset(settings.table_key(lane), mapping={"@pos": b"topic:7", **fields})


def put_customer(settings: Settings, customer: str) -> int:
    """Somebody who looked, compared and ordered; the lane they are in."""
    rules = compile_rules(settings)
    profile = new_profile(Key(f"c:{customer}"), MONDAY)
    rules.fold.align(profile)
    acts = [("page_viewed", "saw_content"), ("price_compared", "compared"), ("order_placed", "ordered")]
    for number, (kind, touch) in enumerate(acts):
        at = MONDAY + number * DAY
        event = event_of(f"e{number}", at, at, 0, number, kind, touch, "web")
        assert rules.fold.event(profile, profile.key, event, None, Feed()) == "folded"
    lane = home_partition(customer.encode(), P)
    record = first_lane_record(settings.application, P)
    record.watermark = MONDAY + 3 * DAY
    put(settings, lane, {f"c:{customer}": encode(profile), "@lane": encode_lane(record)})
    return lane


async def test_show_tells_a_customers_story(settings: Settings, call: Call) -> None:
    lane = put_customer(settings, "c0042")
    shown = await call("show", "c0042")
    assert shown.exit_code == 0
    for part in (
        "five-stage",
        "Retention",
        "since 2025-01-08 09:00",
        "awareness → consideration",
        "price_compared on web",
        "2025-04-08 09:00",
        "to lapsed",
        "web 3",
    ):
        assert part in shown.stdout
    content = json.loads((await call("show", "c0042", "--json")).stdout)
    assert content["lane"] == lane
    (journey,) = content["journeys"]
    assert journey["stage"] == "retention"
    assert journey["label"]["fa"] == "نگهداری"
    assert [entry["to"] for entry in journey["history"]] == ["awareness", "consideration", "retention"]
    assert {timer["rule"]: timer["to"] for timer in journey["timers"]} == {"churn_risk": None, "lapsed": "lapsed"}
    assert [event["type"] for event in content["recent"]] == ["price_compared", "order_placed"]
    assert "Elde tutma" in (await call("show", "c0042", "--language", "tr")).stdout


@pytest.mark.parametrize("name", ["42", "C0042", "c042"])
async def test_show_guesses_who_was_meant(settings: Settings, call: Call, name: str) -> None:
    put_customer(settings, "c0042")
    result = await call("show", name)
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 1
    assert "did you mean c0042" in result.exception.message


async def test_show_says_when_nobody_is_there(settings: Settings, call: Call) -> None:
    result = await call("show", "c0042")
    assert isinstance(result.exception, UserError)
    assert "nobody is known as c0042" in result.exception.message
    assert "did you mean" not in result.exception.message


@pytest.fixture
async def producer(bootstrap: str, prefix: str) -> AsyncIterator[AIOKafkaProducer]:
    sender = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{prefix}test")
    await sender.start()
    yield sender
    await sender.stop()


async def publish(
    producer: AIOKafkaProducer, settings: Settings, customer: str, numbers: range, aborted: bool = False
) -> None:
    topic = settings.topic("journey.transitions")
    await producer.begin_transaction()
    for number in numbers:
        content = {
            "id": f"{customer}:five-stage:1:{number}",
            "customer_id": customer,
            "journey": "five-stage",
            "version": 1,
            "seq": number,
            "kind": "entered",
            "from": None,
            "to": "awareness",
            "entry": str(number),
            "supersedes": [],
            "occurred_at": "2025-01-06T09:00:00.000Z",
            "published_at": "2025-01-06T09:00:00.000Z",
            "cause": {"event": {"id": "e", "type": "page_viewed", "channel": "web"}, "rule": "awareness"},
        }
        key = customer.encode()
        await producer.send_and_wait(topic, json.dumps(content).encode(), key=key, partition=home_partition(key, P))
    await (producer.abort_transaction() if aborted else producer.commit_transaction())


async def test_tail_shows_the_newest_that_is_committed(
    settings: Settings, call: Call, producer: AIOKafkaProducer
) -> None:
    await publish(producer, settings, "c1", range(1, 31))
    await publish(producer, settings, "c2", range(1, 4))
    await publish(producer, settings, "c1", range(31, 41), aborted=True)
    lines = (await call("tail")).stdout.splitlines()
    assert len(lines) == 10
    assert "c2" in lines[-1]
    assert "page_viewed on web" in lines[-1]
    seqs = [
        json.loads(line)["seq"] for line in (await call("tail", "-c", "c1", "--json", "-n", "3")).stdout.splitlines()
    ]
    assert seqs == [28, 29, 30]
    assert len((await call("tail", "transitions", "--from-beginning")).stdout.splitlines()) == 33
    assert (await call("tail", "signals")).exit_code == 1
    assert (await call("tail", "nonsense")).exit_code == 2


async def test_tail_finds_few_records_behind_many_markers(
    settings: Settings, call: Call, producer: AIOKafkaProducer
) -> None:
    await publish(producer, settings, "c1", range(1, 6))
    for _ in range(130):
        await publish(producer, settings, "c1", range(99, 100), aborted=True)
    seqs = [json.loads(line)["seq"] for line in (await call("tail", "--json", "-n", "5")).stdout.splitlines()]
    assert seqs == [1, 2, 3, 4, 5]


async def report(producer: AIOKafkaProducer, settings: Settings, lane: int, state: str, reason: str) -> None:
    said = ProgressRecord(
        lane,
        world_of(settings.application, "w"),
        MONDAY + lane,
        0,
        f"worker-{lane}",
        state,
        reason,
        "raw.web",
        MONDAY,
        "1.0",
    )
    await producer.begin_transaction()
    await producer.send_and_wait(settings.topic("journey.progress"), msgspec.json.encode(said), key=b"%d" % lane)
    await producer.commit_transaction()


async def test_status_says_of_every_lane_why_it_stands(
    settings: Settings, call: Call, producer: AIOKafkaProducer
) -> None:
    never = json.loads((await call("status", "--json")).stdout)
    assert [lane["reason"] for lane in never["lanes"]] == ["no worker has taken it yet"] * P
    for lane in range(P):
        record = first_lane_record(settings.application, P)
        record.watermark = MONDAY
        put(settings, lane, {"@lane": encode_lane(record)})
        await report(producer, settings, lane, "running", "")
    fine = await call("status")
    assert fine.exit_code == 0
    assert "held by lane 0 raw.web" in fine.stdout
    async with RawSender(settings.brokers, settings.input_topics) as sender:
        sender.put(settings.topic("raw.web"), 1, b"c1", b"{}")
        await sender.flush()
    await report(producer, settings, 1, "waiting", "redis")
    waits = await call("status", "--json")
    assert waits.exit_code == 1
    lanes = json.loads(waits.stdout)["lanes"]
    assert [(lane["state"], lane["reason"], lane["lag"]) for lane in lanes] == [
        ("running", "", 0),
        ("waiting", "redis", 1),
    ]
    assert lanes[1]["owner"] == "worker-1"
    assert (lanes[1]["version"], lanes[1]["since"], lanes[0]["behind_ms"]) == ("1.0", MONDAY, 0)
    assert lanes[1]["behind_ms"] > DAY


async def test_a_paused_lane_says_so_and_can_be_resumed(
    settings: Settings, call: Call, producer: AIOKafkaProducer
) -> None:
    assert (await call("lane", "pause", "--lane", "1", "--reason", "the shop sends anew")).exit_code == 0
    async with FeedReader(settings.brokers, [settings.topic("journey.commands")]) as reader:
        (written,) = (decode_command(each.value) for each in await reader.everything())
    assert (written.command, written.lane, written.reason) == ("pause", 1, "the shop sends anew")
    record = first_lane_record(settings.application, P)
    record.paused = Pause("the shop sends anew", 0, 1)
    put(settings, 1, {"@lane": encode_lane(record)})
    await report(producer, settings, 1, "waiting", "paused")
    lane = json.loads((await call("status", "--json")).stdout)["lanes"][1]
    assert (lane["state"], lane["paused"]) == ("paused", "the shop sends anew")
    assert "journey lane resume --lane 1" in lane["reason"]
    assert (await call("lane", "resume", "--lane", "1", "--reason", "it has sent")).exit_code == 0


async def test_a_stopped_lane_is_ordered_to_go_on(settings: Settings, call: Call) -> None:
    record = first_lane_record(settings.application, P)
    put(settings, 1, {"@lane": encode_lane(record)})
    refused = await call("lane", "resume", "--lane", "1", "--reason", "mended")
    assert isinstance(refused.exception, UserError)
    assert refused.exception.exit_code == 1
    record.breaker = Breaker("21 customers failed", 0, "0", {}, 0)
    put(settings, 1, {"@lane": encode_lane(record)})
    assert "breaker: 21 customers failed" in (await call("status")).stdout
    assert (await call("lane", "resume", "--lane", "1", "--reason", "mended")).exit_code == 0
    topic = settings.topic("raw.web")
    assert (await call("lane", "skip", "--lane", "0", "--reason", "reloaded", "--topic", topic)).exit_code == 0
    async with FeedReader(settings.brokers, [settings.topic("journey.commands")]) as reader:
        written = {each.partition: decode_command(each.value) for each in await reader.everything()}
    assert (written[1].command, written[1].lane, written[1].reason) == ("resume", 1, "mended")
    assert (written[0].command, written[0].topic) == ("skip", topic)
    assert abs(int(written[0].at) - time.time() * 1000) < 60_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resume", "--lane", "7", "--reason", "x"], "there is no lane 7: lanes are 0 to 1"),
        (["skip", "--lane", "0", "--reason", " "], "must say why"),
        (["skip", "--lane", "0", "--reason", "x", "--topic", "raw.wbe"], "did you mean"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    settings: Settings, call: Call, arguments: list[str], said: str
) -> None:
    result = await call("lane", *arguments)
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 2
    assert said in result.exception.message


async def test_ingest_sends_files_and_says_what_it_refused(settings: Settings, call: Call, tmp_path: Path) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = [
        {"id": f"e{number}", "type": "page_viewed", "occurred_at": now, "customer_id": f"c{number}", "channel": "web"}
        for number in range(100)
    ]
    data = tmp_path / "events.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows) + "nonsense\n")
    result = await call("ingest", str(data))
    assert result.exit_code == 1
    assert "100 events sent" in result.stdout
    assert f"{data}:101: not JSON" in result.stderr
    async with FeedReader(settings.brokers, [settings.topic("raw.web")]) as reader:
        found = await reader.everything()
    assert {json.loads(each.value or b"")["id"] for each in found} == {row["id"] for row in rows}
    assert all(each.partition == home_partition(each.key or b"", P) for each in found)
    with pytest.raises(UserError, match="on the live clock"):
        raise (await call("ingest", str(data), "--end-mark", "last")).exception or AssertionError


async def test_punctuation_stands_behind_all_it_speaks_of(settings: Settings) -> None:
    async with RawSender(settings.brokers, settings.input_topics) as sender:
        for number in range(2000):
            sender.add(settings.topic("raw.web"), b"c%d" % number, b'{"n": "%s"}' % (b"x" * 600))
        await sender.punctuate(MONDAY, end=True)
    async with FeedReader(settings.brokers, settings.input_topics) as reader:
        found = await reader.everything()
    assert len(found) == 2000 + 5 * P
    for topic in settings.input_topics:
        for partition in range(P):
            log = [each for each in found if (each.topic, each.partition) == (topic, partition)]
            last = max(log, key=lambda each: each.offset)
            assert dict(last.headers) == {"journey.punctuation": b"%d" % MONDAY, "journey.end": b"1"}
            assert last.key is None
            assert sum(bool(each.headers) for each in log) == 1


async def test_kafka_that_is_away_is_said_in_one_sentence(settings: Settings, call: Call, tmp_path: Path) -> None:
    away = tmp_path / "away.yaml"
    away.write_text("brokers: 127.0.0.1:1\nredis_url: redis://127.0.0.1:1/0\n")
    for command in (
        ["tail"],
        ["status"],
        ["top", "--once", "--interval", "1s"],
        ["show", "c1"],
        ["lane", "skip", "--lane", "0", "--reason", "x"],
    ):
        result = await asyncio.to_thread(CliRunner().invoke, app, [*command, "--config", str(away)])
        assert isinstance(result.exception, UserError), result.exception
        assert result.exception.exit_code == 1
        assert "127.0.0.1:1" in result.exception.message or "Redis" in result.exception.message


async def test_kafka_that_is_away_is_seen_again_when_it_is_back(
    settings: Settings, call: Call, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    away = tmp_path / "away.yaml"
    away.write_text((tmp_path / "settings.yaml").read_text().replace(settings.brokers, "127.0.0.1:1"))
    watch = Watch(load(away, {}))
    first = await watch.look()
    assert first.seen is None
    assert "127.0.0.1:1" in first.trouble
    for lane in range(P):
        put(settings, lane, {"@lane": encode_lane(first_lane_record(settings.application, P))})
        await report(producer, settings, lane, "running", "")
    await publish(producer, settings, "c1", range(1, 4))
    watch.settings = settings
    seen = await watch.look()
    assert (seen.trouble, [each.seq for each in seen.newest]) == ("", [1, 2, 3])
    watch.settings = load(away, {})
    lost = await watch.look()
    assert lost.trouble
    assert (lost.seen, lost.at, lost.newest) == (seen.seen, seen.at, seen.newest)
