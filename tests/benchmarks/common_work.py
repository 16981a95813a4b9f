"""The common work by which stream processors are compared: its events. What is right is in `oracle`.

Customers of skewed activity over 180 days; about 2 % of the events come twice, the second time with fewer than 16 other
events of that customer in between. The rules are those of examples/work.
"""

import heapq
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Final

TOPIC: Final = "work.events"
LANES: Final = 4
START_MS: Final = 1_735_689_600_000
SPAN_MS: Final = 180 * 86_400_000
REPEATED: Final = 0.0204
REPEATED_WITHIN: Final = 0.01
"""The second copy of an event comes at most so large a share of all events later."""
REMEMBERED: Final = 15
"""And only while so many events of the customer, or fewer, have followed the first."""

SITE, APP = ("web", "site"), ("web", "mobile-app")
KINDS: Final[dict[str, tuple[int, tuple[tuple[str, str], ...]]]] = {
    "page_viewed": (20, (SITE, SITE, APP)),
    "ad_clicked": (8, (("web", "ad-network"), ("social", "ad-network"))),
    "email_opened": (12, (("email", "mailer"),)),
    "email_clicked": (4, (("email", "mailer"),)),
    "post_liked": (10, (("social", "social-hub"),)),
    "product_viewed": (18, (SITE, APP, ("store", "kiosk"))),
    "cart_added": (6, (SITE, APP)),
    "order_placed": (6, (SITE, ("store", "pos"), ("phone", "call-center"))),
    "call_answered": (4, (("phone", "call-center"),)),
    "store_visited": (6, (("store", "pos"),)),
    "review_written": (2, (SITE, ("social", "social-hub"))),
    "referral_sent": (1, (("email", "mailer"), ("social", "social-hub"))),
    "support_requested": (4, (("phone", "call-center"), ("email", "helpdesk"), ("web", "helpdesk"))),
}
"""Event type: weight, and the channels and sources it comes by."""

CAMPAIGNS: Final = ("spring-launch", "summer-sale", "back-to-school", "black-friday", "loyalty-club")


def events(count: int, customers: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """(customer, event as JSON) in the order of sending; the same arguments give the same bytes."""
    chance = random.Random(seed)
    by_activity = list(accumulate((rank + customers / 2000) ** -0.6 for rank in range(1, customers + 1)))
    names = [f"c{number:07d}" for number in range(customers)]
    chance.shuffle(names)
    kinds, by_weight = list(KINDS), list(accumulate(weight for weight, _ in KINDS.values()))
    sent: Counter[str] = Counter()
    again: list[tuple[int, int, str, int, bytes]] = []
    number = 0
    while number < count:
        if again and again[0][0] <= number:
            _, _, customer, place, value = heapq.heappop(again)
            if sent[customer] - place < REMEMBERED:
                yield customer, value
                number += 1
            continue
        customer = chance.choices(names, cum_weights=by_activity)[0]
        kind = chance.choices(kinds, cum_weights=by_weight)[0]
        value = _event(chance, customer, kind, number, count)
        sent[customer] += 1
        yield customer, value
        number += 1
        if chance.random() < REPEATED:
            due = number + chance.randrange(max(2, int(count * REPEATED_WITHIN)))
            heapq.heappush(again, (due, number, customer, sent[customer], value))


def as_json(name: str, kind: str, place: tuple[str, str], customer: str, at: int, properties: str) -> bytes:
    """An event as it is sent; `place` is its channel and source, `at` in ms."""
    channel, source = place
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return (
        f'{{"id":"{name}","type":"{kind}","channel":"{channel}","source":"{source}","customer_id":"{customer}",'
        f'"occurred_at":"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z","properties":{properties}}}'
    ).encode()


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    """The same out of a file with one event a line."""
    with path.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["customer_id"], line.rstrip(b"\n")


def _event(chance: random.Random, customer: str, kind: str, number: int, count: int) -> bytes:
    place = chance.choice(KINDS[kind][1])
    name = f"{chance.getrandbits(128):032x}"
    at = START_MS + int((number + chance.random()) * SPAN_MS / count)
    sku, campaign = chance.randrange(10_000, 99_999), chance.choice(CAMPAIGNS)
    value = chance.randrange(100, 99_999) / 100
    return as_json(
        f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}",
        kind,
        place,
        customer,
        at,
        f'{{"sku":"SKU-{sku}","campaign":"{campaign}","value":{value:.2f}}}',
    )
