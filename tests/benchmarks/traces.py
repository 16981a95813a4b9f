"""What going on with traces costs, without Kafka and Redis, in µs of CPU an event; every thread of the process counts.

    python -m tests.benchmarks.traces --rounds 15

Each event has a `traceparent` that its sender samples. In turn, again and again: traces off, off once more (the noise
of the machine), on with the default share, on with all. Half of the events are at home in another lane and are sent on.
Then the one step that differs, alone: the best of many, which a busy machine disturbs least.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from random import Random

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from pipeline.adapters.traces import OpenTelemetry
from pipeline.application.intake import Source
from pipeline.application.rulebook import Rules
from pipeline.application.tracing import NoTraces, Traces
from pipeline.config import Settings, load
from pipeline.worker.wiring import compile_rules
from tests.benchmarks import common_work
from tests.benchmarks.fold import APPENDED, BATCH, SETTINGS, Fetch, InProcess, Read

DEFAULT: float = Settings.model_fields["traces_ratio"].default


class Nowhere(SpanExporter):
    """Counts the spans; encoding and sending them is the collector's protocol, not ours."""

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += len(spans)
        return SpanExportResult.SUCCESS


def records_of(count: int, customers: int) -> list[Read]:
    """The common work, each event with a sampled trace of its own."""
    random = Random(7)
    return [
        Read(
            number,
            APPENDED,
            None,
            value,
            (("traceparent", f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01".encode()),),
        )
        for number, (_, value) in enumerate(common_work.events(count, customers))
    ]


def cost(rules: Rules, records: Sequence[Read], traces: Traces) -> float:
    """Seconds of CPU for all of it."""
    lane = InProcess(rules, home=lambda key: key[-1] & 1, traces=traces)
    source = Source(common_work.TOPIC, "raw")
    began = time.process_time()
    for first in range(0, len(records), BATCH):
        lane.play(Fetch([(source, records[first : first + BATCH])], None))
    return time.process_time() - began


def step_alone(rules: Rules, records: Sequence[Read], ways: Mapping[str, Traces], times: int) -> dict[str, float]:
    """Seconds of CPU that writing out takes by each way, the best of so many."""
    lane = InProcess(rules, home=lambda key: key[-1] & 1)
    done = lane.play(Fetch([(Source(common_work.TOPIC, "raw"), records)], None))
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(times):
        for name, traces in ways.items():
            began = time.process_time()
            traces.write_out(done.batch, done.effects)
            best[name] = min(best[name], time.process_time() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--customers", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    rules = compile_rules(load(SETTINGS, {}))
    records = records_of(given.count, given.customers)
    sinks = {f"on, {DEFAULT:.1%}": (DEFAULT, Nowhere()), "on, all": (1.0, Nowhere())}
    senders = {name: OpenTelemetry("", ratio, "bench", "one", sink) for name, (ratio, sink) in sinks.items()}
    ways: dict[str, Traces] = {"off": NoTraces(), "off again": NoTraces()}
    ways |= {name: sender.lane(0) for name, sender in senders.items()}
    seen: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(given.rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            spent = cost(rules, records, ways[name]) / given.count * 1e6
            if number:  # the first round warms up
                seen[name].append(spent)
    alone = step_alone(rules, records[:BATCH], {name: ways[name] for name in names[:3]}, 20 * given.rounds)
    for sender in senders.values():
        sender.close()
    base = statistics.median(seen["off"])
    for name, found in seen.items():
        ratios = [one / off for one, off in zip(found, seen["off"], strict=True)]
        spans = f", {sinks[name][1].spans / (given.rounds + 1):,.0f} spans a round" if name in sinks else ""
        print(
            f"{name:>10}: median {statistics.median(found):.3f} µs an event (best {min(found):.3f}), "
            f"{statistics.median(found) / base - 1:+.1%}, pair by pair {statistics.median(ratios) - 1:+.1%}{spans}"
        )
    size, whole = min(BATCH, given.count), min(seen["off"])
    for name, spent in alone.items():
        more = (spent - alone["off"]) / size * 1e6
        print(f"{name:>10}: writing out {spent / size * 1e6:.3f} µs an event, {more / whole:+.1%} of the best off")


if __name__ == "__main__":
    main()
