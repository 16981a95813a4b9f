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
    `hops`: how often it has been on `journey.events`, this time included.
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

    def event(self) -> Event:
        """As the fold takes it."""
        return event_of(
            self.id, self.at, self.appended, self.partition, self.offset, self.type, self.touch, self.channel
        )


class Claim(Message, frozen=True, array_like=True, tag="claim", gc=False):
    """`customer` was named together with you; its strand is at `owner`."""

    customer: str
    owner: str


class Adopt(Message, frozen=True, array_like=True, tag="adopt", gc=False):
    """The strand of `identity` is yours: it points to you."""

    identity: str
    strand: bytes


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
    """`identity` belongs to `customer`, as if an event had named both. Goes to the owner of `customer`."""

    identity: str
    customer: str


class Block(Message, frozen=True, array_like=True, tag="block", gc=False):
    """You do not belong to `customer`, whatever events say."""

    customer: str


class Unblock(Message, frozen=True, array_like=True, tag="unblock", gc=False):
    """Takes a block back."""

    customer: str


AnyMessage = Seen | Claim | Adopt | Release | Kept | GiveBack | Refuse | Link | Block | Unblock


MESSAGES: Final = ("claim", "adopt", "release", "kept", "give_back", "refuse", "link", "block", "unblock")
"""What reaches identities on `journey.events` beside events."""


class Post(NamedTuple):
    """A message and the key of whom it is for."""

    to: str
    message: AnyMessage


def hop(message: Seen) -> Seen:
    """The event once more on its way."""
    return msgspec.structs.replace(message, hops=message.hops + 1)


encode_message = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def decode_message(data: bytes) -> AnyMessage:
    """The message; msgspec.DecodeError if the bytes are none."""
    return _decoder.decode(data)
