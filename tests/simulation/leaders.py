"""Who promotes versions: the real leader on the simulated Kafka, killed now and then at whatever await it is."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from pipeline.adapters.journey_versions import way_back
from pipeline.application.lane_models import LaneModels
from pipeline.application.lane_record import LaneRecord
from pipeline.application.ports import Outgoing
from pipeline.application.promotion import Leader, Plan
from pipeline.errors import UserError
from tests.fakes.kafka import FakeKafka, FakeWriter
from tests.fakes.pipeline import START, TOPICS
from tests.simulation.event_loop import Process, SimulatedLoop
from tests.simulation.models import WAYS, read, version_of_shop

JOURNEY: Final = "shop"
WAIT_S: Final = 20.0


class LeadersClock:
    """ports.Clock with virtual time."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> int:
        return START + int(self._loop.time() * 1000)

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LanesInSight:
    """promotion.Lanes."""

    def __init__(self, kafka: FakeKafka, look: Callable[[], Mapping[int, LaneRecord | None]]) -> None:
        self._look = look
        self._writer = FakeWriter(kafka, "journey-promote")

    async def records(self) -> Mapping[int, LaneRecord | None]:
        return self._look()

    async def fence(self) -> None:
        await self._writer.start()

    async def order(self, orders: Sequence[Mapping[str, Any]]) -> None:
        await self._writer.commit(
            [Outgoing(TOPICS.commands, order["lane"], [(b"order", json.dumps(order).encode(), ())]) for order in orders]
        )

    def hindrance(self, lane: int) -> str:
        return ""


def plan(models: LaneModels, version: int, number: int, back: bool) -> Plan | None:
    """The next version, or the way back from the last one; None if there is none."""
    own = models.journeys.get(JOURNEY)
    if not back:
        following = 1 + (version if own is None else own.highest)
        text = json.dumps(version_of_shop(following))
        ways = dict(WAYS[1 - following % 2])
        return _plan(number, "promote", following, version, text, ways)
    if own is None or own.switches[-1].kind == "rollback":
        return None
    last = own.switches[-1]
    ways = way_back(read(own.text), last.stages, read(last.text))
    return _plan(number, "rollback", last.former, version, last.text, ways)


def _plan(number: int, kind: Any, version: int, former: int, text: str, ways: Mapping[str, str | None]) -> Plan:
    return Plan(
        f"p{number}", kind, JOURNEY, version, former, read(text).fingerprint, text, ways, "because of the simulation"
    )


class Leaders:
    """All that there were in a world. `models`, `records`: of the lanes, as committed."""

    def __init__(
        self,
        loop: SimulatedLoop,
        kafka: FakeKafka,
        partitions: int,
        records: Callable[[int], LaneRecord | None],
        models: Callable[[int], LaneModels],
        say: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._kafka = kafka
        self._partitions = partitions
        self._records = records
        self._models = models
        self._say = say
        self.processes: list[Process] = []
        self.decided = 0

    def begin(self, chance: Random) -> str:
        """Starts one, which is killed after a while or not; what it is to do, empty if there is nothing."""
        record = self._records(0)
        back, patience = chance.random() < 0.4, chance.choice((None, None, 0.1, 0.5, 2.0))
        mark = None if record is None else record.models.get(JOURNEY)
        if mark is None:
            return ""
        made = plan(self._models(0), mark.version, len(self.processes) + 1, back)
        if made is None:
            return ""
        process = Process(f"leader{len(self.processes) + 1}")
        self.processes.append(process)
        self._loop.start(process, self._lead(process.name, made))
        if patience is not None:
            self._loop.outside(patience, lambda: setattr(process, "dead", True))
        return f"{made.kind} to version {made.version}" + ("" if patience is None else f", killed after {patience} s")

    def end(self) -> None:
        """Nobody decides anything any more."""
        for process in self.processes:
            process.dead = True

    async def _lead(self, name: str, made: Plan) -> None:
        clock = LeadersClock(self._loop)
        lanes = LanesInSight(self._kafka, lambda: {lane: self._records(lane) for lane in range(self._partitions)})
        try:
            await Leader(lanes, clock, made, clock.now(), WAIT_S).lead()
        except UserError as error:
            self._say(name, error.message)
        else:
            self.decided += 1
            self._say(name, f"all lanes run version {made.version}")
