"""`journey erase` on a real Kafka and Redis, with a worker: what goes and what stays, who comes back or may not, and
what is planted afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.kafka.sender import home_partition
from pipeline.adapters.redis.commands import Keys
from pipeline.dev.stack import Stack
from tests.harness import reading
from tests.harness.application import HOUR, Application, ago

pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0
EMAIL = "erika.canary@example.org"


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with Application(stack, tmp_path_factory.mktemp("erase"), "erase-", log_level="debug") as running:
        running.worker().until_ready(WAIT_S)
        sender = running.sender
        sender.event("web", "4711", "page_viewed", ago(6 * HOUR), identities={"anonymous": "b-17", "email": EMAIL})
        sender.event("web", "4711", "cart_updated", ago(5 * HOUR), identities={"anonymous": "kiosk"})
        sender.event("store", "4800", "order_placed", ago(4 * HOUR))
        sender.event("web", "5000", "page_viewed", ago(4 * HOUR), identities={"anonymous": "kiosk"})
        running.until_accounted(WAIT_S)
        ordered(running, "identity", "merge", "4800", "4711")
        ordered(running, "identity", "block", "anonymous:tablet", "4800")
        yield running


def ordered(app: Application, *arguments: str, code: int = 0) -> str:
    done = app.command(*arguments, "--reason", "a test", within_s=WAIT_S)
    assert done.returncode == code, done.stdout + done.stderr
    app.until_at_rest(WAIT_S)
    return done.stdout + done.stderr


def verified(app: Application, customer: str) -> tuple[int, dict[str, object]]:
    done = app.command("erase", customer, "--verify", "--json", within_s=WAIT_S)
    return done.returncode, json.loads(done.stdout)


def test_a_customer_goes_with_all_that_is_theirs(app: Application) -> None:
    refused = ordered(app, "erase", "4800", code=2)
    assert "4800 belongs to 4711, and is erased with that one only: `journey erase 4711`" in refused
    before = verified(app, "4711")
    assert before[0] == 1
    assert {rest["what"] for rest in before[1]["rests"]} >= {"its record"}  # type: ignore[attr-defined]

    said = ordered(app, "erase", "4711")
    deleted, _, rest = said.partition("kept, without any mention")
    for name in ("4711", "4800", "anonymous:b-17", "email:"):
        assert f"\n  {name}" in deleted, said
    for name in ("anonymous:kiosk", "anonymous:tablet"):
        assert f"\n  {name}" in rest, said
    assert "journey.transitions" in rest
    assert "retention.ms 30d" in rest

    code, searched = verified(app, "4711")
    assert (code, searched["rests"], searched["back"]) == (0, [], [])
    assert len(searched["identities"]) == 4  # type: ignore[arg-type]
    for table in reading.read_tables(app.settings).values():
        for place, value in table.fields.items():
            assert b"4711" not in place + value, place
            assert b"b-17" not in place + value, place
    newest = {record.key: record.value for record in app.records("journey.customers")}
    assert (newest[b"4711"], newest[b"anonymous:b-17"]) == (None, None)
    assert newest[b"5000"] is not None


def test_the_kiosk_stays_nobodys(app: Application) -> None:
    both = "somebody who was erased and 5000 have claimed it: it stays shared, and belongs to nobody"
    assert said_of_the_kiosk(app) == ("shared", [both])
    ordered(app, "identity", "block", "anonymous:kiosk", "5000")
    alone = "somebody who was erased has claimed it: it stays shared, and belongs to nobody"
    assert said_of_the_kiosk(app) == (
        "shared",
        [alone, "the claim of 5000 does not count: it is blocked"],
    )


def said_of_the_kiosk(app: Application) -> tuple[str, list[str]]:
    done = app.command("identity", "show", "anonymous:kiosk", "--json", within_s=WAIT_S)
    seen = json.loads(done.stdout)
    return seen["status"], seen["why"]


def test_twice_and_nobody(app: Application) -> None:
    assert "4711 is erased already" in ordered(app, "erase", "4711", code=1)
    assert "nobody is known as 9999" in ordered(app, "erase", "9999", code=1)


def test_who_comes_back_begins_anew(app: Application) -> None:
    epochs = {said["id"].rsplit(":", 2)[1] for said in app.feed() if said["customer_id"] == "4711"}
    app.sender.event("web", "4711", "cart_updated", ago(3 * HOUR))  # of the life that was erased
    app.sender.event("web", "4711", "page_viewed", ago(0))
    app.until_accounted(WAIT_S)
    new = [said for said in app.feed() if said["customer_id"] == "4711"]
    new = [said for said in new if said["id"].rsplit(":", 2)[1] not in epochs]
    assert [(said["seq"], said["from"], said["to"]) for said in new] == [(1, None, "seen")]
    assert int(new[0]["id"].rsplit(":", 2)[1]) > max(map(int, epochs))
    assert app.totals("erased") == 1
    code, searched = verified(app, "4711")
    assert (code, searched["rests"], searched["back"]) == (0, [], ["c:4711"])


def test_the_check_agrees_and_sees_what_is_planted(app: Application) -> None:
    app.until_time_has_passed(app.workers["one"], WAIT_S)
    done = app.command("check", "--json", within_s=WAIT_S)
    checked = json.loads(done.stdout)
    assert (done.returncode, checked["findings"]) == (0, {}), done.stdout
    assert checked["checked"]["erased identities"] == 4

    lane = home_partition(b"anonymous:b-17", app.settings.partitions)
    table = Keys.of(app.settings.application, lane).table
    with reading.redis_client(app.settings) as client:
        client.hset(table, "anonymous:b-17", client.hget(table, "@lane"))
        done = app.command("check", "--json", within_s=WAIT_S)
        client.hdel(table, "anonymous:b-17")
    assert done.returncode == 1
    assert {(each["kind"], each["where"].rpartition(" ")[2]) for each in json.loads(done.stdout)["examples"]} >= {
        ("table", "anonymous:b-17")
    }


def test_a_value_planted_in_the_changelog_is_found(app: Application) -> None:
    app.workers["one"].stop()  # its next record would not be where it expects it
    topic, key = app.settings.topic("journey.profiles"), b"anonymous:b-17"
    old = [record for record in app.records("journey.profiles") if record.key == key and record.value is not None][-1]
    lane = home_partition(key, app.settings.partitions)
    for value, code in ((old.value, 1), (None, 0)):
        app.sender.producer.produce(topic, value, key, partition=lane)
        app.sender.flush()
        planted = [record for record in app.records("journey.profiles") if record.key == key][-1]
        place = f"{topic}-{lane}@{planted.offset}"
        done = app.command("erase", "4711", "--verify", within_s=WAIT_S)
        assert done.returncode == code, done.stdout + done.stderr
        found = f"still there, and should be gone: 1\n  {place}  still there, about anonymous:b-17\n"
        assert (found in done.stdout) == (code == 1), done.stdout
        assert ("Nothing is left that should be gone." in done.stdout) == (code == 0)


def test_later_events_may_be_dropped(stack: Stack, tmp_path: Path) -> None:
    with Application(stack, tmp_path, "dropped-", log_level="debug", erased_later="drop") as app:
        worker = app.worker().until_ready(WAIT_S)
        sender = app.sender
        sender.event("web", "4711", "page_viewed", ago(6 * HOUR), identities={"anonymous": "b-17", "email": EMAIL})
        sender.event("web", "5000", "page_viewed", ago(6 * HOUR))
        app.until_accounted(WAIT_S)
        ordered(app, "erase", "4711")
        told = [said["id"] for said in app.feed() if said["customer_id"] != "5000"]

        sender.event("web", "4711", "cart_updated", ago(0))
        sender.event("store", "4711", "order_placed", ago(0), identities={"anonymous": "b-17"})
        sender.event("email", "5000", "cart_updated", ago(0))
        app.until_accounted(WAIT_S)
        app.until_at_rest(WAIT_S)
        assert app.totals("erased") == 2
        assert worker.metric("journey_events_total", outcome="erased") == 2
        assert app.stages("5000") == ["seen", "choosing"]
        assert [said["id"] for said in app.feed() if said["customer_id"] != "5000"] == told
        code, searched = verified(app, "4711")
        assert (code, searched["rests"], searched["back"]) == (0, [], [])

        app.until_time_has_passed(worker, WAIT_S)
        done = app.command("check", "--json", within_s=WAIT_S)
        checked = json.loads(done.stdout)
        assert (done.returncode, checked["findings"]) == (0, {}), done.stdout
        assert checked["checked"]["erased identities"] == 3
