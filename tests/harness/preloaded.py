"""Workers forked from a process that has imported all of the worker already: a start costs a tenth of the usual.

    process = Preloaded(["worker", "--config", "settings.yaml"], environment, log_file)

It is to `WorkerProcess` what `subprocess.Popen` is. What is decided at import (JOURNEY_PURE, say) is decided already.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pipeline.worker.wiring", "pipeline.cli.worker", "tests.harness.preloaded", "pytest"])
_TURN = threading.Lock()
"""multiprocessing looks after all children of a process with every start, and would take another thread's exit code."""


class Preloaded:
    """`journey` with these arguments, in this environment, its output appended to `log_file`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log_file: Path) -> None:
        self._process = _FORKS.Process(target=_run, args=(list(arguments), dict(environment), str(log_file)))
        with _TURN:
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        with _TURN:
            return self._process.exitcode

    def wait(self) -> None:
        self._process.join()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        if self.poll() is None:
            self._process.kill()


def _run(arguments: list[str], environment: dict[str, str], log_file: str) -> None:
    out = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(out, stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["journey", *arguments]
    from pipeline.cli.main import run

    run()
