"""What a fold publishes: stage changes, signals, and where the index of timers must look next."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pipeline.domain.history import Entry

TransitionKind = Literal["entered", "corrected", "retracted", "moved"]
SignalKind = Literal["fired", "retracted"]


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A stage change, as published. `from_` and `to` are stages, empty for the start."""

    key: str
    epoch: int
    journey: str
    version: int
    seq: int
    kind: TransitionKind
    from_: str
    to: str
    entry: Entry
    supersedes: tuple[Entry, ...]


class Signal(msgspec.Struct, frozen=True, gc=False):
    """A trigger that is no stage change. `stage`: where the customer is as it is published."""

    key: str
    epoch: int
    journey: str
    version: int
    signal: str
    kind: SignalKind
    occurrence: int
    rule: str
    since: int
    due: int
    expires: int | None
    expired: bool
    overtaken: bool
    stage: str


@dataclass(slots=True)
class Feed:
    """What came out of folding a batch. `due`: profile key -> its new score in the index of timers (None: none).

    `truncated`: events that the limit pushed into a base; `unclassified`: customers' acts that no touch fits.
    """

    transitions: list[Transition] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    due: dict[str, int | None] = field(default_factory=dict)
    truncated: int = 0
    unclassified: int = 0
