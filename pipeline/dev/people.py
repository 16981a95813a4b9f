"""Believable customers: temperaments and habits, drawn from a seed.

A person is a pure function of (seed, number). Times are milliseconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

SHOPS: Final = ("ankara", "gdansk", "izmir", "krakow", "shiraz", "tehran")


@dataclass(frozen=True, slots=True)
class Temperament:
    """How a kind of customer behaves. `visit_days`: mean days between two visits; the rest are chances from 0 to 1."""

    share: float
    visit_days: float
    decides: float
    leaves_cart: float
    falls_silent: float
    comes_back: float
    tells_others: float


TEMPERAMENTS: Final[Mapping[str, Temperament]] = {
    "window shopper": Temperament(0.25, 9.0, 0.05, 0.80, 0.60, 0.20, 0.02),
    "once only": Temperament(0.25, 7.0, 0.30, 0.40, 0.85, 0.25, 0.05),
    "regular": Temperament(0.32, 5.0, 0.45, 0.25, 0.10, 0.60, 0.20),
    "enthusiast": Temperament(0.18, 3.0, 0.60, 0.15, 0.04, 0.70, 0.55),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Habits that last a life. `leanings`: how much each channel is liked; `hour`: when of the day, UTC; `anonymous`:
    the id that the site knows before sign-up, None for who was a customer by name from the start.
    """

    number: int
    born: int
    ends: int
    temperament: Temperament
    leanings: Mapping[str, float]
    hour: float
    weekend: float
    anonymous: str | None
    shop: str

    @property
    def customer_id(self) -> str:
        return customer_id_of(self.number)


def customer_id_of(number: int) -> str:
    """The customer id of the person of this number."""
    return f"c{number:04d}"


def person(seed: int, number: int, born: int) -> Person:
    """The customer of this number, who shows up first at `born` and lives with the brand for 5 to 20 months."""
    chance = Random(f"{seed}/{number}/habits")
    temperament = chance.choices(list(TEMPERAMENTS.values()), [t.share for t in TEMPERAMENTS.values()])[0]
    likes_web, likes_email, likes_social, likes_phone, likes_store = (
        chance.gammavariate(s, 1) for s in (4, 2, 2, 0.7, 1.5)
    )
    return Person(
        number=number,
        born=born,
        ends=born + int(chance.uniform(150, 600) * DAY),
        temperament=temperament,
        leanings={
            "web": likes_web + 0.2,
            "email": likes_email,
            "social": likes_social,
            "phone": likes_phone,
            "store": likes_store,
        },
        hour=chance.choice((8.0, 12.5, 17.0, 20.5)),
        weekend=chance.uniform(0.4, 1.0),
        anonymous=f"{chance.getrandbits(16):04x}{number:04x}" if chance.random() < 0.4 else None,
        shop=chance.choice(SHOPS),
    )
