"""What anybody who subscribes to an output can read: committed transitions as they become readable."""

import time
import uuid
from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from tests.benchmarks.oracle import Transition
from tests.benchmarks.pace import sent_at

AT_ONCE = 5_000
END_S = 30.0
STRAGGLERS_S = 10.0


class Subscriber:
    """Reads an output with read_committed.

    With `places`, where the event of each transition lies as `Work.places` has it, it tells by the transitions how far
    the input has been processed.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        lanes: int,
        read: Callable[[bytes], Transition],
        places: Mapping[tuple[str, int], tuple[int, int]] | None = None,
    ) -> None:
        self.found: list[Transition] = []
        """In log order in each partition."""
        self.times: list[float] = []
        """When each of them was read, in seconds of the wall clock."""
        self._read = read
        self._places = places or {}
        self._seen: set[tuple[str, int]] = set()
        self._ends: dict[int, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "log_level": 0,
                "group.id": f"subscriber-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )
        self._partitions = [TopicPartition(topic, lane, OFFSET_BEGINNING) for lane in range(lanes)]
        self._consumer.assign(self._partitions)

    @property
    def complete(self) -> bool:
        """Whether every transition that is wanted has been read."""
        return len(self._seen) >= len(self._places)

    @property
    def events(self) -> int:
        """So many events of the input have been processed at least."""
        return sum(self._ends.values())

    def poll(self, wait_s: float = 0.1) -> bool:
        """Reads all that is readable now, waiting so long for the first; whether there was anything."""
        any_read = False
        while True:
            read, _ = self._consume(wait_s)
            any_read = any_read or read > 0
            if read < AT_ONCE:
                return any_read

    def read_for(self, seconds: float) -> None:
        """Reads each record as soon as it is readable, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._consume(min(left, 0.1), at_most=1)

    def drain(self) -> None:
        """Reads on to the end of what is committed: what was published beyond what is wanted."""
        reached = self._consumer.position(self._partitions)
        for place in reached:
            place.offset = max(place.offset, OFFSET_BEGINNING)
        self._consumer.assign(reached)
        left = {place.partition for place in reached}
        deadline = time.monotonic() + END_S
        while left:
            if time.monotonic() > deadline:
                raise SystemExit(f"the end of partitions {sorted(left)} of the output cannot be read")
            left -= self._consume(0.1)[1]

    def await_all(self, count: int, alive: Callable[[], bool]) -> None:
        """Until so many transitions came, or none any more; what is missing is for the judge to say."""
        last, seen = time.monotonic(), -1
        while len(self.found) < count and time.monotonic() - last < STRAGGLERS_S and alive():
            self.read_for(0.1)
            if len(self.found) != seen:
                last, seen = time.monotonic(), len(self.found)

    def waits_ms(self, start: float, end: float) -> list[float]:
        """From the sending of an event, in this time of the wall clock, to each transition that it caused; sorted."""
        return sorted(
            (at - sent) * 1e3
            for transition, at in zip(self.found, self.times, strict=True)
            if transition.cause and start <= (sent := sent_at(transition.cause)) < end
        )

    def close(self) -> None:
        self._consumer.close()

    def _consume(self, wait_s: float, at_most: int = AT_ONCE) -> tuple[int, set[int]]:
        """How many records were read, and the partitions whose end was reached."""
        messages = self._consumer.consume(at_most, wait_s)
        ended: set[int] = set()
        for message in messages:
            error = message.error()
            if error is None:
                self._take(self._read(message.value() or b""))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise SystemExit(f"the output cannot be read: {error}")
        return len(messages) - len(ended), ended

    def _take(self, transition: Transition) -> None:
        self.found.append(transition)
        self.times.append(time.time())
        place = (transition.customer, transition.seq)
        where = self._places.get(place)
        if where is None or place in self._seen:
            return
        self._seen.add(place)
        partition, end = where
        if end > self._ends.get(partition, 0):
            self._ends[partition] = end
