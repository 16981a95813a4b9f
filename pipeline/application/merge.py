"""The inputs of a lane, merged by append time, so that a backlog on one topic is not folded far ahead of another."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from pipeline.application.intake import Source
from pipeline.application.ports import Fetched, Record


class InputQueue:
    """What one input has handed out and the lane has not taken. Only what joins on to the next position gets in.

    `reached`: the position after the last record or marker queued, None until the lane has sought.
    `position`: the one after the last taken. `caught_up`: the log had nothing behind `reached` when last fetched.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reached: int | None = None
        self.position = 0
        self.queued = 0
        self.caught_up = False
        self._runs: deque[tuple[Sequence[Record], int]] = deque()
        self._head = 0

    def restart(self, position: int | None) -> None:
        """Empties the queue; None drops whatever comes until the next restart."""
        self._runs.clear()
        self._head = 0
        self.queued = 0
        self.caught_up = False
        self.reached = position
        if position is not None:
            self.position = position

    def offer(self, fetched: Fetched) -> bool:
        """Queues what joins on. False: there is a hole before it, so the input must be sought again."""
        reached = self.reached
        if reached is None or fetched.end < reached:
            return True
        if fetched.start > reached:
            return False
        self.caught_up = fetched.caught_up
        if fetched.end == reached:
            return True
        records = fetched.records
        if fetched.start < reached:
            records = [record for record in records if record.offset >= reached]
        self.reached = fetched.end
        if records:
            self._runs.append((records, fetched.end))
            self.queued += len(records)
        elif self._runs:
            last, _ = self._runs[-1]
            self._runs[-1] = (last, fetched.end)
        else:
            self.position = fetched.end
        return True

    def head(self) -> int | None:
        """Append time of the next record, None if there is none."""
        return self._runs[0][0][self._head].timestamp if self._runs else None

    def records(self) -> list[Record]:
        """Everything queued, in order, without taking it."""
        waiting = [record for run, _ in self._runs for record in run]
        return waiting[self._head :]

    def take(self, until: int, most: int) -> Sequence[Record]:
        """At most `most` records of the first run with an append time <= `until`; at least one."""
        run, end = self._runs[0]
        first = self._head
        last = len(run) if run[-1].timestamp <= until else bisect_right(run, until, first, key=lambda r: r.timestamp)
        last = min(max(last, first + 1), first + most)
        if last == len(run):
            self._runs.popleft()
            self._head = 0
            self.position = end
        else:
            self._head = last
            self.position = run[last - 1].offset + 1
        self.queued -= last - first
        return run if first == 0 and last == len(run) else run[first:last]


class Merge:
    """All inputs of one lane."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.queues = {source.topic: InputQueue(source) for source in sources}

    def ready(self) -> bool:
        return any(queue.queued for queue in self.queues.values())

    def missing(self) -> list[str]:
        """The inputs that have nothing queued though their logs may have something older than what others have."""
        return [
            topic
            for topic, queue in self.queues.items()
            if not queue.queued and queue.reached is not None and not queue.caught_up
        ]

    def take(self, most: int) -> list[tuple[Source, Sequence[Record]]]:
        """The next records over all inputs in append-time order, at most `most`, in runs of one input each."""
        taken: list[tuple[Source, Sequence[Record]]] = []
        heads = [(head, topic) for topic, queue in self.queues.items() if (head := queue.head()) is not None]
        while heads and most > 0:
            heads.sort()
            _, topic = heads.pop(0)
            queue = self.queues[topic]
            until = heads[0][0] if heads else _END
            records = queue.take(until, most)
            most -= len(records)
            taken.append((queue.source, records))
            head = queue.head()
            if head is not None:
                heads.append((head, topic))
        return taken

    def positions(self) -> dict[str, int]:
        """The next position of each input behind what was taken."""
        return {topic: queue.position for topic, queue in self.queues.items()}


_END = 1 << 62
