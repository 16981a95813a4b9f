"""A small world in which the real progress and watermark of the lanes must hold (I9).

Logs with markers, elections and open transactions; brokers whose clocks differ; lanes that read, route, commit, crash
and live on as zombies. A step is one act of one of them, in random order, some lanes a thousand times slower than
others. `World.live` raises Wrong as soon as a watermark has passed something that nobody has folded, or the last tick
of a lane, and at the end if it does not move on once everything has healed.

A `Member` is one instance of a lane with what its worker knows. What is planted into it is in test_watermark.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from pipeline.application.ports import ProgressRecord
from pipeline.application.progress import LaneProgress, Watermark

STEPS = 500
ROUND = 200
"""Milliseconds between two ticks of a lane, once everything has healed."""

EVENTS = "events"


class Wrong(Exception):
    """What must always be true is not."""


@dataclass(frozen=True)
class Shape:
    """How large the world is, and how often some things happen, by step.

    `skew`: ms by which the clocks of brokers may differ; `hops`: of one event, at most; `elections` on
    `journey.progress`; `restarts`: the changelog is made anew; `losses`: `journey.progress` is.
    """

    lanes: int
    hops: int
    skew: int
    topics: int
    elections: float = 0.01
    restarts: float = 0.0003
    losses: float = 0.0003

    @staticmethod
    def chosen(chance: Random) -> "Shape":
        return Shape(chance.randint(2, 4), chance.randint(0, 3), chance.choice((0, 0, 40, 200)), chance.randint(1, 2))


@dataclass(frozen=True, slots=True)
class Event:
    """`route`: the lanes it is still to pass; it is folded where that is empty."""

    number: int
    route: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Transaction:
    state: Literal["open", "committed", "aborted"] = "open"
    logs: list["Log"] = field(default_factory=list)


@dataclass(slots=True)
class Slot:
    """What takes an offset; a marker has no event."""

    offset: int
    stamp: int
    event: Event | None
    transaction: Transaction | None


class Log:
    """One partition. `acknowledged`: the high watermark; `shown`: what a leader just elected knows of it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.broker = world.chance.randrange(3)
        self.slots: list[Slot] = []
        self.acknowledged = 0
        self.shown: int | None = None
        self.unstable: dict[Transaction, int] = {}

    def append(self, event: Event | None, transaction: Transaction | None = None) -> int:
        """The broker's time of it."""
        stamp = self._world.time_of(self.broker)
        if transaction is not None and event is not None and transaction not in self.unstable:
            self.unstable[transaction] = len(self.slots)
            transaction.logs.append(self)
        self.slots.append(Slot(len(self.slots), stamp, event, transaction))
        return stamp

    def acknowledge(self) -> None:
        """All that was written is replicated, and its senders are told."""
        now = self._world.time_of(self.broker)
        for slot in self.slots[self.acknowledged :]:
            if slot.event is not None:
                self._world.heard(slot.event, now)
        self.acknowledged = len(self.slots)

    def mark(self, transaction: Transaction) -> None:
        """The marker of a transaction that has ended."""
        self.append(None)
        del self.unstable[transaction]
        self.acknowledge()

    def elect(self) -> None:
        """Another broker leads; what it knows of the high watermark may be old, until it is elected (healed) again."""
        self.broker = self._world.chance.randrange(3)
        behind = self._world.chance.randint(0, 4)
        self.shown = max(0, self.acknowledged - behind) if self.shown is None else None

    def high_watermark(self) -> int:
        return self.acknowledged if self.shown is None else self.shown

    def end(self) -> int | None:
        """ListOffsets: no answer (OFFSET_NOT_AVAILABLE, KIP-207) while the leader does not know the high watermark."""
        return self.acknowledged if self.shown is None else None

    def stable_end(self) -> int:
        return min([self.high_watermark(), *self.unstable.values()])

    def read(self, position: int, most: int) -> tuple[list[Slot], int]:
        """What a read_committed consumer gets, and its position then: markers and aborted records are passed over."""
        end = max(position, min(self.stable_end(), position + most))
        return [
            slot
            for slot in self.slots[position:end]
            if slot.event is not None and (slot.transaction is None or slot.transaction.state == "committed")
        ], end


@dataclass(slots=True)
class Taken:
    """A fetch that is not yet committed: up to `end` of a topic, with its events."""

    topic: str
    end: int
    slots: list[Slot]


