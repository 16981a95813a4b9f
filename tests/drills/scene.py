"""What a drill is held in: two workers under steady traffic, watched by a real Prometheus and a real Alertmanager."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from pipeline.dev.stack import Stack
from pipeline.dev.stack_java import java_command
from pipeline.dev.stack_net import LOOPBACK
from tests.drills.monitoring import Monitoring, Spoil, monitoring
from tests.drills.runbook import Prompt, kafka_tools
from tests.harness.application import Application
from tests.harness.reading import lane_records
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess

WORKERS: Final = ("one", "two")
PARTITIONS: Final = 4
RATE: Final = 40.0
"""Events a second, over all lanes."""
LIFE: Final = 8
"""Events a customer, after which a new one comes."""
START_S: Final = 180.0

KAFKA_TOOLS: Final = {
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


class Traffic:
    """Customers who look, fill a cart and order, all day long, from a thread of its own."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._numbers = count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        try:
            while not self._stopping.wait(0.05):
                for _ in range(int((time.monotonic() - began) * RATE) - sent):
                    number = next(self._numbers)
                    act = ("page_viewed", "page_viewed", "cart_updated", "order_placed")[number // 8 % 4]
                    customer = f"c{number % 8 + number // (8 * LIFE) * 8}"
                    self._app.sender.event("web", customer, act, time.time_ns() // 1_000_000)
                    sent += 1
        except BaseException as error:  # noqa: BLE001 - whoever waits for an alert looks at it
            self.failure = error


@dataclass
class Scene:
    """`notes` is where a fault keeps what its mend needs."""

    stack: Stack
    app: Application
    monitoring: Monitoring
    prompt: Prompt
    traffic: Traffic
    notes: dict[str, Any] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _lasting: threading.Thread | None = None

    @property
    def workers(self) -> Mapping[str, WorkerProcess]:
        return self.app.workers

    @property
    def running(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers.values() if worker.running]

    def until_calm(self, alert: str, within_s: float = START_S) -> None:
        """Until all runs, and nobody knows anything of this alert any more."""
        self.until_whole(within_s)
        watch = self.monitoring
        until(lambda: alert not in watch.firing() | watch.active().keys(), f"{alert} is over", within_s)

    def deploy(self, planted: Mapping[str, Any] | None = None) -> None:
        """All workers with other code, one after the other."""
        for name, worker in list(self.workers.items()):
            if worker.running:
                worker.stop()
            self.app.worker(name, planted=planted)

    def while_it_lasts(self, act: Callable[[], None], every_s: float) -> None:
        """Does so again and again, from a thread of its own, until `end_it` or the end of the scene."""

        def run() -> None:
            try:
                while not self._over.wait(every_s):
                    act()
            except BaseException as error:  # noqa: BLE001 - whoever waits for an alert looks at it
                self.traffic.failure = error

        self._over.clear()
        self._lasting = threading.Thread(target=run, name="fault", daemon=True)
        self._lasting.start()

    def end_it(self) -> None:
        self._over.set()
        if self._lasting is not None:
            self._lasting.join()
            self._lasting = None

    def send(self, customer: str, kind: str, **more: Any) -> None:
        """One event of now on the web."""
        self.app.sender.event("web", customer, kind, time.time_ns() // 1_000_000, **more)

    def address(self, worker: WorkerProcess) -> str:
        return f"{LOOPBACK}:{worker.port}"

    def lanes_of(self, worker: WorkerProcess) -> list[int]:
        return sorted(lane["partition"] for lane in worker.lanes())

    def until_whole(self, within_s: float = START_S) -> None:
        """Until both workers are ready and share the lanes."""

        def whole() -> bool:
            held = [self.lanes_of(worker) for worker in self.running]
            return len(held) == len(WORKERS) and all(held) and all(worker.ready for worker in self.running)

        until(whole, lambda: f"both workers are ready\n{self.app.tails()}", within_s)


@contextmanager
def scene(
    directory: Path,
    factor: float,
    settings: Mapping[str, Any],
    stack_props: Mapping[str, Any],
    spoil: Spoil = lambda rules: rules,
) -> Iterator[Scene]:
    """All of it, from when all is well and Prometheus has seen that, until the block ends; nothing is left behind."""
    with ExitStack() as owned:
        stack = owned.enter_context(Stack(**stack_props))
        app = owned.enter_context(Application(stack, directory, "", partitions=PARTITIONS, **settings))
        for name in WORKERS:
            app.worker(name, preloaded=True)
        addresses = [f"{LOOPBACK}:{app.workers[name].port}" for name in WORKERS]
        watch = owned.enter_context(monitoring(directory, addresses, factor, spoil))
        tools = {name: java_command(directory, main) for name, main in KAFKA_TOOLS.items()}
        prompt = Prompt(app.config, stack.bootstrap, stack.redis_url, kafka_tools(directory / "tools", tools))
        traffic = Traffic(app)
        found = Scene(stack, app, watch, prompt, traffic)
        owned.callback(found.end_it)
        found.until_whole()
        traffic.start()
        owned.callback(traffic.stop)
        until(lambda: _time_passes(app), lambda: f"every lane has a watermark\n{app.tails()}", START_S)
        until(lambda: watch.scraped() == set(addresses), "Prometheus has seen both workers", START_S)
        until(lambda: not watch.firing() and not watch.active(), lambda: f"silence; {watch.firing()}", START_S)
        yield found


def _time_passes(app: Application) -> bool:
    """Whether every lane has committed something under a watermark, as it has in a pipeline that is no minute old."""
    records = lane_records(app.settings)
    return len(records) == PARTITIONS and all(record.watermark is not None for record in records.values())
