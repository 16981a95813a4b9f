"""A Redis that is away, refuses, or has lost what it had."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.dev.stack import Stack
from tests.harness.application import Application, some_traffic
from tests.harness.reading import redis_client
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess
from tests.integration.failures.common import MEND_S, refused


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Hurt"]:
    """A stack whose Redis may be hurt, with one worker that lives through all of it."""
    with Stack() as stack, Application(stack, tmp_path_factory.mktemp("hurt"), "hurt-") as app:
        worker = app.worker().until_ready()
        some_traffic(app, "first")
        app.assert_right(worker)
        yield Hurt(stack, app, worker)


@dataclass(frozen=True)
class Hurt:
    stack: Stack
    app: Application
    worker: WorkerProcess

    def command(self, *words: object) -> Any:
        with redis_client(self.app.settings) as client:
            return client.execute_command(*words)


@contextmanager
def out_of_memory(hurt: Hurt) -> Iterator[None]:
    hurt.command("CONFIG", "SET", "maxmemory", "1")
    yield
    hurt.command("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def read_only(hurt: Hurt) -> Iterator[None]:
    # Its primary is a port where nobody listens, so it keeps what it has and takes no writes.
    hurt.command("REPLICAOF", "127.0.0.1", "1")
    yield
    hurt.command("REPLICAOF", "NO", "ONE")


@contextmanager
def hanging(hurt: Hurt) -> Iterator[None]:
    hurt.stack.pause("redis")
    yield
    hurt.stack.resume("redis")


@contextmanager
def away(hurt: Hurt) -> Iterator[None]:
    hurt.stack.kill_redis()
    yield
    hurt.stack.start_redis()


@contextmanager
def loading(hurt: Hurt) -> Iterator[None]:
    """Killed, and so slow to load what it has that it answers LOADING until it is told to hurry."""
    others = 1_000
    hurt.command("MSET", *(part for number in range(others) for part in (f"other:{number}", "x" * 200)))
    hurt.command("BGREWRITEAOF")
    until(lambda: hurt.command("INFO", "persistence")["aof_rewrite_in_progress"] == 0, "the rewrite ends")
    hurt.stack.kill_redis()
    # The mapping is read at each start. A key takes so many microseconds, and it answers in between.
    slow = {"key-load-delay": 10_000_000 // others, "loading-process-events-interval-bytes": 1024}
    hurt.stack._redis_props.update(slow)
    starting = threading.Thread(target=hurt.stack.start_redis)
    starting.start()
    try:
        yield
    finally:
        hurt.command("CONFIG", "SET", "key-load-delay", 0)
        starting.join()
        for name in slow:
            del hurt.stack._redis_props[name]


REDIS_FAULTS: dict[str, tuple[Callable[[Hurt], Any], str]] = {
    "out of memory": (out_of_memory, "OOM"),
    "read-only": (read_only, "READONLY"),
    "hanging": (hanging, ""),
    "away": (away, ""),
    "loading": (loading, "LOADING"),
}


@pytest.mark.parametrize("fault", REDIS_FAULTS)
def test_a_redis_that_is_away_or_refuses_is_waited_for(hurt: Hurt, fault: str) -> None:
    begin, told = REDIS_FAULTS[fault]
    app, worker = hurt.app, hurt.worker
    seen = len(worker.logged("lane.doubt", reason="redis"))
    with begin(hurt):
        some_traffic(app, fault.replace(" ", "-"))
        worker.until_waits("redis", MEND_S)
        until(
            lambda: any(told in line["why"] for line in worker.logged("lane.doubt", reason="redis")[seen:]),
            lambda: f"the log says {told!r}\n{worker.tail()}",
            MEND_S,
        )
        assert not worker.ready
        assert worker.live
        until(  # between two tries a lane is taking for a moment
            lambda: any(
                worker.metric("journey_lane_state", lane=str(lane), state="waiting", reason="redis") for lane in (0, 1)
            ),
            lambda: f"a lane waits for redis\n{worker.tail()}",
            MEND_S,
        )
    worker.until_ready(MEND_S)
    app.assert_right(worker, MEND_S)
    assert worker.logged("worker.started") == worker.logged("worker.started")[:1], "it was never started again"


def flush(hurt: Hurt) -> None:
    hurt.command("FLUSHALL")


def old_snapshot(hurt: Hurt) -> None:
    """All keys as they were a while ago, put back in one step."""
    app = hurt.app
    with redis_client(app.settings) as client:
        keys = [key for lane in range(2) for key in client.keys(f"{app.settings.application}:{{{lane}}}*")]
        dumps = {key: client.dump(key) for key in keys}
        some_traffic(app, "between")
        app.until_accounted()
        with client.pipeline(transaction=True) as step:
            step.flushall()
            for key, dump in dumps.items():
                step.restore(key, 0, dump)
            step.execute()


def half_a_table(hurt: Hurt) -> None:
    """One lane lost, the other whole."""
    hurt.command("DEL", hurt.app.settings.table_key(0), hurt.app.settings.table_key(0) + ":due")


@pytest.mark.parametrize("loss", [flush, old_snapshot, half_a_table])
def test_a_redis_that_lost_data_is_rebuilt(hurt: Hurt, loss: Callable[[Hurt], None]) -> None:
    app, worker = hurt.app, hurt.worker
    taken = len(worker.logged("lane.taken"))
    loss(hurt)
    some_traffic(app, f"after-{loss.__name__}")
    until(lambda: len(worker.logged("lane.taken")) > taken, "a lane is taken again", MEND_S)
    worker.until_ready(MEND_S)
    app.assert_right(worker, MEND_S)
    hows = {line["how"].partition(":")[0].partition(" from ")[0] for line in worker.logged("lane.taken")[taken:]}
    assert hows <= {"rebuilt", "rolled forward"}
    assert len(worker.logged("worker.started")) == 1


def test_a_redis_that_forgets_is_refused(hurt: Hurt, tmp_path: Path) -> None:
    hurt.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with Application(hurt.stack, tmp_path, "forgets-") as app:
            refused(app, "allkeys-lru", "noeviction")
    finally:
        hurt.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
