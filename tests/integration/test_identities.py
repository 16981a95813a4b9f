"""The story of docs/stitching.md on a real Kafka and Redis, with a worker: its commands, what they say, and what
subscribers see. Then merges, splits and mistakes at the prompt."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from tests.harness.application import Application
from tests.harness.story import Story, story_in

pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0
STORY = story_in("stitching.md")
EMAIL, PHONE = "email:273dba7fa6bd87ca24b6dcb8ccb0acf1", "phone:6410581066c7c59e6d097f7b27d56764"
BROWSER, TABLET = "anonymous:b-17", "anonymous:tablet-5"


@pytest.fixture(scope="module")
def told(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with Application(
        stack, tmp_path_factory.mktemp("story"), "story-", journeys=["five-stage"], touches="touches", lateness="3d"
    ) as app:
        app.worker().until_ready(WAIT_S)
        story = Story(app)
        story.live(STORY)
        yield story


@pytest.fixture
def app(told: Story) -> Application:
    return told.app


def test_the_story_is_as_the_docs_tell_it(told: Story) -> None:
    assert told.page == STORY
    assert set(told.codes) == {0}


def transitions(app: Application, customer: str) -> list[dict[str, Any]]:
    return [said for said in app.feed() if said["customer_id"] == customer]


def newest(app: Application, customer: str) -> dict[str, Any]:
    """The customer as subscribers have them now."""
    return [said for said in app.feed("journey.customers") if said["customer_id"] == customer][-1]


def place(app: Application, customer: str) -> str | None:
    stage: str | None = newest(app, customer)["journeys"]["five-stage"]["stage"]
    return stage


def shown(app: Application, *arguments: str) -> dict[str, Any]:
    done = app.command(*arguments, "--json", within_s=WAIT_S)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ordered(app: Application, *arguments: str) -> str:
    done = app.command("identity", *arguments, "--reason", "a test", within_s=WAIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    app.until_at_rest(WAIT_S)
    return done.stdout


def test_everybody_is_one_customer_to_subscribers(app: Application) -> None:
    for identity in (EMAIL, PHONE, BROWSER):
        said = transitions(app, identity)
        assert [(one["kind"], one["to"], one.get("into")) for one in said] == [
            ("entered", said[0]["to"], None),
            ("moved", None, "4711"),
        ]
        assert newest(app, identity)["merged_into"] == "4711"
        assert sum(newest(app, identity)["touches"].values()) == 0
    hers = transitions(app, "4711")
    assert [one["seq"] for one in hers] == list(range(1, len(hers) + 1))
    assert [one["from"] for one in hers] == [None, *(one["to"] for one in hers[:-1])]
    corrected = {one["cause"]["event"]["id"]: one["occurred_at"][11:16] for one in hers if one["kind"] == "corrected"}
    assert {"e1": "09:00", "e3": "10:30", "e5": "12:10"}.items() <= corrected.items()
    assert newest(app, "4711")["touches"] == {"web": 3, "email": 1, "social": 0, "phone": 1, "store": 1}


def test_a_wrong_link_leaves_no_trace(app: Application) -> None:
    assert [(one["seq"], one["kind"], one["to"]) for one in transitions(app, TABLET)] == [
        (1, "entered", "purchase"),
        (2, "moved", None),
        (3, "entered", "purchase"),
    ]
    assert newest(app, TABLET)["merged_into"] is None
    (journey,) = shown(app, "explain", "4711")["journeys"]
    holds = [change for change in journey["history"] if change["taken_back"] is None]
    assert [(change["to"], change["identity"]) for change in holds] == [
        ("awareness", BROWSER),
        ("consideration", EMAIL),
        ("retention", None),
    ]
    gone = [change["cause"]["event"]["id"] for change in journey["history"] if change["taken_back"] is not None]
    assert "e5" in gone


def test_every_event_counts_once(app: Application) -> None:
    assert app.totals("folded") == 7
    assert app.totals("duplicate", "late", "dead") == 0


def test_a_merge_and_its_split(app: Application) -> None:
    told = ordered(app, "merge", "4711", "4700")
    assert "Ordered: 4711 joins 4700 (" in told
    assert "Nobody is known as 4700 yet; is it the right one?" in told
    assert (newest(app, "4711")["merged_into"], newest(app, "4700")["merged_into"]) == ("4700", None)
    assert (place(app, "4711"), place(app, "4700")) == (None, "retention")
    assert shown(app, "identity", "show", BROWSER)["owner"] == "4700"
    assert shown(app, "identity", "show", "4711")["status"] == "merged"
    whole = [event["identity"] for event in shown(app, "show", "4700")["recent"]]
    assert whole == [BROWSER, BROWSER, EMAIL, PHONE, "4711", "4711"]
    # The browser is there through 4711, who claims it: a block of the other one takes nothing away.
    assert f"there through 4711: to take it away, block {BROWSER} from 4711." in ordered(app, "block", BROWSER, "4700")
    assert shown(app, "identity", "show", BROWSER)["owner"] == "4700"
    assert "is no longer kept from 4700" in ordered(app, "unblock", BROWSER, "4700")

    assert "Ordered: 4711 leaves 4700 (" in ordered(app, "split", "4700", "4711")
    assert newest(app, "4711")["merged_into"] is None
    assert (place(app, "4711"), place(app, "4700")) == ("retention", None)
    assert shown(app, "identity", "show", BROWSER)["owner"] == "4711"


def test_two_customers_share_an_identity(app: Application) -> None:
    ordered(app, "link", "anonymous:kiosk", "5001")
    ordered(app, "link", "anonymous:kiosk", "5002")
    found = shown(app, "identity", "show", "anonymous:kiosk")
    assert (found["status"], found["owner"]) == ("shared", "anonymous:kiosk")
    assert found["why"] == [
        "5001 and 5002 claim it, and they are not the same customer: it is shared, and belongs to nobody"
    ]
    assert [(claim["customer"], claim["counts"]) for claim in found["claims"]] == [("5001", True), ("5002", True)]


def test_an_identity_of_which_nothing_is_known_waits(app: Application) -> None:
    told = ordered(app, "link", "anonymous:later", "4711")
    assert "Nobody is known as anonymous:later yet: the link waits for it." in told
    assert shown(app, "identity", "show", "anonymous:later")["owner"] == "4711"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("merge", "4711", "4711"), 2, "4711 and 4711 are the same identity; nothing was ordered"),
        (("merge", "4711", BROWSER), 2, f"merge is for two customers, and {BROWSER} is none; see link and block"),
        (("split", EMAIL, "4711"), 2, f"split is for two customers, and {EMAIL} is none"),
        (("link", BROWSER, EMAIL), 2, f"{EMAIL} is no customer, and only customers own identities. Nothing"),
        (("link", "4711", BROWSER), 2, f"did you mean `journey identity link {BROWSER} 4711`?"),
        (("link", "emial:anna@example.org", "4711"), 2, "did you mean 'email:anna@example.org'?"),
        (("link", "anna@example.org", "4711"), 2, "did you mean 'email:anna@example.org'?"),
        (("block", "phone:12", "4711"), 2, "phone: a value that is none of its kind"),
        (("link", "anonymous:unknown", "4711"), 2, "never identifies anybody"),
    ],
)
def test_mistakes_are_one_message(app: Application, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = app.command("identity", *arguments, "--reason", "a test", within_s=WAIT_S)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_known_and_what_is_not_said(app: Application) -> None:
    done = app.command("identity", "show", "anonymous:b-71", within_s=WAIT_S)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody is known as anonymous:b-71 to story-journey; did you mean anonymous:b-17" in done.stderr
    done = app.command("identity", "link", BROWSER, "4711", "--reason", " ", within_s=WAIT_S)
    assert done.returncode == 2
    assert "--reason must say why: whoever looks at these identities later will want to know" in done.stderr
