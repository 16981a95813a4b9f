"""A worker whose lanes only write down what they got: `recording_worker.py <settings as JSON> <directory> <name>`.

The directory stands for the changelog: one file a lane, with every range of positions that was taken. Whoever takes a
lane writes a token, and what a former owner writes after it does not count: a fence, as the transactional id is one.
"""

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.application.ports import Abandoned, Doubt, Fenced, Fetched, Inputs, LaneReport
from pipeline.config import Settings
from pipeline.worker.main import Surroundings, Wiring, run_worker
from pipeline.worker.transport import lane_topics


@dataclass(frozen=True)
class Taken:
    """A range of positions that a lane took, and the numbers that the records in it carried."""

    topic: str
    start: int
    end: int
    numbers: tuple[int, ...]
    worker: str


class Journal:
    """What one lane has taken: lines `{"token"}` of those who took the lane, and `{"token", "topic", "start", …}`.

    A line counts only while its token is the newest, so there is no lock that a stopped process could keep.
    """

    def __init__(self, directory: Path, partition: int) -> None:
        self.path = directory / f"lane-{partition}.jsonl"
        self._token = ""
        self._seen = 0

    def take(self, worker: str) -> dict[str, int]:
        """Fences everybody else; returns the next position of each topic."""
        self._token = f"{worker}-{uuid4()}"
        self._append({"token": self._token})
        self._seen = self.path.stat().st_size
        return {taken.topic: taken.end for taken in read_journal(self.path)}

    def write(self, taken: Taken) -> None:
        """Raises Fenced, now or the next time, if somebody else has taken the lane since."""
        self._append({"token": self._token, **asdict(taken)})
        with self.path.open() as file:
            file.seek(self._seen)
            news = file.read()
        self._seen += len(news)
        if {json.loads(line)["token"] for line in news.splitlines()} != {self._token}:
            raise Fenced("somebody else has this lane")

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_journal(path: Path) -> list[Taken]:
    """What a lane took, in order; nothing that was written behind a fence."""
    found: list[Taken] = []
    token = ""
    for text in path.read_text().split("\n")[:-1]:
        line = json.loads(text)
        written_by = line.pop("token")
        if not line:
            token = written_by
        elif written_by == token:
            found.append(Taken(**line | {"numbers": tuple(line["numbers"])}))
    return found


