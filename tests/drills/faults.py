"""What is drilled: every fault, how it is caused, the alert that must tell of it, and how its runbook mends it."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

from pipeline.adapters.kafka.batches import Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, Connection
from pipeline.adapters.kafka.producing import produce
from pipeline.errors import StackError
from tests.drills.drill import Drill, Typed
from tests.drills.scene import START_S, Scene
from tests.harness.reading import delete_before, log_ends, redis_client
from tests.harness.sending import Sent
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess

# ---- workers


def first(scene: Scene) -> WorkerProcess:
    return scene.workers["one"]


def kill_worker(scene: Scene) -> None:
    first(scene).kill()


def start_worker(scene: Scene, _: Typed) -> None:
    first(scene).start()


def freeze_worker(scene: Scene) -> None:
    """The process is there, its port is open, and nothing in it runs."""
    first(scene).pause()


def kill_and_start_worker(scene: Scene, _: Typed) -> None:
    first(scene).process.send_signal(signal.SIGKILL)
    first(scene).resume()
    first(scene).ended()
    first(scene).start()


def deploy_what_stands(scene: Scene) -> None:
    """Lanes that wait for ever over their first batch; whoever runs the workers starts them again when they end."""
    scene.deploy({"stands": True})

    def start_again() -> None:
        for worker in scene.workers.values():
            if not worker.running:
                worker.start()

    scene.while_it_lasts(start_again, 0.5)


def deploy_what_raises(scene: Scene) -> None:
    """Another version of the program, which cannot fold what a tenth of the customers do."""
    scene.deploy({"event_raises": ["waved"], "version": "9.9.9"})
    scene.until_whole()
    _let_many_wave(scene)


def _let_many_wave(scene: Scene) -> None:
    numbers = count()
    scene.while_it_lasts(lambda: scene.send(f"wave{next(numbers)}", "waved"), 0.02)


def deploy_the_former_version(scene: Scene, _: Typed) -> None:
    scene.end_it()
    scene.deploy()


# ---- clocks


def _faketime() -> list[str]:
    return [str(found) for found in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]


def no_faketime() -> str | None:
    return None if _faketime() else "needed to skew a clock: apt-get install --no-install-recommends libfaketime"


def skew_the_clock(scene: Scene) -> None:
    """A worker's machine is 90 s ahead, for whoever types there as well; its monotonic clock is right."""
    machine = {"LD_PRELOAD": _faketime()[0], "FAKETIME": "+90s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    first(scene).stop()
    scene.app.worker("one", environment=machine)
    scene.prompt.machine.update(machine)


def put_the_clock_right(scene: Scene, _: Typed) -> None:
    scene.prompt.machine.clear()
    first(scene).stop()
    scene.app.worker("one")


# ---- Redis


def empty_redis(scene: Scene) -> None:
    with redis_client(scene.app.settings) as client:
        client.flushall()


def wait(_: Scene, __: Typed) -> None:
    """The lanes do it themselves."""


def stop_redis(scene: Scene) -> None:
    scene.stack.kill_redis()


def start_redis(scene: Scene, _: Typed) -> None:
    scene.stack.start_redis()


# ---- Kafka


def stop_broker(scene: Scene) -> None:
    scene.stack.kill_kafka()


def start_broker(scene: Scene, _: Typed) -> None:
    scene.stack.start_kafka()


@contextmanager
def small_disk(directory: Path) -> Iterator[Mapping[str, Any]]:
    """The broker has a disk of its own, of memory."""
    data = directory / "stack"
    disk = data / "kafka"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)], check=True)
    try:
        yield {"data_dir": data}
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def no_root() -> str | None:
    return None if os.geteuid() == 0 else "a small disk can be filled up without harm, and only root may mount one"


def _ballast(scene: Scene) -> Path:
    return scene.stack.directory / "kafka" / "ballast"


