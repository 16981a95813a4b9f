"""A stored profile, as far as the checker looks at it: its own reading of what journey.profiles holds.

Numbers are LEB128; a time is a zigzag difference to the one before, plus one, and 0 is none; a name is a place in the
lane record's `names`, plus one, or 0 and a text. decisions/0011-profiles-in-few-bytes.md has the format.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Unreadable(Exception):
    """The bytes are no profile."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A remembered event; what follows its id and time is not looked at."""

    id: str
    at: int


@dataclass(frozen=True, slots=True)
class Strand:
    """What one identity did; times ms. `identity` and `claimed` are keys as they are stored. `pushed_out`: how many
    remembered events the limit cost.
    """

    identity: str
    first: int
    newest: int
    touches: Sequence[int]
    company: int
    late: int
    recent: Sequence[StoredEvent]
    claimed: Sequence[str] = ()
    pushed_out: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where the customer is in one journey, as last published."""

    journey: str
    version: int
    seq: int
    stage: str


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A customer. `indexed`: when the lane looks at their timers next, ms; `parked`: why it does not.

    `to`: the owner, empty if it is its own. `claims`: claiming customer -> owner; `blocked`: whose claims do not count.
    Keys as they are stored.
    """

    key: str
    epoch: int
    indexed: int | None
    parked: str
    strands: Sequence[Strand]
    positions: Sequence[Position]
    to: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    blocked: Sequence[str] = ()


class _Bytes:
    """What is left to be read, and the time that the next one is relative to."""

    def __init__(self, data: bytes, names: Sequence[str], time: int) -> None:
        self.data, self.names, self.time = data, names, time
        self.start = 0

    def number(self) -> int:
        total = scale = 0
        while True:
            if self.start >= len(self.data):
                raise Unreadable("it ends in the middle of a number")
            byte = self.data[self.start]
            self.start += 1
            total += byte % 128 << scale
            scale += 7
            if byte < 128:
                return total

    def moment(self) -> int | None:
        code = self.number()
        if code == 0:
            return None
        half, odd = divmod(code, 2)
        self.time += half if odd else -half
        return self.time

    def sure_moment(self) -> int:
        found = self.moment()
        return -1 if found is None else found

    def piece(self) -> bytes:
        length = self.number()
        if self.start + length > len(self.data):
            raise Unreadable("it ends in the middle of a text")
        self.start += length
        return self.data[self.start - length : self.start]

    def text(self) -> str:
        try:
            return str(self.piece(), "utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable(f"a text that is none: {error}") from None

    def name(self) -> str:
        place = self.number()
        if place > len(self.names):
            raise Unreadable(f"name {place}, and the lane record has {len(self.names)}")
        return self.names[place - 1] if place else self.text()

    def inside(self, time: int) -> "_Bytes":
        """The next piece."""
        return _Bytes(self.piece(), self.names, time)

    @property
    def over(self) -> bool:
        return self.start == len(self.data)


def decode(data: bytes, names: Sequence[str]) -> StoredProfile:
    """The profile, by the names of the lane record behind it; Unreadable if the bytes are none."""
    left = _Bytes(data, names, 0)
    key, epoch = left.text(), left.sure_moment()
    indexed, parked, to = left.moment(), left.text(), left.text()
    strands = _each(left, lambda: _strand(left.inside(epoch), epoch, key))
    positions = _each(left, lambda: _position(left.inside(epoch)))
    claims: list[tuple[str, str]] = []
    blocked: list[str] = []
    form = left.number()
    if form:
        claims = _each(left, lambda: (left.text(), left.text()))
        blocked = _each(left, left.text)
        _each(left, lambda: (left.text(), left.number()))
    if form == 2:
        left.number()
        _each(left, lambda: (left.text(), left.number()))
    if not left.over:
        raise Unreadable("something follows the profile")
    return StoredProfile(key, epoch, indexed, parked, strands, positions, to, dict(claims), blocked)


def indexed(data: bytes) -> int | None:
    """Only when the lane looks at the timers next."""
    left = _Bytes(data, (), 0)
    left.text()
    left.moment()
    return left.moment()


def until_of(data: bytes) -> int | None:
    """When the mark of somebody erased is forgotten; None if the bytes are none."""
    try:
        until = msgspec.msgpack.decode(data)[2]
    except (msgspec.DecodeError, IndexError, TypeError, KeyError):
        return None
    return until if isinstance(until, int) else None


def _each(left: _Bytes, read: Callable[[], T]) -> list[T]:
    return [read() for _ in range(left.number())]


def _strand(left: _Bytes, epoch: int, key: str) -> Strand:
    identity = left.text() or key
    first, newest = left.sure_moment(), left.sure_moment()
    touches = _each(left, left.number)
    company, late, _, pushed_out = (left.number() for _ in range(4))
    left.piece()
    count = left.number()
    if count:
        left.moment()
    events = left.inside(epoch)
    recent = []
    for _ in range(count):
        events.time = epoch
        recent.append(_event(events))
    if not events.over:
        raise Unreadable(f"more events than the {count} it counts")
    claimed = _each(left, left.text)
    return Strand(identity, first, newest, touches, company, late, recent, claimed, pushed_out)


def _event(left: _Bytes) -> StoredEvent:
    identifier, at = left.text(), left.sure_moment()
    left.moment()
    left.number(), left.number()
    left.name(), left.name(), left.name()
    return StoredEvent(identifier, at)


def _position(left: _Bytes) -> Position:
    return Position(left.name(), left.number(), left.number(), left.name())


def is_linked(stored: StoredProfile) -> bool:
    """Whether somebody else has to do with it."""
    if stored.to or stored.claims or stored.blocked:
        return True
    return any(strand.identity != stored.key or strand.claimed for strand in stored.strands)


def public_key(key: str) -> str:
    """The customer as subscribers know them: `c:4711` is 4711, other kinds keep their name."""
    return key.removeprefix("c:")
