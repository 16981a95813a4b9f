"""A live pipeline under a real Prometheus: two workers, customers who come and go, and a few mishaps."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from pipeline.dev.stack import Stack
from tests.dashboards.model import Panel, Query, filled
from tests.dashboards.server import JOB, Prometheus, Series
from tests.harness.application import JOURNEY, Application
from tests.harness.reading import redis_client

WORKERS: Final = ("worker-1", "worker-2")
QUICK_JOURNEY: Final[Mapping[str, Any]] = {
    **JOURNEY,
    "stages": [
        *JOURNEY["stages"][:3],
        {"id": "cold", "enter": {"from": ["choosing", "bought"], "after": "20s", "since": "last any"}},
    ],
    "signals": {"cart_left": {"after": "8s", "since": "last cart", "unless": "ordered", "expires": "10min"}},
}
"""The harness' journey in seconds: what takes hours there is to be seen within a minute."""

VISIT: Final = ("page_viewed", "page_viewed", "page_viewed", "cart_updated", "cart_updated", "order_placed", "waved")
CHANNELS: Final = ("web", "web", "web", "email", "store")
CUSTOMERS: Final = 400


class Live:
    """`began`: when the first worker answered (seconds since 1970)."""

    def __init__(self, app: Application, prometheus: Prometheus) -> None:
        self.app = app
        self.prometheus = prometheus
        self.began = time.time()
        self._chance = random.Random(7)

    def send(self, events: int) -> None:
        """Some acts of some customers, now and then one that is odd."""
        chance, sender = self._chance, self.app.sender
        now = time.time_ns() // 1_000_000
        for _ in range(events):
            customer, channel = f"c{chance.randrange(CUSTOMERS)}", chance.choice(CHANNELS)
            away = chance.random() < 0.2
            place = sender.elsewhere(customer) if away else sender.home(customer)
            odd: dict[str, Any] = {"dead": "bad_time", "occurred_at": "?"} if chance.random() < 0.02 else {}
            sender.event(channel, customer, chance.choice(VISIT), now, partition=place, **odd)
        sender.flush()

    def lose_redis(self) -> None:
        """Every lane loses its connection, and takes itself again."""
        with redis_client(self.app.settings) as client:
            client.client_kill_filter(_type="normal", skipme=True)

    def shown(self, panel: Panel, end: float, step: float = 1) -> list[tuple[Query, list[Series]]]:
        """What each query of a panel finds between the beginning and `end`."""
        found = []
        for query in panel.queries:
            expr = filled(query.expr, self._variables(end))
            moment = panel.kind in {"stat", "bars"}
            ask = self.prometheus
            found.append((query, ask.at(expr, end) if moment else ask.range(expr, self.began, end, step)))
        return found

    def _variables(self, end: float) -> dict[str, str]:
        """What Grafana puts into queries; a rate needs four scrapes there, some more on a busy machine."""
        whole = f"{max(10, round(end - self.began))}s"
        return {"job": JOB, "lane": ".*", "journey": ".*", "__rate_interval": "10s", "__range": whole}


@contextmanager
def live(stack: Stack, directory: Path, rules_s: int = 1) -> Iterator[Live]:
    """Everything runs and is scraped; all of it ends with the block."""
    with ExitStack() as owned:
        app = owned.enter_context(Application(stack, directory, "", QUICK_JOURNEY, partitions=4))
        for name in WORKERS:
            app.worker(name)
        for name in WORKERS:
            app.workers[name].until_ready(60)
        ports = {name: app.workers[name].port for name in WORKERS}
        yield Live(app, owned.enter_context(Prometheus(directory, ports, rules_s)))
