"""What a lane needs from the outside, as protocols, so that a simulation can drive the real lane.

Times are milliseconds since the epoch unless a name says seconds. Every method that talks to Kafka or Redis is bounded
in time by its adapter and raises one of the `Doubt`s below when the answer is lost or the world is not as assumed.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Headers = Sequence[tuple[str, bytes | None]]
"""Names may come more than once, and values may be missing."""

Entry = tuple[bytes | None, bytes | None, Headers]
"""One record to be written: key, value, headers."""


class Doubt(Exception):
    """The lane can no longer be sure where it stands.

    It is taken again. `reason` is one word for people and metrics.
    """

    reason = "kafka"


class KafkaDoubt(Doubt):
    """Kafka did not answer, aborted the transaction, or its answer to a commit was lost."""


class Fenced(Doubt):
    """Another producer has this lane's transactional id now."""

    reason = "fenced"


class OpenTransaction(Doubt):
    """The changelog holds a transaction that is still open, so its end cannot be read yet."""

    reason = "replaying"


Failure = Literal["away", "timeout", "oom", "readonly", "loading", "refused", "lost", "moved"]
"""How Redis failed a lane. `refused`: any other error that it answers; `lost`: a table is gone, or a part of it;
`moved`: it is not where it was left."""


class TableDoubt(Doubt):
    """Redis is away, refused, lost the connection, or its `@pos` is not what the lane last wrote.

    The producer is still good.
    """

    reason = "redis"

    def __init__(self, detail: str = "", failure: Failure = "away") -> None:
        super().__init__(detail)
        self.failure = failure


class Record(Protocol):
    """One record as read; `timestamp` is the broker's append time."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """All records of one fetch of one partition, and the positions [start, end) that it covers.

    Markers and aborted records take positions too, so `records` may be empty. `caught_up`: `end` was the end of the
    readable log when this was fetched.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: Sequence[Record]
    caught_up: bool


class Inputs(Protocol):
    """The consumer's side of one worker, as a lane sees it."""

    async def flowing(self) -> None:
        """Returns once fetched records reach the lanes (Faust drops them before)."""

    async def seek(self, topic: str, partition: int, offset: int) -> None:
        """Reads on at `offset` and resumes the partition; raises KafkaDoubt if it is not assigned here."""

    async def pause(self, topic: str, partition: int) -> None:
        """Stops fetching; what is fetched and not yet handed out is thrown away, so a `seek` must follow."""

    def resume(self, topic: str, partition: int) -> None:
        """Fetches on after the adapter paused a partition whose lane had `Backlog.full`; keeps the position."""

    async def log_starts(self, topics: Sequence[str], partition: int) -> Mapping[str, int]:
        """The first offset that each log still has."""

    async def confirm_membership(self, generation: int) -> str | None:
        """None if a heartbeat with this generation succeeds, else why not. Changes nothing."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Records for one partition, in order; the adapter cuts them into batches that fit."""

    topic: str
    partition: int
    entries: Sequence[Entry]


class Writer(Protocol):
    """The transactional producer of one lane."""

    async def start(self) -> None:
        """Fences every earlier producer of this lane and aborts what it left open."""

    async def commit(self, outgoing: Sequence[Outgoing]) -> Mapping[tuple[str, int], int]:
        """Writes all of it in one transaction, awaits every acknowledgement, commits.

        Returns the offset of the last record written to each (topic, partition). Any failure is a Doubt; a commit is
        never tried twice in one epoch.
        """

    async def close(self) -> None:
        """Lets go of the connections; never raises, never waits longer than a few seconds."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """A changelog partition.

    The topic's id (it changes when the topic is made anew), first offset, read_uncommitted end.
    """

    topic_id: str
    start: int
    end: int


class Changelog(Protocol):
    """Reading `journey.profiles`."""

    async def bounds(self, partition: int) -> LogBounds: ...

    def replay(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Committed records from `start` on until the consumer's position is at `end`.

        OpenTransaction after a time limit.
        """


@dataclass(frozen=True, slots=True)
class TableWrite:
    """What one batch changes in a lane's table. `None` deletes. `due` is the index of timers: field -> score in ms."""

    fields: Mapping[bytes, bytes | None]
    due: Mapping[bytes, int | None]


