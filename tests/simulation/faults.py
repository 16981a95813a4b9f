"""Everything that may happen to a world, one function a kind; a plan names them.

    @kind(2)
    def redis_flushed(world, chance): ...

`chance` is the action's own: the same action does the same, whatever else was taken out of the plan. Faults that last
end by themselves. To add one is to add a function here.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from tests.fakes.kafka import Fault as KafkaFault
from tests.fakes.kafka import Operation as KafkaOperation
from tests.fakes.pipeline import TOPICS
from tests.fakes.table import Fault as TableFault
from tests.fakes.table import Operation as TableOperation
from tests.simulation.worker import APPLICATION, INPUTS, PROGRESS

if TYPE_CHECKING:
    from tests.simulation.world import World

Deed = Callable[["World", Random], str]
"""Does it, and says what it was in a few words; nothing happened if they are empty."""

DEEDS: Final[dict[str, Deed]] = {}
WEIGHTS: Final[dict[str, float]] = {}
ARMED: Final[set[str]] = set()
"""Kinds that only lie in wait for a call: they are counted when it comes."""

CALLS: Final[Sequence[KafkaOperation]] = (
    "start", "bounds", "replay", "seek", "pause", "log_starts", "heartbeat", "publish", "ends", "read",
)  # fmt: skip
LATE_CALLS: Final[Sequence[KafkaOperation]] = ("start", "publish", "seek")
COMMITS: Final[Sequence[KafkaFault]] = ("lost", "open", "unanswered", "late", "stray")
LOST: Final[Sequence[KafkaFault]] = ("lost", "unanswered")
TABLE_CALLS: Final[Sequence[TableOperation]] = (
    "open", "position", "load", "apply", "due", "earliest", "scan", "fill", "rename",
)  # fmt: skip
TABLE_LOST: Final[Sequence[TableFault]] = ("lost", "unanswered")
TWICE: Final = 0.3
LATE_WRITES: Final[Sequence[TableOperation]] = ("apply", "apply", "fill", "rename")


def kind(weight: float, *, armed: bool = False) -> Callable[[Deed], Deed]:
    """Enters a deed into the list under its own name."""

    def enter(deed: Deed) -> Deed:
        DEEDS[deed.__name__], WEIGHTS[deed.__name__] = deed, weight
        if armed:
            ARMED.add(deed.__name__)
        return deed

    return enter


def order(deed: Deed) -> Deed:
    """Enters a deed of a person's, which is no fault and is drawn apart from them (see `cases`)."""
    DEEDS[deed.__name__] = deed
    return deed


def kinds() -> list[tuple[str, float]]:
    """All kinds of faults with their weights."""
    return list(WEIGHTS.items())


# ---- Kafka


@kind(4, armed=True)
def commit_in_doubt(world: "World", chance: Random) -> str:
    fault = chance.choice(COMMITS)
    world.kafka.fail_next("commit", fault)
    return f"the next commit is {fault}"


@kind(3, armed=True)
def call_unanswered(world: "World", chance: Random) -> str:
    operation, fault = chance.choice(CALLS), chance.choice(LOST)
    world.kafka.fail_next(operation, fault)
    return f"the next {operation} is {fault}"


@kind(1, armed=True)
def call_late(world: "World", chance: Random) -> str:
    operation = chance.choice(LATE_CALLS)
    world.kafka.fail_next(operation, "late")
    return f"the next {operation} is late"


@kind(1)
def producer_fenced(world: "World", chance: Random) -> str:
    lane = chance.randrange(world.shape.partitions)
    world.kafka.take_over(f"{APPLICATION}-{lane}")
    return f"somebody takes the transactional id of lane {lane}"


@kind(1)
def kafka_away(world: "World", chance: Random) -> str:
    seconds = chance.choice((0.2, 2, 10))
    world.kafka.away = True

    def back() -> None:
        world.kafka.away = False

    world.loop.outside(seconds, back)
    return f"for {seconds} s"


