"""What is personal stays where it was sent: addresses and numbers are planted, and searched for everywhere else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.topic_files import topic_files
from pipeline.dev.stack import Stack
from tests.harness import reading
from tests.harness.application import HOUR, MINUTE, Application, ago
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0
ADDRESSES = [
    "Zuzanna.Canary@Example.org",
    "zuzanna.canary@example.org",
    " ZUZANNA.CANARY@EXAMPLE.ORG",
    "zuzanna.canary@example.org",
]
NUMBERS = ["+48 22 555 98 76", "+48225559876", "+48 (22) 555-98-76", "0048 22 5559876"]
CANARIES = re.compile(rb"zuzanna|canary|225559876|22 ?555|555-98-76|5559876", re.IGNORECASE)
"""Any piece of them, in any spelling, as text; numbers without what stands between their digits, too."""
EXEMPT = "dead-letters"
"""Holds what could not be used as it was sent, for a week; the inputs are what was sent."""


def found(data: bytes) -> list[bytes]:
    """The canaries in it, with something around them; as it is, and as UTF-16."""
    plain = [data[max(0, hit.start() - 40) : hit.end() + 20] for hit in CANARIES.finditer(data)]
    return plain + [hit[0] for hit in CANARIES.finditer(data.replace(b"\0", b""))][len(plain) :]


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with Application(stack, tmp_path_factory.mktemp("personal"), "personal-", log_level="debug") as running:
        running.worker().until_ready(WAIT_S)
        yield running


@pytest.fixture(scope="module")
def worker(app: Application) -> WorkerProcess:
    """After all that is planted: names alone, names with a customer, values that are none, links, and explanations."""
    sender = app.sender
    spellings = [*({"email": each} for each in ADDRESSES), *({"phone": each} for each in NUMBERS)]
    for number, identities in enumerate(spellings):
        for partition in range(app.settings.partitions):
            made = sender.make("web", "nobody", "page_viewed", ago(6 * HOUR) + number, partition=partition)
            said = json.loads(made.value or b"")
            del said["customer_id"]
            made.value, made.key = json.dumps({**said, "identities": identities}).encode(), b"1"
            sender.put(made)
        sender.event("email", "4711", "cart_updated", ago(5 * HOUR) + number, identities=identities)
        sender.event("phone", f"c{number}", "page_viewed", ago(4 * HOUR), identities=identities)
        sender.event("store", "4711", "order_placed", ago(MINUTE), properties={"note": identities})
    # A number that is none beside a customer id, and one alone: passed over, and a dead letter.
    sender.event(
        "web", "4712", "page_viewed", ago(HOUR), identities={"email": "Canary at Example", "phone": NUMBERS[0][:6]}
    )
    sender.event("web", "4712", "zuzanna", ago(-HOUR), dead="future", identities={"email": ADDRESSES[0]})
    app.until_accounted(WAIT_S)
    assert app.command("identity", "link", f"email:{ADDRESSES[2].strip()}", "4713", "--reason", "x").returncode == 0
    assert app.command("identity", "block", f"phone:{NUMBERS[2]}", "4711", "--reason", "x").returncode == 0
    app.until_at_rest(WAIT_S)
    one = app.workers["one"]
    app.until_time_has_passed(one, WAIT_S)
    return one


def test_all_spellings_are_one_identity(app: Application, worker: WorkerProcess) -> None:
    for spellings, kind in ((ADDRESSES, "email"), (NUMBERS[:3], "phone")):
        keys = set()
        for spelling in spellings:
            done = app.command("identity", "show", f"{kind}:{spelling.strip()}", "--json", within_s=WAIT_S)
            assert done.returncode == 0, done.stderr
            assert not found(done.stdout.encode())
            keys.add(json.loads(done.stdout)["identity"])
        assert len(keys) == 1
        assert re.fullmatch(f"{kind}:[0-9a-f]{{32}}", keys.pop())


def test_no_topic_of_ours_holds_any(app: Application, worker: WorkerProcess) -> None:
    searched = []
    for topic in topic_files():
        if topic.role in ("input", EXEMPT):
            continue
        records = app.records(topic.name)
        for record in records:
            whole = b"|".join(
                [record.key or b"", record.value or b"", *(value or b"" for value in record.headers.values())]
            )
            assert not found(whole), (topic.name, record.offset, found(whole))
        searched += [topic.name] if records else []
    wanted = {"transitions", "signals", "customers", "profiles", "events", "commands", "progress"}
    assert {name.removeprefix("journey.") for name in searched} == wanted


def test_the_search_finds_what_is_there(app: Application, worker: WorkerProcess) -> None:
    assert any(found(record.value or b"") for record in app.records("raw.web"))
    assert any(found(record.value or b"") for record in app.records("journey.dlq"))
    assert found("Zuzanna".encode("utf-16"))


def test_no_field_in_redis_holds_any(app: Application, worker: WorkerProcess) -> None:
    tables = reading.read_tables(app.settings)
    assert sum(len(table.fields) for table in tables.values()) > 10
    with reading.redis_client(app.settings) as client:
        for key in client.scan_iter(f"{app.settings.app_id}*"):
            assert not found(client.dump(key) + key)
    for table in tables.values():
        for place, value in [*table.fields.items(), *((member, b"") for member in table.due)]:
            assert not found(place + b"|" + value), place


def test_no_log_and_no_page_holds_any(app: Application, worker: WorkerProcess) -> None:
    assert not found(worker.log_file.read_bytes())
    assert len(worker.log()) > 5
    for page in ("/metrics", "/status", "/readyz", "/livez"):
        status, body = worker.page(page)
        assert (status, found(body)) == (200, [])
        assert body


def test_another_key_is_refused(app: Application, worker: WorkerProcess, tmp_path: Path) -> None:
    other = {"JOURNEY_IDENTITY_KEY": "another key, as of a careless copy"}
    second = app.worker("two", environment=other)
    assert second.ended(WAIT_S) == 2
    assert "knows its customers by hashes of another key" in second.tail()
    assert other["JOURNEY_IDENTITY_KEY"] not in second.tail(1000)
    app.write_settings(identity_key=other["JOURNEY_IDENTITY_KEY"])
    done = app.command("show", "4711", within_s=WAIT_S)
    app.write_settings()
    assert done.returncode == 2
    assert "the lanes hash identities by another key" in done.stderr