@dataclass(slots=True)
class Tick:
    """A tick under way: `ends` are asked for once it is acknowledged."""

    stamp: int
    offset: int
    ends: dict[str, int | None] | None = None


class Member:
    """One instance of a lane in its own worker. All of it is lost in a crash; `before` is the instance it follows."""

    def __init__(self, world: "World", lane: int, before: "Member | None" = None) -> None:
        self.world, self.lane, self.before = world, lane, before
        self.inputs = {**{f"raw{n}": log for n, log in enumerate(world.raw[lane])}, EVENTS: world.events[lane]}
        durable = world.durable[lane]
        world.end(durable.transaction, "aborted")  # the fence
        durable.epoch += 1
        self.epoch = durable.epoch
        self.positions = dict(durable.positions)
        self.taken: list[Taken] = []
        self.transaction: Transaction | None = None
        self.folds: list[int] = []
        self.gone = False
        self.ticking: Tick | None = None
        self.progress = self.new_progress()
        self.watermark = self.new_watermark()
        self.watermark.enter(world.name)
        # `journey.progress` is compacted: of what was said before, a new reader finds the last of each lane.
        last = {record.lane: offset for offset, (_, record) in enumerate(world.said)}
        self.unread = sorted(last.values())
        self.read_to = len(world.said)

    # ---- what bugs are planted into

    def new_progress(self) -> LaneProgress:
        return LaneProgress([topic for topic in self.inputs if topic != EVENTS], EVENTS)

    def new_watermark(self) -> Watermark:
        return Watermark(self.world.shape.lanes, self.world.shape.hops)

    def tick(self) -> None:
        """One step of: say what is proven, ask for the ends, take the answer."""
        tick = self.ticking
        if tick is None:
            self.ticking = Tick(*self.publish())
        elif tick.ends is None:
            tick.ends = self.ask()
        else:
            self.answered(tick.stamp, tick.offset, tick.ends)
            self.ticking = None

    def ask(self) -> dict[str, int | None]:
        return {topic: log.end() for topic, log in self.inputs.items()}

    def answered(self, stamp: int, offset: int, ends: Mapping[str, int | None]) -> None:
        self.progress.ticked(stamp, offset, ends)
        self.progress.committed(self.world.durable[self.lane].positions, {})

    def fetched(self, taken: Taken) -> None:
        """A fetch has arrived."""

    def committed(self, positions: Mapping[str, int], appended: Mapping[str, int]) -> None:
        self.progress.committed(positions, appended)

    def observe(self, offset: int, stamp: int, record: ProgressRecord) -> None:
        """The next record of `journey.progress`; `stamp` is its append time, which nobody needs."""
        self.watermark.observe(offset, record)

    # ---- what a lane does

    def publish(self) -> tuple[int, int]:
        raw, _ = self.progress.raw()
        record = ProgressRecord(self.lane, self.world.name, raw, self.progress.events(), "", "", "", "")
        return self.world.say(record)

    def fetch(self, topic: str, most: int) -> None:
        slots, end = self.inputs[topic].read(self.positions[topic], most)
        if end > self.positions[topic]:
            taken = Taken(topic, end, slots)
            self.positions[topic] = end
            self.taken.append(taken)
            self.fetched(taken)

    def begin(self) -> None:
        """Folds what is taken, and writes what is to be routed into a transaction."""
        if self.transaction is not None or not self.taken or self.fenced():
            return
        self.transaction = self.world.durable[self.lane].transaction = Transaction()
        self.folding, self.taken = self.taken, []
        self.folds = []
        for event in (slot.event for taken in self.folding for slot in taken.slots):
            assert event is not None
            if event.route:
                home, *rest = event.route
                self.world.events[home].append(Event(event.number, tuple(rest)), self.transaction)
            else:
                self.folds.append(event.number)

    def commit(self) -> None:
        if self.transaction is None or self.fenced():
            return
        for log in self.transaction.logs:
            log.acknowledge()  # every answer is awaited before the end of a transaction
        self.world.end(self.transaction, "committed")
        self.transaction = None
        for number in self.folds:
            self.world.unfolded.pop(number, None)
        positions = self.world.durable[self.lane].positions
        positions |= {taken.topic: taken.end for taken in self.folding}
        self.committed(positions, {taken.topic: taken.slots[-1].stamp for taken in self.folding if taken.slots})

    def follow(self, most: int) -> None:
        """Reads on in `journey.progress`."""
        said = self.world.said
        self.unread += range(self.read_to, len(said))
        self.read_to = len(said)
        now, self.unread = self.unread[:most], self.unread[most:]
        for offset in now:
            before = self.watermark.value
            self.observe(offset, *said[offset])
            if self.watermark.value != before:
                self.world.judge(before, self.watermark.value)

    def fenced(self) -> bool:
        self.gone = self.epoch != self.world.durable[self.lane].epoch
        return self.gone


