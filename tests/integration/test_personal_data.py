"""What is personal stays where it was sent: addresses and numbers are planted, and searched for everywhere else.

Then those that are one customer's alone are erased, and searched for by their hashes, too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.erasing_search import COMPACTED
from pipeline.adapters.topic_files import topic_files
from pipeline.dev.stack import Stack
from tests.harness import reading
from tests.harness.application import HOUR, MINUTE, Application, ago
from tests.harness.sending import Sent
from tests.harness.waiting import until
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
OWNER, BROWSER = "sole-owner", "sole-browser"
OWN_ADDRESS, OWN_NUMBER = "Zuzanna@Own.example.org", "+49 22 5559876"
"""Nobody else's, so they are erased with their customer."""
LONE_ADDRESS = "zuzanna@lone.example.org"
"""Of somebody without a customer id."""
TOKEN = "a token for tests, of nobody"
PAGES = (
    "/metrics", "/status", "/readyz", "/livez",
    "/debug/stacks", "/debug/tasks", "/debug/memory?objects=1", "/debug/profile?seconds=0.5",
)  # fmt: skip


def found(data: bytes) -> list[bytes]:
    """The canaries in it, with something around them; as it is, and as UTF-16."""
    plain = [data[max(0, hit.start() - 40) : hit.end() + 20] for hit in CANARIES.finditer(data)]
    return plain + [hit[0] for hit in CANARIES.finditer(data.replace(b"\0", b""))][len(plain) :]


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    directory = tmp_path_factory.mktemp("personal")
    with Application(stack, directory, "personal-", log_level="debug", debug_token=TOKEN) as running:
        running.worker().until_ready(WAIT_S)
        yield running


@pytest.fixture(scope="module")
def worker(app: Application) -> WorkerProcess:
    """After all that is planted: names alone, names with a customer, values that are none, links, and explanations."""
    sender = app.sender
    spellings = [*({"email": each} for each in ADDRESSES), *({"phone": each} for each in NUMBERS)]
    for number, identities in enumerate(spellings):
        for partition in range(app.settings.partitions):
            put_nobodys(app, identities, ago(6 * HOUR) + number, partition)
        sender.event("email", "4711", "cart_updated", ago(5 * HOUR) + number, identities=identities)
        sender.event("phone", f"c{number}", "page_viewed", ago(4 * HOUR), identities=identities)
        sender.event("store", "4711", "order_placed", ago(MINUTE), properties={"note": identities})
    # A number that is none beside a customer id, and one alone: passed over, and a dead letter.
    sender.event(
        "web", "4712", "page_viewed", ago(HOUR), identities={"email": "Canary at Example", "phone": NUMBERS[0][:6]}
    )
    sender.event("web", "4712", "zuzanna", ago(-HOUR), dead="future", identities={"email": ADDRESSES[0]})
    owned = {"email": OWN_ADDRESS, "phone": OWN_NUMBER, "anonymous": BROWSER}
    sender.event("email", OWNER, "cart_updated", ago(5 * HOUR), identities=owned, properties={"note": OWN_ADDRESS})
    put_nobodys(app, {"email": LONE_ADDRESS}, ago(5 * HOUR), 0)
    app.until_accounted(WAIT_S)
    assert app.command("identity", "link", f"email:{ADDRESSES[2].strip()}", "4713", "--reason", "x").returncode == 0
    assert app.command("identity", "block", f"phone:{NUMBERS[2]}", "4711", "--reason", "x").returncode == 0
    assert app.command("identity", "block", f"email:{LONE_ADDRESS}", OWNER, "--reason", "x").returncode == 0
    app.until_at_rest(WAIT_S)
    one = app.workers["one"]
    app.until_time_has_passed(one, WAIT_S)
    return one


def put_nobodys(app: Application, identities: dict[str, str], at: int, partition: int) -> None:
    """Sends an event without a customer id."""
    made = app.sender.make("web", "nobody", "page_viewed", at, partition=partition)
    said = json.loads(made.value or b"")
    del said["customer_id"]
    made.value, made.key = json.dumps({**said, "identities": identities}).encode(), b"1"
    app.sender.put(made)


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
    wanted = {"transitions", "signals", "customers", "profiles", "events", "commands", "progress"}
    assert {name.removeprefix("journey.") for name in topics_without_any(app)} == wanted


def topics_without_any(app: Application) -> list[str]:
    """All topics of ours that hold something, after a search of every record, old values of keys included."""
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
    return searched


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
    look_into(worker)


