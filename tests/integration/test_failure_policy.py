"""What can go wrong, done to a running worker: nothing is lost, the rest goes on, and it says what to do.

Each case ends with the judge: all that was sent, through the plain fold, against all that was published and stored.
"""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from pipeline.application.lane_record import decode_lane
from pipeline.dev.stack import Stack
from pipeline.domain.encoding import decode
from pipeline.domain.packing import Names
from tests.harness.application import HOUR, JOURNEY, MINUTE, Application, ago, some_traffic
from tests.harness.reading import Message, delete_before, last_lane_records, log_ends, read_tables, redis_client
from tests.harness.sending import Sent, fencing_producer
from tests.harness.waiting import holds_for, until
from tests.harness.worker_process import WorkerProcess

MEND_S = 30.0
"""How long anything may take to come back by itself."""

STOP_S = 10.0
"""From SIGTERM to the end, whatever is going on."""


@pytest.fixture
def app(stack: Stack, tmp_path: Path, prefix: str) -> Iterator[Application]:
    """An application of this test on the shared stack: nothing may be done to its servers."""
    with Application(stack, tmp_path, prefix) as application:
        yield application


# ---- bytes that are no valid event


@dataclass(frozen=True)
class Bad:
    """A record that is no valid event, and why. `fields` change a valid one; `value` stands for it."""

    reason: str
    fields: dict[str, Any] | None = None
    value: bytes | None = None
    topic: str = "raw.web"
    channel: str = "web"
    headers: tuple[tuple[str, bytes | None], ...] = ()
    away: bool = False


def deep(levels: int) -> bytes:
    valid = b'{"id":"d","type":"page_viewed","occurred_at":1,"customer_id":"d","properties":'
    return valid + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


BAD = {
    "torn": Bad("not_json", value=b'{"id":"e'),
    "bytes": Bad("not_json", value=b"\xff\xfe\x00"),
    "list": Bad("not_json", value=b"[]"),
    "tombstone": Bad("not_json"),
    "without-id": Bad("no_id", {"id": None}),
    "empty-id": Bad("no_id", {"id": ""}),
    "long-id": Bad("bad_id", {"id": "x" * 65}),
    "id-is-a-number": Bad("bad_id", {"id": 7}),
    "nobody": Bad("no_identity", {"customer_id": None}),
    "nobody-accepted": Bad("no_identity", {"customer_id": None, "identities": {"shoe_size": "44"}}),
    "customer-is-a-number": Bad("bad_identity", {"customer_id": 7}),
    "time-is-a-word": Bad("bad_time", {"occurred_at": "soon"}),
    "time-without-zone": Bad("bad_time", {"occurred_at": "2026-01-31T10:00:00"}),
    "before-1970": Bad("bad_time", {"occurred_at": -1}),
    "without-time": Bad("bad_time", {"occurred_at": None}),
    "future": Bad("future", {"occurred_at": ago(-10 * MINUTE)}),
    "300-KiB": Bad("too_large", {"properties": {"text": "x" * 300 * 1024}}),
    "5-MB-compressed": Bad("too_large", value=b" " * 5_000_000),
    "heavy-headers": Bad("not_json", value=b"{", headers=(("h", b"h" * 600_000),)),
    "heavy-headers-away": Bad("too_large", {}, headers=(("h", b"h" * 600_000),), away=True),
    "null-header": Bad("not_json", value=b"{", headers=(("h", None),)),
    "1000-deep": Bad("too_deep", value=deep(1_000)),
    "another-channel": Bad("channel_mismatch", {"channel": "store"}),
    "no-such-channel": Bad("channel_mismatch", {"channel": "fax"}),
    "no-such-channel-here": Bad("unknown_channel", {"channel": "fax"}, topic="raw.any", channel="unknown"),
    "without-channel": Bad("unknown_channel", {}, topic="raw.any", channel="unknown"),
    "without-type": Bad("invalid", {"type": None}),
    "robot": Bad("invalid", {"actor": "robot"}),
    "forged-hop": Bad("invalid", {}, topic="journey.events", headers=(("journey.channel", b"web"),)),
    "command-is-none": Bad("bad_command", value=b'{"command":"dance"}', topic="journey.commands"),
}


