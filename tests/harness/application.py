"""One application on the embedded stack: its settings, topics, workers, traffic, and the judge over it."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.adapters.kafka import topics
from pipeline.config import Settings, load
from pipeline.dev.stack import Stack
from pipeline.dev.stack_net import free_port
from tests.harness import reading
from tests.harness.judging import Verdict, judge
from tests.harness.reading import Message
from tests.harness.sending import Sender
from tests.harness.waiting import until
from tests.harness.worker_process import ROOT, WorkerProcess

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

TOUCHES = {
    "viewed": {"type": "page_viewed"},
    "cart": {"type": "cart_updated"},
    "ordered": {"type": "order_placed"},
    "coupon_sent": {"type": "coupon_sent", "actor": "company"},
}
JOURNEY: Mapping[str, Any] = {
    "journey": "shop",
    "version": 1,
    "stages": [
        {"id": "seen", "enter": {"from": "start", "when": "viewed"}},
        {"id": "choosing", "enter": {"from": ["start", "seen"], "when": "cart"}},
        {"id": "bought", "enter": {"from": ["start", "seen", "choosing", "cold"], "when": "ordered", "back": True}},
        {"id": "cold", "enter": {"from": ["choosing", "bought"], "after": "2h", "since": "last any"}},
    ],
    "signals": {"cart_left": {"after": "1h", "since": "last cart", "unless": "ordered", "expires": "24h"}},
}
"""Seen, choosing, bought; cold after two hours without any act; a cart without an order within an hour is a signal."""

QUICK = {
    "partitions": 2,
    "session_timeout_s": 2.0,
    "rebalance_timeout_s": 3.0,
    "transaction_timeout_ms": 4_000,
    "step_timeout_s": 2.0,
    "stuck_after_s": 30.0,
    "tick_s": 0.2,
    "merge_wait_s": 0.2,
    "log_format": "json",
    "identity_key": "a key for tests, made up by nobody",
    "grace": dict.fromkeys(("web", "email", "social", "phone", "store"), "1s"),
}
"""Settings with which faults are noticed in seconds."""


class Application:
    """`prefix` keeps it apart from others on the same stack; `settings` go over QUICK. Everything ends with it."""

    def __init__(
        self,
        stack: Stack,
        directory: Path,
        prefix: str,
        journey: Mapping[str, Any] = JOURNEY,
        **settings: object,
    ) -> None:
        self.directory = directory
        self.config = directory / "settings.yaml"
        self.config_values: dict[str, object] = {
            "app_id": f"{prefix}journey",
            "prefix": prefix,
            "brokers": stack.bootstrap,
            "redis_url": stack.redis_url,
            "journeys": ["journey.yaml"],
            "touches": "touches.yaml",
            **QUICK,
            **settings,
        }
        (directory / "touches.yaml").write_text(json.dumps({"touches": TOUCHES}))
        self.write_journey(journey)
        self.write_settings()
        self.settings: Settings = load(self.config, {})
        self.sender = Sender(self.settings)
        self.workers: dict[str, WorkerProcess] = {}

    def __enter__(self) -> Self:
        asyncio.run(topics.apply(self.settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers.values():
            worker.dispose()

    def write_journey(self, journey: Mapping[str, Any]) -> None:
        labelled = {
            **journey,
            "stages": [
                {**stage, "labels": dict.fromkeys(("en", "tr", "pl", "fa"), stage["id"])} for stage in journey["stages"]
            ],
        }
        (self.directory / "journey.yaml").write_text(json.dumps(labelled, indent=2))

    def write_settings(self, **changed: object) -> None:
        self.config.write_text(json.dumps({**self.config_values, **changed}, indent=2))

    def worker(
        self,
        name: str = "one",
        *,
        planted: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        preloaded: bool = False,
    ) -> WorkerProcess:
        """A worker, started; one of that name must have ended before. Its log and its port go on."""
        before = self.workers.get(name)
        assert before is None or not before.running, f"{name} still runs"
        port = before.port if before is not None else free_port()
        worker = WorkerProcess(name, self.config, port, self.directory, planted, environment, preloaded)
        self.workers[name] = worker
        return worker.start()

    def command(self, *arguments: str, within_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """`journey …` with the settings of this application."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments, "--config", str(self.config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    # ---- waiting

    def totals(self, *outcomes: str) -> int:
        """Events of these outcomes in all lane records that Redis has."""
        records = reading.lane_records(self.settings).values()
        tallies = [tally for record in records for tally in record.totals.values()]
        return sum(getattr(tally, outcome) for tally in tallies for outcome in outcomes)

    def accounted(self) -> int:
        """Events that have come to their end: folded, duplicate, late, erased or dead."""
        return self.totals("folded", "duplicate", "late", "erased", "dead")

    def until_at_work(self, since: int, within_s: float = 20.0) -> None:
        """Until some more events have come to their end than so many before."""
        until(lambda: self.accounted() > since, lambda: f"events are accounted for\n{self.tails()}", within_s)

    def until_accounted(self, within_s: float = 20.0) -> None:
        """Until every event of the ledger has come to its end."""
        self.sender.flush()
        wanted = sum(not sent.is_command for sent in self.sender.ledger)
        until(
            lambda: self.accounted() >= wanted,
            lambda: f"{wanted} events are accounted for, not {self.accounted()}\n{self.tails()}",
            within_s,
        )

    def until_at_rest(self, within_s: float = 20.0) -> None:
        """Until the lanes have taken all that stands on their inputs, what they tell each other too."""
        self.sender.flush()
        inputs = [*(item.topic for item in self.settings.inputs), "journey.events", "journey.commands"]

        def ends() -> dict[tuple[str, int], int]:
            return reading.log_ends(self.settings, inputs, committed=True)

        def rests() -> bool:
            # What a lane has taken it has answered before, so if the ends are what they were, no answer is on its way.
            wanted, records = ends(), reading.lane_records(self.settings)
            taken = all(
                not end or (lane in records and records[lane].next.get(topic, 0) >= end)
                for (topic, lane), end in wanted.items()
            )
            return taken and ends() == wanted

        until(rests, lambda: f"the lanes come to rest\n{self.tails()}", within_s)

    def until_time_has_passed(self, worker: WorkerProcess, within_s: float = 20.0, beyond_ms: int = 5) -> int:
        """Until the watermark is so far beyond now, thus beyond all that is sent, and nothing is due; the watermark.

        The broker and this test share a clock.
        """
        sent_by = time.time_ns() // 1_000_000 + beyond_ms

        def passed() -> int | None:
            value = worker.metric("journey_watermark_timestamp_seconds")
            watermark = None if value is None else round(value * 1000)
            if watermark is None or watermark < sent_by:
                return None
            due = [at for table in reading.read_tables(self.settings).values() for at in table.due.values()]
            return watermark if min(due, default=watermark + 1) > watermark else None

        found = until(passed, lambda: f"the watermark passes {sent_by}\n{self.tails()}", within_s)
        assert found is not None
        return found

    # ---- what there is to see

    def feed(self, topic: str = "journey.transitions") -> list[dict[str, Any]]:
        """A published topic as a subscriber reads it, in log order in each lane."""
        return [json.loads(message.value or b"") for message in self.records(topic)]

    def records(self, topic: str) -> list[Message]:
        return reading.read_committed(self.settings, topic)

    def stages(self, customer: str) -> list[str | None]:
        """Where the customer went, record by record."""
        return [said["to"] for said in self.feed() if said["customer_id"] == customer]

    def judge(self, watermark: int | None, without: Collection[str] = ()) -> Verdict:
        """The judge's verdict on what is at rest now."""
        return judge(self.settings, self.sender.ledger, watermark, without)

    def assert_right(
        self, worker: WorkerProcess, within_s: float = 30.0, without: Collection[str] = (), beyond_ms: int = 5
    ) -> Verdict:
        """Waits until all that was sent is done and time has passed over it, and has it judged."""
        self.until_accounted(within_s)
        verdict = self.judge(self.until_time_has_passed(worker, within_s, beyond_ms), without)
        verdict.assert_right()
        return verdict

    def tails(self) -> str:
        """The end of every worker's log."""
        return "\n".join(f"--- {name}\n{worker.tail()}" for name, worker in self.workers.items())


def ago(ms: int) -> int:
    """A moment so long ago, in ms."""
    return time.time_ns() // 1_000_000 - ms


def some_traffic(app: Application, tag: str, customers: int = 12) -> None:
    """A few customers, each on two partitions and topics, half of them with an order; all of it hours ago."""
    sender = app.sender
    for number in range(customers):
        customer = f"{tag}{number}"
        sender.event("web", customer, "page_viewed", ago(6 * HOUR) + number)
        sender.event("store", customer, "cart_updated", ago(5 * HOUR) + number, partition=sender.elsewhere(customer))
        if number % 2:
            sender.event("web", customer, "order_placed", ago(5 * HOUR - 30 * MINUTE) + number)
    sender.flush()
