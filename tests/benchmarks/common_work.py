"""The common work by which stream processors are compared: its events, and a fold of ten lines that says what is right.

Customers of skewed activity over 180 days; about 2 % of the events come twice. The rules are those of examples/work.
"""

import heapq
import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

START_MS = 1_735_689_600_000
SPAN_MS = 180 * 86_400_000
SILENCE_MS = 30 * 86_400_000
REPEATED = 0.02
REPEATED_WITHIN = 0.01
"""The second copy of an event comes at most so large a share of all events later."""

KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "page_viewed": (20, ("web",)),
    "ad_clicked": (8, ("web", "social")),
    "email_opened": (12, ("email",)),
    "email_clicked": (4, ("email",)),
    "post_liked": (10, ("social",)),
    "product_viewed": (18, ("web", "web", "store")),
    "cart_added": (6, ("web",)),
    "order_placed": (6, ("web", "store", "phone")),
    "call_answered": (4, ("phone",)),
    "store_visited": (6, ("store",)),
    "review_written": (2, ("web", "social")),
    "referral_sent": (1, ("email", "social")),
    "support_requested": (4, ("phone", "email", "web")),
}
"""Event type: weight, and the channels it comes by."""


def events(count: int, customers: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """(customer, event as JSON) in the order of sending; the same arguments give the same bytes."""
    chance = random.Random(seed)
    names = [f"c{number:07d}" for number in range(customers)]
    chance.shuffle(names)
    by_activity = list(accumulate((rank + customers / 2000) ** -0.6 for rank in range(1, customers + 1)))
    kinds, by_weight = list(KINDS), list(accumulate(weight for weight, _ in KINDS.values()))
    again: list[tuple[int, int, str, bytes]] = []
    for number in range(count):
        if again and again[0][0] <= number:
            yield heapq.heappop(again)[2:]
            continue
        customer = chance.choices(names, cum_weights=by_activity)[0]
        kind = chance.choices(kinds, cum_weights=by_weight)[0]
        at = START_MS + int((number + chance.random()) * SPAN_MS / count)
        value = json.dumps(
            {
                "id": f"{chance.getrandbits(144):036x}",
                "type": kind,
                "channel": chance.choice(KINDS[kind][1]),
                "source": "site",
                "customer_id": customer,
                "occurred_at": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
                "properties": {"sku": f"SKU-{chance.randrange(99999):05d}", "campaign": "spring-launch", "value": 19.9},
            },
            separators=(",", ":"),
        ).encode()
        yield customer, value
        if chance.random() < REPEATED:
            due = number + chance.randrange(2, max(3, int(count * REPEATED_WITHIN)))
            heapq.heappush(again, (due, number, customer, value))


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    """The same out of a file with one event a line."""
    with path.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["customer_id"], line.rstrip(b"\n")


def transitions(work: Iterable[tuple[str, bytes]]) -> int:
    """How many stage changes the work has."""
    found = 0
    stages: dict[str, tuple[str, int, int]] = {}
    seen: set[str] = set()
    for customer, value in work:
        event = json.loads(value)
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        at = int(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000 + 0.5)
        stage, views, last = stages.get(customer, ("", 0, at))
        if stage in ("purchase", "retention", "advocacy") and at - last > SILENCE_MS:
            stage, views, found = "lapsed", 0, found + 1
        views += event["type"] == "product_viewed"
        to = _next(stage, event["type"], views)
        if to:
            stage, views, found = to, 0, found + 1
        stages[customer] = (stage, views, at)
    return found


def _next(stage: str, kind: str, views: int) -> str:
    if kind == "order_placed" and stage in ("", "awareness", "consideration", "lapsed"):
        return "purchase"
    if stage == "":
        return "awareness"
    if stage == "awareness" and (kind in ("cart_added", "email_clicked") or views >= 3):
        return "consideration"
    if stage == "lapsed":
        return "consideration"
    if stage == "purchase" and kind in ("order_placed", "support_requested"):
        return "retention"
    if stage in ("purchase", "retention") and kind in ("referral_sent", "review_written"):
        return "advocacy"
    return ""
