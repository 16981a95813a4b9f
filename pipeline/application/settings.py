"""What all lanes of an application share."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from pipeline.application.breaker import BreakerPolicy
from pipeline.application.intake import Source
from pipeline.application.metrics import Metrics
from pipeline.application.ports import Changelog, Clock, Inputs, Table, Writer
from pipeline.application.tracing import NoTraces, Traces
from pipeline.domain.erasing import Erasure


@dataclass(frozen=True, slots=True)
class Topics:
    """Where a lane writes, with the configured prefix."""

    transitions: str
    signals: str
    customers: str
    profiles: str
    events: str
    commands: str
    dead_letters: str

    def written(self, lane: int, partitions: int) -> list[tuple[str, int]]:
        """The partitions that the transactions of a lane write to."""
        own = (self.transitions, self.signals, self.customers, self.profiles, self.dead_letters)
        return [*((topic, lane) for topic in own), *((self.events, home) for home in range(partitions))]


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """Times in seconds unless the name says ms.

    `owner`: this process, for people. `code`: the version of the program, which the breaker and parked timers remember.
    `most`: events a batch. `merge_wait`: how long an empty input that may have older records is waited for. `take`:
    the bound of a whole take. `oldest_ms`: how far behind a table may be and still be rolled forward. `fences`: how
    often a minute a lane may be fenced before it gives up. `identity_key`: the fingerprint of the key by which personal
    identities are hashed, empty if there is none. `erasure`: how identities are erased.
    """

    application: str
    owner: str
    code: str
    partitions: int
    topics: Topics
    sources: tuple[Source, ...]
    event_clock: bool
    most: int = 16_000
    merge_wait: float = 1.0
    take: float = 900.0
    oldest_ms: int = 12 * 3_600_000
    fences: int = 5
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    identity_key: str = ""
    erasure: Erasure = field(default_factory=Erasure)


@dataclass(frozen=True, slots=True)
class LanePorts:
    """The outside of one lane.

    `cache_share`: how many profiles it may keep in memory. `queue_share`: how many records an input of it may have
    queued before it pauses. `turn`: the lanes of a process fold large batches by turns, since more of them in memory at
    once would not be done any sooner; a small one is folded at once.
    """

    inputs: Inputs
    changelog: Changelog
    clock: Clock
    metrics: Metrics
    new_writer: Callable[[], Writer]
    new_table: Callable[[], Table]
    cache_share: Callable[[], int]
    queue_share: Callable[[], int]
    turn: AbstractAsyncContextManager[object]
    traces: Traces = field(default_factory=NoTraces)
