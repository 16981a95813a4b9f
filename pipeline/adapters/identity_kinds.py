"""The identities of the settings: normalisers by kept libraries, values that identify nobody, the hash key."""

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.adapters.phone_numbers import normalised_phone
from pipeline.config import LEAST_KEY, IdentityKind, NeverIdentify, Settings
from pipeline.domain.erasing import Erasure
from pipeline.domain.identity import Digest, Identities, Key, Kind, Normalise, fingerprint_of, keyed_digest
from pipeline.errors import UserError

MAKE_ONE: Final = "Make one with `openssl rand -hex 32`, keep it safe and never change it"


def identities_of(settings: Settings) -> Identities:
    """What the lanes, and all that must agree with them, take as identities; UserError without the key they need."""
    key = hash_key(settings)
    if key is None and any(item.personal for item in settings.identities):
        raise UserError(_keyless(settings))
    return _identities(settings, _refusing(settings) if key is None else keyed_digest(key))


def identities_for_people(settings: Settings) -> Identities:
    """The same for commands that may do without a key: UserError when the first personal identity comes."""
    key = hash_key(settings)
    return _identities(settings, _refusing(settings) if key is None else keyed_digest(key))


def identities_for_counting(settings: Settings) -> Identities:
    """The same where it does not matter who is who: no key is needed."""
    return _identities(settings, keyed_digest(b"nobody's"))


def typed_key(settings: Settings, text: str) -> Key:
    """The key of whom a person calls so: a customer id, `email:anna@example.org`, or a public key; UserError if it is
    none, or cannot be hashed here.
    """
    try:
        return identities_for_people(settings).typed(text)
    except ValueError as error:
        raise UserError(f"{text}: {error}") from None


def kinds_of(settings: Settings) -> tuple[str, ...]:
    """The names of the kinds that count, strongest first."""
    return tuple(item.kind for item in settings.identities)


def hash_key(settings: Settings) -> bytes | None:
    """The configured key, None if there is none; UserError if its file cannot be used."""
    given = settings.identity_key.get_secret_value()
    if not settings.identity_key_file:
        return given.encode() or None
    path = Path(settings.identity_key_file)
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no text"
        raise UserError(f"identity_key_file: {path} cannot be read: {said}. {MAKE_ONE}") from None
    if len(found) < LEAST_KEY:
        raise UserError(f"identity_key_file: {path} must hold at least {LEAST_KEY} characters. {MAKE_ONE}")
    return found.encode()


def erasure_of(settings: Settings) -> Erasure:
    """How identities are erased; UserError if the key file cannot be used.

    Without a key marks are hashed by the application's id, which hides them from nobody who tries all customer ids.
    """
    digest = keyed_digest(hash_key(settings) or settings.application.encode())
    return Erasure(settings.erased_later, settings.erased_remembered, digest)


def key_fingerprint(settings: Settings) -> str:
    """Of the configured key, empty if there is none; UserError if its file cannot be used."""
    key = hash_key(settings)
    return "" if key is None else fingerprint_of(key)


def refuse_other_key(settings: Settings, known: str) -> None:
    """UserError if the key is another one than that of the fingerprint in a lane record."""
    if known and key_fingerprint(settings) not in ("", known):
        raise UserError(
            "identity_key: the lanes hash identities by another key, so nobody can be found by an address or a number "
            "here. Use the key that the workers have",
        )


def _keyless(settings: Settings) -> str:
    personal = " and ".join(item.kind for item in settings.identities if item.personal)
    return (
        f"identities: {personal} must be hashed, and there is no key to hash by. {MAKE_ONE}; set "
        "JOURNEY_IDENTITY_KEY to it, or identity_key_file to a file that holds it. Whoever has no such identities "
        "takes them out of the setting `identities`."
    )


def _refusing(settings: Settings) -> Digest:
    def refuse(_text: str) -> str:
        raise UserError(_keyless(settings))

    return refuse


def _identities(settings: Settings, digest: Digest) -> Identities:
    kinds = [Kind(item.kind, item.personal, normaliser(item)) for item in settings.identities]
    return Identities(kinds, never_identifies(settings.never_identify), digest)


def never_identifies(given: NeverIdentify) -> Callable[[str], bool]:
    """Whether a text is one of those that identify nobody."""
    values = {_plain(value) for value in given.values}
    patterns = [re.compile(pattern, re.IGNORECASE) for pattern in given.patterns]

    def never(text: str) -> bool:
        plain = _plain(text)
        return not plain or plain in values or any(pattern.fullmatch(plain) for pattern in patterns)

    return never


def normaliser(item: IdentityKind) -> Normalise:
    """What brings values of the kind into their one spelling."""
    if item.normalise == "email":
        return normalised_email
    if item.normalise == "phone":
        return partial(_phone, region=item.region)
    return _plain if item.normalise == "lower" else _unchanged


def normalised_email(value: str) -> str:
    """An e-mail address in small letters, its domain in Unicode; ValueError if it is none. Nothing is asked of DNS.

    The part before the @ keeps its dots and what follows a plus: only some hosts deliver those to the same person.
    """
    from email_validator import validate_email

    return validate_email(_plain(value), check_deliverability=False).normalized.casefold()


def _phone(value: str, region: str | None) -> str:
    return normalised_phone(unicodedata.normalize("NFKC", value), region)


def _plain(value: str) -> str:
    """Without what only looks different: width, ligatures (NFKC), case, and space around it."""
    return unicodedata.normalize("NFKC", value).strip().casefold()


def _unchanged(value: str) -> str:
    return value
