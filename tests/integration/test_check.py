"""`journey check` on a real Kafka and Redis: silent about what is right, and each planted fault is found."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from pipeline.checker.findings import INVARIANTS, MEANINGS, Findings
from pipeline.cli.check_run import check
from pipeline.dev.stack import Stack
from pipeline.errors import UserError
from tests.harness.application import HOUR, MINUTE, Application, ago, some_traffic
from tests.harness.planted_records import FAULTS
from tests.harness.reading import Table, delete_before, log_ends, read_tables, redis_client
from tests.harness.sending import Sent
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

RIGHT = "right"
WAITING = "right-waiting"
"""A customer whose timers run."""
WAIT_S = 60.0
BUSY = 500
CAUGHT = {
    "transition lost": ("lost", "torn"),
    "transition doubled": ("doubled",),
    "seq skipped": ("gap", "torn"),
    "wrong stage": ("gap", "torn", "wrong", "lost"),
    "profile lost": ("lost", "torn", "table"),
    "customer record lost": ("customer",),
    "signal lost": ("lost",),
    "told too soon": ("silence",),
    "claim lost": ("lost",),
    "strand lost": ("lost",),
    "sent on, lost": ("lost",),
    "sent on twice": ("doubled",),
    "move untold": ("gap",),
}
"""Fault -> kinds of findings that must be among those which name its customer."""
CAUGHT_AT = {
    "wrong total": ("totals", "accounted for"),
    "route lost": ("lost", "was not routed"),
    "route doubled": ("doubled", "was routed twice"),
    "dead letter lost": ("lost", "no dead letter"),
}
"""Fault -> kind and words of the one finding that tells of it by its place in a topic."""


LINKED = ("claim lost", "strand lost", "sent on, lost", "sent on twice", "move untold")
"""Faults that are done to somebody who is first seen without a name."""


def named(fault: str) -> str:
    return fault.replace(" ", "-").replace(",", "")


def visit(app: Application, name: str, hour: int) -> None:
    """A visit of which only the anonymous identity is known, so many hours ago."""
    anonymous = {"customer_id": None, "identities": {"anonymous": name}}
    app.sender.event("web", f"anonymous:{name}", "page_viewed", ago(hour * HOUR), **anonymous)


def sign_in(app: Application, name: str, hour: int) -> None:
    """From now on whoever looks knows that the visits were this customer's."""
    app.sender.event("web", name, "cart_updated", ago(hour * HOUR), identities={"anonymous": name})


