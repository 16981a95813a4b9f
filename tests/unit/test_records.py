"""What subscribers are sent: ids, causes, silences, and names without the inner prefix. By the schemas, all of it."""

import json
from typing import Any

import msgspec
import pytest

from pipeline.adapters.schemas import mistakes
from pipeline.application.records import customer_record, entry_id, signal_record, transition_record
from pipeline.domain.compile import compile_journey
from pipeline.domain.event import CHANNELS
from pipeline.domain.feed import Feed, Signal, Transition
from pipeline.domain.fold import Fold
from pipeline.domain.history import Entry
from pipeline.domain.profile import Profile, event_of, new_profile
from tests.fakes.pipeline import DAY, HOUR, MINUTE, START, journey

NOW = "2025-06-15T15:06:41.000Z"
BY_EVENT = Entry(START, "seen", "seen", "e1", "page_viewed", "web", 0)
BY_SILENCE = Entry(START + DAY, "lapsed", "lapsed", "", "", "", START)
TRANSITION = Transition("c:anna", 17, "shop", 3, 4, "entered", "seen", "bought", BY_EVENT, ())
SIGNAL = Signal("c:anna", 17, "shop", 3, "left", "fired", 2, "left:1", START, START + HOUR, None, False, True, "seen")


def written(data: bytes, schema: str) -> Any:
    record = json.loads(data)
    assert mistakes(record, schema) == []
    return record


def transition(**fields: Any) -> Any:
    return written(transition_record(msgspec.structs.replace(TRANSITION, **fields), NOW), "transition")


def signal(**fields: Any) -> Any:
    return written(signal_record(msgspec.structs.replace(SIGNAL, **fields), NOW), "signal")


def test_a_transition_by_an_event() -> None:
    assert transition() == {
        "id": "anna:shop:17:4",
        "customer_id": "anna",
        "journey": "shop",
        "version": 3,
        "seq": 4,
        "kind": "entered",
        "from": "seen",
        "to": "bought",
        "entry": "anna:shop:seen:e1",
        "supersedes": [],
        "occurred_at": "2025-06-15T15:06:40.000Z",
        "published_at": NOW,
        "cause": {"event": {"id": "e1", "type": "page_viewed", "channel": "web"}, "rule": "seen"},
    }


def test_a_transition_by_silence() -> None:
    found = transition(entry=BY_SILENCE)
    assert found["entry"] == f"anna:shop:lapsed:{START + DAY}"
    assert found["occurred_at"] == "2025-06-16T15:06:40.000Z"
    assert found["cause"] == {
        "timer": {"rule": "lapsed", "since": "2025-06-15T15:06:40.000Z", "due": "2025-06-16T15:06:40.000Z"},
        "rule": "lapsed",
    }


@pytest.mark.parametrize("kind", ["corrected", "retracted"])
def test_what_is_corrected_names_what_it_supersedes(kind: str) -> None:
    found = transition(kind=kind, supersedes=(BY_SILENCE, BY_EVENT))
    assert found["supersedes"] == [f"anna:shop:lapsed:{START + DAY}", "anna:shop:seen:e1"]


def test_the_start_is_no_stage() -> None:
    found = transition(kind="retracted", from_="", to="")
    assert (found["from"], found["to"]) == (None, None)


@pytest.mark.parametrize(
    ("key", "shown"), [("c:anna", "anna"), ("c:c:anna", "c:anna"), ("anonymous:ab12", "anonymous:ab12")]
)
def test_customers_are_called_as_subscribers_know_them(key: str, shown: str) -> None:
    assert (transition(key=key)["customer_id"], signal(key=key)["customer_id"]) == (shown, shown)
    assert transition(key=key)["id"] == f"{shown}:shop:17:4"
    assert signal(key=key)["id"] == f"{shown}:shop:left:17:2"


def test_the_same_change_has_the_same_entry_whenever_it_is_published() -> None:
    assert entry_id("anna", "shop", BY_EVENT) == entry_id("anna", "shop", msgspec.structs.replace(BY_EVENT, since=5))
    assert entry_id("anna", "shop", BY_EVENT) != entry_id("anna", "shop", msgspec.structs.replace(BY_EVENT, event="e2"))
    assert entry_id("anna", "shop", BY_SILENCE) != entry_id("anna", "shop", msgspec.structs.replace(BY_SILENCE, at=1))


