"""The workers under chaos: one to three of them, started again when they are gone."""

from collections.abc import Mapping

from pipeline.dev.stack_reaper import Reaper
from tests.harness.application import Application
from tests.harness.worker_process import WorkerProcess

NAMES = ("one", "two", "three")
STOP_S = 10.0
"""From SIGTERM to the end, whatever is going on."""


class Pool:
    """Keeps as many workers as `wanted` says. `problems`: what none of them may ever do."""

    def __init__(
        self, app: Application, reaper: Reaper, environment: Mapping[str, str], *, preloaded: bool = False
    ) -> None:
        self.wanted = 1
        self.problems: list[str] = []
        self._app = app
        self._reaper = reaper
        self._environment = dict(environment)
        self._preloaded = preloaded
        self._meant: dict[str, WorkerProcess] = {}
        self._standing: set[str] = set()

    @property
    def running(self) -> list[WorkerProcess]:
        """Those that are meant to run and were not stopped with a signal."""
        return [worker for name, worker in self._meant.items() if name not in self._standing]

    def look_after(self) -> None:
        """Notes which have ended by themselves; starts one if there is none left."""
        for name, worker in list(self._meant.items()):
            if not worker.running:
                self._gone(name)
                self.problems.append(
                    f"worker {name} ended by itself with {worker.process.returncode}: {worker.tail(3)}"
                )
        if not self._meant:
            self._start(NAMES[0])

    def complete(self) -> None:
        """Starts as many as are missing."""
        for name in NAMES:
            if len(self._meant) < self.wanted and name not in self._meant:
                self._start(name)

    def kill(self, worker: WorkerProcess) -> None:
        """SIGKILL; `complete` starts it again, `look_after` does if it was the last."""
        worker.kill()
        self._gone(worker.name)

    def pause(self, worker: WorkerProcess) -> None:
        worker.pause()
        self._standing.add(worker.name)

    def resume(self, worker: WorkerProcess) -> None:
        self._standing.discard(worker.name)
        if worker.running:
            worker.resume()

    def leave(self, worker: WorkerProcess) -> None:
        """SIGTERM: it must end with 0 in time."""
        worker.ask_to_stop()
        try:
            code = worker.ended(STOP_S)
        except AssertionError:
            self.problems.append(f"worker {worker.name} was still there {STOP_S:g} s after SIGTERM: {worker.tail(3)}")
            worker.kill()
        else:
            if code:
                self.problems.append(f"worker {worker.name} ended with {code} after SIGTERM: {worker.tail(3)}")
        self._gone(worker.name)

    def all_run(self) -> bool:
        """Whether every lane runs, and every worker is ready and has one."""
        each = [[lane["partition"] for lane in worker.lanes() if lane["state"] == "running"] for worker in self.running]
        have = sorted(lane for those in each for lane in those) == list(range(self._app.settings.partitions))
        return have and all(each) and all(worker.ready for worker in self.running)

    def _start(self, name: str) -> None:
        worker = self._app.worker(name, environment=self._environment, preloaded=self._preloaded)
        self._reaper.watch(worker.process.pid)
        self._meant[name] = worker

    def _gone(self, name: str) -> None:
        worker = self._meant.pop(name)
        self._standing.discard(name)
        self._reaper.forget(worker.process.pid)