@kind(2)
def markers_slow(world: "World", chance: Random) -> str:
    seconds = chance.choice((1, 5, 20))
    world.kafka.marker_delay_s = seconds / 2

    def end() -> None:
        world.kafka.marker_delay_s = 0.05

    world.loop.outside(seconds, end)
    return f"for {seconds} s"


@kind(2)
def changelog_compacted(world: "World", chance: Random) -> str:
    for log in world.kafka.topics[TOPICS.profiles].logs:
        log.compact()
    return "down to the newest of each key"


@kind(1)
def progress_compacted(world: "World", chance: Random) -> str:
    world.kafka.log(PROGRESS, 0).compact()
    return "down to the newest of each lane"


@kind(1)
def read_input_deleted(world: "World", chance: Random) -> str:
    """Retention, which never comes to what is unread here: that is for a person to decide."""
    told = []
    for lane in range(world.shape.partitions):
        record = world.audit.record(lane)
        for topic, position in (record.next if record is not None else {}).items():
            world.kafka.log(topic, lane).cut(position)
            told.append(f"{topic}-{lane} to {position}")
    return ", ".join(told)


@kind(1)
def leader_elected(world: "World", chance: Random) -> str:
    """Another broker with another clock leads a partition."""
    topic = chance.choice((*INPUTS, PROGRESS, TOPICS.profiles))
    partition = chance.randrange(len(world.kafka.topics[topic].logs))
    world.kafka.skew[topic, partition] = chance.choice((0, world.shape.skew))
    return f"for {topic}-{partition}" if world.shape.skew else ""


@kind(2)
def answers_slow(world: "World", chance: Random) -> str:
    share, seconds = chance.choice((0.05, 0.3)), chance.choice((1, 5, 20))
    before, world.network.slow = world.network.slow, share

    def end() -> None:
        world.network.slow = min(before, world.network.slow)

    world.loop.outside(seconds, end)
    return f"{share:.0%} of them for {seconds} s"


@kind(4)
def upstream_transaction(world: "World", chance: Random) -> str:
    end = chance.choice(("commits", "commits", "aborts", "hangs"))
    events = world.senders.transaction(chance, end)
    return f"of {events} events that {end}"


@kind(1)
def foreign_routed_transaction(world: "World", chance: Random) -> str:
    """An open transaction on `journey.events`, as another lane's that was killed leaves it; it comes to nothing."""
    lane = chance.randrange(world.shape.partitions)
    world.senders.hang(TOPICS.events, lane)
    return f"on lane {lane}"


# ---- Redis


@kind(3, armed=True)
def redis_unanswered(world: "World", chance: Random) -> str:
    operation, fault = chance.choice(TABLE_CALLS), chance.choice(TABLE_LOST)
    world.redis.fail_next(operation, fault)
    return f"the next {operation} is {fault}"


@kind(3, armed=True)
def redis_late(world: "World", chance: Random) -> str:
    operation = chance.choice(LATE_WRITES)
    world.redis.fail_next(operation, "late")
    return f"the next {operation} is late"


@kind(2, armed=True)
def redis_doubled(world: "World", chance: Random) -> str:
    world.redis.fail_next("apply", "doubled")
    return "the next apply comes twice"


@kind(2)
def redis_flushed(world: "World", chance: Random) -> str:
    """Now and then once more, in the midst of the rebuilding that follows."""
    world.redis.flush()
    if chance.random() < TWICE:
        world.redis.fail_next("fill", "forgotten")
    return "everything is forgotten"


@kind(2)
def redis_saved(world: "World", chance: Random) -> str:
    world.snapshot = world.redis.snapshot()
    return "a snapshot is made"


@kind(2)
def redis_restored(world: "World", chance: Random) -> str:
    world.redis.restore(world.snapshot)
    return "restarts on the last snapshot"


@kind(2)
def redis_cut_off(world: "World", chance: Random) -> str:
    world.redis.drop_connections()
    return "all connections are lost"