def bad_record(app: Application, name: str, bad: Bad) -> Sent:
    """The record on lane 0, with a key and a header of its own."""
    value = bad.value
    if bad.fields is not None:
        customer = app.sender.residents(1 if bad.away else 0, f"bad-{name}-", 1)[0]
        valid = {"id": name, "type": "page_viewed", "occurred_at": ago(HOUR), "customer_id": customer}
        value = json.dumps({k: v for k, v in (valid | bad.fields).items() if v is not None}).encode()
    headers = (("trace", name.encode()), *bad.headers)
    return app.sender.put(Sent(bad.topic, bad.channel, 0, name.encode(), value, headers, dead=bad.reason))


def texts(message: Message) -> dict[str, str]:
    return {name: text.decode() for name, text in message.headers.items() if text is not None}


def test_what_is_no_valid_event_is_a_dead_letter_and_the_rest_goes_on(
    stack: Stack, tmp_path: Path, prefix: str
) -> None:
    inputs = [{"topic": f"raw.{c}", "channel": c} for c in ("web", "store")]
    inputs.append({"topic": "raw.any", "channel_field": "channel"})
    with Application(stack, tmp_path, prefix, inputs=inputs) as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        sent = {name: bad_record(app, name, bad) for name, bad in BAD.items()}
        app.sender.event("web", "odd", "page_scrolled", ago(HOUR))
        app.sender.event("phone", "any", "page_viewed", ago(HOUR), topic="raw.any", channel="phone")
        marked = app.sender.make("web", "marked", "page_viewed", ago(HOUR), partition=app.sender.elsewhere("marked"))
        marked.headers = [("null", None), ("journey.hops", b"99"), ("journey.channel", b"fax")]
        app.sender.put(marked)
        some_traffic(app, "after")
        verdict = app.assert_right(worker)
        letters = {message.key: message for message in app.records("journey.dlq")}
        assert len(letters) == len(BAD) == verdict.dead
        for name, record in sent.items():
            letter = letters[name.encode()]
            told = {name.removeprefix("__connect.errors."): text for name, text in texts(letter).items()}
            assert told["journey.reason"] == record.dead
            assert told["topic"] == app.settings.topic(record.topic)
            assert (told["partition"], told["offset"]) == ("0", str(record.offset))
            assert (told["stage"], told["exception.class.name"]) == ("INTAKE", "Invalid")
            assert told["exception.message"]
            assert told["journey.appended"] == str(record.appended)
            if "h" in dict(record.headers):
                heavy = dict(record.headers)["h"] is not None
                assert (int(told["journey.truncated.headers"]) > 600_000) if heavy else letter.headers["h"] is None
            assert told.get("trace") == (None if name.startswith("heavy-headers") else name)
            if len(record.value or b"") > 256 * 1024:
                assert record.value is not None
                assert letter.value == record.value[: 64 * 1024]
                assert told["journey.truncated"] == str(len(record.value))
            else:
                assert letter.value == record.value
        assert app.stages("any") == app.stages("marked") == ["seen"]
        assert app.stages("odd") == []
        unclassified = worker.metric("journey_unclassified_events_total")
        assert unclassified == sum(record.unclassified for record in last_lane_records(app.settings).values()) == 1
        for reason in {bad.reason for bad in BAD.values()}:
            expected = sum(bad.reason == reason for bad in BAD.values())
            assert worker.metric("journey_dead_letters_total", reason=reason) == expected
        assert worker.ready
        assert worker.live
        assert worker.stop() == 0


# ---- bugs in the fold


def test_an_event_on_which_the_fold_raises_is_isolated(app: Application) -> None:
    worker = app.worker(planted={"event_raises": ["boom"]}).until_ready()
    some_traffic(app, "before")
    for number in range(3):
        # The customer's other events stand around it, and must be folded as if it had never come.
        customer = f"hit{number}"
        app.sender.event("web", customer, "page_viewed", ago(4 * HOUR))
        app.sender.event("web", customer, "boom", ago(4 * HOUR) + 1, dead="fold_error")
        app.sender.event("web", customer, "order_placed", ago(4 * HOUR) + 2)
    some_traffic(app, "after")
    verdict = app.assert_right(worker)
    assert verdict.dead == 3
    for letter in app.records("journey.dlq"):
        assert json.loads(letter.value or b"")["type"] == "boom"
        assert letter.headers["journey.reason"] == b"fold_error"
        assert letter.headers["__connect.errors.stage"] == b"FOLD"
        trace = texts(letter)["__connect.errors.exception.stacktrace"]
        assert "PlantedBug: cannot fold boom" in trace
        assert "planted_bugs.py" in trace
    isolated = worker.logged("event.isolated")
    assert len(isolated) == 3
    assert all("raw.web-" in line["at"] and "PlantedBug" in line["why"] for line in isolated)
    assert worker.ready


