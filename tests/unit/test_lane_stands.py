"""Bugs in the fold: one event or one customer's timers at a time, and a lane that stops before it is too many."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline.adapters.kafka.sender import home_partition
from pipeline.domain.encoding import decode
from pipeline.domain.feed import Feed
from pipeline.domain.fold import Fold, Outcome
from pipeline.domain.packing import Names
from pipeline.domain.profile import Event, Profile
from tests.fakes.pipeline import HOUR, MINUTE, PARTITIONS, START, TOPICS, Workers, journey

HOME = home_partition(b"anna", PARTITIONS)
AWAY = 1 - HOME


class BuggyFold(Fold):
    """Raises on events of customers called `boom...`, and on the timers of those called `tic...`; once it has changed
    the profile. Unless it is mended."""

    mended = False

    def event(self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed) -> Outcome:
        outcome = super().event(profile, identity, event, watermark, feed)
        if event.type == "order_placed" and profile.key.startswith("c:boom") and not self.mended:
            raise ValueError(f"cannot fold an order of {profile.key}")
        return outcome

    def time(self, profile: Profile, watermark: int, feed: Feed) -> None:
        super().time(profile, watermark, feed)
        if profile.key.startswith("c:tic"):
            raise ValueError(f"cannot let time pass for {profile.key}")


def buggy(fold: Fold) -> Fold:
    return BuggyFold(fold.journeys, frozenset(), fold._lateness, fold._limit)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers(fold=buggy)
    yield workers
    await workers.kill()


def at_home(prefix: str, number: int) -> list[str]:
    """So many customers whose home is the lane of anna."""
    names = (f"{prefix}{n}" for n in range(1000))
    return [name for name in names if home_partition(name.encode(), PARTITIONS) == HOME][:number]


def mend(workers: Workers) -> None:
    workers._wrap = lambda fold: fold


async def restart(workers: Workers, generation: int, code: str = "1", version: int = 1) -> None:
    await workers.kill()
    workers.start(journey(version, f"f{version}"), code)
    workers.run(generation)
    await workers.settle()


def order(workers: Workers, lane: int, command: str = "resume", **more: Any) -> None:
    said = {"id": "1", "command": command, "lane": lane, "reason": "mended", **more}
    workers.append(TOPICS.commands, lane, json.dumps(said).encode())


def reason(workers: Workers, lane: int = HOME) -> str:
    return workers.lanes[lane].report().reason


# ---- one at a time


async def test_a_poison_event_is_isolated_and_the_batch_is_done_without_it(workers: Workers) -> None:
    workers.run()
    (boom,) = at_home("boom", 1)
    for customer in ("anna", boom, "anna", boom):
        workers.send(customer, "page_viewed", START)
        workers.send(customer, "order_placed", START + MINUTE, number=f"order of {customer}")
        workers.send(customer, "cart_updated", START + 2 * MINUTE)
    await workers.settle()
    assert sorted(workers.stages()) == [
        ("anna", "bought", "entered"),
        ("anna", "seen", "entered"),
        (boom, "seen", "entered"),
    ]
    letters = workers.records(TOPICS.dead_letters)
    assert [json.loads(letter.value)["id"] for letter in letters] == [f"order of {boom}"] * 2
    headers = dict(letters[0].headers)
    assert (headers["journey.reason"], headers["__connect.errors.stage"]) == (b"fold_error", b"FOLD")
    assert b"cannot fold an order" in headers["__connect.errors.exception.stacktrace"]
    totals = {outcome: workers.totals(outcome) for outcome in ("read", "folded", "duplicate", "dead")}
    assert totals == {"read": 12, "folded": 9, "duplicate": 1, "dead": 2}
    assert workers.record(HOME).dead == {"fold_error": 2}
    assert workers.table_equals_changelog()


async def test_a_poison_event_that_was_routed_is_isolated_at_home(workers: Workers) -> None:
    workers.run()
    (boom,) = at_home("boom", 1)
    workers.send(boom, "order_placed", START, away=True)
    workers.send("anna", "order_placed", START, away=True)
    await workers.settle()
    (letter,) = workers.records(TOPICS.dead_letters)
    headers = dict(letter.headers)
    assert headers["__connect.errors.topic"] == TOPICS.events.encode()
    assert headers["journey.origin"] == f"raw.web-{AWAY}@0".encode()
    assert workers.stages() == [("anna", "bought", "entered")]


async def test_timers_that_raise_are_parked_until_other_code_comes(workers: Workers) -> None:
    workers.run()
    (tic,) = at_home("tic", 1)
    for customer in ("anna", tic):
        workers.send(customer, "cart_updated", START)
    await workers.settle()
    workers.clock.ms = START + 2 * HOUR
    await workers.tick()
    assert [signal["customer_id"] for signal in workers.feed(TOPICS.signals)] == ["anna"]
    parked = decode(
        workers.redis.tables[f"journey:{{{HOME}}}"].fields[f"c:{tic}".encode()], Names(workers.record(HOME).names)
    )
    assert "cannot let time pass" in parked.parked
    assert (workers.record(HOME).parked, reason(workers)) == (1, "")
    workers.send(tic, "page_viewed", START + 2 * HOUR)
    await workers.tick()
    assert workers.stages() == [(tic, "seen", "entered")]
    await restart(workers, 2)
    await workers.tick()
    assert len(workers.feed(TOPICS.signals)) == 1
    mend(workers)
    await restart(workers, 3, code="2")
    await workers.tick()
    assert [signal["customer_id"] for signal in workers.feed(TOPICS.signals)] == ["anna", tic]
    assert workers.record(HOME).parked_by == {}
    assert workers.table_equals_changelog()


async def test_nobody_is_named_in_the_log(workers: Workers) -> None:
    with capture_logs() as logs:
        workers.run()
        for customer in (*at_home("boom", 2), *at_home("tic", 2), "anna"):
            workers.send(customer, "cart_updated", START)
            workers.send(customer, "order_placed", START + 1)
        workers.append("raw.web", HOME, b'{"id":"1","customer_id":"anna"}')
        await workers.settle()
        workers.clock.ms = START + 2 * HOUR
        await workers.tick()
    assert {(line["event"], line.get("reason")) for line in logs} >= {
        ("event.isolated", "ValueError"),
        ("timers.parked", "ValueError"),
    }
    for name in ("anna", "boom", "tic"):
        assert name not in str(logs)


# ---- a person's order to stand still


async def test_a_paused_lane_takes_nothing_until_it_is_resumed(workers: Workers) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    order(workers, HOME, "pause")
    await workers.settle()
    workers.send("anna", "cart_updated", START + MINUTE)
    await workers.settle()
    report = workers.lanes[HOME].report()
    assert (report.state, report.reason, report.detail) == ("waiting", "paused", "mended")
    assert workers.stages() == [("anna", "seen", "entered")]
    assert workers.totals("read") == 1
    order(workers, HOME)
    await workers.settle()
    assert (reason(workers), workers.record(HOME).paused) == ("", None)
    assert workers.totals("read") == 2
    record = workers.record(HOME)
    assert (record.commands.obeyed, record.commands.dead) == (2, 0)
    assert workers.table_equals_changelog()


async def test_it_stays_paused_over_restarts_and_other_code(workers: Workers) -> None:
    workers.run()
    order(workers, HOME, "pause")
    await workers.settle()
    workers.send("anna", "page_viewed", START)
    await restart(workers, 2, code="2", version=2)
    assert reason(workers) == "paused"
    workers.redis.flush()
    workers.redis.drop_connections()
    await restart(workers, 3)
    assert (reason(workers), workers.totals("read")) == ("paused", 0)
    order(workers, HOME)
    await workers.settle()
    assert workers.stages() == [("anna", "seen", "entered")]


async def test_it_does_not_pause_again_at_the_orders_turn_nor_after_a_restart(workers: Workers) -> None:
    workers.run()
    order(workers, HOME, "pause")
    await workers.settle()
    order(workers, HOME)
    await workers.settle()
    await restart(workers, 2)
    assert (reason(workers), workers.record(HOME).paused) == ("", None)
    order(workers, HOME, "pause")
    await workers.settle()
    assert reason(workers) == "paused"


async def test_a_pause_does_not_wait_for_the_backlog(workers: Workers) -> None:
    for number in range(50):
        workers.send("anna", "page_viewed", START + number)
    order(workers, HOME, "pause")
    order(workers, AWAY, "pause")
    workers.run()
    await workers.settle()
    assert reason(workers) == "paused"
    assert workers.totals("read") < 50


async def test_many_orders_do_not_keep_the_one_that_counts_from_being_heard(workers: Workers) -> None:
    workers.run()
    order(workers, HOME, "pause")
    await workers.settle()
    for _ in range(workers.lanes[HOME]._ports.queue_share() + 1):
        order(workers, HOME, "pause")
    await workers.settle()
    order(workers, HOME)
    await workers.settle()
    assert reason(workers) == ""


async def test_a_breaker_outlives_a_pause_that_was_ordered_before_its_resume(workers: Workers) -> None:
    await trip(workers)
    order(workers, HOME, "pause")
    await workers.settle()
    assert reason(workers) == "breaker"
    mend(workers)
    await restart(workers, 2)
    order(workers, HOME)
    await workers.settle()
    assert reason(workers) == ""


# ---- too many: the breaker


async def trip(workers: Workers) -> list[str]:
    """A bad deploy meets twenty customers' orders; nothing of that batch is written."""
    if not workers.tasks:
        workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    customers = at_home("boom", 20)
    for customer in customers:
        workers.send(customer, "page_viewed", START)
        workers.send(customer, "order_placed", START + MINUTE)
    await workers.settle()
    return customers


