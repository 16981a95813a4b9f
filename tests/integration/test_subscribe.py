"""The subscriber in docs/subscribe.md does what the page says, on a real broker."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.adapters.kafka import topics
from pipeline.adapters.schemas import mistakes
from pipeline.application.records import entry_id, transition_record
from pipeline.config import Settings
from pipeline.domain.feed import Transition, TransitionKind
from pipeline.domain.history import Entry
from pipeline.domain.uniting import JOINED as JOINED_BY
from pipeline.domain.uniting import LINKED

PAGE = Path(__file__).parents[2] / "docs" / "subscribe.md"
PUBLISHED = "2025-01-31T09:30:00.000Z"
CUSTOMER, JOURNEY, EPOCH = "shop:4711", "five-stage", 1_738_315_800_123
PLACE = (CUSTOMER, JOURNEY)


def snippet() -> dict[str, Any]:
    """The names that the page's program defines."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "follow"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def entered(stage: str, at: int) -> Entry:
    return Entry(at, stage, stage, f"event-{stage}", "page_viewed", "web", -1)


AWARENESS, PURCHASE, RETENTION = entered("awareness", 1000), entered("purchase", 3000), entered("retention", 2000)


def record(seq: int, kind: TransitionKind, to: str, entry: Entry, *supersedes: Entry, epoch: int = EPOCH) -> Any:
    transition = Transition(f"c:{CUSTOMER}", epoch, JOURNEY, 3, seq, kind, "", to, entry, supersedes)
    written = json.loads(transition_record(transition, PUBLISHED))
    assert mistakes(written, "transition") == []
    return written


def customer(seq: int, stage: str) -> Any:
    position = {"version": 3, "stage": stage, "since": PUBLISHED, "seq": seq}
    written = {
        "customer_id": CUSTOMER,
        "epoch": EPOCH,
        "journeys": {JOURNEY: position},
        "touches": {},
        "first_seen": PUBLISHED,
        "last_seen": PUBLISHED,
        "merged_into": None,
        "updated_at": PUBLISHED,
    }
    assert mistakes(written, "customer") == []
    return written


FIRST, SECOND = record(1, "entered", "awareness", AWARENESS), record(2, "entered", "purchase", PURCHASE)
CORRECTED = record(3, "corrected", "retention", RETENTION, PURCHASE)
RETRACTED = record(4, "retracted", "awareness", RETENTION)
JOINED = record(3, "moved", "", Entry(4000, LINKED, "", "3", JOINED_BY, "c:4700", -1))
BACK = record(1, "entered", "awareness", AWARENESS, epoch=EPOCH + 1)


def entry(of: Entry) -> str:
    return entry_id(CUSTOMER, JOURNEY, of)


@pytest.mark.parametrize(
    ("records", "stage", "history"),
    [
        ([FIRST, SECOND], "purchase", {entry(AWARENESS): "awareness", entry(PURCHASE): "purchase"}),
        ([FIRST, SECOND, SECOND], "purchase", {entry(AWARENESS): "awareness", entry(PURCHASE): "purchase"}),
        ([FIRST, SECOND, CORRECTED], "retention", {entry(AWARENESS): "awareness", entry(RETENTION): "retention"}),
        ([FIRST, SECOND, CORRECTED, RETRACTED], "awareness", {entry(AWARENESS): "awareness"}),
        ([FIRST, SECOND, JOINED], None, {}),
        ([FIRST, SECOND, BACK], "awareness", {entry(AWARENESS): "awareness"}),
    ],
    ids=["entered", "read-twice", "corrected", "retracted", "joined-another", "back-after-an-erasure"],
)
def test_the_net_history_of_a_customer(records: Sequence[Any], stage: str | None, history: Mapping[str, str]) -> None:
    journeys = snippet()["Journeys"]()
    for each in records:
        journeys.take(each)
    assert journeys.stage[PLACE] == stage
    assert {name: to for name, (_, to) in journeys.history[PLACE].items()} == history


class Pipeline:
    """Publishes to lane 0 in transactions, as a lane does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.brokers, transactional_id=f"{settings.prefix}lane", retry_backoff_ms=5
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def publish(self, transitions: Sequence[Any], customers: Sequence[Any], *, commit: bool = True) -> None:
        await self._producer.begin_transaction()
        for name, records in (("journey.transitions", transitions), ("journey.customers", customers)):
            for each in records:
                await self._producer.send_and_wait(
                    self._settings.topic(name), json.dumps(each).encode(), key=CUSTOMER.encode(), partition=0
                )
        await (self._producer.commit_transaction() if commit else self._producer.abort_transaction())


async def test_a_new_subscriber_starts_from_the_customers_and_sees_each_change_once(
    bootstrap: str, prefix: str
) -> None:
    settings = Settings(brokers=bootstrap, prefix=prefix, partitions=2)
    await topics.apply(settings)
    names = snippet()
    journeys = names["Journeys"]()
    async with Pipeline(settings) as lane:
        await lane.publish([FIRST], [customer(1, "awareness")])
        await lane.publish([SECOND], [customer(2, "purchase")])
        await lane.publish([record(3, "entered", "lost", PURCHASE)], [customer(3, "lost")], commit=False)
        # Not in the customers yet, as if their partition had been slower.
        await lane.publish([CORRECTED], [])
        following = names["follow"](bootstrap, journeys, prefix)
        async with asyncio.timeout(30):
            assert await anext(following) == CORRECTED
            assert journeys.seen[PLACE] == (EPOCH, 3)
            await lane.publish([CORRECTED, RETRACTED], [customer(4, "awareness")])
            assert await anext(following) == RETRACTED
        await following.aclose()
    assert journeys.stage[PLACE] == "awareness"