def test_timers_that_raise_are_parked_until_the_code_is_mended(app: Application) -> None:
    # Sent before there is a watermark: it is folded first, and its timers are looked at when time has passed.
    app.sender.event("web", "stuck", "cart_updated", ago(3 * HOUR))
    some_traffic(app, "before")
    worker = app.worker(planted={"time_raises": ["stuck"]}).until_ready()
    app.assert_right(worker, without={"stuck"})
    home = app.sender.home("stuck")
    (parked,) = worker.logged("timers.parked", lane=home)
    assert "PlantedBug" in parked["why"]
    fields = read_tables(app.settings)[home].fields
    stuck = decode(fields[b"c:stuck"], Names(decode_lane(fields[b"@lane"]).names))
    assert "PlantedBug: cannot let time pass" in stuck.parked
    assert worker.metric("journey_timers_parked_total") == 1
    assert worker.ready
    # Events are folded all the same.
    app.sender.event("web", "stuck", "order_placed", ago(3 * HOUR - 10 * MINUTE))
    some_traffic(app, "after")
    app.assert_right(worker, without={"stuck"})
    assert app.stages("stuck") == ["choosing", "bought"]
    assert worker.stop() == 0
    worker = app.worker(planted={"version": "0.1.0.1"}).until_ready()
    app.assert_right(worker)
    assert app.stages("stuck") == ["choosing", "bought", "cold"]


def a_bad_deploy(app: Application) -> WorkerProcess:
    """A worker whose fold raises on half of what lane 0 has, all of which was sent before it started."""
    for number, customer in enumerate(app.sender.residents(0, "hit", 40)):
        app.sender.event("web", customer, "page_viewed", ago(4 * HOUR) + number)
        app.sender.event("web", customer, "order_placed", ago(3 * HOUR) + number)
    app.sender.flush()
    worker = app.worker(planted=BAD_DEPLOY)
    worker.until_waits("breaker", MEND_S)
    return worker


BAD_DEPLOY = {"event_raises": ["order_placed"]}


def order(app: Application, *words: str) -> subprocess.CompletedProcess[str]:
    """An order of a person to a lane; one that is given is in the ledger of what was sent."""
    done = app.command("lane", *words)
    if done.returncode == 0:
        app.sender.ledger.append(Sent("journey.commands", "", 0, None, None))
    return done


def test_the_breaker_stops_one_lane_until_a_person_resumes_it(app: Application) -> None:
    worker = a_bad_deploy(app)
    opened = worker.until_logged("lane.breaker_open", lane=0)
    assert "the fold raised" in opened["why"]
    assert opened["mend"] == "journey lane resume --lane 0"
    until(lambda: worker.waits() == {"lane 0": "breaker"}, "only lane 0 stands", MEND_S)
    assert worker.live
    assert worker.metric("journey_breaker_open", lane="0") == 1
    other = app.sender.residents(1, "other", 1)[0]
    app.sender.event("web", other, "page_viewed", ago(HOUR))
    app.sender.flush()
    until(lambda: app.stages(other) == ["seen"], "the other lane goes on", MEND_S)
    assert "journey lane resume --lane 0" in app.command("status").stdout
    refused = order(app, "resume", "--lane", "1", "--reason", "mended")
    assert (refused.returncode, "lane 1 is neither paused nor stopped by the breaker" in refused.stderr) == (1, True)
    # Resumed too early, it opens again.
    assert order(app, "resume", "--lane", "0", "--reason", "too early").returncode == 0
    until(lambda: len(worker.logged("lane.breaker_open", lane=0)) == 2, "the breaker opens again", MEND_S)
    assert worker.stop() == 0
    # The same version stands where the last one stood, whether or not it would fail as well.
    worker = app.worker()
    worker.until_waits("breaker", MEND_S)
    until(lambda: worker.waits() == {"lane 0": "breaker"}, "only lane 0 stands", MEND_S)
    assert order(app, "resume", "--lane", "0", "--reason", "mended by a person").returncode == 0
    worker.until_logged("lane.resumed", lane=0, why="mended by a person")
    worker.until_ready()
    some_traffic(app, "after")
    assert app.assert_right(worker).dead == 0
    assert worker.metric("journey_breaker_open", lane="0") == 0


