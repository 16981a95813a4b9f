"""A lane goes to another version of a journey: prepared, decided, taken; whoever has it, whatever files they have."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pipeline.application.lane_models import KEY, decode_models
from pipeline.application.ports import Refused
from pipeline.domain.spec import CarryOver, EntrySpec, JourneySpec, SilenceSpec, StageSpec
from tests.fakes.pipeline import DAY, HOUR, MINUTE, PARTITIONS, TOPICS, Workers, journey

CUSTOMERS = ("anna", "bert", "cleo", "dora", "emil", "finn")


def second(fingerprint: str = "f2") -> JourneySpec:
    """Bought is owner, lapsed is left after 30 days, and seen customers are folded again."""
    return JourneySpec(
        name="shop",
        version=2,
        stages=tuple(StageSpec(stage, ()) for stage in ("seen", "owner", "left")),
        entries=(
            EntrySpec("seen", "seen", ("viewed",), ("",), 1, None, ()),
            EntrySpec("owner", "owner", ("ordered",), ("", "seen", "left"), 1, None, ()),
        ),
        silences=(SilenceSpec("left", "left", 30 * DAY, ("ordered",), ("owner",), (), 5 * MINUTE, None),),
        fingerprint=fingerprint,
        carry_over=CarryOver(1, (("bought", "owner"), ("lapsed", "left"))),
    )


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    found = Workers()
    found.texts["second"] = second()
    found.run()
    yield found
    await found.kill()


def order(workers: Workers, command: str, **fields: object) -> None:
    """To every lane, as the one transaction of `journey promote` has it."""
    for lane in range(PARTITIONS):
        content = {"id": "p1", "command": command, "lane": lane, "reason": "a test", "at": workers.clock.ms, **fields}
        workers.append(TOPICS.commands, lane, json.dumps(content).encode())


def prepare(workers: Workers, **fields: object) -> None:
    given: dict[str, object] = {
        "kind": "promote",
        "journey": "shop",
        "version": 2,
        "former": 1,
        "fingerprint": "f2",
        "text": "second",
        "stages": {"bought": "owner", "lapsed": "left"},
    }
    order(workers, "prepare", **{**given, **fields})


async def some_customers(workers: Workers) -> None:
    for customer in CUSTOMERS:
        workers.send(customer, "page_viewed", workers.clock.ms - HOUR)
        workers.send(customer, "order_placed", workers.clock.ms - MINUTE)
    await workers.settle()


def moved(workers: Workers) -> list[tuple[str, str, str, int]]:
    found = [each for each in workers.feed(TOPICS.transitions) if each["kind"] == "moved"]
    return sorted((each["customer_id"], each["from"], each["to"], each["version"]) for each in found)


def candidates(workers: Workers) -> list[tuple[bool, str] | None]:
    marks = [workers.record(lane).candidate for lane in range(PARTITIONS)]
    return [None if mark is None else (mark.ready, mark.why) for mark in marks]


ALL = [(customer, "bought", "owner", 2) for customer in CUSTOMERS]


async def test_a_switch_carries_everybody_over_once(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    await workers.settle()
    assert candidates(workers) == [(True, "")] * PARTITIONS
    assert moved(workers) == []
    order(workers, "switch")
    await workers.settle()
    assert moved(workers) == ALL
    for lane in range(PARTITIONS):
        record = workers.record(lane)
        assert (record.models["shop"].version, record.candidate, record.carrying) == (2, None, {})
        assert record.stages["shop"].get("bought", 0) == 0
    assert workers.table_equals_changelog()


async def test_what_comes_next_is_decided_by_the_new_version(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    order(workers, "switch")
    await workers.settle()
    workers.clock.ms += 31 * DAY
    await workers.tick()
    left = [each for each in workers.feed(TOPICS.transitions) if each["to"] == "left"]
    assert sorted(each["customer_id"] for each in left) == list(CUSTOMERS)
    assert {(each["version"], each["seq"], each["cause"]["rule"]) for each in left} == {(2, 4, "left")}


async def test_a_customer_whom_an_event_touches_first_is_carried_over_before_it(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    order(workers, "switch")
    for customer in CUSTOMERS:
        workers.send(customer, "page_viewed", workers.clock.ms)
    await workers.settle()
    assert moved(workers) == ALL


async def test_a_new_owner_with_the_former_file_runs_what_was_promoted(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    order(workers, "switch")
    await workers.kill()
    workers.start(journey())
    workers.run(2)
    await workers.settle()
    assert moved(workers) == ALL
    assert workers.record(0).models["shop"].version == 2


async def test_a_kill_amid_the_carrying_over_loses_and_doubles_nothing(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.application.hold.CARRIED_AT_ONCE", 1)
    await some_customers(workers)
    prepare(workers)
    order(workers, "switch")
    for generation in range(2, 9):
        for _ in range(60):
            await workers.settle(1)
        await workers.kill()
        workers.start(journey())
        workers.run(generation)
    await workers.settle()
    assert moved(workers) == ALL
    assert all(workers.record(lane).carrying == {} for lane in range(PARTITIONS))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"journey": "other"}, "it runs no journey other"),
        ({"former": 4}, "it runs version 1, not 4"),
        ({"version": 1}, "version 1 is not above 1, which it has run"),
        ({"text": "no journey"}, "its owner refuses the file: it is no journey"),
        ({"fingerprint": "f9"}, "its owner makes other rules of the file"),
    ],
)
async def test_a_lane_says_why_it_could_not_run_a_version(
    workers: Workers, fields: dict[str, object], why: str
) -> None:
    await some_customers(workers)
    prepare(workers, **fields)
    await workers.settle()
    for found in candidates(workers):
        assert found is not None
        assert not found[0]
        assert found[1].startswith(why)


async def test_what_is_abandoned_or_overtaken_has_no_effect(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    order(workers, "abandon")
    order(workers, "switch")
    prepare(workers)
    prepare(workers, id="p2")
    order(workers, "switch")
    await workers.settle()
    assert moved(workers) == []
    assert candidates(workers) == [(True, "")] * PARTITIONS


async def test_a_rollback_leads_everybody_back_under_the_former_version(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    order(workers, "switch")
    await workers.settle()
    stored = workers.redis.tables["journey:{0}"].fields[KEY]
    former = decode_models(stored).journeys["shop"].switches[-1]
    assert (former.former, former.version) == (1, 2)
    prepare(
        workers,
        id="p2",
        kind="rollback",
        version=1,
        former=2,
        fingerprint="f1",
        text=former.text,
        stages={"owner": "bought", "left": "lapsed"},
    )
    order(workers, "switch", id="p2")
    await workers.settle()
    assert [each for each in moved(workers) if each[3] == 1] == [(c, "owner", "bought", 1) for c in CUSTOMERS]
    # The version that was rolled back does not come back by a file.
    await workers.kill()
    workers.start(replace(second(), carry_over=None))
    workers.texts[repr(journey())] = journey()
    workers.run(2)
    await workers.settle()
    assert workers.record(0).models["shop"].version == 1


async def test_a_worker_that_cannot_run_what_was_decided_says_so(workers: Workers) -> None:
    await some_customers(workers)
    prepare(workers)
    await workers.settle()
    workers.texts["second"] = second("another")
    await workers.kill()
    workers.start(journey())
    order(workers, "switch")
    workers.run(2)
    await workers.settle()
    for task in workers.tasks:
        found = task.exception()
        assert isinstance(found, Refused)
        assert "runs version 2 of journey shop, as was decided, and this worker cannot" in str(found)
