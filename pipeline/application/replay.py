"""A model over raw events without a lane: the lanes' own intake and fold, with everybody's profile in memory.

Records come in append order, from all partitions. What lanes prove to each other is known here: everything appended
before the record in hand has been read, so its append time is the watermark.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Final

from pipeline.application.comparison import Told
from pipeline.application.intake import Arrival, Batch, Intake, Limits, Source
from pipeline.application.ports import Record
from pipeline.application.stitch import Effects, FoldRaised, Stitch, TimerRaised
from pipeline.domain.compile import Journey
from pipeline.domain.encoding import decode, trail_of
from pipeline.domain.fold import Fold
from pipeline.domain.history import Entry
from pipeline.domain.identity import ANONYMOUS_ONLY, Identities
from pipeline.domain.packing import Names
from pipeline.domain.touches import TouchTable

BATCH: Final = 16_000
"""Events that are folded at once, customer by customer: a profile is decoded once for all of its events in there."""

_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Model:
    """A compiled journey and the touch table that its rules mean."""

    journey: Journey
    table: TouchTable

    @property
    def title(self) -> str:
        return f"{self.journey.name} version {self.journey.version}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for every model alike: `lateness` in ms, `recent_limit` in events, `share` of the customers.

    `places`: partitions of all raw topics together.
    """

    limits: Limits
    event_clock: bool
    places: int
    lateness: int
    recent_limit: int
    share: float = 1.0
    identities: Identities = ANONYMOUS_ONLY


class Sample:
    """A share of all customers (0 to 1), the same ones every time."""

    def __init__(self, share: float) -> None:
        self._least = round((1 - share) * (1 << 8 * _HASH_BYTES))

    def __contains__(self, key: str) -> bool:
        if not self._least:
            return True
        return int.from_bytes(blake2b(key.encode(), digest_size=_HASH_BYTES).digest()) >= self._least


class Replay:
    """One model and its customers. `profiles`: encoded with `names`, by key; `told`: all that it would have published.

    `watermark` (ms) is the highest one that time has passed to. `events`: those of the sample that were folded or came
    too late; `dead`: records that are no events, by reason; `raised`: events and timers at which the fold failed.
    """

    def __init__(self, model: Model, conditions: Conditions) -> None:
        self.model = model
        self.told = Told()
        self.profiles: dict[str, bytes] = {}
        self.watermark: int | None = None
        self.events = 0
        self.dead: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self._conditions = conditions
        self._sample = Sample(conditions.share)
        fold = Fold([model.journey], model.table.company, conditions.lateness, conditions.recent_limit)
        self._stitch = Stitch(fold, self._intake(0), model.journey.fingerprint)
        self.names = self._stitch.names = Names(self._stitch.vocabulary())
        self._intakes: dict[int, Intake] = {}
        self._batch = Batch()
        self._punctuation: dict[tuple[str, int], int] = {}
        self._due: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []

    def _intake(self, partition: int) -> Intake:
        """One that finds everybody at home in `partition`, where the records are: nothing is routed."""
        conditions = self._conditions
        return Intake(
            partition,
            self.model.table,
            conditions.limits,
            lambda _: partition,
            conditions.event_clock,
            conditions.identities,
        )

    def take(self, source: Source, partition: int, records: Sequence[Record]) -> None:
        """The next records of one partition of a raw topic."""
        intake, batch = self._intakes.get(partition), self._batch
        if intake is None:
            intake = self._intakes[partition] = self._intake(partition)
        intake.take(source, records, batch)
        for topic, moment in batch.punctuation.items():
            place = (topic, partition)
            self._punctuation[place] = max(moment, self._punctuation.get(place, 0))
        batch.punctuation.clear()
        if len(batch.arrivals) >= BATCH:
            self.pass_time(records[-1].timestamp)

    def pass_time(self, now: int) -> None:
        """Folds all that has been taken, and lets everything fire that is due by `now` (ms), before which everything
        has been taken. On event time that is what the senders have promised, whatever `now` is.
        """
        batch, self._batch = self._batch, Batch()
        self.dead.update(batch.reasons)
        arrivals = [arrival for arrival in batch.arrivals if arrival.key in self._sample]
        self.events += len(arrivals)
        if arrivals:
            self._fold(arrivals, batch)
        watermark = self._promised() if self._conditions.event_clock else now
        if watermark is not None:
            self._settle(watermark)

    def last_entry(self, key: str) -> Entry | None:
        """How this customer came to the stage that they are in; None if they have entered none."""
        position = decode(self.profiles[key], self.names).positions[0]
        return next(iter(reversed((*trail_of(position), *position.history))), None)

    def _promised(self) -> int | None:
        """The event time up to which everything is sent, by what each partition says; None if one has said nothing."""
        said = self._punctuation.values()
        return min(said) if len(said) == self._conditions.places else None

    def _settle(self, watermark: int) -> None:
        self.watermark = max(watermark, self.watermark or 0)
        due: dict[str, None] = {}
        while self._queue and self._queue[0][0] <= self.watermark:
            at, key = heappop(self._queue)
            if self._due.get(key) == at:
                due[key] = None
        if due:
            self._fire(due, self.watermark)

    def _fold(self, arrivals: list[Arrival], batch: Batch) -> None:
        stored: dict[str, bytes | None] = {arrival.key: self.profiles.get(arrival.key) for arrival in arrivals}
        while True:
            effects = Effects("")
            try:
                for _ in self._stitch.fold(arrivals, stored, self.watermark, batch, effects):
                    pass
            except FoldRaised as raised:
                self.raised[type(raised.__cause__).__name__] += 1
                arrivals = [arrival for arrival in arrivals if arrival is not raised.arrival]
            else:
                return self._keep(effects)

    def _fire(self, due: dict[str, None], watermark: int) -> None:
        parked: dict[str, str] = {}
        stored = {key: self.profiles[key] for key in due}
        while True:
            effects = Effects("")
            for key, why in parked.items():
                self._stitch.park(key, stored, why, effects)
            try:
                left = [key for key in due if key not in parked]
                for _ in self._stitch.let_time_pass(left, stored, watermark, effects):
                    pass
            except TimerRaised as raised:
                self.raised[type(raised.__cause__).__name__] += 1
                parked[raised.key] = type(raised.__cause__).__name__
            else:
                return self._keep(effects)

    def _keep(self, effects: Effects) -> None:
        self.profiles.update({key: data for key, data in effects.profiles.items() if data is not None})
        self.told.read(effects.feed)
        for key, at in effects.feed.due.items():
            if at is None:
                self._due.pop(key, None)
            else:
                self._due[key] = at
                heappush(self._queue, (at, key))
