"""Everything that is done to the pipeline. A fault begins, lasts for a while, and is over when its context ends."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from tests.chaos.pool import NAMES
from tests.chaos.world import World
from tests.harness.sending import Sent, fencing_producer
from tests.harness.worker_process import WorkerProcess

ONE_LANE = 0.7
"""Share of the transactions upstream that hold back one lane and no other."""

# ---- workers


def _someone(world: World) -> WorkerProcess:
    return world.chance.choice(world.pool.running)


@contextmanager
def worker_killed(world: World) -> Iterator[None]:
    """SIGKILL. The others take over before it is started again."""
    world.counts["workers killed"] += 1
    world.pool.kill(_someone(world))
    yield


@contextmanager
def all_workers_killed(world: World) -> Iterator[None]:
    for worker in world.pool.running:
        world.counts["workers killed"] += 1
        world.pool.kill(worker)
    yield


@contextmanager
def worker_stopped(world: World) -> Iterator[None]:
    """SIGSTOP beyond the session timeout, then SIGCONT: it believes for a moment that it still owns its lanes."""
    worker = _someone(world)
    world.pool.pause(worker)
    yield
    world.pool.resume(worker)


@contextmanager
def workers_changed(world: World) -> Iterator[None]:
    """From one to three and back: one comes, or one leaves with SIGTERM."""
    pool = world.pool
    grows = pool.wanted == 1 or (pool.wanted < len(NAMES) and world.chance.random() < 0.5)
    pool.wanted += 1 if grows else -1
    world.counts["workers came" if grows else "workers left"] += 1
    if grows:
        pool.complete()
    else:
        pool.leave(_someone(world))
    yield


# ---- Kafka


@contextmanager
def broker_killed(world: World) -> Iterator[None]:
    world.counts["brokers killed"] += 1
    world.stack.kill_kafka()
    yield
    world.stack.start_kafka()


@contextmanager
def broker_stands(world: World) -> Iterator[None]:
    world.stack.pause("kafka")
    yield
    world.stack.resume("kafka")


def _upstream(world: World, commits: bool) -> Iterator[None]:
    world.counts["transactions"] += 1
    with world.app.sender.transaction(f"upstream{world.counts['transactions']}") as transaction:
        for sent in _somewhere(world):
            transaction.put(sent)
        yield
        if commits:
            transaction.commit()


def _somewhere(world: World) -> list[Sent]:
    """Events for all lanes, or all of them for one: then that lane is behind and the others are not."""
    some = world.traffic.some(world.chance.randint(5, 50))
    if world.chance.random() < ONE_LANE:
        lane = world.chance.randrange(world.app.settings.partitions)
        for sent in some:
            sent.partition = lane
    return some


@contextmanager
def transaction_hangs(world: World) -> Iterator[None]:
    """An open transaction of another producer holds back five topics, then is committed."""
    yield from _upstream(world, commits=True)


@contextmanager
def transaction_aborted(world: World) -> Iterator[None]:
    yield from _upstream(world, commits=False)


@contextmanager
def transaction_left(world: World) -> Iterator[None]:
    """A producer that dies with its transaction open: the broker aborts it when its time is over."""
    world.counts["transactions"] += 1
    name = f"{world.app.settings.prefix}upstream{world.counts['transactions']}"
    producer = fencing_producer(world.app.settings, name, timeout_ms=_LEFT_MS)
    producer.begin_transaction()
    for sent in _somewhere(world):
        producer.produce(world.app.settings.topic(sent.topic), sent.value, sent.key, partition=sent.partition)
    producer.flush(20)
    del producer
    yield


_LEFT_MS: Final = 4_000


@contextmanager
def lane_fenced(world: World) -> Iterator[None]:
    """A stranger starts a producer with a lane's transactional id, as a zombie would."""
    settings = world.app.settings
    fencing_producer(settings, settings.transactional_id(world.chance.randrange(settings.partitions)))
    yield


@contextmanager
def compaction(world: World) -> Iterator[None]:
    """The compacted topics are rolled and cleaned while they are written, until the cleaner has been at work."""
    topics = [world.app.settings.topic(name) for name in ("journey.profiles", "journey.customers", "journey.progress")]
    before = _cleaned(world)
    _configure(world, topics, _EAGER)
    yield
    done = world.until(lambda: world.stop.is_set() or _cleaned(world) > before, _CLEANING_S)
    _configure(world, topics, dict.fromkeys(_EAGER))
    if done:
        world.counts["compactions"] += 1
    else:
        world.problems.append(f"the changelog was not compacted within {_CLEANING_S:g} s")


_CLEANING_S: Final = 40.0
_EAGER: Final = {"segment.ms": "1000", "min.compaction.lag.ms": "5000", "min.cleanable.dirty.ratio": "0.001"}


def _cleaned(world: World) -> int:
    """How far the changelog is cleaned, over all lanes: the broker notes it in a file."""
    notes = world.stack.directory / "kafka" / "cleaner-offset-checkpoint"
    lines = [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []
    changelog = world.app.settings.topic("journey.profiles")
    return sum(int(line[2]) for line in lines if len(line) == 3 and line[0] == changelog)


def _configure(world: World, topics: list[str], settings: Mapping[str, str | None]) -> None:
    """Sets what is given; None takes it back."""
    entries = [
        ConfigEntry(
            name,
            value or "",
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for name, value in settings.items()
    ]
    admin: Any = AdminClient({"bootstrap.servers": world.app.settings.brokers, "log_level": 0})
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries) for name in topics]
    for done in admin.incremental_alter_configs(resources).values():
        done.result(20)


