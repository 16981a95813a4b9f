"""Events at a steady rate, each with the moment of its sending in its id, from a process of its own."""

import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.synchronize import Event as Signal
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from tests.benchmarks import common_work

CUSTOMERS: Final = 20_000
LINGER_MS: Final = 5
END_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Where to, how many events a second, and the file that keeps what was sent, one event a line."""

    bootstrap: str
    topic: str
    rate: float
    kept: Path


def sent_at(event_id: str) -> float:
    """The wall-clock second at which an event was handed to its producer."""
    return int(event_id.partition("-")[0]) / 1e9


def sending(pace: Pace) -> AbstractContextManager[None]:
    """Sends for as long as the block runs; all is sent and acknowledged at its end."""
    return in_a_process(_send, pace)


@contextmanager
def in_a_process(send: Callable[..., None], *given: object) -> Iterator[None]:
    """Lets `send` run with `given` and an event beside the block; it ends soon after the event is set."""
    context = multiprocessing.get_context("spawn")
    enough = context.Event()
    sender = context.Process(target=send, args=(*given, enough), daemon=True)
    sender.start()
    try:
        yield
    finally:
        enough.set()
        sender.join(END_S)
        if sender.exitcode != 0:
            sender.kill()
            raise SystemExit(f"the sender ended with {sender.exitcode}")


def _send(pace: Pace, enough: Signal) -> None:
    producer = Producer(producer_settings(pace.bootstrap))
    began = time.monotonic()
    with pace.kept.open("wb") as kept:
        for number, (customer, kind, place) in enumerate(acts()):
            while (early := began + number / pace.rate - time.monotonic()) > 0:
                time.sleep(early)
            if enough.is_set():
                break
            now = time.time_ns()
            value = common_work.as_json(f"{now}-{number}", kind, place, customer, now // 1_000_000, "{}")
            producer.produce(pace.topic, value, customer.encode())
            producer.poll(0)
            kept.write(value + b"\n")
    if left := producer.flush(END_S):
        raise SystemExit(f"{left} events were not acknowledged")


def producer_settings(bootstrap: str) -> dict[str, str | int | bool]:
    """As a careful sender has them, with the partitioner of the Java client."""
    return {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "linger.ms": LINGER_MS,
    }


def acts() -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Without end: customer, type, and channel with source."""
    chance = random.Random(7)
    kinds, by_weight = list(common_work.KINDS), list(accumulate(weight for weight, _ in common_work.KINDS.values()))
    while True:
        kind = chance.choices(kinds, cum_weights=by_weight)[0]
        yield f"c{chance.randrange(CUSTOMERS):07d}", kind, chance.choice(common_work.KINDS[kind][1])
