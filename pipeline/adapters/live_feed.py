"""Where the lanes say that customers are in one journey, and what they tell of it: the public topics, followed."""

from collections.abc import Callable
from contextlib import suppress

import msgspec

from pipeline.adapters.identity_kinds import kinds_of
from pipeline.adapters.kafka.logs import Logs
from pipeline.adapters.kafka.metadata import EARLIEST, LATEST
from pipeline.adapters.published import customer, signal, transition
from pipeline.application.comparison import Told
from pipeline.application.ports import OpenTransaction, Record
from pipeline.application.replay import Sample
from pipeline.config import Settings
from pipeline.domain.identity import key_of
from pipeline.domain.spec import START


class LiveFeed:
    """Follows the customers of `sample`: `journey.customers` from its beginning, what is told from `count_anew` on.

    `told`: what the lanes have told of the journey, with everybody's stage. `versions`: those that decided. `unread`:
    records that are none. `newest`: when the newest record was appended, ms.
    Raises Doubt, and UserError for what is not there.
    """

    def __init__(self, settings: Settings, logs: Logs, journey: str, sample: Sample) -> None:
        self.told = Told()
        self.versions: set[int] = set()
        self.unread = 0
        self.newest: int | None = None
        self._logs = logs
        self._journey = journey
        self._sample = sample
        self._kinds = kinds_of(settings)
        self._takers: dict[str, Callable[[Record], None]] = {
            settings.topic("journey.customers"): self._customer,
            settings.topic("journey.transitions"): self._transition,
            settings.topic("journey.signals"): self._signal,
        }
        self._counted = [settings.topic(f"journey.{name}") for name in ("transitions", "signals")]
        self._lanes = range(settings.partitions)
        self._positions: dict[tuple[str, int], int] = {}

    async def begin(self) -> None:
        """Goes to where everybody's stage can be read from."""
        places = [(topic, lane) for topic in self._takers for lane in self._lanes]
        self._positions = await self._logs.bounds(places, EARLIEST)
        await self.count_anew()

    async def count_anew(self) -> None:
        """Counts what is told from now on."""
        self.told.count_anew()
        counted = [(topic, lane) for topic in self._counted for lane in self._lanes]
        self._positions |= await self._logs.bounds(counted, LATEST)

    async def read_on(self) -> None:
        """Takes in what is committed now; behind an open transaction it comes another time."""
        ends = await self._logs.bounds(list(self._positions), LATEST)
        for place, end in ends.items():
            with suppress(OpenTransaction):
                await self._read(place, end)

    async def _read(self, place: tuple[str, int], end: int) -> None:
        take = self._takers[place[0]]
        async for records in self._logs.read(*place, self._positions[place], end, patience=0):
            for record in records:
                try:
                    take(record)
                except msgspec.MsgspecError:
                    self.unread += 1
            self._positions[place] = records[-1].offset + 1
            self.newest = max(records[-1].timestamp, self.newest or 0)
        self._positions[place] = end

    def _customer(self, record: Record) -> None:
        key = key_of((record.key or b"").decode(errors="replace"), self._kinds)
        if key not in self._sample:
            return
        if record.value is None:
            self.told.stages.pop(key, None)
            return
        place = customer(record).journeys.get(self._journey)
        if place is not None:
            self.told.stages[key] = place.stage or START
            self.versions.add(place.version)

    def _transition(self, record: Record) -> None:
        said = transition(record)
        if said.journey == self._journey and key_of(said.customer_id, self._kinds) in self._sample:
            self.told.transitions[said.kind] += 1

    def _signal(self, record: Record) -> None:
        said = signal(record)
        if said.journey == self._journey and key_of(said.customer_id, self._kinds) in self._sample:
            self.told.signals[said.signal, said.kind] += 1
