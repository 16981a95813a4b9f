"""The one who leads all lanes to another version of a journey, in two steps through Kafka alone.

First every lane is asked to prepare, and says in its lane record whether it could; then one transaction writes the
decision to all lanes, or nothing is decided. Whoever dies in between leaves a candidate that has no effect; a second
one fences the first, so that only one can decide.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.application.lane_models import Kind
from pipeline.application.lane_record import LaneRecord
from pipeline.application.ports import Clock, Doubt, Fenced
from pipeline.errors import UserError

LOOK_S = 0.2

FRESH_MS = 60_000
"""A candidate is somebody's who may still decide for so long; nobody waits longer for the lanes."""


class Lanes(Protocol):
    """What the leader needs of the lanes."""

    async def records(self) -> Mapping[int, LaneRecord | None]:
        """Their newest lane records."""

    async def fence(self) -> None:
        """From here on no other leader can order anything; raises Doubt."""

    async def order(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Writes one order to each lane, all in one transaction; raises Doubt."""

    def hindrance(self, lane: int) -> str:
        """Why a lane does not move, as far as is known: for people. Empty if it does."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run: see intake.Command."""

    id: str
    kind: Kind
    journey: str
    version: int
    former: int
    fingerprint: str
    text: str
    stages: Mapping[str, str | None]
    reason: str

    def prepare(self, lane: int, at: int) -> dict[str, Any]:
        rules = {"kind": self.kind, "journey": self.journey, "version": self.version, "former": self.former}
        rules |= {"fingerprint": self.fingerprint, "text": self.text, "stages": dict(self.stages)}
        return {**self.order("prepare", lane, at), **rules}

    def order(self, command: str, lane: int, at: int) -> dict[str, Any]:
        return {"id": self.id, "command": command, "lane": lane, "reason": self.reason, "at": at}


class Leader:
    """Leads the lanes through `plan`; `at` (ms) dates it for customers, `wait` seconds are what the lanes may take.

    UserError if it is refused, or not known; whether anything was decided is said in it.
    """

    def __init__(self, lanes: Lanes, clock: Clock, plan: Plan, at: int, wait: float) -> None:
        self._lanes = lanes
        self._clock = clock
        self._plan = plan
        self._at = at
        self._wait = min(wait, FRESH_MS / 1000)

    async def lead(self) -> None:
        """Returns once every lane runs the version."""
        self._refuse_another(await self._lanes.records())
        try:
            await self._lanes.fence()
            records = await self._lanes.records()
            self._refuse_another(records)
            await self._order("prepare", records)
        except Doubt as doubt:
            raise UserError(f"nothing is decided: {doubt}", 1) from None
        await self._until_ready()
        await self._decide(records)

    async def _order(self, command: str, lanes: Mapping[int, object]) -> None:
        plan, at = self._plan, self._at
        made = plan.prepare if command == "prepare" else lambda lane, at: plan.order(command, lane, at)
        await self._lanes.order([made(lane, at) for lane in sorted(lanes)])

    async def _until_ready(self) -> None:
        until = self._clock.monotonic() + self._wait
        while True:
            records = await self._lanes.records()
            marks = {lane: record.candidate if record else None for lane, record in records.items()}
            ours = {lane: mark for lane, mark in marks.items() if mark is not None and mark.id == self._plan.id}
            refused = {lane: mark.why for lane, mark in ours.items() if not mark.ready}
            if refused:
                lane, why = min(refused.items())
                more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
                await self._abandon(records, f"lane {lane} could not run it: {why}{more}")
            if len(ours) == len(records):
                return
            if self._clock.monotonic() >= until:
                silent = sorted(records.keys() - ours.keys())
                await self._abandon(records, self._silent(silent))
            await self._clock.sleep(LOOK_S)

    def _silent(self, silent: Sequence[int]) -> str:
        names = ", ".join(f"lane {lane}{self._because(lane)}" for lane in silent[:5])
        more = f" and {len(silent) - 5} more" if len(silent) > 5 else ""
        return f"within {self._wait:.0f} s no answer from {names}{more}: is every worker of this program's version?"

    def _because(self, lane: int) -> str:
        why = self._lanes.hindrance(lane)
        return f" ({why})" if why else ""

    async def _abandon(self, lanes: Mapping[int, object], why: str) -> None:
        with contextlib.suppress(Doubt):  # what is prepared has no effect
            await self._order("abandon", lanes)
        raise UserError(f"nothing is decided, every lane goes on as it was: {why}", 1)

    async def _decide(self, lanes: Mapping[int, object]) -> None:
        doubt: Doubt | None = None
        try:
            await self._order("switch", lanes)
        except Fenced:
            raise UserError("nothing is decided: another promote has begun meanwhile", 1) from None
        except Doubt as found:
            doubt = found
        until = self._clock.monotonic() + self._wait
        while True:
            records = await self._lanes.records()
            behind = [lane for lane, record in sorted(records.items()) if self._version(record) != self._plan.version]
            if not behind:
                return
            if self._clock.monotonic() >= until:
                break
            await self._clock.sleep(LOOK_S)
        if doubt is not None and len(behind) == len(records):
            raise UserError(f"whether it is decided is not known ({doubt}): `journey status` will show it", 1)
        names = ", ".join(f"lane {lane}{self._because(lane)}" for lane in behind)
        raise UserError(f"it is decided; these lanes take it as soon as they move: {names}", 1)

    def _version(self, record: LaneRecord | None) -> int | None:
        mark = None if record is None else record.models.get(self._plan.journey)
        return None if mark is None else mark.version

    def _refuse_another(self, records: Mapping[int, LaneRecord | None]) -> None:
        for lane, record in sorted(records.items()):
            mark = None if record is None else record.candidate
            if mark is not None and self._clock.now() - mark.at < FRESH_MS:
                raise UserError(
                    f"another promote is in progress: lane {lane} has prepared version {mark.version} of "
                    f"{mark.journey}; without a decision it counts for nothing a minute after its begin",
                    1,
                )
