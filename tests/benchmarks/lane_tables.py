"""What the worker's lanes say in Redis: how far they are, and what their customers take up."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import redis

from pipeline.application.lane_record import KEY, POSITION, LaneRecord, decode_lane
from pipeline.config import Settings

SAMPLED_FIELDS = 1_000
SAMPLED_CUSTOMERS = 20_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of Redis a customer, the index of timers and the server's own overhead included."""

    mean: float
    median: float


class LaneTables:
    """The tables of one application."""

    def __init__(self, settings: Settings) -> None:
        self._redis: Any = redis.Redis.from_url(settings.redis_url)
        self._keys = [settings.table_key(lane) for lane in range(settings.partitions)]

    def events(self) -> int:
        """Events that all lanes have read and committed."""
        return sum(tally.read for record in self._records() for tally in record.totals.values())

    def settled(self) -> int:
        """Events that have found their end, in whatever lane: all but those that are on their way to another."""
        return sum(tally.read - tally.routed for record in self._records() for tally in record.totals.values())

    def fired_until(self, moment: int) -> bool:
        """Whether time has passed up to `moment` (ms) in all lanes, and nobody's timers are still to be looked at."""
        for key in self._keys:
            record = self._redis.hget(key, KEY)
            watermark = decode_lane(record).watermark if record is not None else None
            if watermark is None or watermark < moment or self._redis.zcount(f"{key}:due", "-inf", watermark):
                return False
        return True

    def dead(self) -> int:
        return sum(tally.dead for record in self._records() for tally in record.totals.values())

    def transitions(self) -> int:
        return sum(
            count for record in self._records() for kinds in record.transitions.values() for count in kinds.values()
        )

    def customers(self) -> list[int]:
        """Of each lane: the fields of its table less the position and the lane record."""
        return [max(0, self._redis.hlen(key) - 2) for key in self._keys]

    def footprint(self) -> Footprint:
        """The mean by the server's account of its memory; the median by the lengths of many profiles beside it."""
        used = sum(
            int(self._redis.memory_usage(key, samples=SAMPLED_FIELDS) or 0)
            for lane in self._keys
            for key in (lane, f"{lane}:due")
        )
        of_each = used / max(1, sum(self.customers()))
        lengths = list(self._lengths())
        return Footprint(of_each, of_each + median(lengths) - mean(lengths))

    def profile_bytes(self) -> float:
        """Mean length of an identity's key and profile."""
        return mean(self._lengths())

    def forget_all(self) -> None:
        """Empties the server, as a loss of its memory would."""
        self._redis.flushall()

    def used_mb(self) -> float:
        """Memory of the server, in MB (2^20 bytes)."""
        return float(self._redis.info("memory")["used_memory"]) / 2**20

    def _records(self) -> Iterator[LaneRecord]:
        for key in self._keys:
            record = self._redis.hget(key, KEY)
            if record is not None:
                yield decode_lane(record)

    def _lengths(self) -> Iterator[int]:
        """Bytes of field and value of some customers of each lane."""
        for key in self._keys:
            fields = self._redis.hscan_iter(key, count=SAMPLED_FIELDS)
            for _, (field, value) in zip(range(SAMPLED_CUSTOMERS // len(self._keys)), fields, strict=False):
                if field not in {KEY, POSITION}:
                    yield len(field) + len(value)
