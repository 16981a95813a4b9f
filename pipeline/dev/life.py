"""What a customer does on the five channels over a life of months, and what the company does towards them.

A life is a pure function of (seed, person): no clock, no state outside. Times are milliseconds since the epoch.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from pipeline.dev.people import DAY, HOUR, MINUTE, Person

PRODUCTS: Final = ("kettle", "lamp", "backpack", "headphones", "running-shoes", "desk", "coffee-beans", "notebook")
CAMPAIGNS: Final = ("spring", "new-arrivals", "back-to-school", "weekend")
_THURSDAY: Final = 3
"""The weekday of day 0, 1970-01-01, counted from Monday."""
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a customer did, or the company did towards one. `signed_in`: the channel knew who it was."""

    at: int
    channel: str
    type: str
    source: str
    properties: Mapping[str, object] = field(default_factory=dict)
    actor: str = "customer"
    signed_in: bool = True


def life(seed: int, who: Person) -> Iterator[Action]:
    """All that happens between this customer and the brand, in order of time, until `who.ends`."""
    return _Life(Random(f"{seed}/{who.number}/life"), who).actions()


class _Life:
    """One customer's story as it is being told. What lies ahead already (a reminder, a review) waits in `_ahead`."""

    def __init__(self, chance: Random, who: Person) -> None:
        self._chance = chance
        self._who = who
        self._known = who.anonymous is None
        self._interest = 0
        self._orders = 0
        self._cart: str | None = None
        self._loyal = False
        self._silent = 0
        self._ahead: list[tuple[int, int, Action]] = []
        self._told = 0

    def actions(self) -> Iterator[Action]:
        at = self._about_their_hour(self._who.born // DAY, self._who.born)
        while at < self._who.ends:
            self._visit(at)
            at = self._next_visit(at)
            until = min(at, self._who.ends)
            while self._ahead and self._ahead[0][0] < until:
                yield heapq.heappop(self._ahead)[2]

    def _next_visit(self, at: int) -> int:
        """A later day of the customer's rhythm, at about their hour; months later once they have fallen silent."""
        chance, who = self._chance, self._who
        if self._silent:
            day, self._silent = at // DAY + self._silent, 0
        elif self._cart and chance.random() < 0.5:
            day = at // DAY + chance.randint(1, 3)
        else:
            day = at // DAY + 1 + int(chance.expovariate(1 / who.temperament.visit_days))
        while _is_weekend(day) and chance.random() > who.weekend:
            day += 1
        return self._about_their_hour(day, at + 6 * HOUR)

    def _about_their_hour(self, day: int, earliest: int) -> int:
        hour = min(max(self._chance.gauss(self._who.hour, 2.0), 7.0), 22.5)
        return max(day * DAY + int(hour * HOUR) + self._chance.randrange(MINUTE), earliest)

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _add(self, at: int, channel: str, kind: str, source: str, actor: str = "customer", **properties: object) -> int:
        """Notes one action; returns a time some seconds or minutes later, for what follows it."""
        self._told += 1
        # Only what the site and the networks see can be nameless; a call or a letter has a name on it.
        signed_in = self._known or channel not in ("web", "social")
        heapq.heappush(self._ahead, (at, self._told, Action(at, channel, kind, source, properties, actor, signed_in)))
        return at + int(self._chance.uniform(4, 240) * 1000)

    def _channel(self, *among: str) -> str:
        return self._chance.choices(among, [self._who.leanings[channel] for channel in among])[0]

    def _visit(self, at: int) -> None:
        if self._cart and self._happens(0.6):
            self._take_up_cart(at)
        elif self._interest < 2:
            self._notice(at)
        elif self._happens(self._who.temperament.decides):
            self._shop(at)
        elif self._orders and self._happens(0.35):
            self._live_with_it(at)
        else:
            self._consider(at)
        self._interest += 1

    def _notice(self, at: int) -> None:
        channel = self._channel("web", "social", "store") if not self._who.anonymous else self._channel("web", "social")
        if channel == "social":
            at = self._add(
                at, "social", "post_seen", self._chance.choice(("social", "influencer", "friend")), post=self._post()
            )
            if self._happens(0.4):
                self._add(at, "social", "post_liked", "social", post=self._post())
        elif channel == "store":
            self._add(at, "store", "store_visited", "shop", shop=self._who.shop)
        else:
            if self._happens(0.4):
                at = self._add(at, "web", "ad_clicked", "paid_ad", campaign=self._chance.choice(CAMPAIGNS))
            at = self._add(at, "web", "page_viewed", self._chance.choice(("search", "friend", "site")), path="/")
            if self._happens(0.5):
                self._add(at, "web", "page_viewed", "site", path="/stories")

    def _consider(self, at: int) -> None:
        channel = self._channel("web", "email", "social", "phone", "store") if self._known else "web"
        if channel == "email":
            campaign = self._chance.choice(CAMPAIGNS)
            self._add(at, "email", "email_sent", "newsletter", actor="company", campaign=campaign)
            at = self._add(at + 2 * HOUR, "email", "email_opened", "newsletter", campaign=campaign)
            if self._happens(0.5):
                at = self._add(at, "email", "email_clicked", "newsletter", campaign=campaign)
            if self._happens(0.08):
                self._add(at, "email", "email_replied", "newsletter", about=self._product())
        elif channel == "social":
            self._add(at, "social", self._chance.choice(("post_seen", "post_liked")), "social", post=self._post())
        elif channel == "phone":
            kind = self._chance.choice(("call_made", "call_made", "call_answered"))
            self._add(at, "phone", kind, "call_centre", minutes=self._chance.randint(1, 15), about="product")
        elif channel == "store":
            self._add(at, "store", "store_visited", "shop", shop=self._who.shop)
        else:
            product = self._product()
            if self._happens(0.3):
                at = self._add(at, "web", "searched", "search", about=self._chance.choice(("brand", "comparison")))
            for _ in range(self._chance.randint(1, 3)):
                at = self._add(at, "web", "product_viewed", "site", product=product)
            if self._happens(0.45):
                at = self._add(at, "web", "price_compared", "site", product=product)
            if self._happens(0.1):
                at = self._add(at, "web", "question_asked", "site", product=product)
            if self._happens(0.35):
                self._add(at, "web", "page_viewed", "site", path="/pricing")

    def _shop(self, at: int) -> None:
        channel = self._channel("web", "store", "phone") if self._known else "web"
        product = self._product()
        if channel == "store":
            at = self._add(at, "store", "store_visited", "shop", shop=self._who.shop)
            self._order(at, "store", "shop", product)
        elif channel == "phone":
            at = self._add(at, "phone", "call_made", "call_centre", minutes=self._chance.randint(2, 20), about="order")
            self._order(at, "phone", "call_centre", product)
        else:
            at = self._add(at, "web", "product_viewed", "site", product=product)
            if not self._known:
                self._known = True
                at = self._add(at, "web", "signed_up", "site")
            at = self._add(at, "web", "cart_added", "site", product=product)
            if self._happens(0.4):
                at = self._add(at, "web", "cart_updated", "site", product=product, items=self._chance.randint(1, 4))
            if self._happens(self._who.temperament.leaves_cart):
                self._cart = product
                sent = at + self._chance.randint(2, 20) * HOUR
                self._add(sent, "email", "email_sent", "cart_reminder", actor="company", product=product)
            else:
                self._order(at, "web", "site", product)

    def _take_up_cart(self, at: int) -> None:
        product, self._cart = self._cart or self._product(), None
        if self._happens(0.6):
            at = self._add(at, "email", "email_clicked", "cart_reminder", product=product)
            at = self._add(at, "web", "cart_updated", "site", product=product, items=1)
            self._order(at, "web", "site", product)
        else:
            at = self._add(at, "web", "price_compared", "site", product=product)
            if self._happens(0.3):
                # Told when somebody asks what has become of the cart.
                self._add(at + DAY, "phone", "deal_lost", "call_centre", product=product)

    def _order(self, at: int, channel: str, source: str, product: str, coupon: str | None = None) -> None:
        chance, habits = self._chance, self._who.temperament
        self._orders += 1
        self._cart = None
        if coupon:
            at = self._add(at, channel, "coupon_redeemed", source, coupon=coupon)
        value = round(chance.lognormvariate(3.6, 0.7), 2)
        number = f"{self._who.number}-{self._orders}"
        self._add(at, channel, "order_placed", source, order=number, product=product, value=value, currency="EUR")
        self._add(at + 5 * MINUTE, "email", "email_sent", "receipt", actor="company", order=number)
        if channel != "store":
            came = at + chance.randint(1, 4) * DAY
            self._add(came, "phone", "order_delivered", "carrier", actor="company", order=number)
            if self._happens(0.4):
                self._add(came + HOUR, "web", "delivery_received", "site", order=number)
        if self._happens(0.03):
            self._add(at + chance.randint(3, 14) * DAY, "store", "order_returned", "shop", order=number)
        if self._happens(0.07):
            later = at + chance.randint(2, 9) * DAY
            later = self._add(later, "phone", "support_requested", "call_centre", order=number)
            if self._happens(0.3):
                self._add(later, "phone", "complaint_opened", "call_centre", order=number)
        if self._orders >= 2 and self._happens(habits.tells_others):
            self._add(
                at + chance.randint(5, 20) * DAY,
                "web",
                "review_written",
                "site",
                product=product,
                stars=chance.randint(3, 5),
            )
        if self._orders >= 3 and self._happens(habits.tells_others):
            self._add(
                at + chance.randint(1, 12) * DAY,
                self._channel("email", "social"),
                "referral_sent",
                "friend",
                product=product,
            )
        if self._orders >= 2 and not self._loyal and self._happens(0.4):
            self._loyal = True
            self._add(at + 2 * MINUTE, channel, "loyalty_joined", "loyalty_programme", tier="silver")
        if self._happens(habits.falls_silent):
            self._fall_silent(at)

    def _fall_silent(self, at: int) -> None:
        """Months without a sign; the company writes, and some are won back by it."""
        self._silent = int(self._chance.uniform(60, 240))
        coupon = f"BACK{self._who.number}"
        writes = at + self._silent * DAY - self._chance.randint(6, 48) * HOUR
        self._add(writes, "email", "coupon_sent", "win_back", actor="company", coupon=coupon)
        if self._happens(self._who.temperament.comes_back):
            back = at + self._silent * DAY + self._chance.randint(1, 6) * HOUR
            back = self._add(back, "email", "email_clicked", "win_back", coupon=coupon)
            self._add(back, "web", "coupon_redeemed", "site", coupon=coupon)
            self._add(
                back + 3 * MINUTE,
                "web",
                "order_placed",
                "site",
                order=f"{self._who.number}-{self._orders + 1}",
                coupon=coupon,
            )
            self._orders += 1
        else:
            self._silent += 30

    def _live_with_it(self, at: int) -> None:
        channel = self._channel("web", "email", "phone")
        if channel == "phone":
            self._add(at, "phone", "support_requested", "call_centre", minutes=self._chance.randint(2, 12))
        elif channel == "email":
            at = self._add(at, "email", "email_opened", "newsletter", campaign=self._chance.choice(CAMPAIGNS))
            if self._happens(0.04):
                self._add(at, "email", "email_unsubscribed", "newsletter")
        elif self._happens(0.3 * self._who.temperament.tells_others):
            self._add(at, "web", "forum_answered", "site", product=self._product())
        else:
            self._add(at, "web", "page_viewed", "site", path=self._chance.choice(("/help", "/faq", "/how-to")))

    def _product(self) -> str:
        return self._chance.choice(PRODUCTS)

    def _post(self) -> str:
        return f"post-{self._chance.randrange(400)}"


def _is_weekend(day: int) -> bool:
    return (day + _THURSDAY) % 7 >= _SATURDAY