def test_the_breaker_closes_by_itself_under_another_version(app: Application) -> None:
    assert a_bad_deploy(app).stop() == 0
    worker = app.worker(planted={"version": "0.1.0.1"})
    worker.until_logged("lane.breaker_closed", lane=0)
    worker.until_ready()
    assert app.assert_right(worker).dead == 0


# ---- Redis


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Hurt"]:
    """A stack whose Redis may be hurt, with one worker that lives through all of it."""
    with Stack() as stack, Application(stack, tmp_path_factory.mktemp("hurt"), "hurt-") as app:
        worker = app.worker().until_ready()
        some_traffic(app, "first")
        app.assert_right(worker)
        yield Hurt(stack, app, worker)


@dataclass(frozen=True)
class Hurt:
    stack: Stack
    app: Application
    worker: WorkerProcess

    def command(self, *words: object) -> Any:
        with redis_client(self.app.settings) as client:
            return client.execute_command(*words)


@contextmanager
def out_of_memory(hurt: Hurt) -> Iterator[None]:
    hurt.command("CONFIG", "SET", "maxmemory", "1")
    yield
    hurt.command("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def read_only(hurt: Hurt) -> Iterator[None]:
    # Its primary is a port where nobody listens, so it keeps what it has and takes no writes.
    hurt.command("REPLICAOF", "127.0.0.1", "1")
    yield
    hurt.command("REPLICAOF", "NO", "ONE")


@contextmanager
def hanging(hurt: Hurt) -> Iterator[None]:
    hurt.stack.pause("redis")
    yield
    hurt.stack.resume("redis")


@contextmanager
def away(hurt: Hurt) -> Iterator[None]:
    hurt.stack.kill_redis()
    yield
    hurt.stack.start_redis()


@contextmanager
def loading(hurt: Hurt) -> Iterator[None]:
    """Killed, and so slow to load what it has that it answers LOADING until it is told to hurry."""
    others = 1_000
    hurt.command("MSET", *(part for number in range(others) for part in (f"other:{number}", "x" * 200)))
    hurt.command("BGREWRITEAOF")
    until(lambda: hurt.command("INFO", "persistence")["aof_rewrite_in_progress"] == 0, "the rewrite ends")
    hurt.stack.kill_redis()
    # The mapping is read at each start. A key takes so many microseconds, and it answers in between.
    slow = {"key-load-delay": 10_000_000 // others, "loading-process-events-interval-bytes": 1024}
    hurt.stack._redis_props.update(slow)
    starting = threading.Thread(target=hurt.stack.start_redis)
    starting.start()
    try:
        yield
    finally:
        hurt.command("CONFIG", "SET", "key-load-delay", 0)
        starting.join()
        for name in slow:
            del hurt.stack._redis_props[name]


REDIS_FAULTS: dict[str, tuple[Callable[[Hurt], Any], str]] = {
    "out of memory": (out_of_memory, "OOM"),
    "read-only": (read_only, "READONLY"),
    "hanging": (hanging, ""),
    "away": (away, ""),
    "loading": (loading, "LOADING"),
}


@pytest.mark.parametrize("fault", REDIS_FAULTS)
def test_a_redis_that_is_away_or_refuses_is_waited_for(hurt: Hurt, fault: str) -> None:
    begin, told = REDIS_FAULTS[fault]
    app, worker = hurt.app, hurt.worker
    seen = len(worker.logged("lane.doubt", reason="redis"))
    with begin(hurt):
        some_traffic(app, fault.replace(" ", "-"))
        worker.until_waits("redis", MEND_S)
        until(
            lambda: any(told in line["detail"] for line in worker.logged("lane.doubt", reason="redis")[seen:]),
            lambda: f"the log says {told!r}\n{worker.tail()}",
            MEND_S,
        )
        assert not worker.ready
        assert worker.live
        until(  # between two tries a lane is taking for a moment
            lambda: any(
                worker.metric("journey_lane_state", lane=str(lane), state="waiting", reason="redis") for lane in (0, 1)
            ),
            lambda: f"a lane waits for redis\n{worker.tail()}",
            MEND_S,
        )
    worker.until_ready(MEND_S)
    app.assert_right(worker, MEND_S)
    assert worker.logged("worker.started") == worker.logged("worker.started")[:1], "it was never started again"


def flush(hurt: Hurt) -> None:
    hurt.command("FLUSHALL")


def old_snapshot(hurt: Hurt) -> None:
    """All keys as they were a while ago, put back in one step."""
    app = hurt.app
    with redis_client(app.settings) as client:
        keys = [key for lane in range(2) for key in client.keys(f"{app.settings.application}:{{{lane}}}*")]
        dumps = {key: client.dump(key) for key in keys}
        some_traffic(app, "between")
        app.until_accounted()
        with client.pipeline(transaction=True) as step:
            step.flushall()
            for key, dump in dumps.items():
                step.restore(key, 0, dump)
            step.execute()


def half_a_table(hurt: Hurt) -> None:
    """One lane lost, the other whole."""
    hurt.command("DEL", hurt.app.settings.table_key(0), hurt.app.settings.table_key(0) + ":due")


@pytest.mark.parametrize("loss", [flush, old_snapshot, half_a_table])
def test_a_redis_that_lost_data_is_rebuilt(hurt: Hurt, loss: Callable[[Hurt], None]) -> None:
    app, worker = hurt.app, hurt.worker
    taken = len(worker.logged("lane.taken"))
    loss(hurt)
    some_traffic(app, f"after-{loss.__name__}")
    until(lambda: len(worker.logged("lane.taken")) > taken, "a lane is taken again", MEND_S)
    worker.until_ready(MEND_S)
    app.assert_right(worker, MEND_S)
    hows = {line["how"].partition(":")[0].partition(" from ")[0] for line in worker.logged("lane.taken")[taken:]}
    assert hows <= {"rebuilt", "rolled forward"}
    assert len(worker.logged("worker.started")) == 1


# ---- Kafka


def test_a_broker_that_hangs_dies_and_comes_back_is_waited_for(own_stack: Stack, tmp_path: Path) -> None:
    with Application(own_stack, tmp_path, "k-", max_batch_events=200) as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        app.assert_right(worker)
        own_stack.pause("kafka")
        until(lambda: not worker.ready, "it is not ready while Kafka hangs", MEND_S)
        assert worker.live
        own_stack.resume("kafka")
        some_traffic(app, "hung")
        worker.until_ready(MEND_S)
        app.until_accounted(MEND_S)
        for number in range(20_000):
            customer, place = f"load{number % 1_000}", number % 2
            app.sender.event("web", customer, "page_viewed", ago(HOUR) + number, partition=place)
        app.sender.flush()
        app.until_at_work(app.accounted(), MEND_S)
        own_stack.kill_kafka()
        assert app.accounted() < len(app.sender.ledger), "it was in the middle"
        until(lambda: not worker.ready, "it is not ready while Kafka is away", MEND_S)
        assert worker.live
        own_stack.start_kafka()
        some_traffic(app, "killed")
        worker.until_ready(MEND_S)
        app.assert_right(worker, MEND_S)
        assert len(worker.logged("worker.started")) == 1
        own_stack.kill_kafka(signal.SIGTERM)
        # Nothing can be finished now, and it leaves all the same.
        assert worker.stop(STOP_S) == 0


def test_a_fenced_lane_is_taken_again_until_that_is_no_use(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "before")
    app.assert_right(worker)
    customer = app.sender.residents(0, "fenced", 1)[0]

    def fenced(times: int) -> bool:
        return len(worker.logged("lane.doubt", lane=0, reason="fenced")) == times

    for number in range(1, 6):
        fencing_producer(app.settings, app.settings.transactional_id(0))
        app.sender.event("web", customer, "page_viewed", ago(HOUR) + number)
        app.sender.flush()
        until(partial(fenced, number), "it is fenced", MEND_S)
        worker.until_ready(MEND_S)
        app.until_accounted()
    app.assert_right(worker)
    fencing_producer(app.settings, app.settings.transactional_id(0))
    app.sender.event("web", customer, "order_placed", ago(HOUR) + 9)
    app.sender.flush()
    assert worker.ended(MEND_S) == 1
    failed = worker.until_logged("worker.failed")
    assert f"another application uses the transactional id {app.settings.transactional_id(0)}" in failed["why"]
    app.assert_right(app.worker().until_ready())


def test_what_was_aborted_is_not_folded(app: Application) -> None:
    worker = app.worker().until_ready()
    forwarded = (
        ("journey.channel", b"web"),
        ("journey.appended", str(ago(HOUR)).encode()),
        ("journey.origin", f"{app.settings.topic('raw.web')}-1@0".encode()),
        ("journey.hops", b"1"),
    )
    for round_ in range(3):
        with app.sender.transaction("upstream") as transaction:
            for topic, headers in (("raw.web", ()), ("journey.events", forwarded)):
                ghost = app.sender.make("web", f"ghost{round_}", "page_viewed", ago(HOUR), topic=topic)
                ghost.headers = headers
                transaction.put(ghost)
        some_traffic(app, f"round{round_}-")
    with app.sender.transaction("upstream") as transaction:
        transaction.put(app.sender.make("web", "late-but-true", "page_viewed", ago(HOUR)))
        transaction.commit()
    app.assert_right(worker)
    assert app.stages("ghost0") == []
    assert app.stages("late-but-true") == ["seen"]


def test_an_open_transaction_holds_time_and_its_own_topic_alone(stack: Stack, tmp_path: Path, prefix: str) -> None:
    journey = {**JOURNEY, "signals": {"cart_left": {"after": "2s", "since": "last cart", "unless": "ordered"}}}
    with Application(stack, tmp_path, prefix, journey, transaction_timeout_ms=4_000) as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        app.assert_right(worker)
        held = app.sender.residents(0, "held", 2)
        free = app.sender.residents(1, "free", 1)[0]
        with app.sender.transaction("upstream") as transaction:
            transaction.put(app.sender.make("web", held[0], "page_viewed", ago(0)))
            app.sender.event("web", free, "cart_updated", ago(0))
            app.sender.event("store", held[1], "cart_updated", ago(0))
            app.sender.flush()
            until(lambda: app.stages(free) == ["choosing"], "another lane goes on", MEND_S)
            until(lambda: app.stages(held[1]) == ["choosing"], "another topic of the lane goes on", MEND_S)
            topic = app.settings.topic("raw.web")
            until(
                lambda: (worker.metric("journey_lane_lag_records", lane="0", topic=topic) or 0) > 0,
                "the lag shows what cannot be read",
            )
            # Due after two seconds and one of grace: it must not be told, though nothing else is behind.
            until(lambda: (worker.metric("journey_watermark_delay_seconds") or 0) > 4, "time stands still", MEND_S)
            assert not [s for s in app.feed("journey.signals") if s["customer_id"] in {free, held[1]}]
            assert f"held by lane 0 {topic}" in app.command("status").stdout
            assert worker.ready
            transaction.commit()
        app.assert_right(worker)
        told = {s["customer_id"] for s in app.feed("journey.signals")}
        assert {free, held[1]} <= told


# ---- retention


def test_input_that_retention_took_unread_waits_for_a_person(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "before")
    app.assert_right(worker)
    assert worker.stop() == 0
    lost = app.sender.residents(0, "lost", 5)
    given_up = [app.sender.make("web", customer, "page_viewed", ago(HOUR)) for customer in lost]
    for sent in given_up:
        app.sender.put(sent)
    app.sender.flush()
    del app.sender.ledger[-len(given_up) :]
    end = log_ends(app.settings, ["raw.web"], committed=False)[app.settings.topic("raw.web"), 0]
    delete_before(app.settings, "raw.web", 0, end)
    some_traffic(app, "after")
    worker = app.worker()
    worker.until_waits("retention", MEND_S)
    (lane,) = [lane for lane in worker.lanes() if lane["partition"] == 0]
    position = given_up[0].offset
    topic = app.settings.topic("raw.web")
    assert f"{topic}-0: positions {position} to {end} were deleted before they were read" in lane["detail"]
    assert f"journey lane skip --lane 0 --topic {topic} --reason" in lane["detail"]
    assert worker.live
    assert worker.waits() == {"lane 0": "retention"}
    holds_for(lambda: app.records("journey.commands") == [], "nobody decides for a person", 0.5)
    assert order(app, "skip", "--lane", "0", "--reason", "five page views, not worth a replay").returncode == 0
    skipped = worker.until_logged("lane.skipped", lane=0)
    assert (skipped["start"], skipped["end"]) == (position, end)
    worker.until_ready(MEND_S)
    app.assert_right(worker)
    (skip,) = last_lane_records(app.settings)[0].skipped
    assert (skip.topic, skip.start, skip.end) == (topic, position, end)
    assert skip.reason == "five page views, not worth a replay"
    assert worker.metric("journey_skipped_records_total", lane="0", topic=topic) == end - position


# ---- the end


def test_a_lane_that_stands_without_a_reason_ends_the_process(stack: Stack, tmp_path: Path, prefix: str) -> None:
    with Application(stack, tmp_path, prefix, stuck_after_s=3.0) as app:
        worker = app.worker(planted={"stands": True}).until_ready()
        some_traffic(app, "stuck")
        until(lambda: worker.page("/livez")[0] == 503, "/livez fails", MEND_S)
        assert "has not moved for" in worker.page("/livez")[1].decode()
        assert worker.ended(MEND_S) not in {0, 2}
        assert "records to do" in str(worker.until_logged("worker.stuck")["why"])
        app.assert_right(app.worker().until_ready())


def test_sigterm_finishes_what_is_in_flight(stack: Stack, tmp_path: Path, prefix: str) -> None:
    with Application(stack, tmp_path, prefix, max_batch_events=200) as app:
        for round_ in (1, 2):
            worker = app.worker().until_ready()
            for number in range(10_000 * (round_ - 1), 10_000 * round_):
                app.sender.event("web", f"c{number % 500}", "page_viewed", ago(HOUR) + number, partition=number % 2)
            app.sender.flush()
            app.until_at_work(app.accounted(), MEND_S)
            assert worker.stop(STOP_S) == 0
            assert worker.logged("worker.stop") == [], "not in good order"
            assert app.accounted() < len(app.sender.ledger), "it was in the middle"
        app.assert_right(app.worker().until_ready())


# ---- mistakes at the start


def refused(app: Application, *lines: str) -> None:
    """The worker ends at once with exit code 2, a message of these parts, and no traceback."""
    (app.directory / "refused.log").unlink(missing_ok=True)
    worker = app.worker("refused")
    assert worker.ended(MEND_S) == 2, worker.tail()
    told = worker.log_file.read_text()
    for line in lines:
        assert line in told
    assert "Traceback" not in told


def changed(**journey: Any) -> dict[str, Any]:
    return {**JOURNEY, **journey}


def test_wrong_settings_are_refused_with_their_place(app: Application) -> None:
    app.write_settings(partitons=4, latenes="3 weeks")
    refused(app, "settings.yaml:", "did you mean 'partitions'?", "did you mean 'lateness'?")


def test_a_wrong_journey_is_refused_with_its_place(app: Application) -> None:
    app.write_journey(changed(signals={"cart_left": {"after": "1h", "since": "last cart", "unless": "orderd"}}))
    refused(app, "journey.yaml:", "orderd", "did you mean 'ordered'?")


def test_missing_topics_are_refused(app: Application) -> None:
    app.write_settings(prefix="nowhere-")
    refused(app, "nowhere-raw.web", "journey topics apply")


def test_another_number_of_partitions_is_refused(app: Application) -> None:
    app.write_settings(partitions=3)
    refused(app, app.settings.topic("journey.profiles"), "partitions")


def test_a_topic_with_the_senders_time_is_refused(app: Application) -> None:
    admin = AdminClient({"bootstrap.servers": app.settings.brokers})
    topic = app.settings.topic("raw.web")
    change = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    wrong = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    for done in admin.incremental_alter_configs([wrong]).values():
        done.result(10)
    refused(app, topic, "message.timestamp.type", "LogAppendTime")


def test_a_redis_that_forgets_is_refused(hurt: Hurt, tmp_path: Path) -> None:
    hurt.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with Application(hurt.stack, tmp_path, "forgets-") as app:
            refused(app, "allkeys-lru", "noeviction")
    finally:
        hurt.command("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_a_journey_that_cannot_take_over_its_customers_is_refused(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "first")
    app.assert_right(worker)
    assert worker.stop() == 0
    later = {"cart_left": {**JOURNEY["signals"]["cart_left"], "after": "3h"}}
    app.write_journey(changed(signals=later))
    refused(app, "journey shop", "raise the version in its file")
    app.write_journey(changed(version=2, signals={}))
    refused(app, "journey shop version 2", "cart_left", "another app_id")
    app.write_journey(changed(version=2, signals=later))
    app.worker().until_ready()
