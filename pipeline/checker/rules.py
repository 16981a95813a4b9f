"""All that decides what is right, as plain values: limits, touch table, journeys, and how topics are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.checker.plain_identity import IdentityRules
from pipeline.checker.plain_journey import Journey, read_file, read_journey
from pipeline.checker.plain_touches import Row, read_touches

MODELS = Path(__file__).parents[1] / "models"

Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """One record as read; `timestamp` is the broker's append time in ms."""

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
class Input:
    """A raw topic, by its full name: all of one `channel`, or each event with its own in `channel_field`."""

    topic: str
    channel: str | None
    channel_field: str | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say. Times in ms, sizes in bytes; `prefix` stands before `journey.…` in topics' names.

    `grace`: ms by channel, empty with an event clock. `future`: how far an event may be ahead of its append time, None
    if nobody looks (with an event clock).
    """

    application: str
    prefix: str
    partitions: int
    inputs: tuple[Input, ...]
    event_clock: bool
    lateness: int
    limit: int
    future: int | None
    max_bytes: int
    max_depth: int
    rows: Sequence[Row]
    journeys: Sequence[Journey]
    versions: Mapping[str, int] = field(default_factory=dict)
    grace: Mapping[str, int] = field(default_factory=dict)
    identities: IdentityRules = field(default_factory=IdentityRules)

    def topic(self, name: str) -> str:
        """The full name of one of the pipeline's own topics."""
        return f"{self.prefix}journey.{name}"


def read_models(
    touches: str, journeys: Sequence[str], grace: Mapping[str, int]
) -> tuple[Sequence[Row], Sequence[Journey], Mapping[str, int]]:
    """The touch table, the journeys and their versions; each is a file, or the name of a built-in one.

    `grace` is ms by channel, empty with an event clock.
    """
    rows = read_touches(read_file(_file(touches)))
    documents = [read_file(_file(name)) for name in journeys]
    found = [read_journey(document, rows, grace) for document in documents]
    own = {row.name: row for document in documents for row in read_touches(document)}
    return [*rows, *own.values()], found, {document["journey"]: document["version"] for document in documents}


def _file(name: str) -> Path:
    return Path(name) if name.endswith((".yaml", ".yml")) or "/" in name else MODELS / f"{name}.yaml"
