"""Whom each channel names for what a person does: what it knows, in the spelling that was typed there.

The site knows the device, and the customer once signed in; a mailing knows the address, a telephone the number, a till
the card. Only now and then are two of them named together, and only from then on can anybody know that they are one
person's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from pipeline.dev.known_by import KnownBy
from pipeline.dev.life import Action
from pipeline.dev.people import HOUR, Person

_NEEDS_SIGN_IN: Final = frozenset(
    {"order_placed", "coupon_redeemed", "delivery_received", "review_written", "referral_sent", "forum_answered"}
)
_STILL_SIGNED_IN: Final = 0.55
_FIRST_DEVICE: Final = 0.7
_AT_KIOSK: Final = 0.05
_AGENT_ASKS: Final = 0.35
_GIVES_NUMBER: Final = 0.4
_SHOWS_CARD: Final = 0.75
_TILL_TYPES_NUMBER: Final = 0.3


@dataclass(frozen=True, slots=True)
class Named:
    """Whom an event names."""

    customer_id: str | None
    identities: Mapping[str, str] = field(default_factory=dict)


class Naming:
    """Names one person's actions, which must come in order of time."""

    def __init__(self, seed: int, who: Person, known: KnownBy) -> None:
        self._chance = Random(f"{seed}/{who.number}/naming")
        self._who = who
        self._known = known
        self._visited = 0
        self._device = known.devices[0]
        self._signed_in = False
        self._has_card = False
        self._by_channel: Mapping[str, Callable[[Action], Named]] = {
            "web": self._web,
            "email": self._email,
            "social": self._social,
            "phone": self._phone,
            "store": self._store,
        }

    def named(self, action: Action) -> Named:
        """Whom this action's channel names. On the site somebody is, as ever, at least a device."""
        found: Named = self._by_channel[action.channel](action)
        if action.type != "loyalty_joined":
            return found
        self._has_card = True
        # A form that is filled in once, and where a wrong address is typed if ever.
        form = {"loyalty": self._known.card, **self._address(typed=True)}
        return Named(self._who.customer_id, {**found.identities, **form})

    def _web(self, action: Action) -> Named:
        if not action.signed_in:
            self._device, self._visited = self._known.devices[0], action.at
            return Named(None, {"anonymous": self._device})
        if action.at - self._visited > HOUR:
            self._begin_visit()
        self._visited = action.at
        self._signed_in |= action.type in _NEEDS_SIGN_IN or action.type == "signed_up"
        if not self._signed_in:
            return Named(None, {"anonymous": self._device})
        identities = {"anonymous": self._device}
        if action.type in {"signed_up", "order_placed"}:
            identities |= self._address()
            if self._happens(_GIVES_NUMBER):
                identities |= self._number()
        return Named(self._who.customer_id, identities)

    def _begin_visit(self) -> None:
        known, chance = self._known, self._chance
        self._signed_in = self._happens(_STILL_SIGNED_IN)
        others = known.devices[1:]
        self._device = chance.choice(others) if others and not self._happens(_FIRST_DEVICE) else known.devices[0]
        if known.kiosk and self._happens(_AT_KIOSK):
            self._device, self._signed_in = known.kiosk, False

    def _social(self, action: Action) -> Named:
        if action.signed_in:
            return Named(self._who.customer_id)
        return Named(None, {"anonymous": self._known.devices[0]})

    def _email(self, action: Action) -> Named:
        address = self._address()
        if action.actor == "company" or not address:
            return Named(self._who.customer_id, address)
        return Named(None, address)

    def _phone(self, action: Action) -> Named:
        number = self._number()
        if not number or action.actor == "company" or action.type in {"order_placed", "deal_lost"}:
            return Named(self._who.customer_id, number)
        return Named(self._who.customer_id if self._happens(_AGENT_ASKS) else None, number)

    def _store(self, action: Action) -> Named:
        known, customer = self._known, self._who.customer_id
        if known.second and action.at >= known.second_from:
            number = self._number() if self._happens(_TILL_TYPES_NUMBER) else {}
            return Named(known.second, number)
        if self._has_card and self._happens(_SHOWS_CARD):
            return Named(None if self._happens(_SHOWS_CARD) else customer, {"loyalty": known.card})
        return Named(customer)

    def _address(self, *, typed: bool = False) -> Mapping[str, str]:
        email = self._known.wrong_address if typed and self._known.wrong_address else self._known.email
        return {"email": self._spelled(email)} if email else {}

    def _spelled(self, email: str) -> str:
        return self._chance.choice((email, email, email.title(), email.upper(), f" {email}"))

    def _number(self) -> Mapping[str, str]:
        phone = self._known.phone
        if not phone:
            return {}
        spelled = (phone, phone.replace(" ", ""), phone.replace(" ", "-"), f"{phone} ")
        return {"phone": self._chance.choice(spelled)}

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share
