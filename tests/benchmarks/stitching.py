"""What it costs to know customers by several identities: the common work through two lanes without Kafka and Redis.

The same events of the same customers, named in different ways; another way first in each round.
"""

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from pipeline.application.intake import Source
from pipeline.config import load
from pipeline.worker.main import GC_THRESHOLDS
from pipeline.worker.wiring import compile_rules
from tests.benchmarks import common_work
from tests.benchmarks.fold import APPENDED, BATCH, SETTINGS, Read
from tests.benchmarks.lanes import Lanes
from tests.benchmarks.results import Stage, Stitching, Way

LANES: Final = 2
RAW: Final = Source(common_work.TOPIC, "raw")

PLAIN: Final = "customer id"
NAMED: Final = "customer id and browser"
ANONYMOUS: Final = "30 % browsers, a third linked later"
ROUTED: Final = "customer id, first in another lane"

HELD_BY: Final = 10
"""Customers are of ten kinds, each with a tenth of the events."""
NEVER_KNOWN: Final = (0, 1)
"""Kinds of whom only the browser is ever seen."""
KNOWN_LATER: Final = (2, 3)
"""Kinds of whom only the browser is seen in the first half of their events."""


class Naming(NamedTuple):
    """How events say whom they are of. `strays`: they reach a lane in which their customer is not at home."""

    name: str
    write: Callable[[Sequence[tuple[str, bytes]]], Iterator[tuple[str, bytes]]]
    strays: bool = False


def measure(events: int, rounds: int, say: Callable[[str], None]) -> Iterator[Stitching]:
    """One figure a round."""
    say("making the work")
    work = list(common_work.events(events, max(1, events // 10)))
    for number in range(rounds):
        load_average = os.getloadavg()[0]
        ways: dict[str, Way] = {}
        for step in range(len(NAMINGS)):
            naming = NAMINGS[(step + number) % len(NAMINGS)]
            say(f"round {number + 1} of {rounds}: {naming.name}")
            ways[naming.name] = play(work, naming)
        yield Stitching(
            round=number,
            events=events,
            customers=len({customer for customer, _ in work}),
            ways=[ways[naming.name] for naming in NAMINGS],
            load_average=load_average,
        )


def play(work: Sequence[tuple[str, bytes]], naming: Naming) -> Way:
    lanes = Lanes(compile_rules(load(SETTINGS, {})), LANES)
    fetches: list[list[list[Read]]] = []
    for number, (key, value) in enumerate(naming.write(work)):
        if number % BATCH == 0:
            fetches.append([[] for _ in range(LANES)])
        lane = (lanes.home(key.encode()) + naming.strays) % LANES
        fetches[-1][lane].append(Read(number, APPENDED, None, value, ()))
    with _collecting_like_a_worker():
        for fetch in fetches:
            for lane, records in enumerate(fetch):
                lanes.take(lane, RAW, records)
            lanes.settle()
    stages = [Stage(name, spent / len(work) * 1e6) for name, spent in lanes.spent().items()]
    return Way(naming.name, sum(stage.us for stage in stages), lanes.told / len(work), stages)


@contextmanager
def _collecting_like_a_worker() -> Iterator[None]:
    """The work itself is out of the collector's sight, as what a worker holds for long is."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def _as_they_are(work: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    yield from work


def _with_browser(work: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    return ((customer, _rewritten(customer, value, known=True)) for customer, value in work)


def _often_anonymous(work: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    left = Counter(customer for customer, _ in work)
    whole = left.copy()
    for customer, value in work:
        kind = int(customer[1:]) % HELD_BY
        later = kind in KNOWN_LATER and left[customer] * 2 > whole[customer]
        left[customer] -= 1
        if kind in NEVER_KNOWN or later:
            yield f"anonymous:{_browser(customer)}", _rewritten(customer, value, known=False)
        elif kind in KNOWN_LATER:
            yield customer, _rewritten(customer, value, known=True)
        else:
            yield customer, value


def _rewritten(customer: str, value: bytes, *, known: bool) -> bytes:
    said = f'"customer_id":"{customer}"'
    browser = f'"identities":{{"anonymous":"{_browser(customer)}"}}'
    return value.replace(said.encode(), (f"{said},{browser}" if known else browser).encode())


def _browser(customer: str) -> str:
    return f"b{customer[1:]}"


NAMINGS: Final = (
    Naming(PLAIN, _as_they_are),
    Naming(NAMED, _with_browser),
    Naming(ANONYMOUS, _often_anonymous),
    Naming(ROUTED, _as_they_are, strays=True),
)