def look_into(worker: WorkerProcess, *gone: bytes) -> None:
    """Neither the log nor a page has any, nor says one of these."""
    assert len(worker.log()) > 5
    said = [("log", worker.log_file.read_bytes())]
    for page in PAGES:
        status, body = worker.page(page, TOKEN)
        assert status == 200, (page, body)
        said.append((page, body))
    for where, text in said:
        assert text, where
        assert not found(text), where
        assert [name for name in gone if name in text] == [], where


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


# ---- erased


@dataclass(frozen=True)
class Erased:
    """What the two commands said, and by which names those who are gone were known: ids, and hashes of the others."""

    said: list[str]
    names: list[bytes]
    lone: str


@pytest.fixture(scope="module")
def erased(app: Application, worker: WorkerProcess) -> Erased:
    """The customer with what is theirs alone goes first, and then whoever has an address only, by that as typed."""
    names = [OWNER, BROWSER]
    for identity in (f"email:{OWN_ADDRESS}", f"phone:{OWN_NUMBER}", f"email:{LONE_ADDRESS}"):
        shown = app.command("identity", "show", identity, "--json", within_s=WAIT_S)
        names.append(json.loads(shown.stdout)["identity"].partition(":")[2])
    wanted = [name.encode() for name in names]
    live = b"|".join(live_in_redis(app) + live_in_topics(app))
    assert [name for name in wanted if name not in live] == [], "they were there"
    said = []
    for arguments in ((OWNER,), (f"email:{LONE_ADDRESS.upper()}", "--json")):
        done = app.command("erase", *arguments, "--reason", "a test", within_s=WAIT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout + done.stderr)
        app.until_at_rest(WAIT_S)
    return Erased(said, wanted, names[-1])


def live_in_redis(app: Application) -> list[bytes]:
    """All fields and their values, and the index of timers."""
    tables = reading.read_tables(app.settings).values()
    fields = [place + b"|" + value for table in tables for place, value in table.fields.items()]
    return fields + [member for table in tables for member in table.due]


def live_in_topics(app: Application) -> list[bytes]:
    """What a compaction would keep: each key with its newest value, unless that is a tombstone."""
    newest = {
        (topic.name, record.partition, record.key or b""): record.value
        for topic in topic_files()
        if topic.role in COMPACTED
        for record in app.records(topic.name)
    }
    return [key + b"|" + value for (_, _, key), value in newest.items() if value is not None]


def test_what_is_live_has_forgotten_the_erased(app: Application, erased: Erased) -> None:
    for live in (live_in_redis(app), live_in_topics(app)):
        assert len(live) > 10, "others are still there"
        for value in live:
            assert [name for name in erased.names if name in value] == [], value


def test_erasing_says_nothing_in_clear(app: Application, worker: WorkerProcess, erased: Erased) -> None:
    orders = [order for order in app.feed("journey.commands") if order["command"] == "erase"]
    assert [(order["identity"], order["mentioned"]) for order in orders] == [
        (OWNER, [f"email:{erased.lone}"]),
        (f"email:{erased.lone}", []),
    ]
    assert "journey.commands" in topics_without_any(app)
    for said in erased.said:
        assert f"email:{erased.lone}" in said
        assert not found(said.encode())
    look_into(worker, *erased.names)


