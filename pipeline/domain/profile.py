"""A customer as a lane keeps them: what each identity did, and a position in each journey.

The encoding is a msgpack array in field order, the same in the changelog and in Redis.
"""

import msgspec

from pipeline.domain.event import CHANNELS, Event
from pipeline.domain.spec import START

NEVER = -1
"""A time that has not come: no touch of that kind yet."""

FAR = 1 << 62
"""Later than every time: no timer."""

Pending = tuple[int, str, int]
"""A timer: due, rule, since."""

TRAIL = 5
"""How many entries of the history that can no longer change are kept for people."""


class Track(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A journey after some events and nothing else: what time alone brings about is not in here.

    `pending` stands in the order of firing; `settle_at` is the due of its first stage timer. `last`, `counts` and
    `windows` are the slots that the compiled journey hands out.
    """

    stage: str
    since: int
    settle_at: int
    pending: tuple[Pending, ...]
    last: tuple[int, ...]
    counts: tuple[int, ...]
    windows: tuple[tuple[int, ...], ...]


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One entry of a journey's history: at `at`, by `rule`, the customer came to stage `to`.

    Caused by the event `event` (with its type and channel), or, where that is empty, by silence since `since`.
    """

    at: int
    rule: str
    to: str
    event: str
    type: str
    channel: str
    since: int


class Firing(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A signal that was published and may still be withdrawn."""

    due: int
    rule: str
    since: int
    occurrence: int


class Position(msgspec.Struct, array_like=True, gc=False):
    """Where the customer is in one journey.

    `stage`, `since`, `seq`: as last published. `base`: the journey before the remembered events. `track`: after them.
    `history`: the published entries that a late event may still change; the last `ahead` of them came by time.
    `trail`: the newest of the older ones. `fired`: the published signals that may still be withdrawn.
    """

    journey: str
    version: int
    seq: int
    stage: str
    since: int
    base: Track
    track: Track
    history: list[Entry]
    ahead: int
    trail: list[Entry]
    fired: list[Firing]
    occurrences: dict[str, int]


class Strand(msgspec.Struct, array_like=True, gc=False):
    """What one identity did. `recent`: its remembered events, in order; `floor`: the last that the limit pushed out.

    `newest` is the largest event time, `touches` the customer's acts by channel, `claimed` the identities it named.
    """

    identity: str
    first: int
    newest: int
    touches: list[int]
    company: int
    late: int
    unclassified: int
    truncated: int
    floor: Event | None
    recent: list[Event]
    claimed: list[str]


class Profile(msgspec.Struct, array_like=True, gc=False):
    """The fold over an owner's strands. `epoch`: append time of the record that created it, ms.

    `indexed`: the score under which the lane's index of timers holds the profile. `parked`: why its timers are not
    looked at; empty if they are. `to`: the owner, if this identity points to another.
    """

    key: str
    epoch: int
    strands: list[Strand]
    positions: list[Position]
    indexed: int | None
    parked: str
    to: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Profile).decode


def encode(profile: Profile) -> bytes:
    return _encode(profile)


def decode(data: bytes) -> Profile:
    """The profile; msgspec.ValidationError if the bytes are none."""
    return _decode(data)


def new_profile(key: str, epoch: int) -> Profile:
    strand = Strand(key, NEVER, NEVER, [0] * len(CHANNELS), 0, 0, 0, 0, None, [], [])
    return Profile(key, epoch, [strand], [], None, "", "")


def new_position(journey: str, version: int, track: Track) -> Position:
    return Position(journey, version, 0, START, NEVER, track, track, [], 0, [], [], {})
