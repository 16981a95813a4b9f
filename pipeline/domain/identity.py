"""Keys a customer is known by.

Inside (changelog, Redis, profiles) a key is always `kind:value`, `c:` for a customer id, so that no customer can be
called `@lane`. Outside (topics' keys, records for subscribers) a customer is the bare id.
"""

from typing import NewType

Key = NewType("Key", str)
"""`kind:value`; `c:4711` or `anonymous:ab12`."""

CUSTOMER = "c"
ANONYMOUS = "anonymous"
KINDS_BY_STRENGTH = (ANONYMOUS,)
"""Weaker kinds accepted today, strongest first. E-mail and phone come with hashing: they must not enter in clear."""

MAX_LENGTH = 256
"""Characters of one identity value."""


def customer_key(customer_id: str) -> Key:
    return Key(f"{CUSTOMER}:{customer_id}")


def public_key(key: Key) -> str:
    """The key as subscribers see it and as it is partitioned by."""
    return key.removeprefix("c:")


def key_of(public: str) -> Key:
    """The key of somebody whom subscribers see under `public`."""
    kind, colon, _ = public.partition(":")
    return Key(public) if colon and kind in KINDS_BY_STRENGTH else customer_key(public)


def well_formed(value: str) -> bool:
    """An identity value is 1 to 256 printable characters, and no customer id may read like another kind's public
    key.
    """
    return 0 < len(value) <= MAX_LENGTH and value.isprintable()


def ambiguous(customer_id: str) -> bool:
    """Whether the bare id would read as the public key of another kind."""
    kind, colon, _ = customer_id.partition(":")
    return bool(colon) and kind in KINDS_BY_STRENGTH
