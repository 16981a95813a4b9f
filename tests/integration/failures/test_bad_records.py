"""Records that are no valid event: each is a dead letter with its reason, and the rest goes on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dev.stack import Stack
from tests.harness.application import HOUR, MINUTE, Application, ago, some_traffic
from tests.harness.reading import last_lane_records
from tests.harness.sending import Sent
from tests.integration.failures.common import texts


@dataclass(frozen=True)
class Bad:
    """A record that is no valid event, and why. `fields` change a valid one; `value` stands for it."""

    reason: str
    fields: dict[str, Any] | None = None
    value: bytes | None = None
    topic: str = "raw.web"
    channel: str = "web"
    headers: tuple[tuple[str, bytes | None], ...] = ()
    away: bool = False


def deep(levels: int) -> bytes:
    valid = b'{"id":"d","type":"page_viewed","occurred_at":1,"customer_id":"d","properties":'
    return valid + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


def bad_ones() -> dict[str, Bad]:
    """By name; made when they are sent, since one lies ahead of its time."""
    return {
        "torn": Bad("not_json", value=b'{"id":"e'),
        "bytes": Bad("not_json", value=b"\xff\xfe\x00"),
        "list": Bad("not_json", value=b"[]"),
        "tombstone": Bad("not_json"),
        "without-id": Bad("no_id", {"id": None}),
        "empty-id": Bad("no_id", {"id": ""}),
        "long-id": Bad("bad_id", {"id": "x" * 65}),
        "id-is-a-number": Bad("bad_id", {"id": 7}),
        "nobody": Bad("no_identity", {"customer_id": None}),
        "nobody-accepted": Bad("no_identity", {"customer_id": None, "identities": {"shoe_size": "44"}}),
        "customer-is-a-number": Bad("bad_identity", {"customer_id": 7}),
        "time-is-a-word": Bad("bad_time", {"occurred_at": "soon"}),
        "time-without-zone": Bad("bad_time", {"occurred_at": "2026-01-31T10:00:00"}),
        "before-1970": Bad("bad_time", {"occurred_at": -1}),
        "without-time": Bad("bad_time", {"occurred_at": None}),
        "future": Bad("future", {"occurred_at": ago(-10 * MINUTE)}),
        "300-KiB": Bad("too_large", {"properties": {"text": "x" * 300 * 1024}}),
        "5-MB-compressed": Bad("too_large", value=b" " * 5_000_000),
        "heavy-headers": Bad("not_json", value=b"{", headers=(("h", b"h" * 600_000),)),
        "heavy-headers-away": Bad("too_large", {}, headers=(("h", b"h" * 600_000),), away=True),
        "null-header": Bad("not_json", value=b"{", headers=(("h", None),)),
        "1000-deep": Bad("too_deep", value=deep(1_000)),
        "another-channel": Bad("channel_mismatch", {"channel": "store"}),
        "no-such-channel": Bad("channel_mismatch", {"channel": "fax"}),
        "no-such-channel-here": Bad("unknown_channel", {"channel": "fax"}, topic="raw.any", channel="unknown"),
        "without-channel": Bad("unknown_channel", {}, topic="raw.any", channel="unknown"),
        "without-type": Bad("invalid", {"type": None}),
        "robot": Bad("invalid", {"actor": "robot"}),
        "forged-hop": Bad("invalid", {}, topic="journey.events", headers=(("journey.channel", b"web"),)),
        "command-is-none": Bad("bad_command", value=b'{"command":"dance"}', topic="journey.commands"),
    }


def bad_record(app: Application, name: str, bad: Bad) -> Sent:
    """The record on lane 0, with a key and a header of its own."""
    value = bad.value
    if bad.fields is not None:
        customer = app.sender.residents(1 if bad.away else 0, f"bad-{name}-", 1)[0]
        valid = {"id": name, "type": "page_viewed", "occurred_at": ago(HOUR), "customer_id": customer}
        value = json.dumps({k: v for k, v in (valid | bad.fields).items() if v is not None}).encode()
    headers = (("trace", name.encode()), *bad.headers)
    return app.sender.put(Sent(bad.topic, bad.channel, 0, name.encode(), value, headers, dead=bad.reason))


def test_what_is_no_valid_event_is_a_dead_letter_and_the_rest_goes_on(
    stack: Stack, tmp_path: Path, prefix: str
) -> None:
    inputs = [{"topic": f"raw.{c}", "channel": c} for c in ("web", "store")]
    inputs.append({"topic": "raw.any", "channel_field": "channel"})
    with Application(stack, tmp_path, prefix, inputs=inputs) as app:
        worker = app.worker().until_ready()
        some_traffic(app, "before")
        bad_by_name = bad_ones()
        sent = {name: bad_record(app, name, bad) for name, bad in bad_by_name.items()}
        app.sender.event("web", "odd", "page_scrolled", ago(HOUR))
        app.sender.event("phone", "any", "page_viewed", ago(HOUR), topic="raw.any", channel="phone")
        marked = app.sender.make("web", "marked", "page_viewed", ago(HOUR), partition=app.sender.elsewhere("marked"))
        marked.headers = [("null", None), ("journey.hops", b"99"), ("journey.channel", b"fax")]
        app.sender.put(marked)
        some_traffic(app, "after")
        verdict = app.assert_right(worker)
        letters = {message.key: message for message in app.records("journey.dlq")}
        assert len(letters) == len(bad_by_name) == verdict.dead
        for name, record in sent.items():
            letter = letters[name.encode()]
            told = {name.removeprefix("__connect.errors."): text for name, text in texts(letter).items()}
            assert told["journey.reason"] == record.dead
            assert told["topic"] == app.settings.topic(record.topic)
            assert (told["partition"], told["offset"]) == ("0", str(record.offset))
            assert (told["stage"], told["exception.class.name"]) == ("INTAKE", "Invalid")
            assert told["exception.message"]
            assert told["journey.appended"] == str(record.appended)
            if "h" in dict(record.headers):
                heavy = dict(record.headers)["h"] is not None
                assert (int(told["journey.truncated.headers"]) > 600_000) if heavy else letter.headers["h"] is None
            assert told.get("trace") == (None if name.startswith("heavy-headers") else name)
            if len(record.value or b"") > 256 * 1024:
                assert record.value is not None
                assert letter.value == record.value[: 64 * 1024]
                assert told["journey.truncated"] == str(len(record.value))
            else:
                assert letter.value == record.value
        assert app.stages("any") == app.stages("marked") == ["seen"]
        assert app.stages("odd") == []
        unclassified = worker.metric("journey_unclassified_events_total")
        assert unclassified == sum(record.unclassified for record in last_lane_records(app.settings).values()) == 1
        for reason in {bad.reason for bad in bad_by_name.values()}:
            expected = sum(bad.reason == reason for bad in bad_by_name.values())
            assert worker.metric("journey_dead_letters_total", reason=reason) == expected
        assert worker.ready
        assert worker.live
        assert worker.stop() == 0
