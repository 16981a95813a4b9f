"""Identities that nobody would think of, and one that takes more than its share, asked about at the prompt."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from pipeline.domain.stitching import MOST_CLAIMED
from tests.harness.application import HOUR, Application, ago
from tests.harness.waiting import until

pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0
EMOJI, FAMILY = "anonymous:🦊🚲", "anonymous:\N{MAN}\u200d\N{WOMAN}"
LATIN, CYRILLIC = "anna", "\N{CYRILLIC SMALL LETTER A}nna"


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with Application(stack, tmp_path_factory.mktemp("odd"), "odd-", journeys=["five-stage"], touches="touches") as app:
        app.worker().until_ready(WAIT_S)
        yield app


def told(app: Application, *arguments: str, code: int = 0) -> str:
    """What the command says, on either stream, once the lanes are at rest."""
    done = app.command("identity", *arguments, within_s=WAIT_S)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    app.until_at_rest(WAIT_S)
    return done.stdout + done.stderr


def ordered(app: Application, *arguments: str, code: int = 0) -> str:
    return told(app, *arguments, "--reason", "a test", code=code)


def shown(app: Application, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(app, "show", identity, "--json"))
    return found


def browsed(app: Application, customer: str, browser: str) -> None:
    """An event that names both."""
    app.sender.event("web", customer, "page_viewed", ago(HOUR), identities={"anonymous": browser})


def test_an_identity_of_4_kib_is_refused(app: Application) -> None:
    assert "not of 1 to 256 printable characters" in ordered(app, "link", f"anonymous:{'x' * 4_096}", "1", code=2)


def test_emoji_are_letters_like_others_but_what_nobody_sees_is_refused(app: Application) -> None:
    ordered(app, "link", EMOJI, "2")
    assert shown(app, EMOJI)["owner"] == "2"
    assert "printable characters" in ordered(app, "link", FAMILY, "2", code=2)


def test_letters_that_look_alike_are_other_letters(app: Application) -> None:
    ordered(app, "link", f"email:{LATIN}@example.org", "3")
    ordered(app, "link", f"email:{CYRILLIC}@example.org", "4")
    assert shown(app, f"email:{LATIN}@example.org")["owner"] == "3"
    assert shown(app, f"email:{CYRILLIC}@example.org")["owner"] == "4"


def test_merges_in_a_ring_end_at_the_smallest(app: Application) -> None:
    for customer in ("r1", "r2", "r3"):
        app.sender.event("web", customer, "page_viewed", ago(HOUR))
    for one, other in (("r1", "r2"), ("r2", "r3"), ("r3", "r1")):
        ordered(app, "merge", one, other)
    assert [shown(app, customer)["owner"] for customer in ("r1", "r2", "r3")] == ["r1"] * 3
    assert "are the same identity; nothing was ordered" in ordered(app, "merge", "r1", "r1", code=2)


def test_who_claims_more_than_may_be_is_shown_with_it(app: Application) -> None:
    for number in range(MOST_CLAIMED + 25):
        browsed(app, "collector", f"of-collector-{number}")
    app.until_at_rest(WAIT_S)
    assert shown(app, "collector")["refused"] == {"too_many_claimed": 25}


def test_bytes_that_are_no_identity_are_dead_letters_or_passed_over(app: Application) -> None:
    put = app.sender.event
    for number, value in enumerate(("a\0b", "x" * 4_096, "\u202eanna", "\u200b")):
        put("web", f"p{number}", "page_viewed", ago(HOUR), identities={"anonymous": value})
        put("web", "", "page_viewed", ago(HOUR), customer_id=value, partition=0, dead="bad_identity")
    app.until_accounted(WAIT_S)
    assert app.totals("dead") == 4
    assert all(shown(app, f"p{number}")["status"] == "own" for number in range(4))


def test_whoever_takes_much_of_a_lane_is_named(app: Application) -> None:
    lane = app.sender.home("anonymous:kiosk")
    assert "there is no lane 99" in told(app, "hot", "--lane", "99", code=2)
    for number in range(300):
        browsed(app, f"walk-in-{number}", "kiosk")
    app.until_at_rest(WAIT_S)

    def hot() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(told(app, "hot", "--json"))
        return found

    until(lambda: "anonymous:kiosk" in {each["identity"] for each in hot()}, lambda: f"it is named: {hot()}", WAIT_S)
    (kiosk,) = [each for each in hot() if each["identity"] == "anonymous:kiosk"]
    assert kiosk["lane"] == lane
    assert kiosk["share"] > 0.3
    assert "anonymous:kiosk" in told(app, "hot", "--lane", str(lane))
    assert "anonymous:kiosk" not in told(app, "hot", "--lane", str(1 - lane))
    assert "is for one identity" in app.command("doctor", within_s=WAIT_S).stdout
    (worker,) = app.workers.values()
    assert (worker.metric("journey_lane_hottest_identity_ratio", lane=str(lane)) or 0) > 0.3
