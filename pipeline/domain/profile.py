"""A customer as a lane keeps them: what each identity did, and a position in each journey.

Plain classes: profile.pxd gives their fields C types where the package is compiled, so that a profile is a handful of
small objects and not thirty. `pipeline.domain.encoding` makes bytes of them and back; what is packed within one of them
is read by its `frame`.
"""

from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.history import Entry, Firing
from pipeline.domain.packing import NO_NAMES, Frame, Names
from pipeline.domain.spec import START

Pending = tuple[int, str, int]
"""A timer: due, rule, since."""


class Event:
    """An event as the fold sees and remembers it; never changed. `at`: event time; `appended`: first append time; ms.

    `touch`: what the touch table calls it. `packed`: its encoding, once that has been needed.
    """

    __slots__ = ("appended", "at", "channel", "id", "offset", "packed", "partition", "touch", "type")

    id: str
    at: int
    appended: int
    partition: int
    offset: int
    type: str
    touch: str
    channel: str
    packed: bytes | None


def event_of(
    identifier: str,
    at: int,
    appended: int,
    partition: int,
    offset: int,
    kind: str,
    touch: str,
    channel: str,
) -> Event:
    made = Event.__new__(Event)
    made.id = identifier
    made.at = at
    made.appended = appended
    made.partition = partition
    made.offset = offset
    made.type = kind
    made.touch = touch
    made.channel = channel
    made.packed = None
    return made


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
    `windows` are the slots that the compiled journey hands out.
    """

    __slots__ = ("counts", "last", "pending", "settle_at", "since", "stage", "windows")

    stage: str
    since: int
    settle_at: int
    pending: tuple[Pending, ...]
    last: tuple[int, ...]
    counts: tuple[int, ...]
    windows: tuple[tuple[int, ...], ...]


def track_of(
    stage: str,
    since: int,
    settle_at: int,
    pending: tuple[Pending, ...],
    last: tuple[int, ...],
    counts: tuple[int, ...],
    windows: tuple[tuple[int, ...], ...],
) -> Track:
    made = Track.__new__(Track)
    made.stage = stage
    made.since = since
    made.settle_at = settle_at
    made.pending = pending
    made.last = last
    made.counts = counts
    made.windows = windows
    return made


class Position:
    """Where the customer is in one journey.

    `stage`, `since`, `seq`: as last published. `track`: the journey after the remembered events, `base`: before them.
    `history`: the published entries that a late event may still change; the last `ahead` of them came by time.
    `trail`: the newest of the older ones, packed. `fired`: the published signals that may still be withdrawn.
    `occurrences`: how often each signal has fired, None for no signal yet. `closed`: the last moment (ms) that another
    version has decided, None if that is long ago: events up to it move nothing here. `unverified`: what lies before the
    remembered events was put together from what several strands left behind, and may have been otherwise.
    """

    __slots__ = (
        "ahead", "base", "closed", "fired", "frame", "history", "journey", "occurrences", "seq", "since", "stage",
        "track", "trail", "unverified", "version",
    )  # fmt: skip

    frame: Frame
    journey: str
    version: int
    seq: int
    stage: str
    since: int
    base: Track
    track: Track
    history: tuple[Entry, ...]
    ahead: int
    trail: bytes
    fired: tuple[Firing, ...]
    occurrences: dict[str, int] | None
    closed: int | None
    unverified: bool


def position_of(
    frame: Frame,
    journey: str,
    version: int,
    seq: int,
    stage: str,
    since: int,
    base: Track,
    track: Track,
    history: tuple[Entry, ...],
    ahead: int,
    trail: bytes,
    fired: tuple[Firing, ...],
    occurrences: dict[str, int] | None,
    closed: int | None,
    unverified: bool,
) -> Position:
    made = Position.__new__(Position)
    made.frame = frame
    made.journey = journey
    made.version = version
    made.seq = seq
    made.stage = stage
    made.since = since
    made.base = base
    made.track = track
    made.history = history
    made.ahead = ahead
    made.trail = trail
    made.fired = fired
    made.occurrences = occurrences
    made.closed = closed
    made.unverified = unverified
    return made


class Base:
    """What the events of one strand that are no longer remembered left behind in a journey; never changed."""

    __slots__ = ("journey", "track", "version")

    journey: str
    version: int
    track: Track


def base_of(journey: str, version: int, track: Track) -> Base:
    made = Base.__new__(Base)
    made.journey = journey
    made.version = version
    made.track = track
    return made


class Strand:
    """What one identity did. `newest` is the largest event time, `touches` the customer's acts by channel.

    Its `count` remembered events stand in order in `recent`; None as long as `packed` says them, of which `oldest` is
    the event time of the first. `floor`: the last that the limit pushed out. `claimed`: the identities it named.
    `bases`: what it alone left behind, of each journey in which it did; empty as long as it is the only strand of its
    profile, whose positions say it then.
    """

    __slots__ = (
        "bases", "claimed", "company", "count", "first", "floor", "frame", "identity", "late", "newest", "oldest",
        "packed", "recent", "touches", "truncated", "unclassified",
    )  # fmt: skip

    frame: Frame
    identity: str
    first: int
    newest: int
    touches: tuple[int, ...]
    company: int
    late: int
    unclassified: int
    truncated: int
    floor: Event | None
    count: int
    oldest: int
    packed: bytes
    claimed: tuple[str, ...]
    bases: tuple[Base, ...]
    recent: list[Event] | None


def strand_of(
    frame: Frame,
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
    bases: tuple[Base, ...],
) -> Strand:
    made = Strand.__new__(Strand)
    made.frame = frame
    made.identity = identity
    made.first = first
    made.newest = newest
    made.touches = touches
    made.company = company
    made.late = late
    made.unclassified = unclassified
    made.truncated = truncated
    made.floor = floor
    made.count = count
    made.oldest = oldest
    made.packed = packed
    made.claimed = claimed
    made.bases = bases
    made.recent = None
    return made


class Links:
    """Who says what of this identity. `claims`: a customer who names it, or whom it was merged into -> the owner that
    this leads to, empty if that owner has refused. `blocked`: the customers whose claims do not count. `refused`: how
    often something was, by reason. `life`: when the identity was erased before it came back (append time, ms), 0 if it
    was not; `lives`: the same of owners, as far as they were.
    """

    __slots__ = ("blocked", "claims", "life", "lives", "refused")

    claims: dict[str, str]
    blocked: tuple[str, ...]
    refused: dict[str, int]
    life: int
    lives: dict[str, int]


def links_of(
    claims: dict[str, str], blocked: tuple[str, ...], refused: dict[str, int], life: int, lives: dict[str, int]
) -> Links:
    made = Links.__new__(Links)
    made.claims = claims
    made.blocked = blocked
    made.refused = refused
    made.life = life
    made.lives = lives
    return made


class Profile:
    """The fold over an owner's strands. `epoch`: append time of the record that created it, ms.

    `indexed`: the score under which the lane's index of timers holds the profile. `parked`: why its timers are not
    looked at; empty if they are. `to`: the owner, if this identity points to another. `links`: None as long as nobody
    has claimed it. `frame`: how it is encoded.
    """

    __slots__ = ("epoch", "frame", "indexed", "key", "links", "parked", "positions", "strands", "to")

    key: str
    epoch: int
    frame: Frame
    strands: tuple[Strand, ...]
    positions: tuple[Position, ...]
    indexed: int | None
    parked: str
    to: str
    links: Links | None


def profile_of(
    key: str,
    frame: Frame,
    strands: tuple[Strand, ...],
    positions: tuple[Position, ...],
    indexed: int | None,
    parked: str,
    to: str,
    links: Links | None,
) -> Profile:
    made = Profile.__new__(Profile)
    made.key = key
    made.epoch = frame.epoch
    made.frame = frame
    made.strands = strands
    made.positions = positions
    made.indexed = indexed
    made.parked = parked
    made.to = to
    made.links = links
    return made


def life_of(profile: Profile) -> int:
    """When the identity was erased before (append time, ms), 0 if it was not."""
    return 0 if profile.links is None else profile.links.life


NO_TOUCHES = (0, 0, 0, 0, 0)


def new_profile(key: str, epoch: int, names: Names = NO_NAMES) -> Profile:
    """A customer of whom nothing is known; `names` are those of the lane."""
    frame = Frame(names, epoch)
    return profile_of(key, frame, (new_strand(frame, key),), (), None, "", "", None)


def new_strand(frame: Frame, identity: str) -> Strand:
    """An identity that has done nothing; `frame` is that of the profile."""
    return strand_of(frame, identity, NEVER, NEVER, NO_TOUCHES, 0, 0, 0, 0, None, 0, FAR, b"", (), ())


def new_position(frame: Frame, journey: str, version: int, track: Track) -> Position:
    """Where everybody begins; `frame` is that of the profile."""
    return position_of(frame, journey, version, 0, START, NEVER, track, track, (), 0, b"", (), None, None, False)
