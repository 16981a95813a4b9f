"""The lane record `@lane`: the last record of every transaction, which alone says where the lane is."""

import msgspec

from pipeline.domain.event import CHANNELS

KEY = b"@lane"
POSITION = b"@pos"
UNKNOWN_CHANNEL = "unknown"
PROFILES = 4
"""The format of profiles that this program reads and writes (pipeline.domain.encoding)."""
OUTCOMES = ("read", "folded", "duplicate", "routed", "late", "erased", "dead")


class Tally(msgspec.Struct):
    """Events of one channel since the lane began. Always: read = folded + duplicate + routed + late + erased + dead
    (I7).

    `erased`: what came too late for an identity that was erased, or is dropped since.
    """

    read: int = 0
    folded: int = 0
    duplicate: int = 0
    routed: int = 0
    late: int = 0
    dead: int = 0
    erased: int = 0


class CommandTally(msgspec.Struct):
    """Commands, counted apart from events."""

    read: int = 0
    obeyed: int = 0
    dead: int = 0


class ModelMark(msgspec.Struct, frozen=True):
    """Which rules decided.

    Version and fingerprint of a journey, the layout of what it counts, its stages and timers.
    """

    version: int
    fingerprint: str
    shape: str
    stages: list[str]
    timers: list[str]


class Breaker(msgspec.Struct, frozen=True):
    """Why the lane stopped folding, and under which code and models; it stays so over restarts.

    `after` is the position on `journey.commands` that a resume must stand at or behind.
    """

    reason: str
    at: int
    code: str
    models: dict[str, ModelMark]
    after: int


class Pause(msgspec.Struct, frozen=True):
    """A person's order that the lane stand still, until a resume at or behind `after` on `journey.commands`."""

    reason: str
    at: int
    after: int


class Skip(msgspec.Struct, frozen=True):
    """Positions [start, end) that retention took before they were read, given up by a person's command."""

    topic: str
    start: int
    end: int
    reason: str
    at: int


class CandidateMark(msgspec.Struct, frozen=True):
    """A version of a journey that was prepared at `at` (ms) and not decided on: whether the lane could run it.

    `id`: of who prepares it; `why` not, empty if `ready`.
    """

    id: str
    journey: str
    version: int
    at: int
    ready: bool
    why: str


class LaneRecord(msgspec.Struct):
    """Everything of a lane that is not in a profile. Offsets are the next to read; times ms.

    `profiles`: the format of the profiles beside it; `names`: the list that they are written with, which only grows.
    `emitted`: counts by journey and kind. `dead`: dead letters by reason. `stages`: customers by journey and stage.
    `control`: the offset behind the newest pause, resume or skip obeyed. `punctuation`: by topic,
    the event time up to which everything is sent (with `clock: event`). `ignored`: identities passed over, by
    reason; `messages`: what identities were told, by kind; `refused`: what was asked of them and not done, by reason;
    `erased`: how many were erased. `parked_by`: the customers whose timers are parked now, each with the code and rules
    that raised.
    `candidate`: what is prepared to be promoted. `carrying`: the journeys whose customers are still being carried over,
    with the version that they are carried to. `identity_key`: the fingerprint of the key by which personal identities
    are hashed, empty as long as there is none.
    """

    application: str
    partitions: int
    v: int = 1
    profiles: int = 1
    names: list[str] = []
    next: dict[str, int] = {}
    watermark: int | None = None
    totals: dict[str, Tally] = {}
    commands: CommandTally = msgspec.field(default_factory=CommandTally)
    transitions: dict[str, dict[str, int]] = {}
    signals: dict[str, dict[str, int]] = {}
    dead: dict[str, int] = {}
    stages: dict[str, dict[str, int]] = {}
    punctuation: dict[str, int] = {}
    models: dict[str, ModelMark] = {}
    code: str = ""
    breaker: Breaker | None = None
    paused: Pause | None = None
    control: int = 0
    skipped: list[Skip] = []
    truncated: int = 0
    unclassified: int = 0
    old: int = 0
    ignored: dict[str, int] = {}
    messages: dict[str, int] = {}
    refused: dict[str, int] = {}
    erased: int = 0
    parked: int = 0
    parked_by: dict[str, str] = {}
    owner: str = ""
    candidate: CandidateMark | None = None
    carrying: dict[str, int] = {}
    identity_key: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LaneRecord).decode


def encode_lane(record: LaneRecord) -> bytes:
    return _encode(record)


def decode_lane(data: bytes) -> LaneRecord:
    """The record; msgspec.ValidationError if the bytes are none."""
    return _decode(data)


def copy_lane(record: LaneRecord) -> LaneRecord:
    """A record of its own, so that what a batch adds is seen by nobody before it is committed."""
    return decode_lane(encode_lane(record))


def first_lane_record(application: str, partitions: int) -> LaneRecord:
    """Of a lane that has never committed anything."""
    record = LaneRecord(application, partitions, profiles=PROFILES)
    record.totals = {channel: Tally() for channel in (*CHANNELS, UNKNOWN_CHANNEL)}
    return record
