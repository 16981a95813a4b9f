"""Who sends the events: good ones, copies, late and broken ones, alone and in transactions that may come to nothing."""

import json
from contextlib import suppress
from random import Random
from typing import Any, Final

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.ports import Fenced
from pipeline.domain.moments import format_moment
from tests.fakes.kafka import FakeKafka
from tests.fakes.pipeline import START
from tests.simulation.event_loop import SimulatedLoop
from tests.simulation.ledger import Ledger, Sent
from tests.simulation.models import KINDS, LATENESS

CHANNELS: Final = {"raw.web": "web", "raw.store": "store"}
HOUR: Final = 3_600_000
AGAIN_S: Final = 1.0
"""Between two tries to send while Kafka is away."""


class Senders:
    """Everybody who writes into the raw topics. `people` customers, whose homes are spread over the partitions."""

    def __init__(self, loop: SimulatedLoop, kafka: FakeKafka, ledger: Ledger, partitions: int, people: int) -> None:
        self._loop = loop
        self._kafka = kafka
        self._ledger = ledger
        self._partitions = partitions
        self.people = [f"p{number}" for number in range(people)]
        self._numbers = 0
        self._upstreams = 0
        self._times: set[int] = set()
        self.latest = START
        """The newest event time of all that was sent, ms."""

    def now(self) -> int:
        """True time, virtual ms."""
        return START + int(self._loop.time() * 1000)

    def some(self, chance: Random) -> str:
        """A few events of this moment; later, if Kafka is away."""
        if self._kafka.away:
            self._loop.outside(AGAIN_S, lambda: self.some(chance))
            return "Kafka is away; later"
        told = []
        for _ in range(chance.randint(1, 5)):
            sent = self._one(chance)
            self._append(sent)
            self._ledger.acknowledge(sent, self.now())
            told.append(f"{sent.id} {sent.topic}-{sent.partition}@{sent.offset}")
        return ", ".join(told)

    def transaction(self, chance: Random, end: str) -> int:
        """Events in one transaction that `commits`, `aborts` or `hangs` until its time is up. How many."""
        if self._kafka.away:
            return 0
        self._upstreams += 1
        name = f"upstream-{self._upstreams}"
        epoch = self._kafka.take_over(name)
        events = [self._valid(chance) for _ in range(chance.randint(1, 4))]
        for sent in events:
            self._append(sent, (name, epoch))

        def over() -> None:
            with suppress(Fenced):
                self._kafka.end(name, epoch, committed=end == "commits")
                for sent in events if end == "commits" else ():
                    self._ledger.acknowledge(sent, self.now())

        if end != "hangs":
            self._loop.outside(chance.choice((0.0, 0.5, 4.0, 12.0)), over)
        return len(events)

    def hang(self, topic: str, partition: int) -> None:
        """A transaction that nobody ends, with one record that nobody will read."""
        self._upstreams += 1
        name = f"upstream-{self._upstreams}"
        self._kafka.write(name, self._kafka.take_over(name), topic, partition, [(None, b"{}", ())], self.now())

    def to_every_lane(self) -> None:
        """One event for each lane, at its home."""
        for partition in range(self._partitions):
            customer = next(
                name
                for n in range(1_000)
                if home_partition((name := f"last{n}").encode(), self._partitions) == partition
            )
            sent = self._event(Random(partition), customer, self.now())
            sent.partition = partition
            self._append(sent)
            self._ledger.acknowledge(sent, self.now())

    # ---- within

    def _one(self, chance: Random) -> Sent:
        what = chance.random()
        if what < 0.06:
            return self._broken(chance)
        if what < 0.14 and (known := self._known(chance)) is not None:
            return self._copy(known, chance.randrange(self._partitions))
        if what < 0.2 and (known := self._known(chance)) is not None and known.partition == self._home(known.customer):
            return self._late(chance, known)
        return self._valid(chance)

    def _known(self, chance: Random) -> Sent | None:
        """A good event that stands outside of any transaction, so that whatever comes after it is read after it."""
        known = [sent for sent in self._ledger.acknowledged if sent.dead is None and not sent.late and sent.alone]
        return chance.choice(known) if known else None

    def _valid(self, chance: Random) -> Sent:
        back = chance.choice((0, 500, 500, 1_500, 20_000, -8_000))
        return self._event(chance, chance.choice(self.people), self.now() - int(back * chance.random()))

    def _event(self, chance: Random, customer: str, at: int) -> Sent:
        topic, home = chance.choice(tuple(CHANNELS)), self._home(customer)
        away = self._partitions > 1 and chance.random() < 0.3
        partition = (home + 1 + chance.randrange(self._partitions - 1)) % self._partitions if away else home
        while at in self._times:  # two at one time would be ordered by where they were first seen
            at += 1
        self._times.add(at)
        self.latest = max(self.latest, at)
        self._numbers += 1
        event = {
            "id": f"e{self._numbers}",
            "type": chance.choice(KINDS),
            "occurred_at": format_moment(at),
            "customer_id": customer,
        }
        return self._sent(event, topic, partition)

    def _copy(self, known: Sent, partition: int) -> Sent:
        return self._sent(known.event, known.topic, partition)

    def _late(self, chance: Random, known: Sent) -> Sent:
        """Behind an event of its customer, in the same partition, that is newer by more than the lateness."""
        sent = self._event(chance, known.customer, START - LATENESS - HOUR)
        sent.topic, sent.partition, sent.channel, sent.late = known.topic, known.partition, known.channel, True
        return sent

    def _broken(self, chance: Random) -> Sent:
        sent = self._valid(chance)
        match chance.randrange(3):
            case 0:
                sent.dead = "not_json"
            case 1:
                sent.dead = "future"
                sent.event["occurred_at"] = format_moment(self.now() + HOUR)
            case _:
                sent.dead = "channel_mismatch"
                sent.event["channel"] = "phone"
        return sent

    def _sent(self, event: dict[str, Any], topic: str, partition: int) -> Sent:
        return Sent(event, topic, partition, -1, 0, CHANNELS[topic])

    def _home(self, customer: str) -> int:
        return home_partition(customer.encode(), self._partitions)

    def _append(self, sent: Sent, transaction: tuple[str, int] | None = None) -> None:
        value = b"{" if sent.dead == "not_json" else json.dumps(sent.event).encode()
        entry = (None, value, ())
        if transaction is None:
            sent.offset = self._kafka.append(sent.topic, sent.partition, [entry])
        else:
            sent.alone = False
            sent.offset = self._kafka.write(*transaction, sent.topic, sent.partition, [entry], 0)
        sent.appended = self.now()
        self._ledger.add(sent)
