"""What raw events count as, and what they are that the touch table does not know. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.application.ports import Record
from pipeline.domain.event import decode
from pipeline.domain.identity import Identities
from pipeline.domain.touches import COMPANY_ACT, UNCLASSIFIED, TouchTable


class Act(NamedTuple):
    """What a row of the touch table could ask of an event, its properties left out."""

    channel: str
    type: str
    source: str
    actor: str


@dataclass(slots=True)
class Survey:
    """Counts of events: by touch and channel, by act where no row fits (with the id of one), by reason where they are
    no events."""

    touches: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[Act] = field(default_factory=Counter)
    examples: dict[Act, str] = field(default_factory=dict)
    dead: Counter[str] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        return self.touches.total()

    def of(self, touch: str) -> int:
        """Events on all channels that count as this touch."""
        return sum(count for (name, _), count in self.touches.items() if name == touch)


class Surveyor:
    """Looks at records of raw topics as a lane's intake does, wherever their customers are at home."""

    def __init__(self, table: TouchTable, limits: Limits, event_clock: bool, identities: Identities) -> None:
        self.survey = Survey()
        self._limits = limits
        self._intake = Intake(0, table, limits, lambda _: 0, event_clock, identities)

    def look(self, source: Source, records: Iterable[Record]) -> None:
        """Adds the records of one input to the survey."""
        batch = Batch()
        self._intake.take(source, list(records), batch)
        self.survey.dead.update(batch.reasons)
        for arrival in batch.arrivals:
            touch = arrival.event.touch
            self.survey.touches[touch, arrival.channel] += 1
            if touch in {UNCLASSIFIED, COMPANY_ACT}:
                raw = decode(arrival.record.value, self._limits.max_bytes, self._limits.max_depth)
                act = Act(arrival.channel, raw.type, raw.source or "", raw.actor)
                self.survey.unknown[act] += 1
                self.survey.examples.setdefault(act, raw.id)
