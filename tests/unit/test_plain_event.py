"""The checker's own reading of events, of homes and of their refusal agrees with the pipeline's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.checker.plain_event import EventReader, NoEvent
from pipeline.checker.plain_home import home_lane
from pipeline.checker.rules import Headers, Input, Rules, read_models
from pipeline.domain.identity import public_key
from pipeline.domain.touches import TouchTable

APPENDED = 1_750_000_000_000
ROWS, JOURNEYS, VERSIONS = read_models("touches", ["five-stage"], {})
RULES = Rules(
    application="a",
    prefix="",
    partitions=1,
    inputs=(Input("raw.web", "web", None), Input("raw.any", None, "channel"), Input("raw.where", None, "where")),
    event_clock=False,
    lateness=1,
    limit=1,
    future=300_000,
    max_bytes=2_000,
    max_depth=6,
    rows=ROWS,
    journeys=JOURNEYS,
    versions=VERSIONS,
)
GOOD: Mapping[str, Any] = {
    "id": "1",
    "type": "page_viewed",
    "occurred_at": "2025-06-01T10:00:00.000Z",
    "customer_id": "c",
    "channel": "web",
    "where": "store",
}


@dataclass(frozen=True)
class Raw:
    value: bytes | None
    offset: int = 7
    timestamp: int = APPENDED
    key: bytes | None = None
    headers: Headers = ()


def by_the_pipeline(source: Input, record: Raw) -> tuple[str, int] | None:
    limits = Limits(RULES.max_bytes, RULES.max_depth, RULES.future, None)
    batch = Batch()
    intake = Intake(0, TouchTable(()), limits, lambda _: 0, event_clock=False)
    intake.take(Source(source.topic, "raw", source.channel, source.channel_field or "channel"), [record], batch)
    return (public_key(batch.arrivals[0].key), batch.arrivals[0].event.at) if batch.arrivals else None


def by_the_checker(source: Input, record: Raw) -> tuple[str, int] | None:
    try:
        said = EventReader(RULES).raw(record, source, 0)
    except NoEvent:
        return None
    return said.customer, said.act.at


def agreed(value: bytes | None) -> list[tuple[str, int] | None]:
    found = [by_the_checker(source, Raw(value)) for source in RULES.inputs]
    assert found == [by_the_pipeline(source, Raw(value)) for source in RULES.inputs]
    return found


def test_what_is_good_is_good_to_both() -> None:
    assert None not in agreed(json.dumps(GOOD).encode())


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"7", b"null", b'"text"', b"\xff", b"{}" * 2, b"x" * 3_000])
def test_what_is_no_object(value: bytes | None) -> None:
    assert agreed(value) == [None] * 3


@pytest.mark.parametrize("name", GOOD)
def test_what_lacks_a_field(name: str) -> None:
    agreed(json.dumps({key: value for key, value in GOOD.items() if key != name}).encode())


ODD: list[Any] = [
    None, "", "x", "x" * 64, "x" * 65, "x" * 129, "x" * 257, "web", "tv", "company", "anonymous:a", "a b", "a\nb", 1.5,
    -1, True, 10**13, 10**15, 10**30, [], {}, {"anonymous": "a"}, {"anonymous": 1}, {"anonymous": ""}, {"email": "e"},
    "2025-06-01T10:00:00Z", "2025-06-01t10:00:00+02:00", "2025-06-01 10:00:00.123456-01:30", "2025-06-01T10:00:00",
    "2025-06-15T15:11:40.000Z", "2025-06-15T15:11:40.001Z", "1969-12-31T23:59:59.999Z", "2025-13-01T10:00:00Z",
    "20250601T100000Z", "2025-W23-1T10:00:00Z", "9000-01-01T00:00:00.000Z", "9000-01-01T00:00:00.001Z",
]  # fmt: skip
FIELDS = [*GOOD, "identities", "source", "actor", "properties"]


@pytest.mark.parametrize("name", FIELDS)
def test_what_has_an_odd_field(name: str) -> None:
    for odd in ODD:
        agreed(json.dumps({**GOOD, name: odd}).encode())
        agreed(json.dumps({**GOOD, "customer_id": None, "identities": {"anonymous": "a"}, name: odd}).encode())


@pytest.mark.parametrize("who", [{}, {"customer_id": None, "identities": {"anonymous": "a"}}])
def test_a_merge_names_two_customers(who: Mapping[str, Any]) -> None:
    merge = {**GOOD, "type": "customer_merged", **who}
    agreed(json.dumps(merge).encode())
    for odd in ODD:
        agreed(json.dumps({**merge, "properties": odd}).encode())
        agreed(json.dumps({**merge, "properties": {"into": odd}}).encode())
    assert (None in agreed(json.dumps({**merge, "properties": {"into": "b"}}).encode())) == bool(who)
    assert agreed(json.dumps({**merge, "properties": {"into": "c"}}).encode()) == [None] * 3


@given(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(ODD)), st.integers(0, 8))
def test_what_is_odd_in_many_ways(odd: Mapping[str, Any], depth: int) -> None:
    nested: Any = "[{"
    for _ in range(depth):
        nested = [nested]
    agreed(json.dumps({**GOOD, **odd, "more": nested}).encode())


@given(st.text(min_size=1), st.integers(1, 50))
def test_everybody_is_at_home_where_kafka_says(customer: str, lanes: int) -> None:
    name = customer.encode(errors="ignore").decode() or "a"
    assert home_lane(name, lanes) == home_partition(name.encode(), lanes)


def test_what_is_nested_without_end() -> None:
    many = 480  # orjson gives up at 1024 levels by itself; a recursive look would sooner
    nested = b'{"a":' * many + b"1" + b"}" * many
    assert agreed(json.dumps(GOOD).encode()[:-1] + b', "more": ' + nested + b"}") == [None] * 3
