"""`journey transactions`: what senders left open is listed, told by `journey status`, and ended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.kafka.batches import Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, Connection
from pipeline.adapters.kafka.producing import produce
from pipeline.dev.stack import Stack
from tests.harness.application import HOUR, Application, ago, some_traffic
from tests.harness.sending import fencing_producer
from tests.harness.waiting import until

NOBODY = 4_711
"""The id of a producer that there is none of."""

PATIENCE_S = 40.0


@pytest.fixture(scope="module")
def trusting() -> Iterator[Stack]:
    """A broker that takes a batch of a transaction which no coordinator knows, as one before 4.0 does."""
    with Stack(props={"transaction.partition.verification.enable": "false"}) as running:
        yield running


@pytest.fixture
def app(trusting: Stack, tmp_path: Path, prefix: str) -> Iterator[Application]:
    with Application(trusting, tmp_path, prefix) as application:
        yield application


async def left_by_nobody(app: Application, topic: str) -> None:
    [batch] = cut([(b"k", b"{}", ())], 1, Stamp(NOBODY, 0, 0, True))
    async with Cluster(Connection(app.settings.brokers, "test", 5.0)) as cluster:
        await produce(cluster, {(app.settings.topic(topic), 0): batch}, 5.0, "nobody")


def listed(app: Application) -> list[dict[str, object]]:
    shown = app.command("transactions", "list", "--untouched", "0", "--json")
    assert shown.returncode == 0, shown.stderr
    found: list[dict[str, object]] = json.loads(shown.stdout)
    return found


def aborted(app: Application, topic: str, offset: object, *more: str) -> tuple[int, str, str]:
    place = ("--topic", app.settings.topic(topic), "--partition", "0", "--offset", str(offset))
    done = app.command("transactions", "abort", *place, *more)
    return done.returncode, done.stdout, done.stderr


def test_a_sender_that_hangs_is_named_where_it_holds_a_lane_and_can_be_fenced(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "before")
    app.assert_right(worker)
    assert listed(app) == []
    customer = app.sender.residents(0, "held", 1)[0]
    with app.sender.transaction("upstream") as transaction:
        transaction.put(app.sender.make("web", customer, "page_viewed", ago(HOUR), partition=0))
        [found] = listed(app)
        assert (found["topic"], found["partition"]) == (app.settings.topic("raw.web"), 0)
        assert str(found["transactional_id"]).endswith("upstream")
        assert isinstance(found["ends_at"], int)

        def told() -> str:
            return app.command("status").stdout

        until(lambda: f"left open at offset {found['offset']}" in told(), "status says what holds the lane", PATIENCE_S)
        assert app.command("status").returncode == 1
        status, said, _ = aborted(app, "raw.web", found["offset"])
        assert (status, f"of {found['transactional_id']} that began" in said) == (0, True)
        transaction.ended_by_another()
    assert listed(app) == []
    some_traffic(app, "after")
    app.assert_right(worker)
    assert app.stages(customer) == []
    assert app.command("status").returncode == 0


async def test_what_nobody_knows_is_aborted_by_a_marker_on_an_input(app: Application) -> None:
    await left_by_nobody(app, "raw.web")
    [found] = listed(app)
    assert (found["transactional_id"], found["ends_at"], found["producer_id"]) == (None, None, NOBODY)
    shown = app.command("transactions", "list", "--untouched", "0").stdout
    assert f"producer {NOBODY}, which no coordinator knows" in shown
    assert "nobody will end it" in shown
    assert aborted(app, "raw.web", found["offset"])[0] == 0
    assert listed(app) == []


async def test_what_is_our_lanes_is_not_aborted_by_the_way(app: Application) -> None:
    await left_by_nobody(app, "journey.events")
    [found] = listed(app)
    status, _, told = aborted(app, "journey.events", found["offset"])
    assert (status, "docs/operate.md" in told, "--force" in told) == (1, True, True)
    assert len(listed(app)) == 1
    assert aborted(app, "journey.events", found["offset"], "--force")[0] == 0
    assert listed(app) == []


def test_a_lane_that_is_at_work_is_never_fenced_by_it(app: Application) -> None:
    lane = fencing_producer(app.settings, app.settings.transactional_id(0))
    lane.begin_transaction()
    lane.produce(app.settings.topic("raw.web"), b"{}", partition=0)
    assert lane.flush(10) == 0
    [found] = listed(app)
    status, _, told = aborted(app, "raw.web", found["offset"])
    assert (status, "is a lane of ours" in told) == (1, True)
    lane.abort_transaction(10)
    assert listed(app) == []


def test_where_no_transaction_begins_there_is_none(app: Application) -> None:
    status, _, told = aborted(app, "raw.web", 99)
    assert (status, "no transaction is open on" in told, "journey transactions list" in told) == (1, True, True)
