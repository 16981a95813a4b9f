"""What a lane counts on its way: how transactions end, how Redis fails, who goes from where to where."""

from collections.abc import AsyncIterator

import pytest

from pipeline.adapters.prometheus import PrometheusMetrics
from tests.fakes.pipeline import START, Workers
from tests.unit.test_prometheus import series


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers(metrics=PrometheusMetrics())
    yield workers
    await workers.kill()


def total(workers: Workers, name: str, **labels: str) -> float:
    """Over all lanes."""
    assert isinstance(workers.metrics, PrometheusMetrics)
    found = series(workers.metrics).items()
    return sum(value for (known, has), value in found if known == name and labels.items() <= dict(has).items())


async def test_stage_changes_by_where_they_lead(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    changes = {"journey": "shop", "from": "start"}
    assert total(workers, "stage_changes_total", **changes) == 0
    for customer in ("anna", "ben", "cleo"):
        workers.send(customer, "page_viewed", START)
    await workers.settle()
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert total(workers, "stage_changes_total", **changes, to="seen") == 3
    assert total(workers, "stage_changes_total", journey="shop", **{"from": "seen"}, to="bought") == 1


async def test_every_change_that_the_rules_name_begins_with_zero(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    assert isinstance(workers.metrics, PrometheusMetrics)
    shown = {
        (dict(labels)["from"], dict(labels)["to"])
        for name, labels in series(workers.metrics)
        if name == "stage_changes_total"
    }
    assert shown == {
        ("start", "seen"),
        ("start", "bought"),
        ("seen", "bought"),
        ("lapsed", "bought"),
        ("bought", "lapsed"),
    }


async def test_what_may_go_wrong_begins_with_zero(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    assert isinstance(workers.metrics, PrometheusMetrics)
    shown = {
        dict(labels)["reason"]: value
        for (name, labels), value in series(workers.metrics).items()
        if name == "lane_doubts_total"
    }
    assert shown == dict.fromkeys(("kafka", "fenced", "replaying", "redis"), 0)
    assert total(workers, "lane_transactions_total", outcome="doubtful") == 0


async def test_a_commit_without_an_answer_is_doubtful(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    before = total(workers, "lane_transactions_total", outcome="committed")
    workers.kafka.fail_next("commit", "unanswered")
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    assert total(workers, "lane_transactions_total", outcome="doubtful") == 1
    assert total(workers, "lane_doubts_total", reason="kafka") == 1
    workers.send("anna", "order_placed", START)
    await workers.settle()
    assert total(workers, "lane_transactions_total", outcome="committed") > before


@pytest.mark.parametrize(("how", "failure"), [("full", "oom"), ("silent", "timeout"), ("emptied", "moved")])
async def test_how_redis_fails(workers: Workers, how: str, failure: str) -> None:
    workers.run()
    await workers.settle()
    match how:
        case "full":
            workers.redis.refuse("OOM command not allowed when used memory > 'maxmemory'.")
        case "silent":
            workers.redis.fail_next("load", "lost")
        case "emptied":
            workers.redis.flush()
    workers.send("anna", "page_viewed", START)
    await workers.settle()
    if how != "emptied":
        assert total(workers, "table_failures_total", failure=failure) >= 1
        workers.redis.refuse(None)
        return
    workers.send("anna", "order_placed", START)
    workers.redis.flush()
    await workers.settle()
    assert total(workers, "table_failures_total", failure=failure) >= 1


async def test_a_lane_in_hand_has_nothing_left_to_replay(workers: Workers) -> None:
    workers.run()
    await workers.settle()
    assert isinstance(workers.metrics, PrometheusMetrics)
    left = [value for (name, _), value in series(workers.metrics).items() if name == "lane_replay_left_records"]
    assert left == [0] * len(workers.lanes)
