"""What a worker, its Redis and Kafka use by the load: the points that `journey capacity` reckons with.

At full speed: the worker does some of the events first; what counts begins when it has, and the rest is sent as fast
as can be. Then Redis loses all, and every table is rebuilt. At a steady rate: one worker, first without any event, then
at one rate after the other. The traffic is the simulator's in both, and time is that of the events: silences fire as
often for an event as they do in life, however fast it is sent.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.adapters.journey_files import built_in_journeys
from pipeline.adapters.kafka.sender import RawSender
from pipeline.application.capacity import FullSpeed, Measured, Steady
from pipeline.dev.simulator import BEGINNING, SEED
from pipeline.dev.stack import Stack
from pipeline.dev.traffic import Delivery, people, traffic
from tests.benchmarks.growth import one_event_a_lane
from tests.benchmarks.processes import Use
from tests.benchmarks.simulated import Working, add, send, working

WARM = 0.2
"""The share of the events that are done before a worker at full speed is watched: its start-up is among them."""
PORTION = 5_000
"""Events between two punctuations at full speed."""
MOST_EVENTS = 1_000
"""In a transaction at full speed: as many as come together where a worker is near its limit, and no more."""
STEP_S = 0.02
"""Between two portions of a steady rate."""
PUNCTUATION_S = 1.0
"""As often as lanes report on the live clock."""
SETTLE_S = 3.0
"""At a new rate, before it counts."""
FEEDS = ("journey.transitions", "journey.signals")


@dataclass(frozen=True, slots=True)
class Size:
    """Customers of the simulator at a time, so many events of theirs, and the worker over them."""

    customers: int
    events: int
    journeys: int
    lanes: int = 12
    cache_profiles: int = 100_000


@dataclass(frozen=True, slots=True)
class Rates:
    """One worker at one rate (events a second) after the other, each for so many seconds; first without events."""

    customers: int
    journeys: int
    lanes: int
    rates: Sequence[float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Course:
    """All that is measured."""

    full: Sequence[Size]
    steady: Sequence[Rates]


FULL = Course(
    full=(
        Size(2_500, 80_000, 5),
        Size(2_500, 80_000, 3),
        Size(2_500, 80_000, 1),
        Size(10_000, 80_000, 5),
        Size(30_000, 80_000, 5),
        Size(2_500, 80_000, 5, cache_profiles=500),
    ),
    steady=(
        Rates(2_500, 5, 4, (500, 2_000, 5_000), 8),
        Rates(2_500, 5, 12, (500, 2_000, 5_000), 8),
        Rates(2_500, 5, 24, (500, 2_000), 8),
        Rates(2_500, 1, 12, (2_000,), 8),
    ),
)
QUICK = Course(
    full=(
        Size(500, 15_000, 5),
        Size(500, 15_000, 1),
        Size(4_000, 15_000, 5),
        Size(500, 15_000, 5, cache_profiles=100),
    ),
    steady=(Rates(500, 5, 4, (500, 1_500), 4), Rates(500, 5, 12, (500, 1_500), 4)),
)


def measure(stack: Stack, course: Course, directory: Path, say: Callable[[str], None]) -> Measured:
    """All points; SystemExit if an event got lost or was none, a worker stands still, or a rebuilt table lacks any."""
    made: dict[int, Sequence[Delivery]] = {}

    def deliveries(customers: int, events: int) -> Sequence[Delivery]:
        if len(made.get(customers, ())) < events:
            say(f"making {events:,} events of {customers:,} simulated customers")
            made[customers] = list(islice(traffic(SEED, BEGINNING, customers), events))
        return made[customers][:events]

    full: list[FullSpeed] = []
    steady: list[Steady] = []
    for number, size in enumerate(course.full):
        say(f"full speed: {size.customers:,} customers, {size.journeys} journeys, {size.lanes} lanes")
        full.append(at_full_speed(stack, size, deliveries(size.customers, size.events), directory, f"f{number}-"))
    for number, rates in enumerate(course.steady):
        say(
            f"steady: {rates.lanes} lanes, {rates.journeys} journeys, "
            f"{', '.join(f'{rate:,g}' for rate in rates.rates)} events a second"
        )
        events = int(sum(rates.rates) * (rates.seconds + SETTLE_S) * 1.1) + rates.lanes * 100
        steady += at_steady_rates(stack, rates, deliveries(rates.customers, events), directory, f"s{number}-")
    return Measured(full, steady)


def at_full_speed(stack: Stack, size: Size, deliveries: Sequence[Delivery], directory: Path, prefix: str) -> FullSpeed:
    """One worker over all of it, and then over the loss of Redis."""
    count, first = len(deliveries), int(len(deliveries) * WARM)
    with working(stack, prefix, _own(size), deliveries[:first], directory) as worker:
        worker.wait(first)
        before, was = worker.parts.use(), worker.metrics()
        asyncio.run(send(worker.settings, deliveries[first:], PORTION))
        worker.wait(count)
        seconds = worker.parts.use().since(before).at
        worker.wait(count, deliveries[-1].complete)
        used, found = worker.parts.use().since(before), worker.metrics()
        events = count - first
        identities = sum(worker.tables.customers())
        customers = sum(1 for _ in people(SEED, BEGINNING, size.customers, deliveries[-1].at))
        written = _written(stack, prefix)
        redis_mb, peak_mb = worker.tables.used_mb() - worker.empty_mb, worker.parts.worker.peak_mb
        table_bytes = worker.tables.footprint().mean * identities
        profile_bytes = worker.tables.profile_bytes()
        rebuilt = _rebuild(worker, count)
        replayed = int(
            _sum(worker.metrics(), "journey_lane_replayed_records_total")
            - _sum(found, "journey_lane_replayed_records_total")
        )
        transactions = _sum(found, "journey_batch_events_count") - _sum(was, "journey_batch_events_count")
        misses = _lookups(found, "miss") - _lookups(was, "miss")
        hits = _lookups(found, "hit") - _lookups(was, "hit")
        return FullSpeed(
            journeys=size.journeys,
            customers=customers,
            identities=identities,
            lanes=size.lanes,
            cache_profiles=size.cache_profiles,
            events=events,
            events_per_second=events / seconds,
            events_per_transaction=events / transactions,
            worker_us=used.worker / events * 1e6,
            redis_us=used.redis / events * 1e6,
            broker_us=used.broker / events * 1e6,
            lookups=(hits + misses) / events,
            misses=misses / events,
            cached=int(_sum(found, "journey_cache_profiles")),
            worker_mb=peak_mb,
            redis_mb=redis_mb,
            redis_bytes=table_bytes / customers,
            profile_bytes=profile_bytes,
            record_bytes=written["journey.profiles"] / replayed,
            input_bytes=sum(len(each.key) + len(each.value) for each in deliveries) / count,
            changelog_bytes=written["journey.profiles"] / count,
            feed_bytes=sum(written[name] for name in FEEDS) / count,
            customers_bytes=written["journey.customers"] / count,
            hop_bytes=written["journey.events"] / count,
            rebuild_s=rebuilt.at,
            rebuild_records=replayed,
            rebuild_us=(rebuilt.worker + rebuilt.redis) / replayed * 1e6,
        )


def at_steady_rates(
    stack: Stack, rates: Rates, deliveries: Sequence[Delivery], directory: Path, prefix: str
) -> Iterator[Steady]:
    """A point without events, and one a rate."""
    first = rates.lanes * 100
    with working(stack, prefix, _own(rates), deliveries[:first], directory) as worker:
        worker.wait(first)
        for rate in (0.0, *rates.rates):
            portion = deliveries[first : first + int(rate * (rates.seconds + SETTLE_S))]
            yield asyncio.run(_at_rate(stack, worker, rates, rate, portion, prefix))
            first += len(portion)
            worker.wait(first)


async def _at_rate(
    stack: Stack, worker: Working, rates: Rates, rate: float, portion: Sequence[Delivery], prefix: str
) -> Steady:
    """Sends at this pace, and looks when it has settled and when `seconds` more are over."""
    loop, looks = asyncio.get_running_loop(), list[tuple[Use, Mapping[str, float], Mapping[str, int], int]]()

    async def look() -> None:
        def now() -> tuple[Use, Mapping[str, float], Mapping[str, int], int]:
            return worker.parts.use(), worker.metrics(), _written(stack, prefix), worker.tables.settled()

        looks.append(await asyncio.to_thread(now))

    async with RawSender(worker.settings.brokers, worker.settings.input_topics) as sender:
        began, sent, punctuated = loop.time(), 0, 0.0
        due = [SETTLE_S, SETTLE_S + rates.seconds]
        while len(looks) < 2:
            elapsed = loop.time() - began
            if elapsed >= due[len(looks)]:
                await look()
            reached = min(len(portion), int(elapsed * rate))
            add(sender, worker.settings, portion[sent:reached])
            await sender.flush()
            if reached > sent and elapsed - punctuated >= PUNCTUATION_S:
                await sender.punctuate(portion[reached - 1].complete)
                punctuated = elapsed
            sent = reached
            await asyncio.sleep(max(0.0, STEP_S - (loop.time() - began - elapsed)))
        add(sender, worker.settings, portion[sent:])
        await (sender.punctuate(portion[-1].complete) if portion else sender.flush())
    (before, was, wrote, settled), (after, found, written, done) = looks
    used = after.since(before)

    def a_second(*names: str) -> float:
        return sum(written[name] - wrote[name] for name in names) / used.at

    return Steady(
        journeys=rates.journeys,
        customers=rates.customers,
        lanes=rates.lanes,
        seconds=used.at,
        events_per_second=(done - settled) / used.at,
        transactions_per_second=(
            _sum(found, "journey_batch_events_count") - _sum(was, "journey_batch_events_count")
        ) / used.at,
        worker_cores=used.worker / used.at,
        redis_cores=used.redis / used.at,
        broker_cores=used.broker / used.at,
        changelog_bytes_per_second=a_second("journey.profiles"),
        feed_bytes_per_second=a_second(*FEEDS),
        customers_bytes_per_second=a_second("journey.customers"),
    )  # fmt: skip


def _own(size: Size | Rates) -> Mapping[str, object]:
    """The settings that a size asks for."""
    names = [path.stem for path in built_in_journeys()][: size.journeys]
    own: dict[str, object] = {"journeys": names, "partitions": size.lanes}
    if isinstance(size, Size):
        own |= {"cache_profiles": size.cache_profiles, "max_batch_events": MOST_EVENTS}
    return own


def _rebuild(worker: Working, count: int) -> Use:
    """From the loss of all of Redis until every lane has its table again and one more event in it."""
    whole, before = worker.tables.customers(), worker.parts.use()
    worker.tables.forget_all()
    one_event_a_lane(worker.settings)
    worker.wait(count + worker.settings.partitions)
    used = worker.parts.use().since(before)
    if sum(worker.tables.customers()) < sum(whole):
        raise SystemExit(f"rebuilt with {worker.tables.customers()} customers, not with {whole}")
    return used


def _written(stack: Stack, prefix: str) -> Mapping[str, int]:
    """Bytes in the logs of each topic of a prefix, by its name without that; nothing is compacted so soon."""
    found: dict[str, int] = {}
    for partition in (stack.directory / "kafka").glob(f"{prefix}*-*"):
        topic = partition.name.removeprefix(prefix).rpartition("-")[0]
        found[topic] = found.get(topic, 0) + sum(segment.stat().st_size for segment in partition.glob("*.log"))
    return found


def _sum(samples: Mapping[str, float], name: str) -> float:
    return sum(value for head, value in samples.items() if head.partition("{")[0] == name)


def _lookups(samples: Mapping[str, float], result: str) -> float:
    return samples.get(f'journey_cache_lookups_total{{result="{result}"}}', 0.0)
