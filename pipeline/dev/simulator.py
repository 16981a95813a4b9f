"""The simulated traffic at a pace, from where the last run stopped, with the punctuation that event time needs."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from pipeline.dev.audience import Sent
from pipeline.dev.crm import Decision
from pipeline.dev.people import DAY
from pipeline.dev.traffic import Delivery, ordered, people, traffic
from pipeline.dev.truth import truth_of
from pipeline.domain.moments import format_moment, parse_moment
from pipeline.errors import UserError

BEGINNING: Final = parse_moment("2024-01-01T05:00:00.000Z")
"""The simulated Monday on which the first run in event time begins."""
SEED: Final = 7
CUSTOMERS: Final = 300
_STEP_S: Final = 0.05
_LONGEST_STEP_S: Final = 0.5
_PUNCTUATION_S: Final = 0.2
_FLUSH_BYTES: Final = 2_000_000
_BREATHE_EVENTS: Final = 2_000
_TRUTH_DAYS: Final = 30
"""The truth is written for so many days ahead, and again when they are over."""


class Sink(Protocol):
    """Where the records go; see `RawSender`."""

    pending: int

    def add(self, topic: str, key: bytes, value: bytes) -> None: ...
    async def flush(self) -> None: ...
    async def punctuate(self, at: int, *, end: bool = False) -> None: ...


class CrmOrders(Protocol):
    """Where the CRM's orders go; see `Orders`."""

    def give(self, decision: Decision) -> None: ...
    async def flush(self) -> None: ...


class Story(msgspec.Struct, frozen=True):
    """Which traffic is being told, and up to when it has been sent: what a later run goes on with. Times in ms."""

    seed: int
    customers: int
    clock: Literal["live", "event"]
    start: int
    reached: int


def begin(clock: Literal["live", "event"], seed: int, customers: int, now: int) -> Story:
    """A new story: at a fixed date in event time; on the live clock at `now`, with people who are there already."""
    if clock == "event":
        return Story(seed, customers, clock, BEGINNING, BEGINNING - 1)
    return Story(seed, customers, clock, now - 60 * 86_400_000, now)


def go_on(path: Path, clock: Literal["live", "event"], seed: int | None, customers: int | None, now: int) -> Story:
    """The story kept in `path`, or a new one where there is none; None leaves a choice to what is kept.

    On the live clock it goes on at `now`: what would have happened meanwhile did not. UserError if another story is
    kept than the one that is asked for.
    """
    try:
        old = msgspec.json.decode(path.read_bytes(), type=Story)
    except FileNotFoundError:
        return begin(clock, SEED if seed is None else seed, CUSTOMERS if customers is None else customers, now)
    except msgspec.DecodeError as error:
        raise UserError(f"{path} is damaged ({error}); start anew with --fresh") from None
    for name, was, wanted in (
        ("seed", old.seed, seed),
        ("customers", old.customers, customers),
        ("clock", old.clock, clock),
    ):
        if wanted not in (None, was):
            raise UserError(
                f"{path} holds traffic with {name} {was}, up to {format_moment(old.reached)}; "
                f"go on with that, or start anew with --fresh to have {name} {wanted}"
            )
    return msgspec.structs.replace(old, reached=max(old.reached, now)) if clock == "live" else old


class Simulator:
    """Sends a story's traffic into `sink`. `speed`: simulated seconds a real second. `topics`: channel -> raw topic.
    `path` keeps how far the story is told; beside it `truth.json` says who the people are. `orders`: None where the CRM
    takes nothing back.

    A machine that is too slow slows the simulated time down; it never makes a burst.
    """

    def __init__(
        self,
        story: Story,
        sink: Sink,
        topics: Mapping[str, str],
        *,
        speed: float,
        path: Path,
        orders: CrmOrders | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.story = story
        self.sent = Sent(reached=story.reached)
        self._sink = sink
        self._topics = topics
        self._speed = speed
        self._path = path
        self._monotonic = monotonic
        self._deliveries: Iterator[Delivery] = traffic(story.seed, story.start, story.customers, story.reached)
        self._next: Delivery | None = None
        self._orders = orders
        self._decisions = ordered(story.seed, story.start, story.customers, story.reached)
        self._next_decision: Decision | None = None
        self._truth_until = story.reached

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until `stop` is set; what has been sent is then noted for the next run."""
        before = punctuated = self._monotonic()
        while not stop.is_set():
            now = self._monotonic()
            await self.step(int(min(now - before, _LONGEST_STEP_S) * 1000 * self._speed))
            if now - punctuated >= _PUNCTUATION_S:
                punctuated = now
                await self.promise()
            before = now
            await _pause(stop, _STEP_S)
        await self.promise()

    async def step(self, span: int) -> None:
        """Sends all that is due in the next `span` simulated ms."""
        until = self.sent.reached + span
        delivery = self._next or next(self._deliveries)
        while delivery.at <= until:
            self._sink.add(self._topics[delivery.channel], delivery.key, delivery.value)
            self.sent.events += 1
            if self._sink.pending > _FLUSH_BYTES:
                await self._sink.flush()
            elif self.sent.events % _BREATHE_EVENTS == 0:
                await asyncio.sleep(0)
            delivery = next(self._deliveries)
        self._next = delivery
        await self._sink.flush()
        if self._orders is not None:
            await self._order(self._orders, until)
        self.sent.reached = until

    async def _order(self, orders: CrmOrders, until: int) -> None:
        decision = self._next_decision or next(self._decisions)
        while decision.at <= until:
            orders.give(decision)
            decision = next(self._decisions)
        self._next_decision = decision
        await orders.flush()

    async def promise(self) -> None:
        """Punctuates (in event time) as far as nothing can come any more, and notes how far the story is told."""
        if self.story.clock == "event":
            # A shop's sale of the morning is uploaded at night: until then nothing later is complete.
            complete = min(self._next.complete if self._next else self.story.start, self.sent.reached)
            if complete > max(self.story.start, self.sent.promised or 0):
                await self._sink.punctuate(complete)
                self.sent.promised = complete
        story = self.story = msgspec.structs.replace(self.story, reached=self.sent.reached)
        if story.reached >= self._truth_until:
            self._truth_until = story.reached + _TRUTH_DAYS * DAY
            known = people(story.seed, story.start, story.customers, self._truth_until + DAY)
            _write(self._path.with_name("truth.json"), truth_of(story.seed, known))
        _write(self._path, story)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode(content))
    beside.replace(path)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
