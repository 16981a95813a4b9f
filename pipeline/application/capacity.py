"""What a load needs, reckoned from what a benchmark has measured: arithmetic, and nothing else.

In a second a part uses what it uses idle, so much for each event, and so much for each transaction. The cost of an
event is that of a worker with a backlog, whose transactions are large; what is used beyond that at a steady rate is
what its many small transactions cost. They grow with the load, so that a worker can take what the cost of events alone
allows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log
from statistics import median
from typing import Final

import msgspec

DAY_S: Final = 86_400.0
LEAST_LANES: Final = 12
LANES_A_WORKER: Final = 2
"""Fewer than so many lanes for each worker leave no room to add workers later; P is fixed for good."""


class FullSpeed(msgspec.Struct, frozen=True):
    """One worker that always had more to do. CPU in µs an event; `_bytes` are written an event, if not said otherwise.

    `customers` have acted, under `identities` in all. `lookups` of profiles an event, of which `misses` were not in
    memory. `redis_mb`: what Redis grew by; `redis_bytes`: of a customer in its tables, index and overhead included;
    `profile_bytes`: of one identity's key and profile; `record_bytes`: of one record of the changelog, overhead
    included. `rebuild_s`: all lanes' tables out of `rebuild_records`, at `rebuild_us` of worker and Redis a record.
    """

    journeys: int
    customers: int
    identities: int
    lanes: int
    cache_profiles: int
    events: int
    events_per_second: float
    events_per_transaction: float
    worker_us: float
    redis_us: float
    broker_us: float
    lookups: float
    misses: float
    cached: int
    worker_mb: float
    redis_mb: float
    redis_bytes: float
    profile_bytes: float
    record_bytes: float
    input_bytes: float
    changelog_bytes: float
    feed_bytes: float
    customers_bytes: float
    hop_bytes: float
    rebuild_s: float
    rebuild_records: int
    rebuild_us: float


class Steady(msgspec.Struct, frozen=True):
    """One worker at a steady rate, 0 while nothing was sent. A core is a second of CPU a second; bytes are written."""

    journeys: int
    customers: int
    lanes: int
    seconds: float
    events_per_second: float
    transactions_per_second: float
    worker_cores: float
    redis_cores: float
    broker_cores: float
    changelog_bytes_per_second: float
    feed_bytes_per_second: float
    customers_bytes_per_second: float


class Measured(msgspec.Struct, frozen=True):
    """All points of one call of the benchmark."""

    full: Sequence[FullSpeed]
    steady: Sequence[Steady]


BUSY: Final = 2.0
"""Load average a core, from which on a machine does other work: a benchmark alone makes about one."""


class Published(msgspec.Struct, frozen=True):
    """What was measured, when (RFC 3339), of which commit, and on what; `load_average` as it began."""

    at: str
    commit: str
    machine: str
    cores: int
    memory_gb: float
    system: str
    python: str
    kafka: str
    redis: str
    load_average: float
    measured: Measured

    @property
    def busy(self) -> bool:
        """Whether the machine did other work beside, so that all of it may be far too dear."""
        return self.load_average > BUSY * self.cores


@dataclass(frozen=True, slots=True)
class Kept:
    """How long Kafka keeps what is written: in s and bytes; the last three are how the changelog is compacted."""

    feeds_s: float
    inputs_s: float
    segment_bytes: float
    segment_s: float
    dirty_ratio: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a pipeline is asked for in its busiest hour. `busy`: the share of its core that a worker uses for events."""

    events_per_second: float
    customers: int
    journeys: int
    kept: Kept
    lanes: int | None = None
    busy: float = 0.6
    cache_profiles: int = 100_000