def bought(workers: Workers) -> set[str]:
    return {customer for customer, stage, _ in workers.stages() if stage == "bought"}


async def test_the_breaker_opens_and_keeps_the_input(workers: Workers) -> None:
    await trip(workers)
    report = workers.lanes[HOME].report()
    assert (report.state, report.reason) == ("waiting", "breaker")
    assert "the fold raised" in report.detail
    assert workers.records(TOPICS.dead_letters) == []
    assert workers.stages() == [("anna", "seen", "entered")]
    assert workers.record(HOME).breaker is not None
    assert workers.lanes[HOME].progress_record().raw is None
    assert workers.table_equals_changelog()


async def test_the_other_lane_goes_on_and_all_timers_wait(workers: Workers) -> None:
    await trip(workers)
    other = next(f"x{n}" for n in range(99) if home_partition(f"x{n}".encode(), PARTITIONS) == AWAY)
    workers.send(other, "cart_updated", START)
    workers.send(other, "page_viewed", START)
    workers.clock.ms = START + 3 * HOUR
    await workers.tick()
    assert (other, "seen", "entered") in workers.stages()
    assert workers.feed(TOPICS.signals) == []
    assert workers.watermark.holder() == HOME


async def test_a_person_resumes_it(workers: Workers) -> None:
    customers = await trip(workers)
    mend(workers)
    order(workers, AWAY)
    order(workers, HOME, "skip")
    await workers.settle()
    assert reason(workers) == "breaker"
    await restart(workers, 2)
    assert reason(workers) == "breaker"
    order(workers, HOME)
    await workers.settle()
    assert reason(workers) == ""
    assert bought(workers) == set(customers)
    record = workers.record(HOME)
    assert (record.breaker, record.commands.obeyed, record.commands.dead) == (None, 2, 0)
    assert workers.totals("dead") == 0
    assert workers.table_equals_changelog()


