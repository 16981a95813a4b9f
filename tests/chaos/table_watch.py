"""I4 as a reader of Redis sees it: no customer goes back, and nothing is shown that is not committed.

Pure: whoever reads Redis and follows the changelog tells it what they saw. A value that was read at `@pos` must be the
last one that the changelog has for its key up to there, and `@pos` must be the place of a lane record.
"""

import threading
import zlib
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.application.lane_record import decode_lane
from pipeline.domain.encoding import decode
from pipeline.domain.packing import NO_NAMES, Names
from tests.harness.reading import LANE

_REMEMBERED = 16
"""Values of a key in the changelog that are kept, the newest: what is looked at is at most seconds old."""


@dataclass(slots=True)
class _Lane:
    """What is known of one lane. `highest`: the furthest position seen; `suspended`: Redis lost data since then.

    `floors`: by key what may not fall. `log`: by key offsets and checksums. `open`: what was seen and is not yet
    compared with the changelog: position, key, checksum.
    """

    highest: int = -1
    suspended: bool = False
    floors: dict[bytes, dict[str, int]] = field(default_factory=dict)
    followed: int = -1
    log: dict[bytes, deque[tuple[int, int | None]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_REMEMBERED))
    )
    open: deque[tuple[int, bytes, int | None]] = field(default_factory=deque)


class TableWatch:
    """`back`: sightings of a customer or lane that went back. `uncommitted`: of what the changelog does not have."""

    def __init__(self) -> None:
        self.back: list[str] = []
        self.uncommitted: list[str] = []
        self.looks = 0
        self.compared = 0
        self._lanes: dict[int, _Lane] = defaultdict(_Lane)
        self._losing = 0
        self._losses = 0
        self._lock = threading.Lock()

    @property
    def losses(self) -> int:
        """How often Redis was made to lose data; to be asked before a look and told with it."""
        return self._losses

    @property
    def unsettled(self) -> int:
        """Sightings that wait for the changelog, and lanes that Redis has not got back."""
        with self._lock:
            return sum(len(lane.open) + lane.suspended for lane in self._lanes.values())

    @contextmanager
    def losing(self) -> Iterator[None]:
        """While Redis is made to lose data. Each lane counts again once it is back where it was."""
        with self._lock:
            self._losing += 1
            self._losses += 1
            for lane in self._lanes.values():
                lane.suspended = True
        try:
            yield
        finally:
            with self._lock:
                self._losing -= 1
                self._losses += 1

    def saw(self, losses: int, number: int, position: bytes | None, fields: Mapping[bytes, bytes | None]) -> None:
        """One atomic read of a lane's table; `losses` as before it. None for what is not there."""
        with self._lock:
            if self._losing or losses != self._losses:
                return
            lane = self._lanes[number]
            offset = -1 if position is None else int(position.rpartition(b":")[2])
            if lane.suspended:
                if offset < lane.highest:
                    return
                lane.suspended = False
            self.looks += 1
            if offset < lane.highest:
                self.back.append(f"lane {number}: @pos {offset} after {lane.highest}")
                return
            lane.highest = offset
            if position is None:
                return
            record = fields.get(LANE)
            names = Names(decode_lane(record).names) if record else NO_NAMES
            for key, value in fields.items():
                self._compare(number, lane, offset, key, value, names)
            self._settle(number, lane)

    def committed(self, number: int, offset: int, key: bytes, value: bytes | None) -> None:
        """The next committed record of the changelog."""
        with self._lock:
            lane = self._lanes[number]
            lane.log[key].append((offset, _sum(value)))
            lane.followed = offset
            if key == LANE:
                self._settle(number, lane)

    def _compare(self, number: int, lane: _Lane, offset: int, key: bytes, value: bytes | None, names: Names) -> None:
        floor = lane.floors.get(key)
        if value is None:
            if floor is not None:
                self.back.append(f"lane {number}: {key.decode()} is gone at @pos {offset}")
            return
        lane.open.append((offset, key, _sum(value)))
        levels = _lane_levels(value) if key == LANE else _profile_levels(value, names)
        if floor is not None:
            fallen = {name: (was, levels.get(name)) for name, was in floor.items() if levels.get(name, -1) < was}
            if fallen:
                self.back.append(f"lane {number}: {key.decode()} at @pos {offset} went back: {fallen}")
        lane.floors[key] = levels

    def _settle(self, number: int, lane: _Lane) -> None:
        while lane.open and lane.open[0][0] <= lane.followed:
            offset, key, seen = lane.open.popleft()
            known = [entry for entry in lane.log[key] if entry[0] <= offset]
            self.compared += 1
            if not known or known[-1][1] != seen:
                self.uncommitted.append(f"lane {number}: {key.decode()} at @pos {offset} is not what was committed")
            elif key == LANE and known[-1][0] != offset:
                self.uncommitted.append(f"lane {number}: @pos {offset} is not that of a lane record")


def _sum(value: bytes | None) -> int | None:
    return None if value is None else zlib.crc32(value)


def _profile_levels(value: bytes, names: Names) -> dict[str, int]:
    """What may only rise in a profile."""
    found = decode(value, names)
    levels = {"epoch": found.epoch}
    for strand in found.strands:
        levels[f"acts of {strand.identity}"] = sum(strand.touches) + strand.company + strand.late + strand.unclassified
    for position in found.positions:
        levels[f"seq in {position.journey}"] = position.seq
        levels |= {f"{name} in {position.journey}": times for name, times in (position.occurrences or {}).items()}
    return levels


def _lane_levels(value: bytes) -> dict[str, int]:
    """What may only rise in a lane record."""
    found = decode_lane(value)
    levels = {f"position on {topic}": offset for topic, offset in found.next.items()}
    levels |= {f"read of {channel}": tally.read for channel, tally in found.totals.items()}
    if found.watermark is not None:
        levels["watermark"] = found.watermark
    return levels
