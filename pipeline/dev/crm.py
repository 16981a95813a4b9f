"""What people at the CRM decide about identities: merges, some of them wrong and taken back, and blocks.

A pure function of (seed, person); times are milliseconds since the epoch.
"""

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pipeline.dev.known_by import KnownBy, email_of
from pipeline.dev.life import Action
from pipeline.dev.people import DAY, Person, customer_id_of

_FINDS_SECOND_ID: Final = 0.75
_MERGES_WRONGLY: Final = 0.01
_TAKES_BACK: Final = 0.8


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, made at `at`: two customer ids are `merge`d or `split` again, or a `block` keeps `email` from
    `customer`. Of two customer ids the larger joins the smaller.
    """

    at: int
    command: Literal["merge", "split", "block"]
    customer: str
    other: str = ""
    email: str = ""


def merge(decision: Decision) -> Action:
    """What the CRM says of a merge to whoever listens."""
    return Action(decision.at, "phone", "customer_merged", "crm", {"into": decision.other}, actor="company")


def decisions(seed: int, who: Person, known: KnownBy) -> list[Decision]:
    """What is decided about this person, in order of time."""
    chance = Random(f"{seed}/{who.number}/crm")
    customer = who.customer_id
    found: list[Decision] = []
    if known.second and chance.random() < _FINDS_SECOND_ID:
        at = known.second_from + int(chance.uniform(10, 60) * DAY)
        found.append(Decision(at, "merge", known.second, customer))
    if known.wrong_address is not None and known.wrong_address == email_of(seed, who.number - 1):
        at = who.born + int(chance.uniform(60, 200) * DAY)
        found.append(Decision(at, "block", customer, email=known.wrong_address))
    if who.number > 1 and chance.random() < _MERGES_WRONGLY:
        neighbour, at = customer_id_of(who.number - 1), who.born + int(chance.uniform(20, 100) * DAY)
        found.append(Decision(at, "merge", customer, neighbour))
        if chance.random() < _TAKES_BACK:
            found.append(Decision(at + int(chance.uniform(3, 15) * DAY), "split", customer, neighbour))
    return sorted((each for each in found if each.at < who.ends), key=lambda each: each.at)
