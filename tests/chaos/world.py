"""What the faults act on: the stack, the workers, the traffic, and those who look on."""

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from pipeline.dev.stack import Stack
from tests.chaos.pool import Pool
from tests.chaos.readers import Follower, RedisReader
from tests.chaos.table_watch import TableWatch
from tests.chaos.traffic import Traffic
from tests.harness.application import Application
from tests.harness.reading import lane_records
from tests.harness.sending import Sent

LOOK_EVERY_S = 0.05
PATIENCE_S = 120.0
"""How long the pipeline may take to be as before, once a fault is over, on a machine that is busy."""

_SNAPSHOTS = 3


@dataclass
class World:
    """`chance` decides all that is done, `stop` ends it; `counts` are figures that faults note."""

    stack: Stack
    app: Application
    pool: Pool
    traffic: Traffic
    watch: TableWatch
    reader: RedisReader
    follower: Follower
    chance: random.Random
    directory: Path
    stop: threading.Event
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _seen: int = 0
    _unacknowledged: list[Sent] = field(default_factory=list)
    _ends: dict[tuple[str, int], int] = field(default_factory=dict)
    _snapshots: list[Path] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        """Lets time pass, unless all of it is to end."""
        self.stop.wait(seconds)

    def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Whether it came true in time."""
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_EVERY_S)
        return True

    def redis(self, *words: object) -> Any:
        """One command to Redis, whose answer may take a while."""
        client: Any = redis.Redis.from_url(self.app.settings.redis_url, socket_timeout=20)
        with closing(client):
            return client.execute_command(*words)

    # ---- recovery

    def recovered(self) -> float | None:
        """Waits until the pipeline is as before; seconds, None if it was not in time or all of it is to end.

        As before: every worker that runs is ready and every lane has one, all that had been acknowledged when this was
        called is read, committed and in Redis, and transitions flow again. Workers that were killed are started again
        afterwards, at once only if none is left.
        """
        began = time.monotonic()
        ends, told = self._acknowledged(), self.follower.transitions
        while time.monotonic() < began + PATIENCE_S:
            self.look_after()
            if self._read(ends) and self.follower.transitions > told and self.pool.all_run():
                seconds = time.monotonic() - began
                self.pool.complete()
                return seconds
            if self.stop.is_set():
                return None
            time.sleep(LOOK_EVERY_S)
        waits = {worker.name: worker.waits() for worker in self.pool.running}
        self.problems.append(f"not as before within {PATIENCE_S:g} s: {waits}")
        return None

    def until_whole(self) -> None:
        """Waits until as many workers as are wanted run, unless all of it is to end."""

        def whole() -> bool:
            self.look_after()
            return self.stop.is_set() or self.pool.all_run()

        self.pool.complete()
        if not self.until(whole, PATIENCE_S):
            self.problems.append(f"the workers that were started again were not ready within {PATIENCE_S:g} s")

    def look_after(self) -> None:
        """Looks after the workers; raises what ended a thread of ours."""
        self.pool.look_after()
        for ours in (self.traffic, self.reader, self.follower):
            if ours.failure is not None:
                raise ours.failure

    def _acknowledged(self) -> dict[tuple[str, int], int]:
        """By topic and partition the offset behind what has been acknowledged."""
        ledger = self.app.sender.ledger
        upto = len(ledger)
        waiting, self._unacknowledged = [*self._unacknowledged, *ledger[self._seen : upto]], []
        self._seen = upto
        for sent in waiting:
            if sent.offset < 0:
                self._unacknowledged.append(sent)
                continue
            place = (self.app.settings.topic(sent.topic), sent.partition)
            self._ends[place] = max(self._ends.get(place, 0), sent.offset + 1)
        return dict(self._ends)

    def _read(self, ends: dict[tuple[str, int], int]) -> bool:
        try:
            records = lane_records(self.app.settings)
        except redis.RedisError:
            return False
        return all(lane in records and records[lane].next.get(topic, 0) >= end for (topic, lane), end in ends.items())

    # ---- snapshots of Redis

    def take_snapshot(self) -> None:
        """Keeps a copy of all that Redis has now, for `old_snapshot`."""
        self.redis("SAVE")
        self.counts["snapshots"] += 1
        copy = self.directory / f"snapshot{self.counts['snapshots']}.rdb"
        shutil.copy(self.stack.directory / "redis" / "dump.rdb", copy)
        self._snapshots.append(copy)
        if len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.pop(0).unlink()

    def old_snapshot(self) -> Path:
        """One of the last few; one of now if there is none."""
        if not self._snapshots:
            self.take_snapshot()
        return self.chance.choice(self._snapshots)
