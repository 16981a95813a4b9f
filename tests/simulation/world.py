"""One case from beginning to end: real workers, a cruel world, and a judge.

outcome = run(Case.parse("4711"))      outcome.wrong is None, or says what is not as it must be
"""

import asyncio
import gc
import json
from collections import Counter
from dataclasses import dataclass
from random import Random

from pipeline.worker.lanes import STOP_S
from tests.fakes.pipeline import START, TOPICS
from tests.simulation.audit import Audit, Wrong
from tests.simulation.cases import Action, Case
from tests.simulation.cluster import Network, SimulatedKafka, SimulatedRedis
from tests.simulation.event_loop import PROCESS, Restless, SimulatedLoop
from tests.simulation.faults import ARMED, DEEDS, kinds
from tests.simulation.group import Group
from tests.simulation.judging import judge
from tests.simulation.leaders import Leaders
from tests.simulation.ledger import Ledger
from tests.simulation.models import LONGEST
from tests.simulation.senders import Senders
from tests.simulation.trace import Trace
from tests.simulation.worker import APPLICATION, INPUTS, PROGRESS, Surroundings, Worker

PATIENCE_S = 300
"""How long, in virtual time, everything may take to be at rest once nothing is wrong any more (I6)."""

CHANGELOG_BATCH = 8 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wrong`: what is not as it must be, or None. `happened`: what was done to the world, by kind.

    `transactions`, `timers`, `reads`: how much there was to look at. `steps` of the event loop, `seconds` of virtual
    time.
    """

    case: Case
    wrong: str | None
    happened: Counter[str]
    events: int
    transactions: int
    timers: int
    reads: int
    steps: int
    seconds: float
    fingerprint: str


def run(case: Case, trace: Trace | None = None) -> Outcome:
    """Runs one case; nothing of it is left behind."""
    trace = trace or Trace()
    collecting = gc.isenabled()
    gc.disable()  # when it ran would decide what is finalised when
    try:
        with trace.hearing_logs():
            return World(case, trace).run()
    finally:
        if collecting:
            gc.enable()


class World:
    """Everything there is, for the deeds of tests/simulation/faults.py to change."""

    def __init__(self, case: Case, trace: Trace) -> None:
        plan = self.plan = case.plan(kinds())
        shape = self.shape = plan.shape
        self.case = case
        self.trace = trace
        chance = case.chance()
        self.loop = SimulatedLoop(chance, shape.disorder)
        self.happened: Counter[str] = Counter()
        self.network = Network(self.loop, chance, shape.latency / 1000, shape.slow, self.happened)
        self.kafka = SimulatedKafka(self.now, self.network)
        self.redis = SimulatedRedis(self.network)
        self.snapshot = self.redis.snapshot()
        self.ledger = Ledger()
        self._create_topics(chance)
        self.group = Group(self.loop, chance, shape.partitions, shape.session / 1000, lambda: self.kafka.away)
        self.senders = Senders(self.loop, self.kafka, self.ledger, shape.partitions, shape.people)
        self.audit = Audit(self.kafka, self.redis, self.ledger, shape.partitions, shape.skew)
        self.leaders = Leaders(self.loop, self.kafka, shape.partitions, self.audit.record, self.audit.models, trace.say)
        self.workers: list[Worker] = []
        self.down_until = 0.0
        self.around = Surroundings(
            self.loop, chance, shape, self.kafka, self.redis, self.group, self.happened, self.found
        )
        self._problem: str | None = None
        self._broken = self.loop.create_future()
        self.kafka.on_decided = self.audit.decided
        self.redis.on_changed = self.audit.changed
        self.redis.on_lost = self.audit.lost
        self.audit.on_problem = lambda wrong: self.found(str(wrong))
        self.network.say = trace.say
        trace.now = self.loop.time
        trace.on_bug = self.found
        trace.on_deaf = self._deaf

    def now(self) -> int:
        """True time, virtual ms."""
        return START + int(self.loop.time() * 1000)

    def found(self, what: str) -> None:
        """Something is wrong; the first such thing ends the run."""
        if self._problem is None:
            self._problem = what
            self.trace.say("WRONG", what)
            self._broken.set_result(None)

    def _deaf(self, what: str) -> None:
        """A lane that nothing holds up must hear at once that it is to stop."""
        process = PROCESS.get()
        if process is not None and self.loop.time() - process.hindered > 2 * STOP_S:
            self.found(f"I6: {what}")

    def order(self, command: str, lane: int) -> None:
        """As a person writes it, straight to the lane's commands."""
        self.happened[f"lane ordered to {command}"] += 1
        said = {
            "id": f"o{self.happened.total()}",
            "command": command,
            "lane": lane,
            "reason": "because",
            "at": self.now(),
        }
        self.kafka.append(TOPICS.commands, lane, [(None, json.dumps(said).encode(), ())])

    # ---- workers

    def start_worker(self) -> Worker:
        worker = Worker(self.around, len(self.workers) + 1)
        self.workers.append(worker)
        self.trace.say("worker", f"{worker.name} starts")
        return worker

    def start_later(self, seconds: float) -> None:
        """As whoever watches over the workers would."""

        def start() -> None:
            if self.loop.time() >= self.down_until:
                self.start_worker()

        self.loop.outside(seconds, start)

    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.alive]

    def some_worker(self, chance: Random) -> Worker | None:
        alive = self.alive()
        return chance.choice(alive) if alive else None

    def thaw(self, worker: Worker) -> None:
        if worker.process.frozen:
            self.trace.say("worker", f"{worker.name} wakes")
            self.loop.thaw(worker.process)

    # ---- a life

    def run(self) -> Outcome:
        try:
            self.loop.run_until_complete(self._live())
        except Wrong as wrong:
            self.found(str(wrong))
        except Restless as restless:
            self.found(f"I6: {restless}")
        steps, seconds = self.loop.steps, self.loop.time()
        self._count()
        happened, problem = Counter(self.happened), self._problem
        self.loop.dispose([*(worker.process for worker in self.workers), *self.leaders.processes])
        return Outcome(
            self.case,
            problem,
            happened,
            len(self.ledger.acknowledged),
            self.audit.transactions,
            self.audit.timers,
            self.audit.reads,
            steps,
            seconds,
            self.trace.fingerprint,
        )

    async def _live(self) -> None:
        plan, shape = self.plan, self.shape
        self.trace.say("world", str(shape))
        for number in range(shape.workers):
            self.loop.outside(shape.behind / 1000 + 0.1 * number, self.start_worker)
        watching = self.loop.create_task(self._watch())
        for action in plan.actions:
            await self._until(action.at / 1000)
            self._act(action)
        await self._until(max(plan.end / 1000, self.down_until))
        self._heal()
        self.senders.to_every_lane()
        for lane in range(self.shape.partitions):
            if self.happened["lane ordered to pause"]:
                self.order("resume", lane)
        await self._rest()
        watching.cancel()
        records = [record for p in range(shape.partitions) if (record := self.audit.record(p)) is not None]
        watermark = min(worker.watermark.value or 0 for worker in self._with_lanes())
        lanes = [self.audit.models(p) for p in range(shape.partitions)]
        judge(self.kafka, self.ledger, records, self.audit.routed, watermark, lanes, self.audit.found_by)

    def _act(self, action: Action) -> None:
        chance = Random(action.seed)
        if action.kind == "sent":
            self.trace.say(f"#{action.number}", f"sent {self.senders.some(chance)}")
            return
        said = DEEDS[action.kind](self, chance)
        if said:
            self.trace.say(f"#{action.number}", f"{action.kind}: {said}")
            if action.kind not in ARMED:
                self.happened[action.kind.replace("_", " ")] += 1

    async def _until(self, moment: float) -> None:
        await self._pause(moment - self.loop.time())

    async def _pause(self, seconds: float) -> None:
        """Raises Wrong as soon as something is found."""
        if seconds > 0 and not self._broken.done():
            await asyncio.wait((self._broken,), timeout=seconds)
        if self._broken.done():
            raise Wrong(self._problem)

    async def _watch(self) -> None:
        """The group's coordinator, and the one who starts a worker again that has given up."""
        replaced: set[str] = set()
        while True:
            self.group.watch()
            for worker in self.workers:
                if worker.gave_up and worker.main.done() and worker.name not in replaced:
                    replaced.add(worker.name)
                    self.trace.say("worker", f"{worker.name} has given up: {worker.gave_up}")
                    self.happened["worker gave up"] += 1
                    self.start_later(1.0)
            await asyncio.sleep(0.5 if self.alive() else 20)

    # ---- the end

    def _heal(self) -> None:
        self.trace.say("world", "all heals")
        self.leaders.end()
        self.kafka.away = False
        self.kafka._faults.clear()
        self.kafka.marker_delay_s = 0.05
        self.kafka.write_markers()
        self.redis.refuse(None)
        self.redis._faults.clear()
        self.network.slow = 0.0
        for worker in self.alive():
            worker.inputs._drops = 0
            worker.inputs.silent.clear()
            self.thaw(worker)
        if not self.alive():
            self.start_worker()

    async def _rest(self) -> None:
        """I6: until all is read, Redis is in step and time has passed for every timer."""
        began = self.loop.time()
        latest = max((self.senders.latest, self.now()))
        while (why := self._unrest(latest + LONGEST)) is not None:
            if self.loop.time() > began + PATIENCE_S:
                raise Wrong(f"I6: {PATIENCE_S} s after all has healed, {why}")
            await self._pause(1.0)

    def _unrest(self, target: int) -> str | None:
        alive = self.alive()
        if not alive:
            return "no worker is there"
        for partition in range(self.shape.partitions):
            reports = [lane.report() for worker in alive if (lane := worker.lane(partition)) is not None]
            if len(reports) != 1:
                return f"lane {partition} is at {len(reports)} workers"
            for topic in INPUTS:
                here, end = reports[0].next.get(topic), self.kafka.log(topic, partition).end
                if here != end:
                    return f"{topic}-{partition} ends at {end} and is read up to {here}: {reports[0].state}"
            if not self.audit.table_is_current(partition):
                return f"the table of lane {partition} is not what the changelog says"
        for worker in self._with_lanes():
            if (worker.watermark.value or 0) < target:
                return f"the watermark at {worker.name} stands, held by lane {worker.watermark.holder()}"
        for partition in range(self.shape.partitions):
            record = self.audit.record(partition)
            if record is not None and record.carrying:
                return f"lane {partition} still carries customers over"
            table = self.redis.tables.get(f"{APPLICATION}:{{{partition}}}")
            if table is not None and min(table.due.values(), default=target) < target:
                return f"timers of lane {partition} are due and do not fire"
        return None

    def _with_lanes(self) -> list[Worker]:
        """A worker without lanes knows of no watermark, and needs none."""
        return [worker for worker in self.alive() if worker.here()]

    def _count(self) -> None:
        self.happened["version decided on"] += self.leaders.decided
        self.happened["event routed"] += self.audit.routed
        self.happened["transaction aborted"] += self.audit.aborted
        self.happened["rebalanced"] += self.group.rounds
        self.happened["member expelled"] += self.group.expelled

    def _create_topics(self, chance: Random) -> None:
        partitions = self.shape.partitions
        for topic in (*INPUTS, TOPICS.transitions, TOPICS.signals, TOPICS.customers, TOPICS.dead_letters):
            self.kafka.create_topic(topic, partitions)
        self.kafka.create_topic(TOPICS.profiles, partitions, max_message_bytes=CHANGELOG_BATCH)
        self.kafka.create_topic(PROGRESS, 1)
        for name, made in self.kafka.topics.items():
            for partition in range(len(made.logs)):
                self.kafka.skew[name, partition] = chance.choice((0, self.shape.skew))
