"""A promote and a rollback on the real stack, while events come in and a worker is killed in the middle."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from tests.harness.application import JOURNEY, MINUTE, Application, ago, some_traffic
from tests.harness.waiting import until

SECOND: Mapping[str, Any] = {
    "journey": "shop",
    "version": 2,
    "carry_over": {"from_version": 1, "stages": {"cold": "gone", "choosing": "re-fold"}},
    "stages": [
        {"id": "seen", "enter": {"from": "start", "when": "viewed"}},
        {"id": "choosing", "enter": {"from": ["start", "seen"], "when": "cart", "count": 2}},
        {"id": "bought", "enter": {"from": ["start", "seen", "choosing", "gone"], "when": "ordered", "back": True}},
        {"id": "gone", "enter": {"from": ["choosing", "bought"], "after": "3h", "since": "last any"}},
    ],
    "signals": {"cart_left": {"after": "1h", "since": "last cart", "unless": "ordered", "expires": "24h"}},
}
"""Choosing takes two carts, cold is called gone and takes longer."""


@pytest.fixture
def app(stack: Stack, tmp_path: Path, prefix: str) -> Iterator[Application]:
    with Application(stack, tmp_path, prefix) as application:
        yield application


def write(app: Application, name: str, journey: Mapping[str, Any]) -> str:
    labels = dict.fromkeys(("en", "tr", "pl", "fa"), "-")
    stages = [{**stage, "labels": labels} for stage in journey["stages"]]
    path = app.directory / name
    path.write_text(json.dumps({**journey, "stages": stages}, indent=2))
    return str(path)


def ordered(app: Application, *arguments: str) -> str:
    done = app.command(*arguments, "--reason", "a test", within_s=60)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{app.tails()}"
    return done.stdout


def refused(app: Application, *arguments: str, code: int, words: str) -> None:
    done = app.command(*arguments, "--reason", "a test", within_s=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr


def versions(app: Application) -> set[int]:
    status = json.loads(app.command("status", "--json").stdout)
    return {lane["versions"]["shop"] for lane in status["lanes"]}


def test_a_promote_and_a_rollback_lose_and_double_nothing(app: Application) -> None:
    one, two = app.worker("one"), app.worker("two")
    until(lambda: one.ready and two.ready, lambda: f"both are ready\n{app.tails()}", 40)
    some_traffic(app, "early", 20)
    app.until_accounted()
    second = write(app, "second.yaml", SECOND)

    refused(app, "promote", write(app, "same.yaml", {**JOURNEY, "signals": {}}), code=2, words="make it 2")
    gone = {**SECOND, "carry_over": {"from_version": 1, "stages": {"cold": "gon"}}}
    refused(app, "promote", write(app, "gone.yaml", gone), code=2, words="did you mean 'gone'?")

    assert "all 2 lanes run version 2" in ordered(app, "promote", second)
    some_traffic(app, "amid", 20)
    one.kill()
    some_traffic(app, "later", 20)
    app.until_accounted(40)
    until(lambda: versions(app) == {2}, "all lanes run version 2", 30)
    # The new worker has the former file, and runs what was promoted.
    one = app.worker("one").until_ready(40)
    for number in range(20):
        app.sender.event("web", f"early{number}", "order_placed", ago(2 * MINUTE) + number)
    app.until_accounted()
    assert "all 2 lanes run version 1" in ordered(app, "rollback", "shop")
    some_traffic(app, "last", 10)
    assert versions(app) == {1}
    refused(app, "rollback", "shop", code=1, words="was rolled back")
    refused(app, "promote", second, code=2, words="make it 3")

    app.until_accounted()
    moves = [said for said in app.feed() if said["kind"] == "moved" and said["customer_id"].startswith("early")]
    assert {said["version"] for said in moves} == {1, 2}
    assert {said["cause"]["version"]["way"] for said in moves} >= {"stay", "map"}
    assert len({(said["customer_id"], said["version"]) for said in moves}) == len(moves) == 40
    app.until_time_has_passed(two)
    checked = json.loads(app.command("check", "--json", within_s=60).stdout)
    assert checked["right"], checked["examples"]
    assert not [what for what in checked["unjudged"] if "versions" in what and "timers" not in what]


def test_a_promote_without_workers_is_refused(app: Application) -> None:
    second = write(app, "second.yaml", SECOND)
    refused(app, "promote", second, code=1, words="lane 0 does not move")
