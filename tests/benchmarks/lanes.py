"""Some lanes in one process, without Kafka and Redis: what they send each other arrives in the order of sending."""

from collections.abc import Sequence
from zlib import crc32

from pipeline.application.intake import Source
from pipeline.application.ports import Entry
from pipeline.application.rulebook import Rules
from pipeline.domain.identity import Key, public_key
from tests.benchmarks.fold import APPENDED, Done, Fetch, InProcess, Read

EVENTS = Source("journey.events", "events")


class Lanes:
    """`each`: the lanes themselves; `waiting`: what was sent to each of them and is not read yet; `told`: records that
    were read from there."""

    def __init__(self, rules: Rules, number: int) -> None:
        self._number = number
        self.each = [InProcess(rules, partition=lane, home=self.home) for lane in range(number)]
        self.waiting: list[list[Entry]] = [[] for _ in range(number)]
        self.told = 0

    def home(self, public_key: bytes) -> int:
        """The lane of an identity."""
        return crc32(public_key) % self._number

    def take(self, lane: int, source: Source, records: Sequence[Read], watermark: int | None = None) -> Done:
        """Plays a fetch of one lane."""
        done = self.each[lane].play(Fetch([(source, records)], watermark))
        for home, entries in done.sent.items():
            self.waiting[home] += entries
        return done

    def listen(self, lane: int) -> Done:
        """Lets a lane read what it was sent."""
        heard, self.waiting[lane] = self.waiting[lane], []
        first = self.told
        self.told += len(heard)
        return self.take(lane, EVENTS, [Read(first + n, APPENDED, *entry) for n, entry in enumerate(heard)])

    def settle(self) -> list[Done]:
        """Until nobody has anything more to say."""
        found = []
        while any(self.waiting):
            found += [self.listen(lane) for lane in range(self._number) if self.waiting[lane]]
        return found

    def home_of(self, key: str) -> InProcess:
        """The lane in which an identity is at home."""
        return self.each[self.home(public_key(Key(key)).encode())]

    def spent(self) -> dict[str, float]:
        """CPU seconds of all lanes by stage."""
        stages = self.each[0].spent
        return {name: sum(lane.spent.get(name, 0.0) for lane in self.each) for name in stages}
