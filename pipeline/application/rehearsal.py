"""One made-up customer led through a journey, as a case of `journey test` tells it: what happens, when, and why.

Records go through the intake and the fold that lanes use. Time stands still before each event: the watermark rises to
just before it, so that an event at exactly the end of a silence breaks it. All times are ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.application.ports import Headers
from pipeline.domain.compile import Journey
from pipeline.domain.feed import Feed, Signal, Transition
from pipeline.domain.fold import Fold
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key
from pipeline.domain.profile import new_profile
from pipeline.domain.touches import TouchTable

BEGINNING: Final = 1_767_225_600_000
"""2026-01-01: when every case begins."""

CUSTOMER: Final = "somebody"
"""The customer id in every case."""

_ANY_TOPIC: Final = Source("raw", "raw")


@dataclass(frozen=True, slots=True)
class Given:
    """An event of a case: raw event v1 as JSON in `value`, with `channel` in it. It reaches the topic at `arrives`.

    `told` is the event in words.
    """

    id: str
    at: int
    arrives: int
    value: bytes
    told: str


@dataclass(frozen=True, slots=True)
class Happened:
    """A stage entered (`stage` is where, `came_from` where from) or a signal fired (`stage` is where the customer was).

    `told` is when it was published, `withdrawn` when it was taken back, if it was. `cause` is the id of the event that
    caused it, empty for a silence that began at `since`.
    """

    at: int
    signal: str
    stage: str
    came_from: str
    rule: str
    cause: str
    since: int
    told: int
    withdrawn: int | None = None


@dataclass(slots=True)
class Rehearsal:
    """What came of it: `outcomes` by event id is the touch, or why the event counted for nothing; `stages` by time."""

    happened: list[Happened]
    outcomes: dict[str, str]
    stages: dict[int, str]


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()


def rehearse(
    journey: Journey,
    table: TouchTable,
    given: Sequence[Given],
    looks: Sequence[int],
    until: int,
    lateness: int,
    limit: int,
) -> Rehearsal:
    """Plays one case. `looks` are the times at which the stage is wanted; all that is due at `until` still happens."""
    play = _Play(journey, table, lateness, limit)
    moments: list[tuple[int, Given | None]] = [(event.arrives, event) for event in given]
    moments += [(look, None) for look in (*looks, until)]
    # Events before looks of the same moment: who looks at noon sees what came at noon.
    for moment, event in sorted(moments, key=lambda one: (one[0], one[1] is None)):
        if event is None:
            play.pass_time(moment)
            play.rehearsal.stages[moment] = play.where
        else:
            play.pass_time(moment - 1)
            play.take(event)
    play.rehearsal.happened = sorted(play.history.happened(), key=lambda one: one.at)
    return play.rehearsal


class _Play:
    """The customer's profile and the program on it."""

    def __init__(self, journey: Journey, table: TouchTable, lateness: int, limit: int) -> None:
        self.rehearsal = Rehearsal([], {}, {})
        self.history = _History()
        self._intake = Intake(0, table, Limits(), lambda _: 0, event_clock=False)
        self._fold = Fold([journey], table.company, lateness, limit)
        self._profile = new_profile(Key(f"c:{CUSTOMER}"), BEGINNING)
        self._fold.align(self._profile)
        self._now = BEGINNING - 1
        self._taken = 0

    @property
    def where(self) -> str:
        return self._profile.positions[0].stage

    def pass_time(self, until: int) -> None:
        """Lets the watermark rise to `until`, from one due time to the next: each is told when it comes."""
        while (due := self._profile.indexed) is not None and due <= until:
            self._now = max(due, self._now)
            feed = Feed()
            self._fold.time(self._profile, self._now, feed)
            self.history.read(feed, self._now)
        self._now = max(until, self._now)

    def take(self, given: Given) -> None:
        batch = Batch()
        self._intake.take(_ANY_TOPIC, [_Record(self._taken, given.arrives, given.value)], batch)
        self._taken += 1
        for arrival in batch.arrivals:
            feed = Feed()
            outcome = self._fold.event(self._profile, arrival.key, arrival.event, self._now, feed)
            self.rehearsal.outcomes[given.id] = arrival.event.touch if outcome == "folded" else outcome
            self.history.read(feed, given.arrives)
        for reason in batch.reasons:
            self.rehearsal.outcomes[given.id] = f"dead letter, {reason}"


@dataclass(slots=True)
class _History:
    """What a subscriber of the feed knows: all that was published, and what of it was taken back."""

    _entries: dict[Entry, Happened] = field(default_factory=dict)
    _signals: dict[tuple[str, int], Happened] = field(default_factory=dict)

    def read(self, feed: Feed, now: int) -> None:
        for transition in feed.transitions:
            self._transition(transition, now)
        for signal in feed.signals:
            self._signal(signal, now)

    def _transition(self, transition: Transition, now: int) -> None:
        gone = (transition.entry,) if transition.kind == "retracted" else transition.supersedes
        for entry in gone:
            if entry in self._entries:
                self._entries[entry] = replace(self._entries[entry], withdrawn=now)
        if transition.kind != "retracted":
            entry = transition.entry
            self._entries.pop(entry, None)
            self._entries[entry] = Happened(
                entry.at, "", entry.to, transition.from_, entry.rule, entry.event, entry.since, now
            )

    def _signal(self, signal: Signal, now: int) -> None:
        key = (signal.signal, signal.occurrence)
        if signal.kind == "retracted":
            self._signals[key] = replace(self._signals[key], withdrawn=now)
        else:
            self._signals[key] = Happened(
                signal.due, signal.signal, signal.stage, "", signal.rule, "", signal.since, now
            )

    def happened(self) -> list[Happened]:
        """All of it; where an entry that holds came from is said by the one that holds before it."""
        came_from = ""
        found = []
        for entry in sorted(self._entries.values(), key=lambda one: one.at):
            if entry.withdrawn is None:
                found.append(replace(entry, came_from=came_from))
                came_from = entry.stage
            else:
                found.append(entry)
        return [*found, *self._signals.values()]


def raw_event(
    identifier: str,
    kind: str,
    at: int,
    channel: str,
    source: str | None,
    actor: str,
    properties: object,
) -> bytes:
    """Raw event v1 of the customer of a case."""
    event: dict[str, object] = {
        "id": identifier,
        "type": kind,
        "occurred_at": at,
        "customer_id": CUSTOMER,
        "channel": channel,
        "actor": actor,
        "properties": properties,
    }
    return msgspec.json.encode(event if source is None else event | {"source": source})
