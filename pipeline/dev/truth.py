"""What the simulator knows and the pipeline has to find out: which identities are one person's.

Written as a file for `journey check --truth`; docs/check.md has its form.
"""

from collections.abc import Iterator

import msgspec

from pipeline.dev.crm import decisions
from pipeline.dev.known_by import known_by
from pipeline.dev.people import Person


class PersonTruth(msgspec.Struct, frozen=True):
    """One person: customer ids, and all other identities that are theirs or shared by them, as (kind, value)."""

    person: str
    customers: list[str]
    identities: list[tuple[str, str]]


class Mistake(msgspec.Struct, frozen=True):
    """An identity that was written down for a customer whose it is not."""

    customer: str
    kind: str
    value: str


class Truth(msgspec.Struct, frozen=True):
    """`merged`: pairs of customer ids of different people that were merged by mistake, taken back or not."""

    people: list[PersonTruth]
    mistakes: list[Mistake]
    merged: list[tuple[str, str]]


def truth_of(seed: int, people: Iterator[Person]) -> Truth:
    """The truth about these people."""
    truth = Truth([], [], [])
    for who in people:
        known = known_by(seed, who)
        customers = [who.customer_id, *filter(None, (known.second,))]
        truth.people.append(PersonTruth(str(who.number), customers, known.identities()))
        if known.wrong_address:
            truth.mistakes.append(Mistake(who.customer_id, "email", known.wrong_address))
        truth.merged.extend(
            (each.customer, each.other)
            for each in decisions(seed, who, known)
            if each.command == "merge" and each.customer != known.second
        )
    return truth
