"""From records to events: each reason of the closed list, routing and its headers, punctuation, commands."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from pipeline.application.intake import HEAD, Batch, Intake, Limits, Source, decode_command
from pipeline.application.ports import Headers
from pipeline.application.routing import MOST_HEADERS
from pipeline.domain.event import Invalid, Reason
from pipeline.domain.messages import Block, Claim, Link, Post, Seen, Unblock, decode_message, encode_message
from pipeline.domain.spec import Condition, TouchSpec
from pipeline.domain.stitching import MOST_HOPS
from pipeline.domain.touches import TouchTable

NOW = 1_750_000_000_000
HERE, AWAY = 3, 7
WEB = Source("raw.web", "raw", "web")
ANY = Source("raw.any", "raw", None)
KIND = Source("raw.kind", "raw", None, "kind")
EVENTS = Source("journey.events", "events")
COMMANDS = Source("journey.commands", "commands")
TOUCHES = TouchTable(
    (
        TouchSpec("big_order", frozenset(["ordered"]), None, None, "customer", (Condition(("size",), ("big",)),)),
        TouchSpec("viewed", frozenset(["viewed"]), None, None, "customer", ()),
    )
)


@dataclass
class Read:
    """A record as it was read; appended at NOW at the offset 41."""

    value: bytes | None
    headers: Headers = ()
    key: bytes | None = b"k"
    offset: int = 41
    timestamp: int = NOW


def raw(**fields: Any) -> bytes:
    """A valid event with `fields` in place of its own; None takes one away."""
    event = {"id": "e1", "type": "viewed", "occurred_at": NOW - 1000, "customer_id": "anna", **fields}
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def intake(*, event_clock: bool = False, **limits: Any) -> Intake:
    """Of lane 3, where everybody is at home but customers called `away...`, whose home is lane 7."""
    return Intake(
        HERE, TOUCHES, Limits(**limits), lambda key: AWAY if key.startswith(b"away") else HERE, event_clock=event_clock
    )


def take(records: Sequence[Read], source: Source = WEB, **how: Any) -> Batch:
    batch = Batch()
    intake(**how).take(source, records, batch)
    return batch


def text(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers}


def seen(key: str = "c:anna", **changed: Any) -> Read:
    """An event that was sent on, as it is read: first seen in partition 5, offset 77."""
    fields = {
        "primary": key, "named": (), "hops": 1, "id": "e1", "at": NOW - 61_000, "appended": NOW - 60_000,
        "partition": 5, "offset": 77, "type": "viewed", "touch": "viewed", "channel": "store", **changed,
    }  # fmt: skip
    headers = [("trace", b"t"), ("journey.origin", b"raw.store-5@77"), ("journey.hops", b"1")]
    return Read(encode_message(Seen(**fields)), headers, key.removeprefix("c:").encode())


# ---- valid events


def test_an_event_becomes_an_arrival() -> None:
    batch = take([Read(raw())])
    (arrival,) = batch.arrivals
    assert (arrival.key, arrival.channel, arrival.source) == ("c:anna", "web", WEB)
    event = arrival.event
    assert (event.id, event.at, event.appended, event.partition, event.offset) == ("e1", NOW - 1000, NOW, HERE, 41)
    assert (event.type, event.touch, event.channel) == ("viewed", "viewed", "web")
    assert (batch.counts["web"].read, batch.counts["web"].dead) == (1, 0)
    assert (batch.dead, batch.routed) == ([], {})


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "c:anna"),
        ({"identities": {"anonymous": "ab12"}}, "c:anna"),
        ({"customer_id": None, "identities": {"anonymous": "ab12"}}, "anonymous:ab12"),
        ({"customer_id": None, "identities": {"shoe": "44", "anonymous": "ab12"}}, "anonymous:ab12"),
        ({"customer_id": "@lane"}, "c:@lane"),
        ({"customer_id": "c:4711"}, "c:c:4711"),
    ],
)
def test_the_strongest_identity_is_the_key(fields: dict[str, Any], key: str) -> None:
    (arrival,) = take([Read(raw(**fields))]).arrivals
    assert arrival.key == key


def test_what_else_an_event_names_its_customer_by_comes_along() -> None:
    both = raw(identities={"anonymous": "ab12"})
    batch = take([Read(raw()), Read(both), Read(raw(id="e2")), Read(both)])
    assert [(arrival.key, arrival.others) for arrival in batch.arrivals] == [
        ("c:anna", ()),
        ("c:anna", ("anonymous:ab12",)),
        ("c:anna", ()),
        ("c:anna", ("anonymous:ab12",)),
    ]


def test_what_does_not_count_is_passed_over_and_counted() -> None:
    batch = take(
        [
            Read(raw(customer_id="", identities={"anonymous": "ab12"})),
            Read(raw(identities={"shoe": "44", "anonymous": "a\nb"})),
            Read(raw(customer_id="anonymous:x", identities={"anonymous": "a" * 300})),
            Read(raw(identities={"anonymous": " "}, occurred_at=NOW + 10**9)),
        ]
    )
    assert [(arrival.key, arrival.others) for arrival in batch.arrivals] == [("anonymous:ab12", ()), ("c:anna", ())]
    assert batch.ignored == {"invalid": 2, "unknown_kind": 1}
    assert batch.reasons == ["bad_identity", "future"]


@pytest.mark.parametrize(
    ("source", "fields", "channel"),
    [
        (WEB, {"channel": "web"}, "web"),
        (ANY, {"channel": "store"}, "store"),
        (KIND, {"kind": "phone", "channel": "web"}, "phone"),
    ],
)
def test_the_channel_is_the_topics_or_the_events_own(source: Source, fields: dict[str, Any], channel: str) -> None:
    batch = take([Read(raw(**fields))], source)
    assert [arrival.event.channel for arrival in batch.arrivals] == [channel]
    assert batch.counts[channel].read == 1


@pytest.mark.parametrize(
    ("properties", "touch"), [({"size": "big"}, "big_order"), ({"size": "small"}, "unclassified"), ([], "unclassified")]
)
def test_properties_are_read_where_a_touch_hangs_on_them(properties: object, touch: str) -> None:
    (arrival,) = take([Read(raw(type="ordered", properties=properties))]).arrivals
    assert arrival.event.touch == touch


def test_old_input_is_counted_and_taken() -> None:
    batch = take([Read(raw(occurred_at=NOW - at)) for at in (99, 100, 101, 5000)], old_ms=100)
    assert (batch.old, len(batch.arrivals)) == (2, 4)
    assert take([Read(raw(occurred_at=1))], old_ms=None).old == 0


# ---- what is no valid event

LARGE = 2000
BAD: dict[str, tuple[Reason, Source, bytes | None]] = {
    "no value": ("not_json", WEB, None),
    "torn": ("not_json", WEB, b'{"id":"e'),
    "a list": ("not_json", WEB, b"[]"),
    "no id": ("no_id", WEB, raw(id=None)),
    "empty id": ("no_id", WEB, raw(id="")),
    "long id": ("bad_id", WEB, raw(id="x" * 65)),
    "number for an id": ("bad_id", WEB, raw(id=7)),
    "nobody": ("no_identity", WEB, raw(customer_id=None)),
    "nobody that counts": ("no_identity", WEB, raw(customer_id=None, identities={"shoe": "44"})),
    "empty customer": ("bad_identity", WEB, raw(customer_id="")),
    "long customer": ("bad_identity", WEB, raw(customer_id="x" * 257)),
    "a number for a customer": ("bad_identity", WEB, raw(customer_id=7)),
    "a customer like another kind": ("bad_identity", WEB, raw(customer_id="anonymous:ab12")),
    "unprintable": ("bad_identity", WEB, raw(customer_id=None, identities={"anonymous": "a\nb"})),
    "no time": ("bad_time", WEB, raw(occurred_at=None)),
    "a word for a time": ("bad_time", WEB, raw(occurred_at="soon")),
    "no zone": ("bad_time", WEB, raw(occurred_at="2025-06-15T10:00:00")),
    "before 1970": ("bad_time", WEB, raw(occurred_at=-1)),
    "the year 9999": ("bad_time", WEB, raw(occurred_at="9999-01-01T00:00:00Z")),
    "ahead of its time": ("future", WEB, raw(occurred_at=NOW + 300_001)),
    "too large": ("too_large", WEB, raw(properties={"text": "x" * LARGE})),
    "too deep": ("too_deep", WEB, raw(properties=json.loads("[" * 40 + "]" * 40))),
    "fax": ("unknown_channel", ANY, raw(channel="fax")),
    "no channel": ("unknown_channel", ANY, raw()),
    "no kind": ("unknown_channel", KIND, raw(channel="web")),
    "a number for a kind": ("unknown_channel", KIND, raw(kind=3)),
    "bytes in a field that only this topic reads": ("not_json", KIND, raw(kind="?").replace(b"?", b"\xff")),
    "another channel": ("channel_mismatch", WEB, raw(channel="store")),
    "no type": ("invalid", WEB, raw(type=None)),
    "long type": ("invalid", WEB, raw(type="x" * 129)),
    "long source": ("invalid", WEB, raw(source="x" * 129)),
    "robot": ("invalid", WEB, raw(actor="robot")),
    "properties that are no UTF-8": ("invalid", WEB, raw(type="ordered", properties="?").replace(b"?", b"\xff")),
    "a number that is too big": ("invalid", WEB, raw(type="ordered", properties="?").replace(b'"?"', b"1e999")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_valid_event_is_a_dead_letter(name: str) -> None:
    reason, source, value = BAD[name]
    batch = take([Read(raw(id="before", channel="web", kind="web")), Read(value)], source, max_bytes=LARGE)
    assert batch.reasons == [reason]
    assert len(batch.arrivals) == 1
    ((key, kept, headers),) = batch.dead
    assert key == b"k"
    assert kept == value
    told = text(headers)
    assert told["journey.reason"] == reason
    assert told["journey.appended"] == str(NOW)
    connect = {name.removeprefix("__connect.errors."): told[name] for name in told if name.startswith("__connect")}
    assert connect.pop("exception.message")
    assert connect == {
        "topic": source.topic,
        "partition": str(HERE),
        "offset": "41",
        "stage": "INTAKE",
        "exception.class.name": "Invalid",
    }
    assert sum(tally.dead for tally in batch.counts.values()) == 1
    assert sum(tally.read for tally in batch.counts.values()) == 2


def test_every_reason_of_the_list_has_its_case() -> None:
    here = {reason for reason, _, _ in BAD.values()}
    assert here | {"too_many_hops", "bad_command", "fold_error"} == set(get_args(Reason))


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({"occurred_at": NOW + 300_000}, {}),
        ({"occurred_at": NOW + 10**9}, {"future_ms": None}),
        ({"properties": json.loads("[" * 31 + "]" * 31)}, {}),
        ({"properties": {"text": "[{" * 100}}, {}),
        ({"id": "x" * 64, "type": "x" * 128, "source": "y" * 128}, {}),
    ],
)
def test_limits_are_the_last_that_is_allowed(fields: dict[str, Any], limits: dict[str, Any]) -> None:
    batch = take([Read(raw(**fields))], **limits)
    assert (batch.reasons, len(batch.arrivals)) == ([], 1)


def test_properties_that_nobody_reads_may_be_anything() -> None:
    batch = take([Read(raw(properties="?").replace(b"?", b"\xff"))])
    assert (batch.reasons, len(batch.arrivals)) == ([], 1)


def test_the_channel_of_a_dead_letter_is_unknown_where_the_event_had_to_say_it() -> None:
    batch = take([Read(b"{")], ANY)
    assert {channel: tally.dead for channel, tally in batch.counts.items() if tally.read} == {"unknown": 1}


# ---- dead letters fit


def test_of_a_value_that_is_too_large_the_head_is_kept() -> None:
    value = raw(properties={"text": "x" * 300_000})
    ((_, kept, headers),) = take([Read(value)]).dead
    assert kept == value[:HEAD]
    assert text(headers)["journey.truncated"] == str(len(value))


def test_a_large_key_and_large_headers_do_not_stop_the_lane() -> None:
    headers: Headers = [("trace", b"t"), ("blob", b"x" * MOST_HEADERS)]
    ((key, value, written),) = take([Read(b"{", headers, key=b"k" * 900_000)]).dead
    told = text(written)
    assert (key, value) == (b"k" * HEAD, b"{")
    assert told["journey.truncated.key"] == "900000"
    assert told["journey.truncated.headers"] == str(MOST_HEADERS + len("traceblob") + 1)
    assert not {"trace", "blob"} & told.keys()


def test_headers_too_large_to_be_sent_on_are_no_event() -> None:
    batch = take([Read(raw(customer_id="away"), [("blob", b"x" * MOST_HEADERS)])])
    assert (batch.reasons, batch.routed) == (["too_large"], {})
    assert len(take([Read(raw(), [("blob", b"x" * MOST_HEADERS)])]).arrivals) == 1


def test_the_original_headers_are_kept_also_without_a_value() -> None:
    ((_, _, headers),) = take([Read(b"{", [("trace", b"t"), ("empty", None), ("trace", b"u")])]).dead
    assert list(headers)[:3] == [("trace", b"t"), ("empty", None), ("trace", b"u")]


def test_a_bug_in_the_fold_keeps_what_was_sent_on_and_the_trace() -> None:
    record = seen()
    batch = take([record], EVENTS)
    (arrival,) = batch.arrivals
    intake().bury(EVENTS, arrival.record, "fold_error", KeyError("stage"), batch, "x" * 9000 + "the end")
    ((_, value, headers),) = batch.dead
    told = text(headers)
    assert value == record.value
    assert (told["journey.reason"], told["__connect.errors.stage"]) == ("fold_error", "FOLD")
    assert told["__connect.errors.exception.class.name"] == "KeyError"
    assert told["__connect.errors.exception.stacktrace"].endswith("the end")
    assert len(told["__connect.errors.exception.stacktrace"]) == 8000
    assert told["journey.origin"] == "raw.store-5@77"


# ---- routing


def test_who_is_not_at_home_here_is_sent_on() -> None:
    value = raw(customer_id="away", identities={"anonymous": "ab12"}, properties={"secret": "x"})
    batch = take([Read(value, [("trace", b"t"), ("journey.hops", b"9"), ("journey.origin", b"elsewhere")])])
    ((key, message, headers),) = batch.routed[AWAY]
    assert batch.arrivals == []
    assert key == b"away"
    assert decode_message(message or b"") == Seen(
        "c:away", ("anonymous:ab12",), 1, "e1", NOW - 1000, NOW, HERE, 41, "viewed", "viewed", "web"
    )
    assert b"secret" not in (message or b"")
    assert list(headers) == [
        ("trace", b"t"),
        ("journey.origin", b"raw.web-3@41"),
        ("journey.appended", str(NOW).encode()),
        ("journey.hops", b"1"),
    ]
    assert (batch.counts["web"].read, batch.counts["web"].routed) == (1, 1)


def test_a_weaker_identity_is_sent_on_by_its_public_key() -> None:
    batch = Batch()
    Intake(HERE, TOUCHES, Limits(), lambda key: AWAY, event_clock=False).take(
        WEB, [Read(raw(customer_id=None, identities={"anonymous": "ab12"}))], batch
    )
    assert [entry[0] for entry in batch.routed[AWAY]] == [b"anonymous:ab12"]


def test_an_event_that_was_sent_on_comes_with_its_first_appearance() -> None:
    batch = take([seen(named=("anonymous:ab12",))], EVENTS)
    (arrival,) = batch.arrivals
    event = arrival.event
    assert (event.appended, event.partition, event.offset, event.channel) == (NOW - 60_000, 5, 77, "store")
    assert (arrival.key, arrival.others, arrival.appended) == ("c:anna", ("anonymous:ab12",), NOW - 60_000)
    assert (batch.counts["store"].read, arrival.channel) == (1, "store")


def test_an_event_that_was_sent_on_is_not_judged_again_by_the_clock() -> None:
    batch = take([seen(at=NOW + 10**9)], EVENTS, old_ms=1)
    assert (len(batch.arrivals), batch.old) == (1, 0)


@pytest.mark.parametrize(("made", "goes_on"), [(1, True), (MOST_HOPS - 1, True), (MOST_HOPS, False)])
def test_hops_are_counted_and_bounded(made: int, goes_on: bool) -> None:
    batch = take([seen("c:away", hops=made)], EVENTS)
    if goes_on:
        ((_, value, headers),) = batch.routed[AWAY]
        message = decode_message(value or b"")
        assert isinstance(message, Seen)
        assert message.hops == made + 1
        assert text(headers)["journey.hops"] == str(made + 1)
        assert batch.counts["store"].routed == 1
    else:
        assert (batch.reasons, batch.routed) == (["too_many_hops"], {})
        assert batch.counts["store"].dead == 1


@pytest.mark.parametrize("value", [None, b"", b"{", raw(), b"\x93\xa5claim\xa1a", b"\xc1"])
def test_what_is_no_message_is_a_dead_letter(value: bytes | None) -> None:
    batch = take([Read(value), seen(id="e2")], EVENTS)
    assert batch.reasons == ["invalid"]
    assert [arrival.event.id for arrival in batch.arrivals] == ["e2"]
    assert sum(tally.read for tally in batch.counts.values()) == 2


def test_a_sent_on_event_of_an_unknown_channel_is_a_dead_letter() -> None:
    assert take([seen(channel="fax")], EVENTS).reasons == ["unknown_channel"]


def test_homes_are_remembered() -> None:
    asked: list[bytes] = []

    def home(key: bytes) -> int:
        asked.append(key)
        return AWAY if key.startswith(b"away") else HERE

    lane, batch = Intake(HERE, TOUCHES, Limits(), home, event_clock=False), Batch()
    lane.take(WEB, [Read(raw()), Read(raw()), Read(raw(customer_id="away")), Read(raw(customer_id="away"))], batch)
    lane.take(EVENTS, [seen()], batch)
    assert asked == [b"anna", b"away"]
    assert (len(batch.arrivals), len(batch.routed[AWAY])) == (3, 2)


# ---- identities


def test_what_identities_are_told_arrives_and_is_counted_apart() -> None:
    claim = Read(encode_message(Claim("c:anna", "c:anna")), (), b"anonymous:ab12")
    batch = take([claim, claim], EVENTS)
    assert [(arrival.key, arrival.message, arrival.appended) for arrival in batch.arrivals] == [
        ("anonymous:ab12", Claim("c:anna", "c:anna"), NOW)
    ] * 2
    assert (batch.told, sum(tally.read for tally in batch.counts.values())) == ({"claim": 2}, 0)


ORDERS = {
    ("link", "anonymous:ab12", "anna"): ("c:anna", Link("anonymous:ab12", "c:anna", NOW)),
    ("link", "bob", "anna"): ("c:anna", Link("c:bob", "c:anna", NOW)),
    ("block", "anonymous:ab12", "anna"): ("anonymous:ab12", Block("c:anna")),
    ("unblock", "bob", "anna"): ("c:bob", Unblock("c:anna")),
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_about_identities_is_a_message_for_one_of_them(order: tuple[str, str, str]) -> None:
    batch = take([Read(ordered(*order))], COMMANDS)
    assert [(arrival.key, arrival.message) for arrival in batch.arrivals] == [ORDERS[order]]
    assert (batch.commands.read, batch.commands.obeyed, batch.commands.dead) == (1, 1, 0)


NO_ORDERS = [
    ("link", "anna", "anna"),
    ("link", "anonymous:a", "anonymous:b"),
    ("block", "away", "anna"),
    ("link", "", "anna"),
    ("block", "anna", ""),
]


@pytest.mark.parametrize("order", NO_ORDERS)
def test_an_order_that_makes_no_sense_is_a_dead_letter(order: tuple[str, str, str]) -> None:
    batch = take([Read(ordered(*order))], COMMANDS)
    assert (batch.reasons, batch.arrivals) == (["bad_command"], [])
    assert (batch.commands.read, batch.commands.obeyed, batch.commands.dead) == (1, 0, 1)


def ordered(command: str, identity: str, customer: str) -> bytes:
    order = {"id": "o1", "command": command, "lane": HERE, "reason": "because", "at": NOW}
    return json.dumps({**order, "identity": identity, "customer": customer}).encode()


def test_an_event_of_a_merge_is_an_event_and_a_link() -> None:
    batch = take([Read(raw(type="customer_merged", customer_id="bob", properties={"into": "anna"}))])
    assert [arrival.key for arrival in batch.arrivals] == ["c:bob"]
    assert batch.posts == [Post("c:anna", Link("c:bob", "c:anna", NOW))]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"properties": {}}, "invalid"),
        ({"properties": {"into": 7}}, "invalid"),
        ({"properties": {"into": ""}}, "bad_identity"),
        ({"properties": {"into": "anna"}}, "bad_identity"),
        ({"customer_id": None, "identities": {"anonymous": "a"}, "properties": {"into": "anna"}}, "bad_identity"),
    ],
)
def test_a_merge_that_makes_no_sense_is_a_dead_letter(fields: Mapping[str, Any], reason: Reason) -> None:
    batch = take([Read(raw(type="customer_merged", **fields))])
    assert (batch.reasons, batch.posts) == ([reason], [])


# ---- punctuation


def punctuation(moment: object) -> Read:
    return Read(b'{"punctuation": 1}', [("journey.end", b"1"), ("journey.punctuation", str(moment).encode())])


def test_punctuation_is_the_latest_of_each_topic() -> None:
    batch, lane = Batch(), intake(event_clock=True)
    lane.take(WEB, [punctuation(5), punctuation(9), punctuation(7)], batch)
    lane.take(COMMANDS, [punctuation(3)], batch)
    assert batch.punctuation == {"raw.web": 9, "journey.commands": 3}
    assert (batch.reasons, sum(tally.read for tally in batch.counts.values()), batch.commands.read) == ([], 0, 0)


@pytest.mark.parametrize("moment", ["soon", "-1", "1.5", "", "9" * 30, "9" * 5000])
def test_what_is_no_punctuation_is_read_as_an_event(moment: str) -> None:
    batch = take([punctuation(moment)], event_clock=True)
    assert (batch.punctuation, batch.reasons) == ({}, ["no_id"])


def test_a_punctuation_without_a_value_is_none() -> None:
    batch = take([Read(raw(), [("journey.punctuation", None)])], event_clock=True)
    assert (batch.punctuation, len(batch.arrivals)) == ({}, 1)


def test_the_live_clock_knows_no_punctuation() -> None:
    batch = take([punctuation(5)])
    assert (batch.punctuation, batch.reasons) == ({}, ["no_id"])


# ---- commands


def command(**fields: Any) -> bytes:
    order = {"id": "1", "command": "resume", "lane": HERE, "reason": "mended", **fields}
    return json.dumps({name: value for name, value in order.items() if value is not None}).encode()


def test_commands_are_counted_apart() -> None:
    batch = take([Read(command()), Read(command(command="skip", topic="raw.web"))], COMMANDS)
    assert (batch.commands.read, batch.commands.obeyed, batch.commands.dead) == (2, 2, 0)
    assert (batch.counts, batch.arrivals, batch.dead) == ({}, [], [])


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        command().replace(b"}", b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        command(command="dance"),
        command(lane=None),
        command(lane=AWAY),
        command(reason=None),
    ],
    ids=["nothing", "empty", "torn", "bytes", "deep", "deep inside", "dance", "no lane", "another lane", "no reason"],
)
def test_what_is_no_command_is_a_dead_letter(value: bytes | None) -> None:
    batch = take([Read(value), Read(command())], COMMANDS)
    assert (batch.commands.read, batch.commands.obeyed, batch.commands.dead) == (2, 1, 1)
    assert batch.reasons == ["bad_command"]
    ((_, kept, headers),) = batch.dead
    assert value is None or value.startswith(kept or b"")
    assert text(headers)["__connect.errors.topic"] == "journey.commands"


def test_a_command_is_read_as_it_is_written() -> None:
    order = decode_command(command(topic="raw.web", at="2025-06-15T10:00:00Z", more="fields"))
    assert (order.command, order.lane, order.reason, order.topic) == ("resume", HERE, "mended", "raw.web")
    with pytest.raises(Invalid, match="no command") as refused:
        decode_command(b"no")
    assert refused.value.reason == "bad_command"


# ---- privacy


def test_nothing_about_people_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    cases: Mapping[str, tuple[Reason, Source, bytes | None]] = BAD
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        for _, source, value in cases.values():
            take([Read(value)], source)
        take([Read(raw()), Read(raw(customer_id="away"))])
        take([seen("c:away", hops=9)], EVENTS)
    assert (logs, caplog.records) == ([], [])
