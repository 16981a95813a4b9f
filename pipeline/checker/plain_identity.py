"""Whom an event names, by the checker's own reading of docs/concepts.md.

Addresses and numbers are read with the same two libraries as the pipeline's: nobody should write twice what a telephone
number is.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email

LONGEST = 256
DIGITS = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of identity as the settings name it; `region` of telephone numbers that are written without one."""

    name: str
    personal: bool
    normalise: str
    region: str | None


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The kinds beside the customer id, strongest first; values and patterns that are nobody; the key to hash by."""

    kinds: tuple[Kind, ...] = (Kind("anonymous", False, "none", None),)
    nobody: tuple[str, ...] = ()
    nobody_like: tuple[str, ...] = ()
    key: bytes = b""


def names(event: Mapping[str, Any], rules: IdentityRules) -> list[str]:
    """The public keys of all whom a decoded event names and that count, the strongest first."""
    found: list[str] = []
    customer = event.get("customer_id")
    if customer is not None and _is_text(customer) and not _is_nobody(customer, rules):
        prefix, colon, _ = customer.partition(":")
        if not (colon and prefix in [kind.name for kind in rules.kinds]):
            found.append(customer)
    identities = event.get("identities") or {}
    for kind in rules.kinds:
        value = identities.get(kind.name)
        if value is not None and _is_text(value) and not _is_nobody(value, rules):
            spelling = _spelling(kind, value)
            if _is_text(spelling) and not _is_nobody(spelling, rules):
                found.append(_public(kind, spelling, rules.key))
    return found


def _public(kind: Kind, spelling: str, key: bytes) -> str:
    text = f"{kind.name}:{spelling}"
    if not kind.personal:
        return text
    return f"{kind.name}:{hmac.new(key, text.encode('utf-8'), hashlib.sha256).hexdigest()[:DIGITS]}"


def _spelling(kind: Kind, value: str) -> str:
    """Empty if the value is none of its kind."""
    if kind.normalise == "email":
        try:
            return validate_email(_folded(value), check_deliverability=False).normalized.casefold()
        except EmailNotValidError:
            return ""
    if kind.normalise == "phone":
        try:
            number = phonenumbers.parse(unicodedata.normalize("NFKC", value), kind.region)
        except phonenumbers.NumberParseException:
            return ""
        if not phonenumbers.is_possible_number(number):
            return ""
        number.extension = None
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return _folded(value) if kind.normalise == "lower" else value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable()


def _is_nobody(value: str, rules: IdentityRules) -> bool:
    folded = _folded(value)
    if not folded or folded in map(_folded, rules.nobody):
        return True
    return any(re.fullmatch(pattern, folded, re.IGNORECASE) for pattern in rules.nobody_like)


def _folded(value: str) -> str:
    return unicodedata.normalize("NFKC", value).strip().casefold()