def fill_the_disk(scene: Scene) -> None:
    with suppress(OSError), _ballast(scene).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def make_room_and_start_the_broker(scene: Scene, typed: Typed) -> None:
    _ballast(scene).unlink()
    with suppress(StackError):
        scene.stack.kill_kafka()  # a broker whose disk is full ends by itself, sooner or later
    start_broker(scene, typed)


@contextmanager
def trusting(_: Path) -> Iterator[Mapping[str, Any]]:
    """A broker that takes a batch of a transaction which no coordinator knows, so that it hangs for good."""
    yield {"props": {"transaction.partition.verification.enable": "false"}}


_NOBODY: Final = 4_711
"""The id of a producer that there is none of."""


def hang_a_transaction(scene: Scene) -> None:
    settings = scene.app.settings
    sent = scene.app.sender.make("web", "hangs", "page_viewed", 0, partition=0)
    (batch,) = cut([(sent.key or b"", sent.value, ())], 1, Stamp(_NOBODY, 0, 0, True))

    async def write() -> None:
        async with Cluster(Connection(settings.brokers, "drill", 5.0)) as cluster:
            await produce(cluster, {(settings.topic("raw.web"), 0): batch}, 5.0, "nobody")

    asyncio.run(write())


def abort_it(scene: Scene, typed: Typed) -> None:
    """With the numbers that are listed."""
    told = scene.app.command("transactions", "list").stdout
    found = re.search(r"raw\.web-(\d+) from offset (\d+)", told)
    assert found, f"journey transactions list does not say what to abort:\n{told}"
    typed("journey transactions abort", P=found[1], N=found[2])


def outlast_the_retention(scene: Scene) -> None:
    """All workers are away for longer than Kafka keeps what is sent to lane 0."""
    for worker in scene.running:
        worker.kill()
    ends = log_ends(scene.app.settings, ["raw.web"], committed=False)
    place = (scene.app.settings.topic("raw.web"), 0)

    def more() -> bool:
        return log_ends(scene.app.settings, ["raw.web"], committed=False)[place] > ends[place]

    until(more, "events that nobody reads")
    delete_before(scene.app.settings, "raw.web", 0, log_ends(scene.app.settings, ["raw.web"], committed=False)[place])
    for worker in scene.workers.values():
        worker.start()


def owner_of_lane_0(scene: Scene) -> WorkerProcess:
    return next((worker for worker in scene.running if 0 in scene.lanes_of(worker)), scene.running[0])


def skip_what_is_lost(_: Scene, typed: Typed) -> None:
    typed("journey lane skip", P=0)


# ---- senders


def send_rubbish(scene: Scene) -> None:
    def some() -> None:
        for lane in range(scene.app.settings.partitions):
            scene.app.sender.put(Sent("raw.web", "web", lane, b"k", b"<event/>", dead="not_json"))

    scene.while_it_lasts(some, 0.1)


def be_a_robot(scene: Scene) -> None:
    """One customer views pages without end."""
    scene.while_it_lasts(lambda: scene.send("robot", "page_viewed"), 0.01)


_RAISES: Final = {"event_raises": ["waved"]}


def send_what_the_program_cannot_fold(scene: Scene) -> None:
    scene.deploy(_RAISES)
    scene.until_whole()
    _let_many_wave(scene)


def stop_the_sender(scene: Scene, _: Typed) -> None:
    scene.end_it()


def stop_the_sender_and_resume(scene: Scene, typed: Typed) -> None:
    """What was sent already becomes dead letters, under a breaker that lets it through."""
    scene.end_it()
    scene.app.write_settings(breaker={"customers": 1_000_000, "share": 1.0, "at_least": 1_000_000})
    scene.deploy(_RAISES)
    lanes = {lane: str(lane) for lane in range(scene.app.settings.partitions)}

    def shown() -> bool:
        return all(_breaker(scene, lane) is not None for lane in lanes.values())

    until(shown, lambda: f"every lane is shown\n{scene.app.tails()}", START_S)
    scene.app.write_settings()
    for lane, label in lanes.items():
        if _breaker(scene, label):
            typed("journey lane resume", P=lane)


