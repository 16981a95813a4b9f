"""Raw event v1: from the bytes of a channel to a checked value, or the one reason why not."""

from typing import Final, Literal

import msgspec

from pipeline.domain.bytewise import opens_more
from pipeline.domain.identity import CUSTOMER, SAID, Identities, Key, Named
from pipeline.domain.moments import LARGEST, parse_moment

CHANNELS: Final = ("web", "email", "social", "phone", "store")
MAX_ID = 64
MAX_NAME = 128

Reason = Literal[
    "not_json",
    "no_id",
    "bad_id",
    "no_identity",
    "bad_identity",
    "bad_time",
    "future",
    "too_large",
    "too_deep",
    "unknown_channel",
    "channel_mismatch",
    "invalid",
    "too_many_hops",
    "fold_error",
    "bad_command",
]
"""Why a record goes to the dead letters: the closed list that metrics and headers use."""


class Invalid(Exception):
    """The bytes are no valid event. `reason` is for machines, the message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class RawEvent(msgspec.Struct, gc=False):
    """The envelope of an event as a channel sent it; `properties` stay bytes until a rule reads them."""

    id: str
    type: str
    occurred_at: str | int
    customer_id: str | None = None
    identities: dict[str, str] | None = None
    channel: str | None = None
    source: str | None = None
    actor: Literal["customer", "company"] = "customer"
    properties: msgspec.Raw = msgspec.Raw(b"{}")


_FIELDS: Final = {CUSTOMER: "customer_id"}
_decode = msgspec.json.Decoder(RawEvent).decode
_decode_any = msgspec.json.Decoder().decode


def decode(value: bytes | None, max_bytes: int, max_depth: int) -> RawEvent:
    """The envelope, with everything checked that needs neither topic nor clock; raises Invalid."""
    if value is None:
        raise Invalid("not_json", "the record has no value")
    if len(value) > max_bytes:
        raise Invalid("too_large", f"{len(value)} bytes; {max_bytes} are allowed")
    if opens_more(value, max_depth) and _depth(value) > max_depth:
        raise Invalid("too_deep", f"nested deeper than {max_depth}")
    try:
        event = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(value, error) from None
    identifier, kind, source = event.id, event.type, event.source
    if not 0 < len(identifier) <= MAX_ID:
        raise Invalid(
            "bad_id" if identifier else "no_id", f"id has {len(identifier)} characters; 1 to {MAX_ID} are allowed"
        )
    if len(kind) > MAX_NAME or (source is not None and len(source) > MAX_NAME):
        raise Invalid("invalid", f"type and source may have up to {MAX_NAME} characters")
    return event


def _depth(value: bytes) -> int:
    """The deepest nesting of brackets outside strings."""
    depth = deepest = 0
    quoted = escaped = False
    for byte in value:
        if escaped:
            escaped = False
        elif quoted:
            escaped = byte == 0x5C
            quoted = byte != 0x22
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _explain(value: bytes, error: Exception) -> Invalid:
    """Why strict decoding failed: looks again, slowly."""
    try:
        found = _decode_any(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        return Invalid("not_json", f"not JSON: {broken}")
    if not isinstance(found, dict):
        return Invalid("not_json", f"a JSON object is expected, not {type(found).__name__}")
    if found.get("id") is None:
        return Invalid("no_id", "no id: without one a doubled event could not be told from a second one")
    if not isinstance(found["id"], str):
        return Invalid("bad_id", f"id is {type(found['id']).__name__}; a string is expected")
    if not isinstance(found.get("occurred_at"), str | int) or isinstance(found["occurred_at"], bool):
        return Invalid("bad_time", "occurred_at is missing or neither a string nor a whole number")
    if not isinstance(found.get("customer_id"), str | None) or not _are_identities(found.get("identities")):
        return Invalid("bad_identity", "customer_id must be a string and identities an object of strings")
    return Invalid("invalid", str(error))


def _are_identities(found: object) -> bool:
    return found is None or (isinstance(found, dict) and all(isinstance(v, str) for v in found.values()))


def named(event: RawEvent, identities: Identities, known: Key | None = None) -> Named:
    """Whom the event names; raises Invalid if nobody. What does not count is passed over where something does.

    `known`: the key of its customer id, where that is known to count.
    """
    found = identities.of(event.customer_id, event.identities, known)
    if found.primary:
        return found
    raise _nobody(event, identities, found)


def _nobody(event: RawEvent, identities: Identities, found: Named) -> Invalid:
    """Why the event names nobody."""
    unfit = [(kind, why) for kind, why in found.ignored if why != "unknown_kind"]
    if unfit:
        said = "; ".join([f"{_FIELDS.get(kind) or f'identities.{kind}'} {SAID[why]}" for kind, why in unfit])
        return Invalid("bad_identity", f"nobody is named: {said}")
    if event.identities:
        kinds = ", ".join(identities.kinds) or "none"
        return Invalid("no_identity", f"no customer_id and none of the identities that count: {kinds}")
    return Invalid("no_identity", "neither customer_id nor identities: nobody is named")


def moment(event: RawEvent) -> int:
    """Event time in ms; raises Invalid."""
    at = event.occurred_at
    if isinstance(at, str):
        try:
            return parse_moment(at)
        except ValueError as error:
            raise Invalid("bad_time", f"occurred_at: {error}") from None
    if not 0 <= at <= LARGEST:
        raise Invalid("bad_time", f"occurred_at: {at} is not in milliseconds since 1970")
    return at
