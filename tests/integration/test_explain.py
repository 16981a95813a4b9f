"""`journey explain` on a real Kafka and Redis, after a worker: the commands of the docs, and what they say."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from pipeline.domain.moments import format_moment
from tests.harness.application import HOUR, JOURNEY, MINUTE, Application, ago

pytestmark = pytest.mark.timeout(180)

WAIT_S = 60.0
PAGE = Path(__file__).parents[2] / "docs" / "authoring.md"
COMMANDS = [
    shlex.split(line.strip())[1:]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("    journey explain ")
]
CUSTOMER = "4711"
"""As in the docs. Looked six hours ago, left a cart an hour later; the order of half an hour after that came last."""


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    journey = {**JOURNEY, "journey": "five-stage"}  # the name that the docs call one by
    with Application(stack, tmp_path_factory.mktemp("explain"), "explain-", journey) as running:
        worker = running.worker().until_ready(WAIT_S)
        sender = running.sender
        sender.event("web", CUSTOMER, "page_viewed", ago(6 * HOUR), identifier="looked")
        sender.event("web", CUSTOMER, "cart_updated", ago(5 * HOUR), identifier="cart")
        sender.event("web", "other", "page_viewed", ago(6 * HOUR))
        running.until_accounted(WAIT_S)
        running.until_time_has_passed(worker, WAIT_S)  # the silence after the cart is told
        sender.event("web", CUSTOMER, "order_placed", ago(5 * HOUR - 30 * MINUTE), identifier="order")
        running.until_accounted(WAIT_S)
        running.until_time_has_passed(worker, WAIT_S)
        assert worker.stop() == 0
        yield running


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_the_commands_of_the_docs_run(app: Application, arguments: list[str]) -> None:
    done = app.command(*arguments, within_s=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert "five-stage" in done.stdout


def test_the_docs_have_commands() -> None:
    assert len(COMMANDS) == 3


def test_every_change_of_a_corrected_history_is_explained(app: Application) -> None:
    said = json.loads(app.command("explain", CUSTOMER, "--json", within_s=WAIT_S).stdout)
    (journey,) = said["journeys"]
    assert (said["customer_id"], journey["stage"], journey["file"]) == (
        CUSTOMER,
        "cold",
        str(app.directory / "journey.yaml"),
    )
    history = [
        (change["from"], change["to"], (change["cause"]["event"] or {}).get("id"), bool(change["taken_back"]))
        for change in journey["history"]
    ]
    assert history == [
        (None, "seen", "looked", False),
        ("seen", "choosing", "cart", False),
        ("choosing", "bought", "order", False),
        (None, "cold", None, True),
        ("bought", "cold", None, False),
    ]
    gone = journey["history"][3]["taken_back"]
    assert (gone["kind"], gone["instead"]) == ("corrected", f"{CUSTOMER}:five-stage:bought:order")
    text = (app.directory / "journey.yaml").read_text(encoding="utf-8").splitlines()
    assert [text[change["line"] - 1].strip() for change in journey["history"]] == ['"enter": {'] * 5
    assert {way["rule"] for way in journey["outlook"]["ways"]} == {"bought"}
    people = app.command("explain", CUSTOMER, within_s=WAIT_S).stdout
    assert re.search(r"bought → cold +2h of silence since .* cold, journey\.yaml:\d+", people)
    assert re.search(r"→ bought +ordered +bought, journey\.yaml:\d+", people)


def test_as_it_was_and_as_it_was_known(app: Application) -> None:
    moment = format_moment(ago(5 * HOUR - 10 * MINUTE))
    said = json.loads(app.command("explain", CUSTOMER, "--json", "--at", moment, within_s=WAIT_S).stdout)
    (journey,) = said["journeys"]
    assert (journey["stage"], journey["known"], journey["next"]["to"], journey["outlook"]) == (
        "choosing",
        "",
        "bought",
        None,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("4712",), 1, "nobody is known as 4712 to explain-journey; did you mean 4711?"),
        (
            (CUSTOMER, "--journey", "fife-stage"),
            2,
            "has no place in a journey 'fife-stage'; did you mean 'five-stage'?",
        ),
        ((CUSTOMER, "--at", "noon"), 2, "--at: 'noon' is no time: write 2026-01-31"),
    ],
)
def test_mistakes_are_one_message(app: Application, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = app.command("explain", *arguments, within_s=WAIT_S)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
