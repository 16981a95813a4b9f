"""Kafka and Redis as slow, deaf and forgetful as they can be; when, is for chance and the plan to say."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pipeline.application.ports import KafkaDoubt, TableDoubt
from tests.fakes.kafka import FakeKafka, Transaction
from tests.fakes.kafka import Fault as KafkaFault
from tests.fakes.kafka import Moment as KafkaMoment
from tests.fakes.kafka import Operation as KafkaOperation
from tests.fakes.table import FakeRedis, Stored
from tests.fakes.table import Fault as TableFault
from tests.fakes.table import Moment as TableMoment
from tests.fakes.table import Operation as TableOperation
from tests.simulation.event_loop import PROCESS, SimulatedLoop

TIMEOUT_S = 3.0
"""How long a client waits for an answer."""

TRANSACTION_TIMEOUT_S = 8.0
NOTHING_NEW_S = 1.0
"""About how long a fetch of `journey.progress` waits for something."""


@dataclass
class Network:
    """How long answers take, in seconds. `slow`: the share that takes long, and now and then for ever."""

    loop: SimulatedLoop
    chance: Random
    latency: float
    slow: float
    happened: Counter[str]
    say: Callable[[str, str], None] = lambda who, what: None

    def delay(self) -> float:
        chance = self.chance
        if chance.random() < self.slow:
            delay = chance.uniform(0, 1.5 * TIMEOUT_S)
            if (process := PROCESS.get()) is not None:
                process.hindered = self.loop.time() + min(delay, TIMEOUT_S)
            return delay
        return self.latency * chance.random()


class SimulatedKafka(FakeKafka):
    """`now` in ms. Whoever opens a transaction and does not end it is fenced after a while."""

    def __init__(self, now: Callable[[], int], network: Network) -> None:
        super().__init__(now=now, slow_markers=True)
        self.network = network
        self.step = self._step
        self.marker_delay_s = 0.05
        self.hanging = False
        self.on_decided: Callable[[Transaction], None] = lambda transaction: None

    def fault_of(self, operation: KafkaOperation) -> KafkaFault | None:
        fault = super().fault_of(operation)
        if fault is not None:
            self.network.happened[f"kafka {operation} {fault}"] += 1
        return fault

    def later(self, act: Callable[[], object]) -> None:
        super().later(act)
        self.network.loop.outside(self.network.chance.choice((0.1, 2.0, 30.0)), self.deliver_late)

    def begun(self, transactional_id: str, transaction: Transaction) -> None:
        def time_out() -> None:
            if self.open_transaction(transactional_id) is transaction:
                self.network.happened["transaction timed out"] += 1
                self.expire(transactional_id)

        self.network.loop.outside(TRANSACTION_TIMEOUT_S, time_out)

    def ended(self, transaction: Transaction) -> None:
        """Each partition has its marker when it has it."""
        self.on_decided(transaction)
        for log in transaction.logs:
            delay = self.network.chance.random() * self.marker_delay_s
            self.network.loop.outside(delay, lambda log=log: self.write_markers(transaction, log))  # type: ignore[misc]

    async def _step(self, operation: KafkaOperation, moment: KafkaMoment, subject: str) -> None:
        network = self.network
        network.say(_who(), f"{operation} {moment} {subject}")
        delay = network.delay()
        if operation == "read" and moment == "sent":
            delay += network.chance.random() * NOTHING_NEW_S
        if delay > TIMEOUT_S:
            network.happened[f"kafka silent, {operation} {moment}"] += 1
            await asyncio.sleep(TIMEOUT_S)
            raise KafkaDoubt(f"{operation}: no answer within {TIMEOUT_S:g} s ({moment})")
        await asyncio.sleep(delay)


class SimulatedRedis(FakeRedis):
    """`on_changed` hears of every change of a key, `on_lost` of every loss of data."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.step = self._step
        self.on_changed: Callable[[str], None] = lambda key: None
        self.on_lost: Callable[[], None] = lambda: None

    def fault_of(self, operation: TableOperation) -> TableFault | None:
        fault = super().fault_of(operation)
        if fault is not None:
            self.network.happened[f"redis {operation} {fault}"] += 1
        return fault

    def later(self, act: Callable[[], object]) -> None:
        super().later(act)
        self.network.loop.outside(self.network.chance.choice((0.1, 2.0, 30.0)), self.deliver_late)

    def touch(self, key: str) -> None:
        super().touch(key)
        self.on_changed(key)

    def flush(self) -> None:
        super().flush()
        self.on_lost()

    def restore(self, snapshot: dict[str, Stored]) -> None:
        super().restore(snapshot)
        self.on_lost()

    async def _step(self, operation: TableOperation, moment: TableMoment) -> None:
        delay = self.network.delay()
        self.network.say(_who(), f"redis {operation} {moment}")
        if delay > TIMEOUT_S:
            self.network.happened[f"redis silent, {operation} {moment}"] += 1
            await asyncio.sleep(TIMEOUT_S)
            raise TableDoubt(f"redis: {operation}: no answer within {TIMEOUT_S:g} s ({moment})")
        await asyncio.sleep(delay)


def _who() -> str:
    process = PROCESS.get()
    return "" if process is None else process.name
