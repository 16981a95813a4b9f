"""What people are known by beside a customer id: devices, an address, a number, a card; and what is amiss with it.

All of it is a pure function of (seed, number), so one person's mistake can name another's address. Shares are rough
figures of a shop with five channels; times are milliseconds since the epoch.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from pipeline.dev.people import DAY, SHOPS, Person

FIRST_NAMES: Final = (
    "anna",
    "ayse",
    "emre",
    "jan",
    "leyla",
    "marek",
    "maria",
    "mina",
    "ola",
    "omid",
    "piotr",
    "zeynep",
)
LAST_NAMES: Final = ("demir", "kaya", "karimi", "kowalska", "nowak", "rahimi", "wolska", "yilmaz")
HOSTS: Final = ("example.com", "example.net", "example.org")
COUNTRIES: Final = ("+48 5", "+90 53")

_DEVICES: Final = (0.55, 0.3, 0.15)
"""Shares of people with one device, two, three; a browser that has forgotten its cookies is another device."""
_HAS_ADDRESS: Final = 0.95
_HAS_NUMBER: Final = 0.8
_HOUSEHOLDS: Final = 0.1
"""Of two neighbours so many share one telephone."""
_USES_KIOSK: Final = 0.08
_WRONG_ADDRESS: Final = 0.01
_OF_SOMEBODY: Final = 0.4
"""Of wrong addresses so many are a neighbour's; the others are nobody's."""
_SECOND_ID: Final = 0.04


@dataclass(frozen=True, slots=True)
class KnownBy:
    """One person's identities. `devices`: anonymous ids; `kiosk`: that of a shop's tablet that they use, if they do.

    `wrong_address`: what they typed once instead of `email`. `second`: another customer id, which the shop's till has
    for them from `second_from` on.
    """

    devices: tuple[str, ...]
    email: str | None
    phone: str | None
    card: str
    kiosk: str | None
    wrong_address: str | None
    second: str | None
    second_from: int

    def identities(self) -> list[tuple[str, str]]:
        """All that is theirs, or that they share, as (kind, value)."""
        found = [("loyalty", self.card)]
        found += [("email", self.email)] if self.email else []
        found += [("phone", self.phone)] if self.phone else []
        return found + [("anonymous", device) for device in (*self.devices, *filter(None, (self.kiosk,)))]


def known_by(seed: int, who: Person) -> KnownBy:
    """What this person is known by."""
    number = who.number
    chance = Random(f"{seed}/{number}/identities")
    email = email_of(seed, number)
    first = who.anonymous or _device(chance, number)
    more = chance.choices((0, 1, 2), _DEVICES)[0]
    wrong = None
    if email and chance.random() < _WRONG_ADDRESS:
        others = email_of(seed, number - 1) if chance.random() < _OF_SOMEBODY else None
        wrong = others or f"{email[0]}{email}"
    has_second = chance.random() < _SECOND_ID
    return KnownBy(
        devices=(first, *(_device(chance, number) for _ in range(more))),
        email=email,
        phone=phone_of(seed, number),
        card=f"{chance.randrange(10**5):05d}{number:06d}",
        kiosk=kiosk_of(who.shop) if chance.random() < _USES_KIOSK else None,
        wrong_address=wrong,
        second=f"till-{number:04d}" if has_second else None,
        second_from=who.born + int(chance.uniform(5, 60) * DAY),
    )


def email_of(seed: int, number: int) -> str | None:
    """The address of the person of this number, in its plain spelling."""
    chance = Random(f"{seed}/{number}/address")
    if chance.random() >= _HAS_ADDRESS:
        return None
    return f"{chance.choice(FIRST_NAMES)}.{chance.choice(LAST_NAMES)}{number}@{chance.choice(HOSTS)}"


def phone_of(seed: int, number: int) -> str | None:
    """The telephone number of the person of this number, in groups; some neighbours have one together."""
    household = number // 2
    chance = Random(f"{seed}/{household}/household")
    if chance.random() < _HOUSEHOLDS:
        return _number(chance, 2 * household)
    chance = Random(f"{seed}/{number}/number")
    return _number(chance, number) if chance.random() < _HAS_NUMBER else None


def kiosk_of(shop: str) -> str:
    """The anonymous id of the tablet that stands in a shop."""
    return f"kiosk-{shop}"


KIOSKS: Final = tuple(map(kiosk_of, SHOPS))


def _device(chance: Random, number: int) -> str:
    return f"{chance.getrandbits(16):04x}{number:04x}"


def _number(chance: Random, number: int) -> str:
    digits = f"{chance.randrange(100):02d}{number % 10**6:06d}"
    return f"{chance.choice(COUNTRIES)}{digits[:2]} {digits[2:5]} {digits[5:]}"