@dataclass(slots=True)
class Durable:
    """What a lane's transactions leave: the lane record."""

    positions: dict[str, int]
    epoch: int = 0
    transaction: Transaction | None = None


class World:
    """`member` is what lanes are made of."""

    def __init__(self, seed: int, member: type[Member] = Member, shape: Shape | None = None) -> None:
        chance = self.chance = Random(seed)
        shape = self.shape = shape or Shape.chosen(chance)
        self.member = member
        self.now = 0
        self.clocks = [chance.choice((0, shape.skew)) for _ in range(3)]
        self.progress_broker = 0
        self.raw = [[Log(self) for _ in range(shape.topics)] for _ in range(shape.lanes)]
        self.events = [Log(self) for _ in range(shape.lanes)]
        self.logs = [log for logs in (*self.raw, self.events) for log in logs]
        self.said: list[tuple[int, ProgressRecord]] = []
        self.markers: list[tuple[Log, Transaction]] = []
        self.upstream: list[tuple[Transaction, Literal["committed", "aborted"]]] = []
        self.sent = 0
        self.aborted: set[int] = set()
        self.acknowledged: dict[int, int] = {}
        self.unfolded: dict[int, int] = {}
        self.durable: list[Durable] = []
        self.worlds = self.rises = 0
        self.restart()

    # ---- what everybody shares

    def time_of(self, broker: int) -> int:
        return self.now + self.clocks[broker]

    def heard(self, event: Event, at: int) -> None:
        """A sender is told that its event is safe: from now on it counts, unless its transaction is aborted."""
        if event.number not in self.acknowledged and event.number not in self.aborted:
            self.acknowledged[event.number] = self.unfolded[event.number] = at

    def say(self, record: ProgressRecord) -> tuple[int, int]:
        stamp = self.time_of(self.progress_broker)
        self.said.append((stamp, record))
        self.ticked[record.lane] = max(stamp, self.ticked.get(record.lane, stamp))
        return stamp, len(self.said) - 1

    def end(self, transaction: Transaction | None, state: Literal["committed", "aborted"]) -> None:
        """It is decided; each log gets the marker when it gets it."""
        if transaction is not None and transaction.state == "open":
            transaction.state = state
            self.markers += [(log, transaction) for log in transaction.logs]

    def judge(self, before: int | None, value: int | None) -> None:
        self.rises += 1
        if value is None or (before is not None and value < before):
            raise Wrong(f"the watermark fell from {before} to {value}")
        oldest = min(self.unfolded.values(), default=value)
        if oldest < value - self.shape.skew:
            raise Wrong(f"a false silence: at {value} what was acknowledged at {oldest} is not folded")
        if len(self.ticked) < self.shape.lanes or value > min(self.ticked.values()) + self.shape.skew:
            raise Wrong("a silent lane does not hold the timers")

    # ---- what happens

    def restart(self) -> None:
        """The first start, or the changelog is made anew: all is folded again from the beginning."""
        for durable in self.durable:
            self.end(durable.transaction, "aborted")
        self.worlds += 1
        self.name = f"journey:{self.worlds}"
        self.ticked: dict[int, int] = {}
        self.unfolded = dict(self.acknowledged)
        topics = [f"raw{n}" for n in range(self.shape.topics)]
        self.durable = [Durable(dict.fromkeys([*topics, EVENTS], 0)) for _ in range(self.shape.lanes)]
        here: list[Member] = getattr(self, "members", [])
        self.members: list[Member] = []
        self.down: dict[int, Member | None] = dict.fromkeys(range(self.shape.lanes))
        self.down |= {member.lane: member for member in here}
        self.speeds = [10 ** self.chance.uniform(-1.3, 0) for _ in range(self.shape.lanes)]

    def lose_progress(self) -> None:
        """Its topic is made anew: offsets begin again, and everybody reads from its beginning."""
        self.said.clear()
        for member in self.members:
            member.unread, member.read_to = [], 0

    def produce(self) -> None:
        chance = self.chance
        transaction = Transaction() if chance.random() < 0.2 else None
        fate: Literal["committed", "aborted"] = "aborted" if transaction and chance.random() < 0.4 else "committed"
        for _ in range(chance.randint(1, 3)):
            self.sent += 1
            route = tuple(chance.randrange(self.shape.lanes) for _ in range(chance.randint(0, self.shape.hops)))
            if fate == "aborted":
                self.aborted.add(self.sent)
            chance.choice(chance.choice(self.raw)).append(Event(self.sent, route), transaction)
        if transaction is not None:
            self.upstream.append((transaction, fate))

    def step(self) -> None:
        chance = self.chance
        self.now += chance.randint(0, 12)
        if chance.random() < self.shape.elections:
            self.progress_broker = chance.randrange(3)
        if chance.random() < self.shape.restarts:
            self.restart()
        if chance.random() < self.shape.losses:
            self.lose_progress()
        what = chance.random()
        if what < 0.08:
            self.produce()
        elif what < 0.18:
            chance.choice(self.logs).acknowledge()
        elif what < 0.22:
            if self.markers:
                log, transaction = self.markers.pop(chance.randrange(len(self.markers)))
                log.mark(transaction)
        elif what < 0.23:
            if self.upstream:
                self.end(*self.upstream.pop(chance.randrange(len(self.upstream))))
        elif what < 0.24:
            chance.choice(self.logs).elect()
        elif what < 0.275:
            if self.down:
                lane = chance.choice(list(self.down))
                self.members.append(self.member(self, lane, self.down.pop(lane)))
        elif what < 0.278:
            self.speeds[chance.randrange(self.shape.lanes)] = 10 ** chance.uniform(-3, 0)
        elif what < 0.282:
            self.crash()
        elif self.members:
            weights = [self.speeds[member.lane] for member in self.members]
            member = chance.choices(self.members, weights)[0]
            for _ in range(chance.randint(1, 6)):
                self.act(member)
            if member.gone:
                self.members.remove(member)

    def act(self, member: Member) -> None:
        chance = self.chance
        what = chance.random()
        if what < 0.4:
            member.fetch(chance.choice(list(member.inputs)), chance.randint(1, 6))
        elif what < 0.55:
            member.begin()
        elif what < 0.7:
            member.commit()
        elif what < 0.88:
            member.tick()
        else:
            member.follow(chance.randint(1, 8))

    def crash(self) -> None:
        """Half of the time the old instance does not know that it is dead, and goes on until it is fenced."""
        if not self.members:
            return
        member = self.chance.choice(self.members)
        if member.epoch == self.durable[member.lane].epoch:
            self.down[member.lane] = member
        if self.chance.random() < 0.5:
            self.members.remove(member)

    def live(self, steps: int = STEPS) -> None:
        """A life of random steps, after which all heals."""
        for _ in range(steps):
            self.step()
        self.heal()

    # ---- the end

    def heal(self) -> None:
        """First under load, with transactions that overlap all the time, then at rest: the watermark moves on."""
        current = [m for m in self.members if m.lane not in self.down and m.epoch == self.durable[m.lane].epoch]
        self.members = current + [self.member(self, lane, before) for lane, before in self.down.items()]
        for log in self.logs:
            log.shown = None
        healed = self.now
        rounds = 8 + 6 * self.shape.hops
        for _ in range(rounds):
            self.produce()
            self.round(commit_all=False)
        if any((m.watermark.value or 0) < healed - self.shape.skew for m in self.members):
            raise Wrong("the watermark stands under load")
        rested = self.now
        for _ in range(rounds):
            self.round(commit_all=True)
        if self.unfolded:
            raise Wrong("not all is read at rest")
        if any((m.watermark.value or 0) < rested - self.shape.skew for m in self.members):
            raise Wrong("the watermark stands at rest")

    def round(self, *, commit_all: bool) -> None:
        self.now += ROUND
        while self.upstream:
            self.end(*self.upstream.pop())
        for member in self.members:
            member.commit()
            while self.markers:
                log, transaction = self.markers.pop()
                log.mark(transaction)
            for log in self.logs:
                log.acknowledge()
            for _ in range(3):
                member.tick()
            for topic in member.inputs:
                member.fetch(topic, 1000)
            member.begin()
            if commit_all:
                member.commit()
            member.follow(1000)
