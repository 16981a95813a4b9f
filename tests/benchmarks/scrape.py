"""How long a scrape takes of a worker with a backlog: all journeys, twelve lanes, all their series."""

import os
import time
import urllib.request
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

from pipeline.adapters.journey_files import built_in_journeys
from pipeline.dev.simulator import BEGINNING, SEED
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import LOOPBACK
from pipeline.dev.traffic import traffic
from tests.benchmarks.models import EVENTS_A_CUSTOMER
from tests.benchmarks.results import Scrape
from tests.benchmarks.simulated import working

LANES = 12
EVERY_S = 0.25
"""Far more often than any Prometheus would."""
ANSWER_S = 10.0
BUSY = 0.05
"""The share of the events that are done before the first scrape: by then every lane is taken and at work."""


def measure(stack: Stack, events: int, directory: Path, say: Callable[[str], None]) -> Scrape:
    """SystemExit if the worker is done before it was scraped five times."""
    load_average = os.getloadavg()[0]
    say("making the simulator's traffic")
    deliveries = list(islice(traffic(SEED, BEGINNING, events // EVENTS_A_CUSTOMER), events))
    own = {"partitions": LANES, "max_batch_events": 1_000}
    took: list[float] = []
    series = size = 0
    with working(stack, "scrape-", own, deliveries, directory) as worker:
        url = f"http://{LOOPBACK}:{worker.settings.http_port}/metrics"
        say("the worker has a backlog")
        known = worker.wait(int(events * BUSY))
        before = worker.parts.use()
        while worker.tables.settled() < events:
            began = time.perf_counter()
            with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
                page = answer.read()
            took.append((time.perf_counter() - began) * 1e3)
            size, series = len(page), sum(1 for line in page.splitlines() if not line.startswith(b"#"))
            time.sleep(EVERY_S)
        used = worker.parts.use().since(before)
        worker.wait(events, deliveries[-1].complete)
    if len(took) < 5:
        raise SystemExit(f"only {len(took)} scrapes of a busy worker; give more --events")
    return Scrape(
        journeys=len(built_in_journeys()),
        lanes=LANES,
        events=events - known,
        events_per_second=(events - known) / used.at,
        worker_cores=used.worker / used.at,
        scrapes=len(took),
        series=series,
        bytes=size,
        first_ms=took[0],
        p50_ms=median(took),
        max_ms=max(took),
        load_average=load_average,
    )
