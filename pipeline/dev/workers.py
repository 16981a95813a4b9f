"""Worker processes of a local run: started, watched, started again once, stopped in order."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

from pipeline.dev.stack_reaper import Reaper

STOP_S: Final = 12.0
"""After SIGTERM; a worker promises to be gone within ten seconds."""
_BACK_OFF_S: Final = 1.0
_MISTAKE: Final = 2
"""The exit status of a worker whose settings or journeys are wrong: another start would not help."""
_LAST_LINES: Final = 12


class WorkerProcess:
    """One `journey worker` in a session of its own, so that Ctrl-C reaches only us; its output goes to `log`.

    `told` hears of every end that nobody asked for. Whatever ends this process, `reaper` ends the worker.
    """

    def __init__(
        self,
        name: str,
        config: Path | None,
        log: Path,
        reaper: Reaper,
        told: Callable[[str], None],
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self.log = log
        self.exit_code: int | None = None
        """Of a worker that was stopped, or that ended for good."""
        self._config = config
        self._reaper = reaper
        self._told = told
        self._environment = {**os.environ, **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._begun = False
        self._stopping = False

    async def prepare(self) -> None:
        """Starts the process, which loads its code and then waits for `run`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await self._spawn(log)
        self._reaper.watch(self._process.pid)

    async def run(self) -> None:
        """Lets the worker begin. Returns when it has ended for good: stopped, refused, or dead for the second time."""
        for attempt in range(2):
            code = await self._once()
            self.exit_code = code
            if self._stopping:
                return
            again = attempt == 0 and code != _MISTAKE
            self._told(
                f"{self.name} ended by itself (exit status {code}); "
                + ("it is started again" if again else "it is not started again")
                + f". The end of {self.log}:\n{self.last_lines()}"
            )
            if not again:
                return
            await asyncio.sleep(_BACK_OFF_S)

    async def stop(self) -> int | None:
        """SIGTERM, then SIGKILL if that does not help in time; the exit code."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return self.exit_code
        if self._begun:
            process.send_signal(signal.SIGTERM)
        else:
            process.kill()  # it only loads its code yet
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            self._told(f"{self.name} did not stop within {STOP_S:.0f} s and was killed; nothing is lost")
            process.kill()
            await process.wait()
        return process.returncode

    def last_lines(self) -> str:
        """The end of the log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError as error:
            return str(error)
        return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])

    async def _once(self) -> int:
        if self._stopping:
            return 0
        if self._process is None:
            await self.prepare()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(b"begin\n")
        process.stdin.close()
        self._begun = True
        code = await process.wait()
        self._reaper.forget(process.pid)
        self._process, self._begun = None, False
        return code

    async def _spawn(self, log: IO[bytes]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pipeline",
            "worker",
            *(("--config", str(self._config)) if self._config else ()),
            "--hold",
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=self._environment,
        )
