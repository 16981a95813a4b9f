"""Real lanes on a simulated Kafka and Redis, through random faults: nothing lost, nothing twice, and all goes on.

    await LaneWorld(seed).live()      raises Wrong with what is not as it must be

Whatever the fakes can do to a lane is done: calls that are lost or answered too late, fences, dropped fetches, aborted
and open transactions, a Redis that forgets, workers that are killed, parked, doubled, or cut off.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.lane import Lane
from pipeline.application.ports import Doubt
from tests.fakes.kafka import Fault
from tests.fakes.kafka import Operation as KafkaOperation
from tests.fakes.pipeline import HOUR, PARTITIONS, START, TOPICS, Workers, journey
from tests.fakes.table import Fault as TableFault
from tests.fakes.table import Operation as TableOperation

STEPS = 80
AT_HOME = {
    lane: [name for n in range(99) if home_partition((name := f"p{n}").encode(), PARTITIONS) == lane][:3]
    for lane in range(PARTITIONS)
}
PEOPLE = [name for names in AT_HOME.values() for name in names]
KINDS = ("page_viewed", "order_placed", "cart_updated")
COMMIT_FAULTS: Sequence[Fault] = ("lost", "open", "unanswered", "late")
LOST: Sequence[Fault] = ("lost", "unanswered")
CALLS: Sequence[KafkaOperation] = (
    "start", "bounds", "replay", "seek", "pause", "log_starts", "heartbeat", "publish", "ends", "read",
)  # fmt: skip
TABLE_LOST: Sequence[TableFault] = ("lost", "unanswered")
TABLE_CALLS: Sequence[TableOperation] = ("open", "position", "load", "apply", "due", "earliest", "fill", "rename")


class Wrong(Exception):
    """What must always be true is not."""


def always(number: int) -> Callable[[], int]:
    return lambda: number


class LaneWorld:
    """One worker, at times a second one that believes in the same lanes. `change` may plant a bug into a lane."""

    def __init__(self, seed: int, change: Callable[[Lane], None] = lambda lane: None) -> None:
        self.chance = Random(seed)
        self.change = change
        self.workers = Workers()
        self.other: Workers | None = None
        self.generation = 0
        self.sent = 0
        self.snapshot = self.workers.redis.snapshot()
        self.begin(self.workers)

    # ---- workers

    def begin(self, workers: Workers) -> None:
        """Small queues, batches and caches, so that little is needed to fill them."""
        chance = self.chance
        workers.inputs.records_a_fetch = chance.choice((2, 7, 500))
        for lane in workers.lanes.values():
            queue, cache = chance.choice((3, 10, 1000)), chance.choice((0, 2, 1000))
            lane._ports = replace(lane._ports, queue_share=always(queue), cache_share=always(cache))
            lane._settings = replace(lane._settings, most=chance.choice((1, 4, 16_000)), fences=1 << 30)
            self.change(lane)
        self.generation += 1
        workers.run(self.generation)

    async def park(self) -> None:
        workers = self.workers
        for lane in workers.lanes.values():
            lane.stop()
        await self.turns(self.chance.choice((0, 1, 5, 400)))
        for _ in range(5000):
            if all(task.done() for task in workers.tasks):
                break
            await asyncio.sleep(0)
        else:
            raise Wrong("a lane does not hear that it is to stop")
        self.generation += 1
        workers.run(self.generation)

    async def kill(self) -> None:
        await self.workers.kill()
        self.workers.start(journey())
        self.begin(self.workers)

    async def double(self) -> None:
        """Another worker takes the same lanes, or the one that did is gone."""
        if self.other is not None:
            await self.other.kill()
            self.other = None
            return
        other = self.other = Workers()
        other.kafka, other.redis, other.clock = self.workers.kafka, self.workers.redis, self.workers.clock
        other.start(journey())
        self.begin(other)

    # ---- what happens

    def send(self) -> None:
        for _ in range(self.chance.randint(1, 6)):
            self.send_one(self.chance.choice(PEOPLE), away=self.chance.random() < 0.3)

    def send_one(self, customer: str, *, away: bool = False) -> None:
        self.sent += 1
        topic, kind = self.chance.choice(("raw.web", "raw.store")), self.chance.choice(KINDS)
        number = f"e{self.sent}"
        self.workers.send(customer, kind, START + self.sent * 1000, topic=topic, number=number, away=away)

    def abort_upstream(self) -> None:
        kafka, topic = self.workers.kafka, self.chance.choice(("raw.web", "raw.store", TOPICS.events))
        epoch = kafka.take_over("upstream")
        kafka.write("upstream", epoch, topic, self.chance.randrange(PARTITIONS), [(None, b"{", ())], START)
        if self.chance.random() < 0.7:
            kafka.end("upstream", epoch, committed=False)

    def hurt_kafka(self) -> None:
        chance, kafka = self.chance, self.workers.kafka
        match chance.randrange(8):
            case 0 | 1:
                kafka.fail_next("commit", chance.choice(COMMIT_FAULTS))
            case 2 | 3:
                kafka.fail_next(chance.choice(CALLS), chance.choice(LOST))
            case 4:
                kafka.take_over(f"journey-{chance.randrange(PARTITIONS)}")
            case 5:
                kafka.away = not kafka.away
            case 6:
                kafka.slow_markers = not kafka.slow_markers
                kafka.write_markers()
            case 7:
                for log in kafka.topics[TOPICS.profiles].logs:
                    log.compact()

    def hurt_redis(self) -> None:
        chance, redis = self.chance, self.workers.redis
        match chance.randrange(8):
            case 0 | 1:
                redis.fail_next(chance.choice(TABLE_CALLS), chance.choice(TABLE_LOST))
            case 2:
                redis.fail_next("apply", "late")
            case 3:
                redis.flush()
            case 4:
                self.snapshot = redis.snapshot()
            case 5:
                redis.restore(self.snapshot)
            case 6:
                redis.drop_connections()
            case 7:
                redis.refuse(None if redis.refusal else "OOM command not allowed")

    def hurt_inputs(self) -> None:
        inputs = self.workers.inputs
        match self.chance.randrange(4):
            case 0 | 1:
                inputs.drop_next(self.chance.randint(1, 4))
            case 2:
                inputs.refusal = None if inputs.refusal else "the group is rebalancing"
            case 3:
                if inputs.flow.is_set():
                    inputs.flow.clear()
                else:
                    inputs.flow.set()

    async def step(self) -> None:
        chance = self.chance
        what = chance.random()
        if what < 0.35:
            self.send()
        elif what < 0.5:
            self.hurt_kafka()
        elif what < 0.65:
            self.hurt_redis()
        elif what < 0.75:
            self.hurt_inputs()
        elif what < 0.8:
            self.abort_upstream()
        elif what < 0.84:
            self.workers.kafka.deliver_late()
            self.workers.redis.deliver_late()
        elif what < 0.88:
            await self.park()
        elif what < 0.9:
            await self.kill()
        elif what < 0.92:
            await self.double()
        else:
            await self.tick()
        for _ in range(chance.choice((0, 1, 1, 3))):
            self.workers.inputs.deliver()
            if self.other is not None:
                self.other.inputs.deliver()
            await self.turns(chance.choice((0, 3, 20, 60)))

    async def tick(self) -> None:
        self.workers.clock.ms += 1000
        try:
            await self.workers.keeper.tick()
            await self.workers.keeper.read()
        except Doubt:
            return  # the keeper's loop tries again

    async def turns(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    # ---- the end

    async def live(self, steps: int = STEPS) -> None:
        try:
            for _ in range(steps):
                await self.step()
            await self.heal()
            self.judge()
        finally:
            for workers in (self.workers, self.other):
                if workers is not None:
                    await workers.kill()

    async def heal(self) -> None:
        if self.other is not None:
            await self.double()
        workers = self.workers
        workers.kafka.away = workers.kafka.slow_markers = False
        workers.kafka._faults.clear()
        workers.kafka.write_markers()
        workers.kafka.expire("upstream")
        workers.redis.refuse(None)
        workers.redis._faults.clear()
        workers.inputs._drops = 0
        workers.inputs.refusal = None
        workers.inputs.flow.set()
        await workers.settle(1500)
        for lane, there in workers.lanes.items():
            for topic in workers.inputs.topics:
                if (here := there.report().next.get(topic)) != (end := workers.kafka.log(topic, lane).end):
                    raise Wrong(f"{topic}-{lane} ends at {end} and is read up to {here}")
        for lane in range(PARTITIONS):  # what Redis has lost is seen at the next read
            self.send_one(AT_HOME[lane][0])
        await workers.settle(1500)
        workers.clock.ms += 2 * HOUR
        await workers.tick(8)

    def judge(self) -> None:
        workers = self.workers
        totals = {what: workers.totals(what) for what in ("read", "folded", "duplicate", "routed", "late", "dead")}
        if totals["folded"] != self.sent or totals["read"] != totals["folded"] + totals["routed"]:
            raise Wrong(f"{self.sent} events were sent: {totals}")
        if not workers.table_equals_changelog():
            raise Wrong("Redis is not what the changelog says")
        fired = [signal for signal in workers.feed(TOPICS.signals) if signal["kind"] == "fired"]
        for records, number in ((workers.feed(TOPICS.transitions), "seq"), (fired, "occurrence")):
            told: Counter[str] = Counter()
            for record in records:
                told[record["customer_id"]] += 1
                if record[number] != told[record["customer_id"]]:
                    raise Wrong(f"{record['id']} comes as number {told[record['customer_id']]}")
        if (workers.watermark.value or 0) < workers.clock.ms - 30_000:
            raise Wrong(f"the watermark stands, held by lane {workers.watermark.holder()}")
