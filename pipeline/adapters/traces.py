"""W3C trace context from a raw event to its transitions, and spans of what a lane did in between, by OpenTelemetry.

    raw event ──► (routed on journey.events) ──► transition, each with a `traceparent` of the same trace

Whoever is to be followed is the sender's choice: an event without `traceparent` has no trace, one that its sender does
not sample gets no spans, and of the others a share is kept, by the trace id as OpenTelemetry's `TraceIdRatioBased` does
it, so that all services with the same ratio keep the same traces. The header goes on in any case. Spans say lane,
position, journey and stage, and nothing about whom. An event that is sent on keeps the header that it came with.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer

from pipeline import __version__
from pipeline.application.intake import Arrival, Batch
from pipeline.application.ports import Entry
from pipeline.application.routing import ORIGIN
from pipeline.application.stitch import Effects, Written, write_out
from pipeline.application.tracing import TRACEPARENT, TRACESTATE
from pipeline.domain.feed import Transition

VALID: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
LENGTH: Final = 55
"""https://www.w3.org/TR/trace-context/#traceparent-header, of version 00. Where a span hangs below it, all of it is
looked at; what is only passed on may be zeros, which its reader has to look at anyway."""

NS_A_MS: Final = 1_000_000
STOP_S: Final = 3
"""How long one answer of the collector may take, also as the worker ends."""


Header = tuple[str, bytes | None]
_LETTERS: Final = b"0123456789abcdef-"
_SAMPLED: Final = frozenset((b"1", b"3", b"5", b"7", b"9", b"b", b"d", b"f"))


class OpenTelemetry:
    """Sends spans by OTLP over HTTP to `endpoint`, from a thread of its own; what cannot be sent is lost.

    `ratio`: the share of sampled traces that gets spans. Variables of the SDK (OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_BSP_…) hold, too.
    """

    def __init__(
        self, endpoint: str, ratio: float, service: str, instance: str, exporter: SpanExporter | None = None
    ) -> None:
        about = {"service.name": service, "service.instance.id": instance, "service.version": __version__}
        # Which trace is kept is decided before there is a span, since nearly all are not.
        self._provider = TracerProvider(ALWAYS_ON, Resource.create(about), shutdown_on_exit=False)
        sender = exporter or OTLPSpanExporter(endpoint=endpoint, timeout=STOP_S)
        self._provider.add_span_processor(BatchSpanProcessor(sender))
        self._tracer = self._provider.get_tracer("pipeline", __version__)
        self._bound = TraceIdRatioBased.get_bound_for_rate(ratio)

    def lane(self, partition: int) -> "TracedLane":
        """The traces of one lane."""
        return TracedLane(partition, self._tracer, self._bound)

    def close(self) -> None:
        """Sends what is ended; never waits longer than some seconds."""
        self._provider.shutdown()


class TracedLane:
    """Traces of lane `lane`. `tracer` is OpenTelemetry's; `bound`: traces whose last 16 digits are below are kept."""

    def __init__(self, lane: int, tracer: Tracer, bound: int) -> None:
        self._lane = lane
        self._tracer = tracer
        self._bound = f"{min(bound, (1 << 64) - 1):016x}".encode()
        self._open: list[Span] = []

    def write_out(self, batch: Batch, effects: Effects) -> Written:
        """As the port has it. Nearly every trace is passed on as it came, so that way has no call of ours in it."""
        self._open.clear()  # never ended, so never sent: that transaction was aborted
        written = write_out(effects)
        transitions, entries, bound = effects.feed.transitions, written.transitions, self._bound
        causes: dict[str, tuple[int, ...]] = {}
        for number, transition in enumerate(transitions):
            event = transition.entry.event
            if event in causes:
                causes[event] += (number,)
            elif event:
                causes[event] = (number,)
        caused = [arrival for arrival in batch.arrivals if arrival.event.id in causes] if causes else ()
        for arrival in caused:
            headers, numbers = arrival.record.headers, causes[arrival.event.id]
            parent: bytes | None = None
            ours: tuple[Header, ...] = ()
            for header in headers:
                if header[0] == TRACEPARENT:
                    parent, ours = header[1], (header, *ours)
                elif header[0] == TRACESTATE:
                    ours = (*ours, header)
            if parent is None or len(parent) != LENGTH or parent.translate(None, _LETTERS):
                continue
            if parent[19:35] < bound and parent[54:] in _SAMPLED:
                self._go_on(arrival, parent, ours[1:], numbers, transitions, entries)
                continue
            for number in numbers:
                if transitions[number].key == arrival.key:  # ids of events are unique for a customer only
                    key, value, _ = entries[number]
                    entries[number] = (key, value, ours)
        return written

    def committed(self) -> None:
        """Ends the spans of what was written out."""
        now = time.time_ns()
        for span in reversed(self._open):
            span.end(now)
        self._open.clear()

    def _go_on(
        self,
        arrival: Arrival,
        parent: bytes,
        state: Sequence[Header],
        numbers: Sequence[int],
        transitions: Sequence[Transition],
        entries: list[Entry],
    ) -> None:
        """Gives the transitions of an event spans below that of its sender."""
        theirs = [number for number in numbers if transitions[number].key == arrival.key]
        if not theirs or VALID.fullmatch(parent) is None:
            return
        about = {"journey.position": f"{arrival.source.topic}-{self._lane}@{arrival.record.offset}"}
        about |= {name: (text or b"").decode() for name, text in arrival.record.headers if name == ORIGIN}
        stitch = self._begin("stitch", parent, arrival.appended * NS_A_MS, SpanKind.CONSUMER, about)
        for number in theirs:
            key, value, _ = entries[number]
            transition = transitions[number]
            told = {
                "journey.name": transition.journey,
                "journey.kind": transition.kind,
                "journey.stage": transition.to,
                "journey.from": transition.from_,
            }
            span = self._begin("transition", _header(stitch), None, SpanKind.PRODUCER, told)
            entries[number] = (key, value, ((TRACEPARENT, _header(span)), *state))

    def _begin(
        self, name: str, parent: bytes, started: int | None, kind: SpanKind, told: Mapping[str, str | int]
    ) -> Span:
        attributes = {"journey.lane": self._lane, **told}
        span = self._tracer.start_span(name, _context(parent), kind, attributes, start_time=started)
        self._open.append(span)
        return span


def _context(parent: bytes) -> Context:
    """Where a valid header says that a span belongs."""
    text = parent.decode()
    flags = TraceFlags(int(text[53:55], 16))
    remote = SpanContext(int(text[3:35], 16), int(text[36:52], 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(remote))


def _header(span: Span) -> bytes:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode()
