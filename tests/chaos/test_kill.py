"""Two workers, killed in turn in the middle of their work: nothing is lost, nothing is told twice."""

import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from tests.harness import reading
from tests.harness.application import DAY, HOUR, Application, ago
from tests.harness.sending import Sender, Sent
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(240)]

EVENTS, TWICE, LATE = 47_500, 1_500, 1_000
CUSTOMERS = 2_500
KILLS = 4
SPAN = 17 * HOUR
BACK_S = 40.0
"""How long it may take until both workers have their lanes again."""

JOURNEY: dict[str, Any] = {
    "journey": "shop",
    "version": 1,
    "stages": [
        {"id": "seen", "enter": {"from": "start", "when": ["saw_content", "viewed_product"]}},
        {"id": "keen", "enter": {"from": "seen", "when": "viewed_product", "count": 3, "within": "3h"}},
        {"id": "choosing", "enter": {"when": "cart"}},
        {"id": "bought", "enter": [{"when": "ordered"}, {"from": "cold", "when": "ordered", "back": True}]},
        {"id": "cold", "enter": {"from": ["keen", "choosing", "bought"], "after": "100min", "since": "last any"}},
    ],
    "signals": {
        "cart_left": {"after": "1h", "since": "last cart", "unless": "ordered", "expires": "24h"},
        "quiet": {"after": "30min", "since": "entered choosing"},
    },
}
"""Beside the built-in journey, whose silences last for days: silences that are over within the hours of the test."""

TYPES = {
    "web": ["page_viewed", "product_viewed", "product_viewed", "cart_added", "order_placed", "page_scrolled"],
    "email": ["email_opened", "email_clicked", "email_sent"],
    "social": ["post_liked", "ad_clicked", "referral_sent"],
    "phone": ["call_made", "support_requested"],
    "store": ["store_visited", "order_placed", "review_written"],
}


def traffic(sender: Sender, chance: random.Random) -> list[Sent]:
    """Events of the last twenty hours, out of order, and some of them twice; no two of them at the same time.

    A third goes to any partition, as if the sender had another key or another partitioner.
    """
    begin = ago(20 * HOUR)
    arriving: list[tuple[float, Sent]] = []
    for number, moment in enumerate(chance.sample(range(SPAN), EVENTS)):
        sent = event(sender, chance, f"e{number}", begin + moment)
        arriving.append((moment + chance.gauss(0, HOUR), sent))
        if number < TWICE:
            again = event(sender, chance, f"e{number}", begin + moment, like=sent)
            arriving.append((moment + chance.gauss(HOUR, HOUR), again))
    return [sent for _, sent in sorted(arriving, key=lambda each: each[0])]


def event(sender: Sender, chance: random.Random, identifier: str, at: int, like: Sent | None = None) -> Sent:
    """A random event, or another copy of one, for any customer; some have no customer id."""
    if like is not None:
        return Sent(like.topic, like.channel, chance.randrange(4), like.key, like.value, event=like.event)
    channel = chance.choice(list(TYPES))
    number = chance.randrange(CUSTOMERS)
    fields: dict[str, Any] = {"identifier": identifier}
    customer = f"c{number}"
    if number % 10 == 0:
        customer = f"anonymous:a{number}"
        fields |= {"customer_id": None, "identities": {"anonymous": f"a{number}"}}
    kind = chance.choice(TYPES[channel])
    if kind == "email_sent":
        fields["actor"] = "company"
    if chance.random() < 1 / 3:
        fields["partition"] = chance.randrange(sender.settings.partitions)
    return sender.make(channel, customer, kind, at, **fields)


def read_by(app: Application, lanes: Sequence[int]) -> int:
    """Events that these lanes have read, by Redis."""
    records = reading.lane_records(app.settings)
    return sum(tally.read for lane in lanes if lane in records for tally in records[lane].totals.values())


def until_they_flow(app: Application, lanes: Sequence[int]) -> float:
    """Waits until these lanes have read more; how long that took, in seconds."""
    began, before = time.monotonic(), read_by(app, lanes)
    until(lambda: read_by(app, lanes) > before, lambda: f"lanes {lanes} flow again\n{app.tails()}", BACK_S)
    return time.monotonic() - began


def have_their_lanes(workers: Sequence[WorkerProcess], lanes: int) -> bool:
    """Whether all lanes run, and no worker is without one."""
    each = [[lane["partition"] for lane in worker.lanes() if lane["state"] == "running"] for worker in workers]
    return all(each) and sorted(lane for those in each for lane in those) == list(range(lanes))


def test_workers_that_are_killed_lose_and_double_nothing(
    stack: Stack, tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20_260_131)
    began = time.monotonic()
    stood: list[float] = []
    with Application(
        stack,
        tmp_path,
        prefix,
        JOURNEY,
        partitions=4,
        journeys=["five-stage", "journey.yaml"],
        touches="touches",
        max_batch_events=400,
    ) as app:
        names = ("one", "two")
        for name in names:
            app.worker(name)
        arriving = traffic(app.sender, chance)
        share = len(arriving) // (KILLS + 1)
        for number in range(KILLS):
            both = [app.workers[name] for name in names]
            until(partial(have_their_lanes, both, 4), app.tails, BACK_S)
            before = app.accounted()
            for sent in arriving[number * share : (number + 1) * share]:
                app.sender.put(sent)
            app.sender.flush()
            app.until_at_work(before + 500, BACK_S)
            victim = names[number % 2]
            lanes = [lane["partition"] for lane in app.workers[victim].lanes()]
            app.workers[victim].kill()
            assert app.accounted() < len(app.sender.ledger), "it was killed in the middle"
            if number >= 2:  # the first two are back before Kafka has missed them
                stood.append(until_they_flow(app, lanes))
            app.worker(victim)
        for sent in arriving[KILLS * share :]:
            app.sender.put(sent)
        app.until_accounted(BACK_S)
        # Only now it is sure that they come after the events which make them late.
        for number in range(LATE):
            app.sender.put(event(app.sender, chance, f"late{number}", ago(3 * DAY) + number))
        verdict = app.assert_right(app.workers["one"], BACK_S)
    assert verdict.sent == EVENTS + TWICE + LATE
    assert (verdict.duplicates, verdict.late) == (TWICE, LATE)
    assert verdict.routed > EVENTS / 10
    with capsys.disabled():
        standing = ", ".join(f"{seconds:.1f}" for seconds in stood)
        print(
            f"\n{verdict}\n{KILLS} kills in {time.monotonic() - began:.0f} s; a dead worker's lanes stood {standing} s"
        )