@dataclass(frozen=True, slots=True)
class Need:
    """What a load needs. MB are 2^20 bytes, GB 10^9 bytes, one copy of each log; a rebuild is of a worker with a core.

    `cores` are used by all workers at this rate, small transactions included; `events_cores` of these for the events
    themselves: what counts for how many workers it takes. `extrapolated` says in words where nothing was measured.
    """

    workers: int
    lanes: int
    cores: float
    events_cores: float
    redis_cores: float
    broker_cores: float
    transactions_per_second: float
    most_events_per_second: float
    worker_mb: float
    redis_mb: float
    changelog_gb_a_day: float
    changelog_gb_clean: float
    changelog_gb_most: float
    feed_gb_a_day: float
    feed_gb: float
    customers_gb_a_day: float
    inputs_gb_a_day: float
    inputs_gb: float
    rebuild_lane_s: float
    rebuild_lane_most_s: float
    rebuild_all_s: float
    rebuild_all_most_s: float
    without_one: float | None
    extrapolated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Who spends: what in a second, and what for an event. `by_customers`: an event costs more with more customers.

    What is written for an event depends on how long its customer's history is, and not on how many customers there are.
    """

    a_second: Callable[[Steady], float]
    an_event: Callable[[FullSpeed], float]
    by_customers: bool = False


WORKER: Final = Part(lambda p: p.worker_cores, lambda p: p.worker_us / 1e6, by_customers=True)
REDIS: Final = Part(lambda p: p.redis_cores, lambda p: p.redis_us / 1e6, by_customers=True)
BROKER: Final = Part(lambda p: p.broker_cores, lambda p: p.broker_us / 1e6)
CHANGELOG: Final = Part(lambda p: p.changelog_bytes_per_second, lambda p: p.changelog_bytes)
FEEDS: Final = Part(lambda p: p.feed_bytes_per_second, lambda p: p.feed_bytes)
CUSTOMERS: Final = Part(lambda p: p.customers_bytes_per_second, lambda p: p.customers_bytes)


class Model:
    """The measured points as curves. ValueError if there are too few of them to draw any."""

    def __init__(self, measured: Measured) -> None:
        cache = max((point.cache_profiles for point in measured.full), default=0)
        roomy = [point for point in measured.full if point.cache_profiles == cache]
        most = max((point.journeys for point in roomy), default=0)
        self.by_customers = sorted((p for p in roomy if p.journeys == most), key=lambda p: p.customers)
        if not self.by_customers:
            raise ValueError("nothing was measured at full speed")
        self.usual = self.by_customers[0]
        """The longest histories, all journeys."""
        near = self.usual.customers
        self.by_journeys = sorted(
            (p for p in roomy if p.journeys == most or abs(p.customers - near) < near / 2), key=lambda p: p.journeys
        )
        self.by_journeys = [p for p in self.by_journeys if p.journeys != most or p is self.usual]
        self.crowded = [point for point in measured.full if point.cache_profiles < cache]
        self.idle = sorted((p for p in measured.steady if not p.events_per_second), key=lambda p: p.lanes)
        self.steady = [point for point in measured.steady if point.events_per_second]
        if not self.idle or not self.steady:
            raise ValueError("nothing was measured at a steady rate")
        usual = [point for point in self.steady if point.journeys == most]
        apart = (p.lanes / p.transactions_per_second - p.lanes / p.events_per_second for p in usual)
        self.commit_s = max(0.0, median(apart))
        """What a lane waits between two transactions while events come."""
        self._usual_steady = usual
        self.a_record_s = self._a_record_s()
        """CPU seconds of worker and Redis for a record that a rebuild reads, as if the one waited for the other."""

    def an_event(self, part: Part, journeys: int, customers: int) -> float:
        """Measured, or between two measured points, or further along the line through the last two."""
        by_journeys = _along([(p.journeys, part.an_event(p)) for p in self.by_journeys], journeys)
        usual = part.an_event(self.usual)
        if not part.by_customers or not usual:
            return by_journeys
        curve = [(log(p.customers), part.an_event(p)) for p in self.by_customers]
        found = _along(curve, log(max(customers, 1)))
        most = self.by_customers[-1]
        # However the last two points lie: nothing becomes cheaper by more customers than were ever measured.
        return by_journeys * (max(found, part.an_event(most)) if customers > most.customers else found) / usual

    def _a_record_s(self) -> float:
        few = min(self.by_customers, key=lambda p: p.rebuild_records)
        many = max(self.by_customers, key=lambda p: p.rebuild_records)
        spent = [p.rebuild_us * p.rebuild_records / 1e6 for p in (few, many)]
        more = spent[1] - spent[0]  # without what idles meanwhile, which few records pay as many do
        return more / (many.rebuild_records - few.rebuild_records) if more > 0 else many.rebuild_us / 1e6

    def a_transaction(self, part: Part) -> float:
        """What is left a transaction of what was spent in a second, once events and idling are paid."""

        def left(p: Steady) -> float:
            events = p.events_per_second * self.an_event(part, p.journeys, p.customers)
            return (part.a_second(p) - self.idling(part, p.lanes) - events) / p.transactions_per_second

        return max(0.0, median(map(left, self._usual_steady)))

    def idling(self, part: Part, lanes: float) -> float:
        """In a second by the lanes of a worker."""
        return _along([(p.lanes, part.a_second(p)) for p in self.idle], lanes)

    def transactions(self, events_per_second: float, lanes: int) -> float:
        """In a second by all lanes: each begins one `commit_s` after the last, or when an event comes."""
        return lanes / (self.commit_s + lanes / events_per_second) if events_per_second else 0.0

    def steadily(self, load: Steady, workers: int = 1) -> Steady:
        """What `workers` use in a second at the load that a point says: its journeys, customers, lanes and events."""
        transactions = self.transactions(load.events_per_second, load.lanes)

        def used(part: Part) -> float:
            events = load.events_per_second * self.an_event(part, load.journeys, load.customers)
            return workers * self.idling(part, load.lanes / workers) + events + transactions * self.a_transaction(part)

        return Steady(
            journeys=load.journeys,
            customers=load.customers,
            lanes=load.lanes,
            seconds=load.seconds,
            events_per_second=load.events_per_second,
            transactions_per_second=transactions,
            worker_cores=min(workers, used(WORKER)),
            redis_cores=used(REDIS),
            broker_cores=used(BROKER),
            changelog_bytes_per_second=used(CHANGELOG),
            feed_bytes_per_second=used(FEEDS),
            customers_bytes_per_second=used(CUSTOMERS),
        )

    def a_miss(self, part: Part) -> float:
        """What an event costs more for each profile that memory lacks; 0 where that was not measured."""
        found = [
            (part.an_event(p) - part.an_event(self.usual)) / (p.misses - self.usual.misses)
            for p in self.crowded
            if p.misses > self.usual.misses
        ]
        return max(0.0, median(found)) if found else 0.0

    def missing(self, cache_profiles: float, customers: int) -> float:
        """Look-ups an event that memory of that size lacks because of its size, if all customers act alike."""
        return max(0.0, 1 - cache_profiles / max(1.0, self.identities(customers))) * self.usual.lookups

    def identities(self, customers: int) -> float:
        """Profiles of so many customers."""
        return customers * self.usual.identities / self.usual.customers

    def worker_mb(self, profiles: float) -> float:
        """Of one worker with so many profiles in memory."""
        few, many = self.by_customers[0], max(self.by_customers, key=lambda p: p.cached)
        a_profile = max(0.0, (many.worker_mb - few.worker_mb) / max(1, many.cached - few.cached))
        return few.worker_mb + max(0.0, profiles - few.cached) * a_profile


def need(measured: Measured, load: Load) -> Need:
    """ValueError if nothing can be said: no points, or fewer lanes than workers are needed."""
    model = Model(measured)
    identities = model.identities(load.customers)

    def an_event_s(workers: int) -> float:
        missing = model.missing(load.cache_profiles * workers, load.customers)
        return model.an_event(WORKER, load.journeys, load.customers) + missing * model.a_miss(WORKER)

    workers = 1
    while load.events_per_second * an_event_s(workers) > load.busy * workers:
        workers += 1
    lanes = load.lanes or max(LEAST_LANES, LANES_A_WORKER * workers)
    if load.lanes is None:
        lanes = ceil(lanes / workers) * workers  # or else some workers have one lane more than others
    if lanes < workers:
        raise ValueError(
            f"{workers} workers are needed and there are {lanes} lanes, and a lane is of one worker: give at least "
            f"--lanes {workers}, better {workers * LANES_A_WORKER}, or let a worker be busier (--busy)"
        )
    events = load.events_per_second
    point = Steady(load.journeys, load.customers, lanes, 0, events, 0, 0, 0, 0, 0, 0, 0)
    used = model.steadily(point, workers)
    missing = events * model.missing(load.cache_profiles * workers, load.customers)
    events_cores = events * an_event_s(workers)
    cores = min(workers, used.worker_cores + missing * model.a_miss(WORKER))
    changelog = used.changelog_bytes_per_second
    inputs = events * (model.usual.input_bytes + model.usual.hop_bytes)
    profile_bytes = _along([(p.journeys, p.profile_bytes) for p in model.by_journeys], load.journeys)
    clean = identities * profile_bytes
    newest = min(load.kept.segment_bytes, changelog / lanes * load.kept.segment_s) * lanes
    most = clean / (1 - load.kept.dirty_ratio) + newest
    a_record_s = model.a_record_s
    a_worker = ceil(lanes / workers)
    best = identities / lanes * a_record_s
    worst = (identities / (1 - load.kept.dirty_ratio) + newest / model.usual.record_bytes) / lanes * a_record_s
    return Need(
        workers=workers,
        lanes=lanes,
        cores=max(cores, events_cores),
        events_cores=events_cores,
        redis_cores=used.redis_cores + missing * model.a_miss(REDIS),
        broker_cores=used.broker_cores,
        transactions_per_second=used.transactions_per_second,
        most_events_per_second=workers / an_event_s(workers),
        worker_mb=model.worker_mb(min(load.cache_profiles, identities / workers)),
        redis_mb=load.customers
        * _along([(p.journeys, p.redis_bytes) for p in model.by_journeys], load.journeys)
        / 2**20,
        changelog_gb_a_day=changelog * DAY_S / 1e9,
        changelog_gb_clean=clean / 1e9,
        changelog_gb_most=most / 1e9,
        feed_gb_a_day=used.feed_bytes_per_second * DAY_S / 1e9,
        feed_gb=used.feed_bytes_per_second * load.kept.feeds_s / 1e9,
        customers_gb_a_day=used.customers_bytes_per_second * DAY_S / 1e9,
        inputs_gb_a_day=inputs * DAY_S / 1e9,
        inputs_gb=inputs * load.kept.inputs_s / 1e9,
        rebuild_lane_s=best,
        rebuild_lane_most_s=worst,
        rebuild_all_s=best * a_worker,
        rebuild_all_most_s=worst * a_worker,
        without_one=events_cores / (workers - 1) if workers > 1 else None,
        extrapolated=tuple(_extrapolated(model, load, lanes, workers)),
    )


def _extrapolated(model: Model, load: Load, lanes: int, workers: int) -> Iterable[str]:
    customers = [p.customers for p in model.by_customers]
    journeys = [p.journeys for p in model.by_journeys]
    a_worker = [p.lanes for p in model.idle]
    rates = [0.0, *(p.events_per_second for p in model.by_customers), *(p.events_per_second for p in model.steady)]
    for what, value, known in (
        ("customers", load.customers, customers),
        ("journeys", load.journeys, journeys),
        ("lanes a worker", lanes / workers, a_worker),
        ("events/s a worker", load.events_per_second / workers, rates),
    ):
        if not min(known) <= value <= max(known):
            yield f"{what}: {value:,.4g}, and {min(known):,.4g} to {max(known):,.4g} were measured"


def _along(points: Sequence[tuple[float, float]], x: float) -> float:
    """On the line through the two points around x, or through the last two on its side; never below 0."""
    if len(points) == 1:
        return points[0][1]
    place = next((n for n, (at, _) in enumerate(points) if at >= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(place, 1) - 1], points[max(place, 1)]
    return max(0.0, y0 + (y1 - y0) * (x - x0) / (x1 - x0))
