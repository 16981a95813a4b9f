"""A stored profile, as far as the checker looks at it: its own reading of the msgpack arrays in journey.profiles."""

from collections.abc import Sequence

import msgspec


class StoredEvent(msgspec.Struct, array_like=True, gc=False):
    """A remembered event; what follows its id and time is not looked at."""

    id: str
    at: int


class Strand(msgspec.Struct, array_like=True, gc=False):
    """What one identity did; times ms."""

    identity: str
    first: int
    newest: int
    touches: Sequence[int]
    company: int
    late: int
    unclassified: int
    truncated: int
    floor: msgspec.Raw
    count: int
    oldest: int
    packed: bytes

    @property
    def recent(self) -> Sequence[StoredEvent]:
        """The remembered events, which stand one behind the other, each a msgpack array."""
        return _read_events(b"\xdd" + self.count.to_bytes(4, "big") + self.packed)


class Position(msgspec.Struct, array_like=True, gc=False):
    """Where the customer is in one journey, as last published."""

    journey: str
    version: int
    seq: int
    stage: str
    since: int


class StoredProfile(msgspec.Struct, array_like=True, gc=False):
    """A customer. `indexed`: when the lane looks at their timers next, ms; `parked`: why it does not."""

    key: str
    epoch: int
    strands: Sequence[Strand]
    positions: Sequence[Position]
    indexed: int | None
    parked: str


_read_events = msgspec.msgpack.Decoder(list[StoredEvent]).decode
decode = msgspec.msgpack.Decoder(StoredProfile).decode
"""The profile; msgspec.MsgspecError if the bytes are none."""


def public_key(key: str) -> str:
    """The customer as subscribers know them: `c:4711` is 4711, other kinds keep their name."""
    return key.removeprefix("c:")
