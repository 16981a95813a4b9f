"""Keys a customer is known by, and how what an event says of its customer becomes such keys.

Inside (changelog, Redis, profiles) a key is always `kind:value`, `c:` for a customer id, so that no customer can be
called `@lane`. Outside (topics' keys, records for subscribers) a customer is the bare id. The value of a personal kind
is a keyed hash, so nobody without the hash key can tell whose it is, or find one by trying all telephone numbers.
"""

import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NewType

Key = NewType("Key", str)
"""`kind:value`; `c:4711`, `anonymous:ab12` or `email:1b0c…`."""

CUSTOMER = "c"
ANONYMOUS = "anonymous"

MAX_LENGTH = 256
"""Characters of one identity value, as it is sent and in its one spelling."""

HASH_BYTES: Final = 16
"""Of the HMAC that stands for a personal value; in hexadecimal digits twice as many."""

Ignored = Literal["invalid", "never_identifies", "unknown_kind"]
"""Why an identity of an event is passed over: the closed list that the metric uses."""

Normalise = Callable[[str], str]
"""The one spelling of all that name the same; ValueError if a value names nothing."""

Digest = Callable[[str], str]
"""What stands for a personal `kind:value`: `2 * HASH_BYTES` hexadecimal digits."""

_REMEMBERED = 200_000
_HASHED = re.compile(f"[0-9a-f]{{{2 * HASH_BYTES}}}")


def keyed_digest(hash_key: bytes) -> Digest:
    """HMAC-SHA-256 under `hash_key`, cut to `HASH_BYTES`. The kind is hashed along: two kinds share no hashes."""

    def digest(text: str) -> str:
        return hmac.digest(hash_key, text.encode(), "sha256")[:HASH_BYTES].hex()

    return digest


