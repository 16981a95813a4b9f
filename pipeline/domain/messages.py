"""What identities tell each other on `journey.events`: see docs/stitching.md.

A record's key is the public key of whom it is for; its value is one of these messages, encoded. Strands ride along as
the bytes of `encode_strand`, so whoever only passes one on does not unpack it.
"""

from typing import Final, NamedTuple

import msgspec

from pipeline.domain.profile import Event, event_of


class Message(msgspec.Struct, frozen=True, array_like=True, tag_field="message", gc=False):
    """Anything that one identity tells another. Fields are encoded in order: new ones go to the end, with a default."""


class Seen(Message, frozen=True, array_like=True, tag="event", gc=False):
    """An event on its way to its owner. `primary`: the strongest identity it names; `named`: the others.

    `at` is event time and `appended` first append time, both in ms; `partition` and `offset`: where it appeared first.
    `hops`: how often it has been on `journey.events`, this time included. `life` of whom it is for, as in `Adopt`.
    """

    primary: str
    named: tuple[str, ...]
    hops: int
    id: str
    at: int
    appended: int
    partition: int
    offset: int
    type: str
    touch: str
    channel: str
    life: int = 0

    def event(self) -> Event:
        """As the fold takes it."""
        return event_of(
            self.id, self.at, self.appended, self.partition, self.offset, self.type, self.touch, self.channel
        )


class Claim(Message, frozen=True, array_like=True, tag="claim", gc=False):
    """`customer` was named together with you; its strand is at `owner`, whose `life` is this (see `Adopt`)."""

    customer: str
    owner: str
    life: int = 0


class Adopt(Message, frozen=True, array_like=True, tag="adopt", gc=False):
    """The strand of `identity` is yours: it points to you.

    `life`: the one of yours that it knows of, which is the moment (append time, ms) of your last erasure, 0 before one.
    """

    identity: str
    strand: bytes
    life: int = 0


class Release(Message, frozen=True, array_like=True, tag="release", gc=False):
    """`identity` no longer points this way but to `into`, or to nobody where that is empty."""

    identity: str
    into: str


class Kept(Message, frozen=True, array_like=True, tag="kept", gc=False):
    """Your strand is at `owner`, who was asked about it; release it there if you do not point to it."""

    owner: str


class GiveBack(Message, frozen=True, array_like=True, tag="give_back", gc=False):
    """Your strand comes home."""

    strand: bytes


class Refuse(Message, frozen=True, array_like=True, tag="refuse", gc=False):
    """`owner` has no room for your strand: claims that lead there no longer count."""

    owner: str


class Link(Message, frozen=True, array_like=True, tag="link", gc=False):
    """`identity` belongs to `customer`, as if an event had named both. Goes to the owner of `customer`.

    `at`: when that was said (append time, ms), 0 if nobody knows. `life` of whom it is for, as in `Adopt`.
    """

    identity: str
    customer: str
    at: int = 0
    life: int = 0


class Block(Message, frozen=True, array_like=True, tag="block", gc=False):
    """You do not belong to `customer`, whatever events say."""

    customer: str


class Unblock(Message, frozen=True, array_like=True, tag="unblock", gc=False):
    """Takes a block back."""

    customer: str


class Erase(Message, frozen=True, array_like=True, tag="erase", gc=False):
    """You are erased, with all that belongs to you. `at`: append time (ms) of the order, `order`: its id.

    `mentioned`: further identities whose records name you, or a customer who belongs to you.
    """

    at: int
    order: str
    mentioned: tuple[str, ...] = ()


class Forget(Message, frozen=True, array_like=True, tag="forget", gc=False):
    """`owner` was erased by an order appended at `at`, and `customers` with it: if you point to it, so are you.

    `strand`: what you did, as far as it was there; empty if nothing was. It is yours again if you do not point there.
    `mentioned`: whose records may name you, if you are a customer.
    """

    owner: str
    customers: tuple[str, ...]
    at: int
    strand: bytes = b""
    mentioned: tuple[str, ...] = ()


class Disown(Message, frozen=True, array_like=True, tag="disown", gc=False):
    """`identity` was erased: `customer`, whose strand you have, claims it no longer."""

    identity: str
    customer: str


AnyMessage = (
    Seen | Claim | Adopt | Release | Kept | GiveBack | Refuse | Link | Block | Unblock | Erase | Forget | Disown
)


MESSAGES: Final = (
    "claim", "adopt", "release", "kept", "give_back", "refuse", "link", "block", "unblock", "forget", "disown"
)  # fmt: skip
"""What reaches identities on `journey.events` beside events."""


class Post(NamedTuple):
    """A message and the key of whom it is for."""

    to: str
    message: AnyMessage


def hop(message: Seen, life: int = 0) -> Seen:
    """The event once more on its way, to an owner of that `life`."""
    return msgspec.structs.replace(message, hops=message.hops + 1, life=life)


encode_message = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def decode_message(data: bytes) -> AnyMessage:
    """The message; msgspec.DecodeError if the bytes are none."""
    return _decoder.decode(data)