# ---- Redis


@contextmanager
def redis_killed(world: World) -> Iterator[None]:
    world.counts["Redis killed"] += 1
    world.stack.kill_redis()
    yield
    world.stack.start_redis()


@contextmanager
def redis_stands(world: World) -> Iterator[None]:
    world.stack.pause("redis")
    yield
    world.stack.resume("redis")


@contextmanager
def redis_full(world: World) -> Iterator[None]:
    """Filled to `maxmemory`: every write is refused with OOM."""
    world.redis("CONFIG", "SET", "maxmemory", "1")
    yield
    world.redis("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def redis_clients_cut_off(world: World) -> Iterator[None]:
    world.redis("CLIENT", "KILL", "TYPE", "normal")
    yield


@contextmanager
def redis_flushed(world: World) -> Iterator[None]:
    with world.watch.losing():
        world.redis("FLUSHALL")
    yield


@contextmanager
def lane_lost_in_redis(world: World) -> Iterator[None]:
    key = world.app.settings.table_key(world.chance.randrange(world.app.settings.partitions))
    with world.watch.losing():
        world.redis("DEL", key, f"{key}:due")
    yield


@contextmanager
def redis_put_back(world: World) -> Iterator[None]:
    """Killed, and started on an old snapshot as an operator would: from the RDB file, then with its log again."""
    snapshot = world.old_snapshot()
    stack, data = world.stack, world.stack.directory / "redis"
    world.counts["Redis killed"] += 1
    with world.watch.losing():
        stack.kill_redis()
        yield
        shutil.rmtree(data / "appendonlydir")
        shutil.copy(snapshot, data / "dump.rdb")
        own = dict(stack._redis_props)
        stack._redis_props["appendonly"] = "no"  # the mapping is read at each start
        try:
            stack.start_redis()
        finally:
            stack._redis_props.clear()
            stack._redis_props.update(own)
        world.redis("CONFIG", "SET", "appendonly", "yes")
        # Until the first log is whole, a kill would lose everything.
        assert world.until(lambda: _logs(world), 30), "Redis keeps no log"


def _logs(world: World) -> bool:
    told = world.redis("INFO", "persistence")
    return bool(told["aof_enabled"]) and not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]


# ---- traffic


@contextmanager
def flood(world: World) -> Iterator[None]:
    world.traffic.flood(world.chance.randint(4_000, 12_000))
    yield
    world.until(lambda: world.stop.is_set() or not world.traffic.outstanding, 30)


@contextmanager
def poison(world: World) -> Iterator[None]:
    world.traffic.poison(world.chance.randint(50, 300))
    yield


@contextmanager
def channel_silent(world: World) -> Iterator[None]:
    channel = world.chance.choice(("web", "email", "social", "phone", "store"))
    world.traffic.silent.add(channel)
    yield
    world.traffic.silent.discard(channel)


# ---- the list


@dataclass(frozen=True, slots=True)
class Fault:
    """`part`: what it is done to; two of different parts may be done at once. `lasts`: at least and at most, s.

    `cards`: how often it is in a deck.
    """

    name: str
    part: str
    begin: Callable[[World], AbstractContextManager[None]]
    lasts: tuple[float, float] = (0.0, 0.0)
    cards: int = 1


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("worker killed", "worker", worker_killed, cards=3),
        Fault("all workers killed", "worker", all_workers_killed),
        Fault("worker stopped", "worker", worker_stopped, (4.0, 8.0), cards=2),
        Fault("worker comes or leaves", "worker", workers_changed, cards=3),
        Fault("broker killed", "kafka", broker_killed, (0.0, 2.0), cards=2),
        Fault("broker stands", "kafka", broker_stands, (0.5, 5.0)),
        Fault("transaction hangs", "kafka", transaction_hangs, (3.0, 8.0)),
        Fault("transaction aborted", "kafka", transaction_aborted, (1.0, 4.0)),
        Fault("transaction left open", "kafka", transaction_left, (_LEFT_MS / 1000 + 2.0, _LEFT_MS / 1000 + 3.0)),
        Fault("lane fenced", "kafka", lane_fenced),
        Fault("compaction", "kafka", compaction, (8.0, 12.0)),
        Fault("Redis killed", "redis", redis_killed, (0.0, 2.0), cards=2),
        Fault("Redis stands", "redis", redis_stands, (0.5, 5.0)),
        Fault("Redis full", "redis", redis_full, (1.0, 4.0)),
        Fault("Redis clients cut off", "redis", redis_clients_cut_off),
        Fault("Redis flushed", "redis", redis_flushed, cards=2),
        Fault("lane lost in Redis", "redis", lane_lost_in_redis),
        Fault("Redis put back", "redis", redis_put_back, (0.0, 1.0), cards=2),
        Fault("flood", "traffic", flood),
        Fault("poison", "traffic", poison),
        Fault("channel silent", "traffic", channel_silent, (3.0, 8.0)),
    )
}
"""By name."""


def perform(world: World, fault: Fault, other: Fault | None = None) -> None:
    """Does it, and the other in its midst; returns when both are over. If all of it is to end, no time is lost."""
    with fault.begin(world):
        world.wait(world.chance.uniform(*fault.lasts))
        if other is not None:
            perform(world, other)