def fingerprint_of(hash_key: bytes) -> str:
    """By which two keys can be told apart, and neither be found: the digest of a text that no identity is."""
    return keyed_digest(hash_key)("fingerprint")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of identity beside the customer id, such as `email`. The values of a `personal` one are hashed."""

    name: str
    personal: bool
    normalise: Normalise


class Named:
    """Whom an event names: `primary` is the strongest, empty if nothing in it counts. `ignored`: kind and why."""

    __slots__ = ("ignored", "others", "primary")

    primary: Key
    others: tuple[Key, ...]
    ignored: tuple[tuple[str, Ignored], ...]


def named_of(primary: Key, others: tuple[Key, ...], ignored: tuple[tuple[str, Ignored], ...]) -> Named:
    made = Named.__new__(Named)
    made.primary = primary
    made.others = others
    made.ignored = ignored
    return made


class Identities:
    """The kinds that count beside the customer id, strongest first.

    `never` says of a text that it identifies nobody, as the placeholders of senders do; it is asked of a value as it
    was sent and in its one spelling. What has been worked out is remembered, for so many values of a kind at most;
    customer ids are not, since who asks for them again knows their keys.
    """

    def __init__(self, kinds: Sequence[Kind], never: Callable[[str], bool], digest: Digest) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self._order = tuple(self.kinds)
        self._never = never
        self._digest = digest
        self._found: dict[str, dict[str, tuple[Key, Ignored | None]]] = {name: {} for name in self.kinds}

    def of(self, customer_id: str | None, identities: dict[str, str] | None, known: Key | None = None) -> Named:
        """Whom an event names that says this of its customer. `known`: the key of its customer id, if it counts."""
        primary: Key | None = known
        others: list[Key] = []
        ignored: list[tuple[str, Ignored]] = []
        if known is None and customer_id is not None:
            key, why = self.look_up(CUSTOMER, customer_id)
            if why is None:
                primary = key
            else:
                ignored.append((CUSTOMER, why))
        if identities:
            left = len(identities)
            for name in self._order:
                value = identities.get(name)
                if value is None:
                    continue
                left -= 1
                key, why = self.look_up(name, value)
                if why is not None:
                    ignored.append((name, why))
                elif primary is None:
                    primary = key
                else:
                    others.append(key)
                if not left:
                    break
            if left:
                ignored += [(name, "unknown_kind") for name in identities.keys() - self.kinds.keys()]
        return named_of(Key("") if primary is None else primary, tuple(others), tuple(ignored))

    def look_up(self, kind: str, value: str) -> tuple[Key, Ignored | None]:
        """The key of a value, or an empty one and why there is none."""
        if kind == CUSTOMER:
            return (Key(""), "invalid") if len(value) > MAX_LENGTH else self._work_out(kind, value)
        found = self._found.get(kind)
        if found is None:
            return Key(""), "unknown_kind"
        known = found.get(value)
        if known is not None:
            return known
        if len(value) > MAX_LENGTH:
            return Key(""), "invalid"
        if len(found) >= _REMEMBERED:
            found.clear()
        known = found[value] = self._work_out(kind, value)
        return known

    def _work_out(self, kind: str, value: str) -> tuple[Key, Ignored | None]:
        if not value or not value.isprintable():
            return Key(""), "invalid"
        if self._never(value):
            return Key(""), "never_identifies"
        if kind == CUSTOMER:
            return (Key(""), "invalid") if reads_like(value, self.kinds) else (customer_key(value), None)
        of = self.kinds[kind]
        try:
            spelling = of.normalise(value)
        except ValueError:
            return Key(""), "invalid"
        if not 0 < len(spelling) <= MAX_LENGTH or not spelling.isprintable():
            return Key(""), "invalid"
        if self._never(spelling):
            return Key(""), "never_identifies"
        named = f"{kind}:{spelling}"
        return Key(f"{kind}:{self._digest(named)}" if of.personal else named), None

    def typed(self, text: str) -> Key:
        """The key of somebody as a person types it: a customer id, `kind:value`, or a hash that was copied.

        ValueError if the value cannot be one of its kind.
        """
        kind, _, value = text.partition(":")
        if kind not in self.kinds or is_hashed(self.kinds[kind], value):
            return key_of(text, self.kinds)
        key, why = self.look_up(kind, value)
        if why is not None:
            raise ValueError(f"{kind}: a value that {SAID[why]}")
        return key


SAID: Final[Mapping[Ignored, str]] = {
    "invalid": "is none of its kind, not of 1 to 256 printable characters, or reads like another kind",
    "never_identifies": "never identifies anybody",
    "unknown_kind": "is of a kind that does not count",
}
"""The reasons in words."""


def customer_key(customer_id: str) -> Key:
    return Key(f"{CUSTOMER}:{customer_id}")


def public_key(key: Key) -> str:
    """The key as subscribers see it and as it is partitioned by."""
    return key.removeprefix("c:")


def key_of(public: str, kinds: Collection[str]) -> Key:
    """The key of somebody whom subscribers see under `public`, where these kinds count."""
    return Key(public) if reads_like(public, kinds) else customer_key(public)


def reads_like(public: str, kinds: Collection[str]) -> bool:
    """Whether it is the public key of one of these kinds; no customer id may read like one."""
    kind, colon, _ = public.partition(":")
    return bool(colon) and kind in kinds


def is_hashed(kind: Kind, value: str) -> bool:
    """Whether a value of the kind is in its hashed form already; no e-mail address and no telephone number looks so."""
    return kind.personal and _HASHED.fullmatch(value) is not None


def _as_it_is(value: str) -> str:
    return value


def _undisclosed(_text: str) -> str:
    raise LookupError("no kind is personal here")


ANONYMOUS_ONLY: Final = Identities((Kind(ANONYMOUS, False, _as_it_is),), lambda text: not text.strip(), _undisclosed)
"""Customer ids and anonymous ids, whatever they are: for journeys that are rehearsed without settings."""
