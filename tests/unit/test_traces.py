"""From a sender's `traceparent` to that of a transition, and the spans in between, as OpenTelemetry's SDK has them."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from pipeline.adapters.traces import OpenTelemetry, TracedLane
from pipeline.application.intake import Batch
from pipeline.application.ports import Entry
from pipeline.application.stitch import Effects
from pipeline.application.tracing import NoTraces
from tests.fakes.pipeline import START
from tests.unit.test_stitch import EVENTS, NOW, WEB, Read, stitch

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01".encode(), f"00-{TRACE}-{SPAN}-00".encode()


class Traced:
    """A lane whose spans end up in memory."""

    def __init__(self, ratio: float = 1.0) -> None:
        self.memory = InMemorySpanExporter()
        self.sender = OpenTelemetry("", ratio, "journey", "here", self.memory)
        self.lane: TracedLane = self.sender.lane(3)
        self.stitch = stitch()

    def fold(self, *events: tuple[str, str, str, bytes | None]) -> tuple[Batch, Effects]:
        """(event id, customer, type, traceparent) each, at lane 0."""
        reads = []
        for offset, (number, customer, kind, parent) in enumerate(events):
            said = {"id": number, "customer_id": customer, "type": kind, "occurred_at": START + offset}
            headers = [("other", b"x")] + ([("traceparent", parent), ("tracestate", b"a=b")] if parent else [])
            reads.append(Read(offset, json.dumps(said).encode(), headers))
        batch, effects = Batch(), Effects(NOW)
        self.stitch.intake.take(WEB, reads, batch)
        stored: dict[str, bytes | None] = {arrival.key: None for arrival in batch.arrivals}
        for _ in self.stitch.fold(batch.arrivals, stored, None, batch, effects):
            pass
        return batch, effects

    def write(self, *events: tuple[str, str, str, bytes | None]) -> list[Entry]:
        """The transitions as they leave."""
        written = self.lane.write_out(*self.fold(*events))
        self.lane.committed()
        return written.transitions

    def spans(self) -> dict[str, ReadableSpan]:
        """What was sent, by name; nothing more can be sent."""
        self.sender.close()
        return {span.name: span for span in self.memory.get_finished_spans()}


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.sender.close()


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Trace and span id as the header writes them."""
    context: Any = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def test_a_transition_goes_on_with_the_trace_of_its_event(traced: Traced) -> None:
    ((_, _, headers),) = traced.write(("e1", "anna", "page_viewed", SAMPLED))
    (name, header), state = headers
    assert (name, state) == ("traceparent", ("tracestate", b"a=b"))
    version, trace, span, flags = (header or b"").decode().split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    spans = traced.spans()
    assert set(spans) == {"stitch", "transition"}
    assert parent_of(spans["stitch"]) == SPAN
    assert parent_of(spans["transition"]) == ids(spans["stitch"])[1]
    assert ids(spans["transition"]) == (TRACE, span)
    assert spans["stitch"].start_time == START * 1_000_000, "from when Kafka had the event"
    assert dict(spans["stitch"].attributes or {}) == {"journey.lane": 3, "journey.position": "raw.web-3@0"}
    told = dict(spans["transition"].attributes or {})
    assert (told["journey.lane"], told["journey.kind"], told["journey.from"]) == (3, "entered", "")
    assert told["journey.stage"]


def test_spans_name_nobody(traced: Traced) -> None:
    traced.write(("canary-event", "canary-customer", "page_viewed", SAMPLED))
    assert traced.spans()
    assert "canary" not in "".join(span.to_json() for span in traced.memory.get_finished_spans())


@pytest.mark.parametrize(("ratio", "parent"), [(1.0, UNSAMPLED), (0.0, SAMPLED)])
def test_what_is_not_sampled_goes_on_without_spans(ratio: float, parent: bytes) -> None:
    traced = Traced(ratio)
    ((_, _, headers),) = traced.write(("e1", "anna", "page_viewed", parent))
    assert list(headers) == [("traceparent", parent), ("tracestate", b"a=b")]
    assert traced.spans() == {}


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"nonsense",
        b"00-" + TRACE.encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-0x".encode(),
    ],
)
def test_what_is_no_trace_is_passed_over(traced: Traced, parent: bytes | None) -> None:
    ((_, _, headers),) = traced.write(("e1", "anna", "page_viewed", parent))
    assert list(headers) == []
    assert traced.spans() == {}


def test_the_share_that_is_kept_is_the_one_that_opentelemetry_keeps() -> None:
    random, sampler = Random(3), TraceIdRatioBased(0.3)
    traced, kept = Traced(0.3), set()
    traces = [random.getrandbits(128) for _ in range(200)]
    for trace in traces:
        traced.write(("e1", "anna", "page_viewed", f"00-{trace:032x}-{SPAN}-01".encode()))
    traced.sender.close()
    for span in traced.memory.get_finished_spans():
        kept.add(int(ids(span)[0], 16))
    wanted = {one for one in traces if sampler.should_sample(None, one, "").decision is Decision.RECORD_AND_SAMPLE}
    assert kept == wanted
    assert 30 < len(kept) < 90


def test_what_was_aborted_is_not_told(traced: Traced) -> None:
    batch, effects = traced.fold(("e1", "anna", "page_viewed", SAMPLED))
    traced.lane.write_out(batch, effects)
    (again,) = traced.lane.write_out(batch, effects).transitions
    traced.lane.committed()
    spans = traced.spans()
    assert len(traced.memory.get_finished_spans()) == 2
    assert again[2][0][1] == f"00-{TRACE}-{ids(spans['transition'])[1]}-01".encode()


def test_the_same_event_id_of_two_customers_is_two_events(traced: Traced) -> None:
    other = f"00-{'7' * 32}-{SPAN}-01".encode()
    entries = traced.write(("e1", "anna", "page_viewed", SAMPLED), ("e1", "bert", "page_viewed", other))
    found = {key: (headers[0][1] or b"")[3:35].decode() for key, _, headers in entries}
    assert found == {b"anna": TRACE, b"bert": "7" * 32}


def test_an_event_that_is_sent_on_keeps_its_trace_and_says_where_it_was_first(traced: Traced) -> None:
    batch, _ = traced.fold(("e1", "away", "page_viewed", SAMPLED))
    (key, value, headers) = batch.routed[1][0]
    assert dict(headers)["traceparent"] == SAMPLED
    home = Traced()
    home.stitch = stitch(home=lambda _: 0)
    batch, effects = Batch(), Effects(NOW)
    home.stitch.intake.take(EVENTS, [Read(9, value, headers, START + 70_000, key)], batch)
    for _ in home.stitch.fold(batch.arrivals, {"c:away": None}, None, batch, effects):
        pass
    ((_, _, found),) = home.lane.write_out(batch, effects).transitions
    home.lane.committed()
    span = home.spans()["stitch"]
    assert (parent_of(span), (found[0][1] or b"")[3:35].decode()) == (SPAN, TRACE)
    assert dict(span.attributes or {}) == {
        "journey.lane": 3,
        "journey.position": "journey.events-3@9",
        "journey.origin": "raw.web-0@0",
    }
    assert span.start_time == START * 1_000_000, "since Kafka had it first"


def test_without_traces_nothing_is_added() -> None:
    lane = NoTraces()
    written = lane.write_out(*Traced().fold(("e1", "anna", "page_viewed", SAMPLED)))
    lane.committed()
    assert [headers for _, _, headers in written.transitions] == [()]
