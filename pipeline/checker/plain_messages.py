"""What lanes tell each other on `journey.events`, by the checker's own reading of docs/stitching.md."""

import hashlib
from typing import NamedTuple

import msgspec

from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_touches import CHANNELS

CUSTOMER = "c:"
_NAMED = {
    "claim": (0, 1),
    "adopt": (0,),
    "release": (0, 1),
    "kept": (0,),
    "give_back": (),
    "refuse": (0,),
    "link": (0, 1),
    "block": (0,),
    "unblock": (0,),
    "forget": (0,),
    "disown": (0, 1),
}
"""Message -> places of the keys in it."""


class NoMessage(Exception):
    """The bytes are none; says why."""


class Message(NamedTuple):
    """One message. `names`: all whom it is about, as public keys, whom it is for first.

    Of an event: `act`, `primary`, the others that it names, and how often it has been sent on.
    """

    names: tuple[str, ...]
    act: Act | None = None
    primary: str = ""
    named: tuple[str, ...] = ()
    hops: int = 0


def read_message(key: bytes | None, value: bytes | None, company: frozenset[str]) -> Message:
    """`company`: the touches that are the company's acts. Raises NoMessage."""
    try:
        target = (key or b"").decode()
        kind, *fields = msgspec.msgpack.decode(value or b"")
        if kind in _NAMED:
            return Message((target, *(public(fields[place]) for place in _NAMED[kind] if fields[place])))
        if kind != "event":
            raise NoMessage(f"a message {kind}")
        primary, others, hops, identifier, at, appended, partition, offset, _, touch, channel, _ = fields
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise NoMessage(f"no message of a lane: {error}") from None
    if channel not in CHANNELS:
        raise NoMessage("an event that was sent on and does not say its channel")
    act = Act(at, appended, partition, offset, identifier, touch, channel, touch in company)
    primary, named = public(primary), tuple(map(public, others))
    return Message((target, primary, *named), act, primary, named, hops)


def public(key: str) -> str:
    """A key as subscribers see it."""
    return key.removeprefix(CUSTOMER)


def digest(primary: str, named: tuple[str, ...], act: Act) -> int:
    """A number for all that must arrive as it was sent."""
    said = msgspec.msgpack.encode((primary, named, act.at, act.appended, act.id, act.touch, act.channel))
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")
