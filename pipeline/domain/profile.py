"""A customer as a lane keeps them: what each identity did, and a position in each journey.

Plain classes: profile.pxd gives their fields C types where the package is compiled, so that a profile is a handful of
small objects and not thirty. `pipeline.domain.encoding` makes bytes of them and back.
"""

from pipeline.domain.history import Entry, Firing
from pipeline.domain.moments import FAR, NEVER
from pipeline.domain.spec import START

Pending = tuple[int, str, int]
"""A timer: due, rule, since."""


class Event:
    """An event as the fold sees and remembers it; never changed. `at`: event time; `appended`: first append time; ms.

    `touch`: what the touch table calls it. `packed`: its encoding, once that has been needed.
    """

    __slots__ = ("appended", "at", "channel", "id", "offset", "packed", "partition", "touch", "type")

    def __init__(
        self, identifier: str, at: int, appended: int, partition: int, offset: int, kind: str, touch: str, channel: str
    ) -> None:
        self.id = identifier
        self.at = at
        self.appended = appended
        self.partition = partition
        self.offset = offset
        self.type = kind
        self.touch = touch
        self.channel = channel
        self.packed: bytes | None = None


def before(one: Event, other: Event) -> bool:
    """Whether `one` comes before `other` in their customer's journey: event time, append time, first appearance."""
    if one.at != other.at:
        return one.at < other.at
    if one.appended != other.appended:
        return one.appended < other.appended
    if one.partition != other.partition:
        return one.partition < other.partition
    if one.offset != other.offset:
        return one.offset < other.offset
    return one.id < other.id


class Track:
    """A journey after some events and nothing else; never changed. What time alone brings about is not in here.

    `pending` stands in the order of firing; `settle_at` is the due of its first stage timer. `last`, `counts` and
    `windows` are the slots that the compiled journey hands out. `packed`: its encoding, once that has been needed.
    """

    __slots__ = ("counts", "last", "packed", "pending", "settle_at", "since", "stage", "windows")

    def __init__(
        self,
        stage: str,
        since: int,
        settle_at: int,
        pending: tuple[Pending, ...],
        last: tuple[int, ...],
        counts: tuple[int, ...],
        windows: tuple[tuple[int, ...], ...],
    ) -> None:
        self.stage = stage
        self.since = since
        self.settle_at = settle_at
        self.pending = pending
        self.last = last
        self.counts = counts
        self.windows = windows
        self.packed: bytes | None = None


class Position:
    """Where the customer is in one journey.

    `stage`, `since`, `seq`: as last published. `track`: the journey after the remembered events. `base`: before them;
    None as long as `packed_base` says it. `history`: the published entries that a late event may still change; the last
    `ahead` of them came by time. `trail`: the newest of the older ones, encoded. `fired`: the published signals that
    may still be withdrawn. `occurrences`: how often each signal has fired, None for no signal yet.
    """

    __slots__ = (
        "ahead", "base", "fired", "history", "journey", "occurrences", "packed_base", "seq", "since", "stage", "track",
        "trail", "version",
    )  # fmt: skip

    def __init__(
        self,
        journey: str,
        version: int,
        seq: int,
        stage: str,
        since: int,
        base: Track | None,
        packed_base: bytes,
        track: Track,
        history: tuple[Entry, ...],
        ahead: int,
        trail: bytes,
        fired: tuple[Firing, ...],
        occurrences: dict[str, int] | None,
    ) -> None:
        self.journey = journey
        self.version = version
        self.seq = seq
        self.stage = stage
        self.since = since
        self.base = base
        self.packed_base = packed_base
        self.track = track
        self.history = history
        self.ahead = ahead
        self.trail = trail
        self.fired = fired
        self.occurrences = occurrences


class Strand:
    """What one identity did. `newest` is the largest event time, `touches` the customer's acts by channel.

    Its `count` remembered events stand in order in `recent`; None as long as `packed` says them, of which `oldest` is
    the event time of the first. `floor`: the last that the limit pushed out. `claimed`: the identities it named.
    """

    __slots__ = (
        "claimed", "company", "count", "first", "floor", "identity", "late", "newest", "oldest", "packed", "recent",
        "touches", "truncated", "unclassified",
    )  # fmt: skip

    def __init__(
        self,
        identity: str,
        first: int,
        newest: int,
        touches: tuple[int, ...],
        company: int,
        late: int,
        unclassified: int,
        truncated: int,
        floor: Event | None,
        count: int,
        oldest: int,
        packed: bytes,
        claimed: tuple[str, ...],
    ) -> None:
        self.identity = identity
        self.first = first
        self.newest = newest
        self.touches = touches
        self.company = company
        self.late = late
        self.unclassified = unclassified
        self.truncated = truncated
        self.floor = floor
        self.count = count
        self.oldest = oldest
        self.packed = packed
        self.claimed = claimed
        self.recent: list[Event] | None = None


class Profile:
    """The fold over an owner's strands. `epoch`: append time of the record that created it, ms.

    `indexed`: the score under which the lane's index of timers holds the profile. `parked`: why its timers are not
    looked at; empty if they are. `to`: the owner, if this identity points to another.
    """

    __slots__ = ("epoch", "indexed", "key", "parked", "positions", "strands", "to")

    def __init__(
        self,
        key: str,
        epoch: int,
        strands: tuple[Strand, ...],
        positions: tuple[Position, ...],
        indexed: int | None,
        parked: str,
        to: str,
    ) -> None:
        self.key = key
        self.epoch = epoch
        self.strands = strands
        self.positions = positions
        self.indexed = indexed
        self.parked = parked
        self.to = to


NO_TOUCHES = (0, 0, 0, 0, 0)
NO_TRAIL = b"\x90"
"""An empty array."""


def new_profile(key: str, epoch: int) -> Profile:
    strand = Strand(key, NEVER, NEVER, NO_TOUCHES, 0, 0, 0, 0, None, 0, FAR, b"", ())
    return Profile(key, epoch, (strand,), (), None, "", "")


def new_position(journey: str, version: int, track: Track) -> Position:
    return Position(journey, version, 0, START, NEVER, track, b"", track, (), 0, NO_TRAIL, (), None)