def linked_traffic(app: Application, tag: str, customers: int) -> None:
    """Customers who are first seen without a name; two of three come back so, and all share one kiosk by threes."""
    for number in range(customers):
        name = f"{tag}{number}"
        visit(app, name, 7)
        sign_in(app, name, 6)
        kiosk = {"identities": {"anonymous": f"{tag}-kiosk-{number // 3}"}}
        app.sender.event("store", name, "page_viewed", ago(5 * HOUR), **kiosk)
        if number % 3:
            visit(app, name, 4)


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A small application that a real worker has run, at rest."""
    with Application(stack, tmp_path_factory.mktemp("check"), "check-") as running:
        worker = running.worker().until_ready(WAIT_S)
        some_traffic(running, RIGHT)
        running.sender.event("web", WAITING, "cart_updated", ago(MINUTE))
        running.sender.put(Sent("raw.phone", "phone", 1, None, b"no event", dead="not_json"))
        running.until_accounted(WAIT_S)
        running.until_time_has_passed(worker, WAIT_S)
        assert worker.stop() == 0
        yield running


def findings_of(app: Application) -> Findings:
    return check(app.settings, jobs=1, kept=1_000).findings


def told(findings: Findings, name: str) -> set[str]:
    """The kinds of the findings that name somebody."""
    return {found.kind for found in findings.examples if name in str(found)}


def report(app: Application, *options: str) -> tuple[int, Any]:
    done = app.command("check", "--json", *options, within_s=WAIT_S)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_what_is_right_gives_no_finding(app: Application) -> None:
    code, said = report(app, "--jobs", "2")
    assert (code, said["right"], said["findings"], said["unjudged"]) == (0, True, {}, {})
    assert said["checked"]["events"] == len(app.sender.ledger) + said["checked"]["routed records"]
    assert said["checked"]["customers"] == 13
    for what in ("transitions", "signals", "timers fired", "Redis fields", "customer records", "dead letters"):
        assert said["checked"][what] > 0


def test_what_is_at_work_gives_no_finding(app: Application) -> None:
    """Checked again and again while a worker goes on, until it has done everything."""
    worker = app.worker().until_ready(WAIT_S)
    some_traffic(app, f"{RIGHT}-busy", customers=BUSY)
    linked_traffic(app, f"{RIGHT}-linked", customers=BUSY // 5)
    done = checks = 0
    while done < len(app.sender.ledger):
        done = app.accounted()
        findings = findings_of(app)
        assert findings.total == 0, list(map(str, findings.examples))
        checks += 1
    assert checks > 0
    app.until_time_has_passed(worker, WAIT_S)
    assert worker.stop() == 0
    findings = findings_of(app)
    assert (findings.total, dict(findings.unjudged)) == (0, {})
    assert findings.checked["histories of linked customers"] >= BUSY // 5


def test_a_transaction_that_is_open_is_waited_for_and_one_that_was_aborted_is_nothing(app: Application) -> None:
    with app.sender.transaction("check") as transaction:
        transaction.put(app.sender.make("web", f"{RIGHT}-open", "page_viewed", ago(HOUR)))
        assert findings_of(app).total == 0
    assert findings_of(app).total == 0


# ---- faults in Redis: planted, found, mended


def stale(client: Any, key: str, table: Table) -> bytes:
    field, other = sorted(field for field in table.fields if field != b"@lane")[:2]
    client.hset(key, field, table.fields[other])
    return field


def missing(client: Any, key: str, table: Table) -> bytes:
    field = min(field for field in table.fields if field != b"@lane")
    client.hdel(key, field)
    return field


def surplus(client: Any, key: str, table: Table) -> bytes:
    client.hset(key, "c:nobody", min(table.fields.values()))
    return b"c:nobody"


def out_of_the_index(client: Any, key: str, table: Table) -> bytes:
    client.zadd(f"{key}:due", {b"c:nobody": 1})
    return b"c:nobody"


def behind(client: Any, key: str, table: Table) -> bytes:
    """The position says more than the data have."""
    topic, _, offset = (table.position or b"").rpartition(b":")
    client.hset(key, "@pos", b"%b:%d" % (topic, int(offset) + 1))
    return b"@pos"


@pytest.mark.parametrize(
    ("plant", "kind"),
    [(stale, "table"), (missing, "table"), (surplus, "table"), (out_of_the_index, "table"), (behind, "ahead")],
)
def test_a_fault_in_redis(app: Application, plant: Callable[[Any, str, Table], bytes], kind: str) -> None:
    key = app.settings.table_key(0)
    with redis_client(app.settings) as client:
        table, backup = read_tables(app.settings)[0], {name: client.dump(name) for name in (key, f"{key}:due")}
        try:
            field = plant(client, key, table)
            found = findings_of(app)
        finally:
            for name, content in backup.items():
                client.delete(name)
                if content is not None:
                    client.restore(name, 0, content)
    assert found.counts == {kind: 1}
    assert field.decode() in str(found.examples[0])


def test_a_timer_that_nobody_will_look_at(app: Application) -> None:
    field, lane = f"c:{WAITING}", app.sender.home(WAITING)
    with redis_client(app.settings) as client:
        key = f"{app.settings.table_key(lane)}:due"
        score = client.zscore(key, field)
        client.zrem(key, field)
        found = findings_of(app)
        client.zadd(key, {field: score})
    assert found.counts == {"table": 1}
    assert "(index)" in str(found.examples[0])


def test_a_lost_table(app: Application) -> None:
    key = app.settings.table_key(1)
    with redis_client(app.settings) as client:
        assert isinstance(client, redis.Redis)
        client.rename(key, f"{key}:away")
        found = findings_of(app)
        client.rename(f"{key}:away", key)
    assert found.counts == {"table": 1}
    assert "no @pos" in str(found.examples[0])


# ---- faults in the topics: planted by one worker for a customer each, found by one check


@pytest.fixture(scope="module")
def spoiled(app: Application) -> Findings:
    worker = app.worker(planted={"records": {fault: named(fault) for fault in FAULTS}}).until_ready(WAIT_S)
    sender = app.sender
    for fault in FAULTS:
        customer = named(fault)
        if fault.startswith("route"):
            sender.event("web", customer, "page_viewed", ago(6 * HOUR), partition=sender.elsewhere(customer))
        elif fault == "told too soon":
            sender.event("web", customer, "cart_updated", ago(20 * MINUTE))
        elif fault in LINKED:
            visit(app, customer, 6)
        elif fault == "dead letter lost":
            sender.put(Sent("raw.web", "web", sender.home(customer), customer.encode(), b"{}", dead="no_id"))
        else:
            sender.event("web", customer, "page_viewed", ago(6 * HOUR))
            sender.event("web", customer, "cart_updated", ago(5 * HOUR))
    until_at_rest(app, worker)
    for fault in LINKED:
        sign_in(app, named(fault), 5)
    until_at_rest(app, worker)
    for fault in LINKED:
        visit(app, named(fault), 4)
    until_at_rest(app, worker)
    assert worker.stop() == 0
    return findings_of(app)


def until_at_rest(app: Application, worker: WorkerProcess) -> None:
    """Until what can come to its end has, though some events get nowhere, and others come twice."""
    app.sender.flush()
    read = sum(not sent.is_command for sent in app.sender.ledger)
    app.until_at_work(read - 3, WAIT_S)
    app.until_time_has_passed(worker, WAIT_S)


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_in_the_records_of_a_customer(spoiled: Findings, fault: str) -> None:
    assert set(CAUGHT[fault]) <= told(spoiled, named(fault)), list(map(str, spoiled.examples))


@pytest.mark.parametrize("fault", CAUGHT_AT)
def test_a_fault_at_a_place(spoiled: Findings, fault: str) -> None:
    kind, words = CAUGHT_AT[fault]
    found = [each for each in spoiled.examples if each.kind == kind and words in each.what]
    assert len(found) == 1, list(map(str, spoiled.examples))


def test_every_fault_is_looked_for() -> None:
    assert CAUGHT.keys() | CAUGHT_AT.keys() == FAULTS.keys()


def test_nobody_else_is_suspected(spoiled: Findings) -> None:
    assert told(spoiled, RIGHT) == set()


def test_people_see_what_was_checked_and_what_was_found(spoiled: Findings, app: Application) -> None:
    done = app.command("check", "--examples", "2", within_s=WAIT_S)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"check-journey: {spoiled.total} findings" in done.stdout
    for kind, number in spoiled.counts.items():
        assert f"{INVARIANTS[kind]} {kind}: {number}; {MEANINGS[kind]}" in done.stdout
    for found in spoiled.examples[:2]:
        assert found.where in done.stdout


def test_what_retention_took_is_not_judged(spoiled: Findings, app: Application) -> None:
    (topic, lane), end = max(log_ends(app.settings, ["raw.web"], committed=True).items(), key=lambda item: item[1])
    delete_before(app.settings, "raw.web", lane, end // 2)
    delete_before(app.settings, "journey.transitions", lane, end // 2)
    found = findings_of(app)
    assert told(found, RIGHT) == set(), list(map(str, found.examples))
    assert found.checked["customers"] < spoiled.checked["customers"]
    unjudged = " ".join(found.unjudged)
    assert f"what {topic}-{lane} held before {end // 2}" in unjudged
    assert f"the log of {app.settings.topic('journey.transitions')}-{lane} has lost its beginning" in unjudged


def test_what_cannot_be_read_is_exit_code_2(app: Application) -> None:
    with pytest.raises(UserError, match="journey topics check") as raised:
        check(app.settings.model_copy(update={"prefix": "nothing-"}), jobs=1)
    assert raised.value.exit_code == 2