def test_the_search_for_rests_says_nothing_in_clear(app: Application, erased: Erased) -> None:
    for identity in (OWNER, f"email:{LONE_ADDRESS}"):
        done = app.command("erase", identity, "--verify", within_s=WAIT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Nothing is left that should be gone." in done.stdout
        assert not found((done.stdout + done.stderr).encode())


# ---- the log names nobody, whatever field it was in and whatever went wrong with it

BIRD = "kanarek"
"""Planted in every field; on topics and in Redis it may stand, in the log it may not."""


def valid(**changed: object) -> dict[str, object]:
    event = {
        "id": f"{BIRD}-id", "type": f"{BIRD}_type", "occurred_at": ago(HOUR), "customer_id": f"{BIRD}-4711",
        "identities": {"anonymous": f"{BIRD}-browser", "loyalty": f"{BIRD}-card", BIRD: BIRD},
        "source": BIRD, "actor": "customer", "properties": {BIRD: BIRD, "text": f"my name is {BIRD}"}, BIRD: BIRD,
    }  # fmt: skip
    return {name: value for name, value in (event | changed).items() if value is not None}


EVENTS: dict[str, tuple[object, str]] = {
    "valid": (valid(), ""),
    "on which the fold raises": (valid(id=f"{BIRD}-raises", type="boom"), "fold_error"),
    "torn": (f'{{"id": "{BIRD}', "not_json"),
    "no JSON": (f"{BIRD}\x00", "not_json"),
    "no object": ([BIRD], "not_json"),
    "without id": (valid(id=None), "no_id"),
    "a long id": (valid(id=BIRD * 20), "bad_id"),
    "nobody": (valid(customer_id=None, identities={BIRD: BIRD}), "no_identity"),
    "a customer id that is none": (valid(customer_id={BIRD: BIRD}), "bad_identity"),
    "an address that is none": (valid(customer_id=None, identities={"email": BIRD}), "bad_identity"),
    "a time that is none": (valid(occurred_at=BIRD), "bad_time"),
    "the future": (valid(occurred_at=ago(-HOUR)), "future"),
    "too large": (valid(properties={BIRD: BIRD * 60_000}), "too_large"),
    "another channel": (valid(channel=BIRD), "channel_mismatch"),
    "an actor that is none": (valid(actor=BIRD), "invalid"),
    "a merge into nobody": (valid(type="customer_merged", properties={"into": {BIRD: BIRD}}), "invalid"),
}

ORDER = {"id": BIRD, "reason": f"{BIRD} has called", "at": BIRD, "topic": BIRD, "journey": BIRD, "text": BIRD,
         "fingerprint": BIRD, "version": 2, "former": 1, "stages": {BIRD: BIRD}, "lane": 0}  # fmt: skip
ORDERS: list[dict[str, Any]] = [
    {"command": "prepare", "kind": "promote"},
    {"command": "switch", "id": f"{BIRD}-2"},
    {"command": "abandon"},
    {"command": "skip"},
    {"command": "link", "identity": f"anonymous:{BIRD}", "customer": f"{BIRD}-4711"},
    {"command": "block", "identity": BIRD, "customer": f"{BIRD}:{BIRD}"},
    {"command": BIRD},
    {"command": "pause", "lane": BIRD},
    {"command": "pause"},
    {"command": "resume"},
]


def test_the_log_names_nobody_whatever_goes_wrong(stack: Stack, tmp_path: Path) -> None:
    with Application(stack, tmp_path, "unnamed-", log_level="debug") as app:
        silent = app.sender.residents(0, f"{BIRD}-silent-", 1)[0]
        app.sender.event("web", silent, "cart_updated", ago(3 * HOUR))
        app.sender.flush()
        worker = app.worker(planted={"event_raises": ["boom"], "time_raises": [silent], "quotes": 2}).until_ready(
            WAIT_S
        )
        for value, dead in EVENTS.values():
            for lane in range(app.settings.partitions):
                data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                headers = ((BIRD, BIRD.encode()), ("traceparent", BIRD.encode()))
                app.sender.put(Sent("raw.web", "web", lane, BIRD.encode(), data, headers, dead=dead))
        app.sender.put(Sent("journey.events", "web", 0, BIRD.encode(), BIRD.encode(), ((BIRD, None),), dead="invalid"))
        app.until_accounted(WAIT_S)
        for order in ORDERS:
            app.sender.put(Sent("journey.commands", "", 0, BIRD.encode(), json.dumps(ORDER | order).encode()))
        app.sender.put(Sent("journey.commands", "", 0, BIRD.encode(), BIRD.encode()))
        app.until_at_rest(WAIT_S)
        app.until_time_has_passed(worker, WAIT_S)
        until(lambda: worker.logged("lane.resumed"), "all orders are obeyed", WAIT_S)
        assert worker.stop(20) == 0
        said = {line["event"] for line in worker.log()}
        assert said >= {
            "event.isolated", "events.dead", "timers.parked", "lane.bug", "lane.doubt", "lane.paused", "lane.resumed",
            "lane.prepared", "lane.order_of_no_effect",
        }, said  # fmt: skip
        reasons = {line["reason"] for line in worker.logged("events.dead")}
        assert reasons >= {dead for _, dead in EVENTS.values() if dead} | {"bad_command"}
        hits = [line for line in worker.log_file.read_text().splitlines() if BIRD in line.casefold()]
        assert hits == []
        assert any(BIRD.encode() in (record.value or b"") for record in app.records("journey.dlq")), "it was there"
