"""What is drilled: every fault, how it is caused, the alert that must tell of it, and how its runbook mends it."""

from typing import Final

from tests.drills.drill import Drill, Typed
from tests.drills.scene import Scene
from tests.harness.worker_process import WorkerProcess

# ---- workers


def first(scene: Scene) -> WorkerProcess:
    return scene.workers["one"]


def kill_worker(scene: Scene) -> None:
    first(scene).kill()


def start_worker(scene: Scene, _: Typed) -> None:
    first(scene).start()


# ---- Redis


def stop_redis(scene: Scene) -> None:
    scene.stack.kill_redis()


def start_redis(scene: Scene, _: Typed) -> None:
    scene.stack.start_redis()


DRILLS: Final = {
    drill.name: drill
    for drill in (
        Drill(
            "worker-killed",
            "a worker is killed (SIGKILL), the other takes its lanes",
            "JourneyWorkerDown",
            "team",
            kill_worker,
            start_worker,
            seen_from=first,
            says=("running",),
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
    )
}
