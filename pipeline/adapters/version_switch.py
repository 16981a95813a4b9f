"""Promoting and rolling back versions of journeys on a running application: what is asked of Kafka and Redis for it."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.adapters.journey_files import brought, load_texts, read_journey, read_text, waits
from pipeline.adapters.journey_versions import carry_problems, way_back
from pipeline.adapters.kafka.connection import connection
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.adapters.lanes_seen import LanesSeen, lane_models, lane_records
from pipeline.adapters.yaml_documents import closest, read, refuse
from pipeline.application.lane_models import LaneModels
from pipeline.application.lane_record import LaneRecord
from pipeline.application.ports import Outgoing
from pipeline.application.promotion import Plan
from pipeline.config import Settings
from pipeline.domain.spec import JourneySpec, TouchSpec
from pipeline.errors import UserError


class WallClock:
    """ports.Clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RunningLanes:
    """promotion.Lanes. `seen`: how they were before."""

    def __init__(self, settings: Settings, seen: LanesSeen, now: WallClock) -> None:
        self._settings = settings
        self._hindrances = {lane.partition: lane.reason for lane in seen.lanes if not lane.moves}
        self._topic = settings.topic("journey.commands")
        self._writer = TransactionalWriter(
            connection(settings, "promote"),
            settings.promoting_id,
            settings.transaction_timeout_ms,
            now.now,
            partitions=[(self._topic, lane) for lane in range(settings.partitions)],
        )

    async def records(self) -> Mapping[int, LaneRecord | None]:
        found = await asyncio.to_thread(lane_records, self._settings)
        return {lane: record for lane, (_, record) in found.items()}

    async def fence(self) -> None:
        await self._writer.start()

    async def order(self, orders: Sequence[Mapping[str, Any]]) -> None:
        await self._writer.commit(
            [
                Outgoing(self._topic, order["lane"], [(order["id"].encode(), orjson.dumps(order), ())])
                for order in orders
            ]
        )

    def hindrance(self, lane: int) -> str:
        return self._hindrances.get(lane, "")

    async def close(self) -> None:
        await self._writer.close()


def plan_promote(settings: Settings, path: Path, seen: LanesSeen, reason: str) -> Plan:
    """The file as the next version of its journey; UserError with file:line if it cannot be that."""
    touches, files = load_texts(settings)
    document = read(path)
    spec = read_journey(document, touches, waits(settings)).spec
    names = [other.name for _, other in files]
    if spec.name not in names:
        near = closest(spec.name, names)
        message = f"no worker of these settings runs a journey '{spec.name}'; a new one is added to `journeys`"
        refuse([document.problem(("journey",), message, near)])
    brought([*(other for _, other in files if other.name != spec.name), spec])
    version, fingerprint, models = _running(settings, seen, spec.name)
    own = models.journeys.get(spec.name)
    highest = version if own is None else own.highest
    if spec.version <= highest:
        same = spec.version == version
        what = "run by all lanes" if same and spec.fingerprint == fingerprint else "not above what the lanes have run"
        other = ", with other rules" if same and spec.fingerprint != fingerprint else ""
        message = f"version {spec.version} is {what}{other}: make it {highest + 1}"
        refuse([document.problem(("version",), message)])
    text = "" if own is None else own.text
    refuse(carry_problems(document, spec, _former(settings, spec.name, version, text, files, touches)))
    return Plan(
        uuid.uuid4().hex,
        "promote",
        spec.name,
        spec.version,
        version,
        spec.fingerprint,
        document.root.mark.source.text,
        dict(spec.carry_over.stages) if spec.carry_over is not None else {},
        reason,
    )


def plan_rollback(settings: Settings, name: str, seen: LanesSeen, reason: str) -> Plan:
    """The version before the last promote of a journey; UserError if there is none."""
    touches, files = load_texts(settings)
    names = [spec.name for _, spec in files]
    if name not in names:
        near = closest(name, names)
        raise UserError(f"there is no journey '{name}' in the settings" + (f"; did you mean '{near}'?" if near else ""))
    version, _, models = _running(settings, seen, name)
    own = models.journeys.get(name)
    last = own.switches[-1] if own is not None and own.switches else None
    if own is None or last is None:
        raise UserError(f"{name} was never promoted: there is nothing to roll back to", 1)
    if last.kind == "rollback":
        raise UserError(
            f"{name} was rolled back to version {version} already; promote a version above {own.highest}", 1
        )
    new = read_text(own.text, touches, settings, f"version {version} of {name}")
    old = read_text(last.text, touches, settings, f"version {last.former} of {name}")
    stages = way_back(new, last.stages, old)
    return Plan(uuid.uuid4().hex, "rollback", name, last.former, version, old.fingerprint, last.text, stages, reason)


def _former(
    settings: Settings,
    name: str,
    version: int,
    text: str,
    files: Sequence[tuple[str, JourneySpec]],
    touches: tuple[TouchSpec, ...],
) -> JourneySpec:
    """The version that runs: as it was promoted, or the file that the settings name."""
    if text:
        return read_text(text, touches, settings, f"version {version} of {name}")
    spec = next(spec for _, spec in files if spec.name == name)
    if spec.version != version:
        raise UserError(
            f"the lanes run version {version} of {name}, and the settings name a file of version {spec.version}: "
            "promote with the settings that the workers have"
        )
    return spec


def _running(settings: Settings, seen: LanesSeen, name: str) -> tuple[int, str, LaneModels]:
    """Version and fingerprint of the journey in all lanes, and what was promoted; UserError if they do not agree."""
    standing = [lane for lane in seen.lanes if not lane.moves]
    if standing:
        lane = standing[0]
        more = f" (and {len(standing) - 1} more)" if len(standing) > 1 else ""
        raise UserError(f"lane {lane.partition} does not move{more}: {lane.reason or lane.state}; nothing was done", 1)
    # A lane that has read nothing so far has no record; it says what it runs when it is asked to prepare.
    marks = {lane.partition: mark for lane in seen.lanes if lane.record and (mark := lane.record.models.get(name))}
    found = {(mark.version, mark.fingerprint) for mark in marks.values()}
    if not found:
        raise UserError(f"no lane has read anything so far: start with the new file of {name}", 1)
    if len(found) > 1:
        versions = ", ".join(f"lane {lane}: {mark.version}" for lane, mark in marks.items())
        raise UserError(f"the lanes run different versions of {name} ({versions}): start all workers with one file", 1)
    ((version, fingerprint),) = found
    return version, fingerprint, lane_models(settings)[min(marks)]