def _breaker(scene: Scene, lane: str) -> float | None:
    """1 if it is open, None if no worker shows the lane."""
    found = [worker.metric("journey_breaker_open", lane=lane) for worker in scene.running]
    return next((value for value in found if value is not None), None)


DRILLS: Final = {
    drill.name: drill
    for drill in (
        Drill(
            "worker-killed",
            "a worker is killed (SIGKILL); the other takes its lanes",
            "JourneyWorkerDown",
            "team",
            kill_worker,
            start_worker,
            seen_from=first,
            says=("running",),
        ),
        Drill(
            "worker-frozen",
            "a worker is stopped (SIGSTOP): it is there, and answers nobody",
            "JourneyWorkerDown",
            "team",
            freeze_worker,
            kill_and_start_worker,
            seen_from=first,
            says=("running",),
        ),
        Drill(
            "worker-stuck",
            "the lanes of a new version stand without a reason, whenever their workers are started again",
            "JourneyLaneStale",
            "on-call",
            deploy_what_stands,
            deploy_the_former_version,
        ),
        Drill(
            "clock-skewed",
            "the clock of a worker's machine is 90 s ahead",
            "JourneyClockSkewed",
            "team",
            skew_the_clock,
            put_the_clock_right,
            seen_from=first,
            says=(r"kafka clock .*behind this machine's", "journey_clock_offset_seconds -(89|9)"),
            needs=no_faketime,
        ),
        Drill(
            "redis-stopped",
            "Redis is stopped",
            "JourneyRedisAway",
            "team",
            stop_redis,
            start_redis,
            says=("redis", "Could not connect"),
        ),
        Drill(
            "redis-flushed",
            "Redis is emptied (FLUSHALL)",
            "JourneyRedisLost",
            "team",
            empty_redis,
            wait,
            says=("cmdstat_flushall",),
        ),
        Drill(
            "broker-stopped",
            "the broker is stopped",
            "JourneyKafkaAway",
            "team",
            stop_broker,
            start_broker,
            says=("Kafka does not answer", "→ start it"),
        ),
        Drill(
            "disk-full",
            "the broker's disk is full",
            "JourneyKafkaAway",
            "team",
            fill_the_disk,
            make_room_and_start_the_broker,
            says=("Kafka does not answer",),
            stack=small_disk,
            needs=no_root,
        ),
        Drill(
            "hanging-transaction",
            "a transaction hangs on raw.web, which no coordinator knows and nobody will end",
            "JourneyInputBlocked",
            "team",
            hang_a_transaction,
            abort_it,
            says=("which no coordinator knows", "records wait behind a transaction"),
            stack=trusting,
        ),
        Drill(
            "retention",
            "Kafka deletes what all workers were away too long to read",
            "JourneyInputLost",
            "on-call",
            outlast_the_retention,
            skip_what_is_lost,
            seen_from=owner_of_lane_0,
            says=("positions .* were deleted before they were read",),
            suppressed=("JourneyLaneStale",),
        ),
        Drill(
            "poison-flood",
            "a sender floods a topic with what is no event",
            "JourneyDeadLetters",
            "team",
            send_rubbish,
            stop_the_sender,
            says=("not_json", "raw.web"),
        ),
        Drill(
            "hot-identity",
            "one customer does more than all others of their lane",
            "JourneyHotIdentity",
            "team",
            be_a_robot,
            stop_the_sender,
            says=("robot",),
        ),
        Drill(
            "model-raises",
            "a new version of the program raises on what many customers do",
            "JourneyBreakerOpen",
            "on-call",
            deploy_what_raises,
            deploy_the_former_version,
            says=("breaker", "PlantedBug"),
        ),
        Drill(
            "sender-breaks-the-fold",
            "a sender begins to send what the program raises on",
            "JourneyBreakerOpen",
            "on-call",
            send_what_the_program_cannot_fold,
            stop_the_sender_and_resume,
            says=("breaker", "PlantedBug"),
        ),
    )
}