class RecordingLane:
    """A lane with a queue, the chain of positions and the doubts of the real one, and a journal in place of Kafka."""

    def __init__(
        self,
        partition: int,
        topics: Sequence[str],
        inputs: Inputs,
        journal: Journal,
        worker: str,
        *,
        room: int = 4,
        pause_s: float = 0.0,
    ) -> None:
        self._partition, self._topics, self._inputs, self._worker = partition, topics, inputs, worker
        self.journal, self._room, self._pause_s = journal, room, pause_s
        self._expected: dict[str, int] = {}
        self._queues: dict[str, deque[Fetched]] = {topic: deque() for topic in topics}
        self._paused: set[str] = set()
        self._wake, self._stopping = asyncio.Event(), False
        self._state, self._generation, self._moved = "new", 0, time.monotonic()
        self.holes = self.empty = self.at_end = 0
        self.next: dict[str, int] = {}
        self.released = False
        self._seeks: set[asyncio.Task[None]] = set()

    @property
    def partition(self) -> int:
        return self._partition

    def offer(self, fetched: Fetched) -> None:
        expected = self._expected.get(fetched.topic)
        if expected is None or fetched.end < expected:
            return
        if fetched.start > expected:
            self.holes += 1
            self._seek_again(fetched.topic)
            return
        records = [record for record in fetched.records if record.offset >= expected]
        self.empty += not records
        self.at_end += fetched.caught_up
        if fetched.end == expected:
            return
        self._expected[fetched.topic] = fetched.end
        taken = Fetched(fetched.topic, self._partition, expected, fetched.end, records, fetched.caught_up)
        self._queues[fetched.topic].append(taken)
        self._wake.set()

    def lost(self, fetched: Fetched) -> None:
        expected = self._expected.get(fetched.topic)
        if expected is not None and fetched.start <= expected < fetched.end:
            self.holes += 1
            self._seek_again(fetched.topic)

    def full(self, topic: str) -> bool:
        if len(self._queues[topic]) < self._room:
            return False
        self._paused.add(topic)
        return True

    async def run(self, generation: int) -> None:
        self._stopping, self._generation = False, generation
        if os.environ.get("GIVE_UP"):
            raise Abandoned("as asked")
        while not self._stopping:
            try:
                await self._take_and_work(generation)
            except Doubt as doubt:
                self._state = "taking"
                self._clear()
                print(f"{self._worker}: lane {self._partition}: {doubt}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.05)
        self._state = "parked"

    async def _take_and_work(self, generation: int) -> None:
        self._state = "taking"
        while (why := await self._inputs.confirm_membership(generation)) is not None:
            if self._stopping:
                return
            print(f"{self._worker}: lane {self._partition}: {why}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.2)
        flowing = asyncio.create_task(self._inputs.flowing())
        while not self._stopping and not flowing.done():
            await asyncio.wait([flowing], timeout=0.1)
        flowing.cancel()
        if self._stopping:
            return
        self.next = self.journal.take(self._worker)
        starts = await self._inputs.log_starts(self._topics, self._partition)
        for topic in self._topics:
            if self.next.setdefault(topic, starts[topic]) < starts[topic]:
                raise Abandoned(f"{topic} starts at {starts[topic]}, and {self.next[topic]} is unread")
        self._clear()
        self._expected = dict(self.next)
        for topic in self._topics:
            await self._inputs.seek(topic, self._partition, self._expected[topic])
        self._state = "running"
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            await self._write_all()

    async def _write_all(self) -> None:
        for topic, queue in self._queues.items():
            while queue and not self._stopping:
                first = queue[0]
                numbers = tuple(int(record.value or b"-1") for record in first.records)
                self.journal.write(Taken(topic, first.start, first.end, numbers, self._worker))
                self.next[topic] = queue.popleft().end
                self._moved = time.monotonic()
                await asyncio.sleep(self._pause_s)
            if topic in self._paused and len(queue) < self._room:
                self._paused.discard(topic)
                self._inputs.resume(topic, self._partition)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def release(self) -> None:
        self.released = True

    def report(self) -> LaneReport:
        queued = sum(len(each.records) for queue in self._queues.values() for each in list(queue))
        return LaneReport(
            self._partition, self._generation, self._state, "", "", 0.0, self._moved, queued, dict(self.next), "", None
        )

    def _clear(self) -> None:
        self._expected = {}
        self._paused.clear()
        for queue in self._queues.values():
            queue.clear()

    def _seek_again(self, topic: str) -> None:
        task = asyncio.create_task(self._inputs.seek(topic, self._partition, self._expected[topic]))
        self._seeks.add(task)
        task.add_done_callback(self._seeks.discard)


def main(settings: Settings, directory: Path, name: str) -> int:
    @asynccontextmanager
    async def wire(around: Surroundings) -> AsyncIterator[Wiring]:
        def make_lane(partition: int) -> RecordingLane:
            return RecordingLane(partition, lane_topics(settings), around.inputs, Journal(directory, partition), name)

        def started() -> None:
            (directory / f"{name}.started").touch()

        async def status(lanes: Any) -> None:
            while True:
                told = {"lanes": [report.partition for report in lanes.reports()], "ready": around.health.readyz()[0]}
                (directory / f"{name}.new").write_text(json.dumps(told))
                (directory / f"{name}.new").rename(directory / f"{name}.json")
                await asyncio.sleep(0.05)

        yield Wiring(make_lane, (status,), started)

    return run_worker(settings, wire)


if __name__ == "__main__":
    sys.exit(main(Settings.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]))