async def test_resumed_too_early_it_opens_again_and_the_same_order_does_not_count_twice(workers: Workers) -> None:
    await trip(workers)
    order(workers, HOME)
    await workers.settle()
    assert reason(workers) == "breaker"
    await restart(workers, 2)
    assert reason(workers) == "breaker"
    mend(workers)
    await restart(workers, 3)
    assert reason(workers) == "breaker"
    order(workers, HOME)
    await workers.settle()
    assert reason(workers) == ""


async def test_an_order_from_before_it_opened_does_not_count(workers: Workers) -> None:
    workers.run()
    order(workers, HOME)
    await workers.settle()
    await trip(workers)
    assert reason(workers) == "breaker"


@pytest.mark.parametrize(("code", "version"), [("2", 1), ("1", 2)], ids=["code", "model"])
async def test_another_version_closes_it(workers: Workers, code: str, version: int) -> None:
    customers = await trip(workers)
    mend(workers)
    await restart(workers, 2, code, version)
    assert reason(workers) == ""
    assert bought(workers) == set(customers)
    assert workers.record(HOME).breaker is None


async def test_it_is_remembered_through_a_doubt(workers: Workers) -> None:
    await trip(workers)
    workers.redis.flush()
    workers.redis.drop_connections()
    await restart(workers, 2)
    assert reason(workers) == "breaker"
    assert workers.table_equals_changelog()


@pytest.mark.parametrize("operation", ["commit", "apply"])
async def test_a_doubt_while_it_opens_is_settled(workers: Workers, operation: str) -> None:
    workers.run()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    for customer in at_home("boom", 20):
        workers.send(customer, "order_placed", START)
    if operation == "commit":
        workers.kafka.fail_next("commit", "unanswered")
    else:
        workers.redis.fail_next("apply", "unanswered")
    await workers.settle()
    assert reason(workers) == "breaker"
    assert workers.records(TOPICS.dead_letters) == []


async def test_a_lane_that_stands_can_be_stopped_and_run_again(workers: Workers) -> None:
    customers = await trip(workers)
    await workers.park()
    assert workers.lanes[HOME].report().state == "parked"
    workers.run(2)
    await workers.settle()
    assert reason(workers) == "breaker"
    hold: Any = workers.lanes[HOME]._hold
    fold = hold._stitch._fold
    fold.mended = True
    order(workers, HOME)
    await workers.settle()
    assert bought(workers) == set(customers)
