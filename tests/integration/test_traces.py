"""A real worker, a real collector's protocol: a trace goes from the raw event to the feed, over lanes too."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pipeline.dev.stack import Stack
from tests.harness.application import HOUR, Application, ago
from tests.harness.waiting import until

WAIT_S = 40.0
PARENT = "00f067aa0ba902b7"


class Collector:
    """An OTLP/HTTP receiver: keeps every span."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.about: dict[str, str] = {}
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                for each in request.resource_spans:
                    collector.about |= {pair.key: pair.value.string_value for pair in each.resource.attributes}
                    collector.spans += [span for scope in each.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in the base class
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, trace: str) -> dict[str, Span]:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


def send(app: Application, customer: str, lane: int, trace: str) -> None:
    made = app.sender.make("web", customer, "page_viewed", ago(HOUR), partition=lane)
    made.headers = [("traceparent", f"00-{trace}-{PARENT}-01".encode())]
    app.sender.put(made)


def test_a_trace_goes_from_the_raw_event_to_the_transition_over_lanes_too(
    stack: Stack, tmp_path: Path, prefix: str, collector: Collector
) -> None:
    straight, routed = "1" * 32, "2" * 32
    with Application(stack, tmp_path, prefix, traces_endpoint=collector.endpoint, traces_ratio=1.0) as app:
        worker = app.worker().until_ready(WAIT_S)
        here, there = app.sender.residents(0, "here", 1)[0], app.sender.residents(1, "there", 1)[0]
        send(app, here, 0, straight)
        send(app, there, 0, routed)
        app.assert_right(worker, WAIT_S)
        headers = {(record.key or b"").decode(): record.headers for record in app.records("journey.transitions")}
        found = {customer: (headers[customer]["traceparent"] or b"").decode().split("-") for customer in (here, there)}
        assert worker.stop(20) == 0, "what is left is sent as it ends"
        assert [line["endpoint"] for line in worker.logged("traces.on")] == [collector.endpoint]
    until(lambda: {"stitch", "transition"} <= set(collector.of(straight)), "the collector has the trace", WAIT_S)
    until(lambda: {"stitch", "transition"} <= set(collector.of(routed)), "and the other one", WAIT_S)
    assert collector.about["service.name"] == app.settings.application
    for customer, trace in ((here, straight), (there, routed)):
        spans = collector.of(trace)
        version, carried, span, flags = found[customer]
        assert (version, carried, flags) == ("00", trace, "01")
        assert spans["transition"].span_id.hex() == span
        assert spans["transition"].parent_span_id == spans["stitch"].span_id
        assert spans["stitch"].parent_span_id.hex() == PARENT
    told = {pair.key: pair.value for pair in collector.of(routed)["stitch"].attributes}
    assert told["journey.lane"].int_value == 1
    assert told["journey.origin"].string_value.startswith(f"{app.settings.topic('raw.web')}-0@")
    assert told["journey.position"].string_value.startswith(f"{app.settings.topic('journey.events')}-1@")
    said = "".join(str(span) for span in collector.spans)
    assert here not in said
    assert there not in said


def test_a_collector_that_is_away_costs_spans_and_nothing_else(stack: Stack, tmp_path: Path, prefix: str) -> None:
    with Application(stack, tmp_path, prefix, traces_endpoint="http://127.0.0.1:1/v1/traces", traces_ratio=1.0) as app:
        worker = app.worker().until_ready(WAIT_S)
        customer = app.sender.residents(0, "alone", 1)[0]
        send(app, customer, 0, "3" * 32)
        app.assert_right(worker, WAIT_S)
        assert app.stages(customer) == ["seen"]
        assert worker.stop(20) == 0