def test_a_signal() -> None:
    assert signal() == {
        "id": "anna:shop:left:17:2",
        "customer_id": "anna",
        "journey": "shop",
        "version": 3,
        "signal": "left",
        "kind": "fired",
        "occurrence": 2,
        "due_at": "2025-06-15T16:06:40.000Z",
        "published_at": NOW,
        "expires_at": None,
        "expired": False,
        "overtaken": True,
        "cause": {
            "timer": {"rule": "left:1", "since": "2025-06-15T15:06:40.000Z", "due": "2025-06-15T16:06:40.000Z"},
            "rule": "left:1",
        },
        "stage": "seen",
    }


def test_a_signal_withdrawn_has_the_id_of_the_one_it_withdraws() -> None:
    assert signal(kind="retracted")["id"] == signal()["id"]


def test_a_signal_at_the_start_that_expires() -> None:
    found = signal(stage="", expires=START, expired=True)
    assert (found["stage"], found["expires_at"], found["expired"]) == (None, "2025-06-15T15:06:40.000Z", True)


def folded(*events: tuple[int, str, str]) -> Profile:
    """A customer after (minute, touch, channel) each."""
    fold = Fold([compile_journey(journey(), frozenset({"coupon"}))], frozenset({"coupon"}), DAY, 64)
    profile = new_profile("c:anna", 17)
    fold.align(profile)
    for number, (minute, touch, channel) in enumerate(events):
        at = START + minute * MINUTE
        event = event_of(f"e{number}", at, at, 0, number, touch, touch, channel)
        fold.event(profile, "c:anna", event, None, Feed())
    return profile


def test_a_customer_in_a_journey() -> None:
    profile = folded((0, "viewed", "web"), (1, "ordered", "store"), (2, "chatted", "web"), (9, "coupon", "email"))
    assert written(customer_record(profile, NOW), "customer") == {
        "customer_id": "anna",
        "epoch": 17,
        "journeys": {"shop": {"version": 1, "stage": "bought", "since": "2025-06-15T15:07:40.000Z", "seq": 2}},
        "touches": dict.fromkeys(CHANNELS, 0) | {"web": 2, "store": 1},
        "first_seen": "2025-06-15T15:06:40.000Z",
        "last_seen": "2025-06-15T15:15:40.000Z",
        "merged_into": None,
        "updated_at": NOW,
    }


def test_a_customer_who_has_entered_no_stage_yet() -> None:
    found = written(customer_record(folded((0, "chatted", "web")), NOW), "customer")
    assert found["journeys"] == {"shop": {"version": 1, "stage": None, "since": None, "seq": 0}}


@pytest.mark.parametrize("entry", [BY_EVENT, BY_SILENCE])
def test_a_cause_is_an_event_or_a_silence(entry: Entry) -> None:
    found = transition(entry=entry)["cause"]
    assert ("event" in found, "timer" in found) == (bool(entry.event), not entry.event)
    assert found["rule"] == entry.rule


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "zażółć", "مشتری", "🛒"])
def test_a_name_may_be_what_json_has_to_escape(name: str) -> None:
    entry = Entry(START, "seen", "seen", name, name, "web", 0)
    found = transition(key=f"c:{name}", entry=entry, kind="corrected", supersedes=(entry,))
    assert found["id"] == f"{name}:shop:17:4"
    assert found["customer_id"] == name
    assert found["entry"] == found["supersedes"][0] == f"{name}:shop:seen:{name}"
    assert found["cause"]["event"] == {"id": name, "type": name, "channel": "web"}
    assert signal(key=f"c:{name}")["customer_id"] == name


@pytest.mark.parametrize("name", ["tab\tline\nend\x00", "\x7f", "a\x85b"])
def test_the_type_of_an_event_may_be_anything(name: str) -> None:
    assert transition(entry=Entry(START, "seen", "seen", "e1", name, "web", 0))["cause"]["event"]["type"] == name
