"""To whom an identity belongs: a pure function of the claims it has heard, less those that a person has blocked."""

from collections.abc import Collection, Mapping
from typing import Final

from pipeline.domain.identity import CUSTOMER

MOST_CLAIMS: Final = 8
"""Customers that a weak identity may be claimed by; one with more is shared for good. Also: merge targets."""

MOST_BLOCKS: Final = 64
"""Customers that an identity may be kept from."""

ERASED: Final = "@erased"
"""Stands among the claims of a shared identity for customers who were erased: what others did there stays nobody's."""


def is_customer(key: str) -> bool:
    """Whether the key is a customer id, not a weak identity."""
    return key.startswith(f"{CUSTOMER}:")


def owner_of(key: str, claims: Mapping[str, str], blocked: Collection[str]) -> str:
    """The owner of identity `key`, empty if it is its own. `claims`: claiming customer -> where its strand is.

    A weak identity belongs to the one owner that all claims lead to; with two, or with one who was erased, it is
    shared, and its own. A customer belongs to where the smallest of those is that it was merged into.
    """
    counting = {customer: owner for customer, owner in claims.items() if owner and customer not in blocked}
    if not counting:
        return ""
    if is_customer(key):
        return counting[min(counting)]
    owners = set(counting.values())
    return owners.pop() if len(owners) == 1 and ERASED not in owners and len(claims) <= MOST_CLAIMS else ""


def with_claim(key: str, claims: Mapping[str, str], customer: str, owner: str) -> dict[str, str]:
    """The claims with one more, or with the new owner of a known one.

    Of too many the smallest stay, whatever came first: one more than may count for a weak identity, since that says it
    is shared.
    """
    more = {**claims, customer: owner}
    most = MOST_CLAIMS if is_customer(key) else MOST_CLAIMS + 1
    return {each: more[each] for each in sorted(more)[:most]}