class Table(Protocol):
    """A lane's profiles in Redis.

    One hash and the index of its timers. One connection, which never reconnects by itself.
    """

    async def open(self) -> None: ...

    async def position(self) -> bytes | None:
        """The `@pos` that Redis has, if any."""

    async def load(self, fields: Sequence[bytes], position: bytes) -> list[bytes | None]:
        """WATCHes the table and reads the fields in one atomic step; TableDoubt if `@pos` is not `position`."""

    async def apply(self, position: bytes, write: TableWrite) -> None:
        """Writes and sets `@pos`, only if nobody touched the table since the last `load` or `position`."""

    async def due(self, until: int, limit: int) -> list[tuple[bytes, int]]:
        """The fields of the index with score <= until, lowest first, at most `limit`."""

    async def earliest(self) -> int | None:
        """The lowest score in the index."""

    async def scan(self, cursor: int, limit: int) -> tuple[int, list[bytes]]:
        """Some fields, about `limit`, and the cursor for the next ones; from 0 to 0 everything comes that is there all
        the time. TableDoubt if `@pos` is not what it was."""

    async def rebuild(
        self, attempt: str, seen: bytes | None, position: bytes, content: AsyncIterator[TableWrite]
    ) -> None:
        """Fills keys of this attempt and renames them into place, only over `seen` and only if they hold what was
        filled.
        """

    async def close(self) -> None: ...


class Clock(Protocol):
    """Time and chance, passed in."""

    def monotonic(self) -> float: ...
    def now(self) -> int:
        """Wall clock in ms; decides nothing, it only dates publications."""

    def random(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class ProgressRecord:
    """What a lane's owner says each tick on `journey.progress`. None: nothing proven yet.

    `raw`: append time (or, with `clock: event`, event time) before which the lane's raw topics and commands are folded
    or routed. `events`: the offset, on this topic, of the tick that its progress on `journey.events` rests on.
    `world`: application id and changelog topic id; records of another world do not exist. The rest is for people:
    `since`, the wall clock in ms, is when the lane came into this state for this reason; `version`, the program's;
    `hot`, by public key, the share (0 to 1) of the lane's arrivals that identities with a large one have at least.
    """

    lane: int
    world: str
    raw: int | None
    events: int | None
    owner: str
    state: str
    reason: str
    holds: str
    since: int | None = None
    version: str = ""
    hot: Mapping[str, float] = field(default_factory=dict)


class ProgressLog(Protocol):
    """`journey.progress`: one partition, read by every worker without a group."""

    async def publish(self, record: ProgressRecord) -> tuple[int, int]:
        """Sends and awaits the acknowledgement: (append time, offset)."""

    async def ends(self, partitions: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int | None]:
        """One ListOffsets, read_uncommitted, asked after this call began; None where a broker gave no answer."""

    async def read(self) -> Sequence[tuple[int, ProgressRecord]]:
        """(offset, record) of what is new since the last call, from the log's beginning on.

        Empty if nothing came in time.
        """


@dataclass(frozen=True, slots=True)
class LaneReport:
    """What a lane says of itself at any moment; safe to read from another thread.

    `state`: new, taking, running, waiting, parked, stopped. `reason`: why it does not move, one of "", "replaying",
    "redis", "kafka", "fenced", "breaker", "paused", "retention", "membership". `since`: monotonic seconds of the last
    change of (state, reason); `moved`: monotonic seconds of the last commit or empty read. `next`: topic -> next
    offset. `empty`: the topics of which nothing is in memory.
    """

    partition: int
    generation: int
    state: str
    reason: str
    detail: str
    since: float
    moved: float
    queued: int
    next: Mapping[str, int]
    position: str
    watermark: int | None
    empty: Sequence[str] = ()


class LaneHandle(Protocol):
    """A lane as the worker around it sees it."""

    @property
    def partition(self) -> int: ...

    def offer(self, fetched: Fetched) -> None:
        """Takes what was fetched for one of its inputs; called in the main loop, never blocks, never raises."""

    def lost(self, fetched: Fetched) -> None:
        """Something was fetched for this lane and dropped before `offer`: it seeks again if that leaves a hole."""

    def full(self, topic: str) -> bool:
        """Whether the queue of this input is full, so that its partition must pause.

        Asked from the consumer's thread.
        """

    async def run(self, generation: int) -> None:
        """Takes the lane and works until `stop`; settles every doubt by itself. A lane parked cleanly can be run again.

        Raises Abandoned if the process should leave (the lane cannot be taken although it is ours).
        """

    def stop(self) -> None:
        """Asks to end after the transaction in flight."""

    async def release(self) -> None:
        """Lets go of producer, table and cache when the lane has moved to another worker."""

    def report(self) -> LaneReport: ...


class Abandoned(Exception):
    """The lane gave up: the process should exit non-zero and let the orchestrator start another."""


class Refused(Abandoned):
    """What the lane holds does not go with the settings or journeys of this process: only a person can mend that."""