@kind(2)
def redis_refuses(world: "World", chance: Random) -> str:
    word, seconds = chance.choice(("OOM", "READONLY", "LOADING")), chance.choice((0.2, 2, 10))
    world.redis.refuse(word)
    world.loop.outside(seconds, lambda: world.redis.refuse(None))
    return f"{word} for {seconds} s"


# ---- inputs


@kind(3, armed=True)
def fetches_dropped(world: "World", chance: Random) -> str:
    worker = world.some_worker(chance)
    number = chance.randint(1, 4)
    if worker is not None:
        worker.inputs.drop_next(number)
    return "" if worker is None else f"{worker.name} loses {number}"


@kind(2)
def fetches_under_way(world: "World", chance: Random) -> str:
    worker, lag = world.some_worker(chance), chance.choice((0.1, 1.0))
    if worker is not None:
        worker.inputs.lag_s = lag
    return "" if worker is None else f"{worker.name}: up to {lag} s from now on"


@kind(3)
def channel_silent(world: "World", chance: Random) -> str:
    worker = world.some_worker(chance)
    place = chance.choice(INPUTS), chance.randrange(world.shape.partitions)
    seconds = chance.choice((1, 10, 40))
    if worker is None:
        return ""
    silent = worker.inputs.silent
    silent.add(place)
    world.loop.outside(seconds, lambda: silent.discard(place))
    return f"{place[0]}-{place[1]} at {worker.name} for {seconds} s"


@kind(1)
def flow_stopped(world: "World", chance: Random) -> str:
    worker, seconds = world.some_worker(chance), chance.choice((0.1, 3))
    if worker is None or not worker.inputs.flow.is_set():
        return ""
    worker.inputs.flow.clear()
    world.loop.outside(seconds, worker.inputs.flow.set)
    return f"at {worker.name} for {seconds} s"


# ---- workers


@kind(3)
def worker_killed(world: "World", chance: Random) -> str:
    worker, seconds = world.some_worker(chance), chance.choice((0.0, 1.0, 8.0))
    if worker is None:
        return ""
    worker.kill()
    world.start_later(seconds)
    return f"{worker.name}, another starts in {seconds} s"


@kind(3)
def worker_frozen(world: "World", chance: Random) -> str:
    """Stopped at whatever await it is at; a long time, and it wakes as a zombie."""
    worker, seconds = world.some_worker(chance), chance.choice((0.1, 2, 15, 40))
    if worker is None or worker.process.frozen:
        return ""
    worker.process.frozen = True
    world.loop.outside(seconds, lambda: world.thaw(worker))
    return f"{worker.name} for {seconds} s"


@kind(2)
def worker_added(world: "World", chance: Random) -> str:
    if not 0 < len(world.alive()) < 4:
        return ""
    return world.start_worker().name


@kind(2)
def worker_leaves(world: "World", chance: Random) -> str:
    worker = world.some_worker(chance)
    if worker is None or len(world.alive()) == 1:
        return ""
    worker.leave()
    return worker.name


@kind(3)
def rebalance(world: "World", chance: Random) -> str:
    world.group.rebalance()
    return "all must join again"


# ---- versions


@kind(4)
def version_promoted(world: "World", chance: Random) -> str:
    """Or rolled back; now and then whoever does it is killed in the middle, or another one begins meanwhile."""
    return world.leaders.begin(chance)


@order
def lane_paused(world: "World", chance: Random) -> str:
    """And resumed after a while; another pause or resume may come in between."""
    lane, seconds = chance.randrange(world.shape.partitions), chance.choice((0.0, 1.0, 5.0, 20.0))
    world.order("pause", lane)
    world.loop.outside(seconds, lambda: world.order("resume", lane))
    return f"lane {lane}, resumed after {seconds} s"


@kind(0.5)
def all_down(world: "World", chance: Random) -> str:
    """For hours, in which events come in."""
    hours = chance.choice((0.01, 2))
    for worker in world.alive():
        worker.kill()
    world.down_until = world.loop.time() + hours * 3600
    world.start_later(hours * 3600)
    return f"for {hours} hours"
