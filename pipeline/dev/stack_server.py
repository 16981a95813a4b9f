"""One server of the embedded stack as a child process: its log, its probe, its signals."""

import os
import re
import signal as signals
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.dev.stack_reaper import Reaper
from pipeline.errors import StackError

# The server waits for a word before it begins: by then the reaper knows its number, so that not even a SIGKILL of ours
# at the worst moment leaves it behind. When we die first, `read` fails and the shell ends.
_START = 'read -r word && exec "$@" </dev/null'

# What would change how Java starts without being seen in the command.
_FOREIGN = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}

_TELLING = re.compile(r"^(?![\t\[]).*( ERROR |Caused by|Exception|Error:|[Ff]ailed|not found|bind:|FATAL)")


@dataclass(slots=True)
class Server:
    """A server on a loopback port. `command` is asked at each start; `ready` says if the port is served.

    `lock_fd` is inherited: the lock on the data directory is held for as long as the server lives.
    """

    name: str
    port: int
    directory: Path
    command: Callable[[], Sequence[str]]
    ready: Callable[[int], bool]
    reaper: Reaper
    lock_fd: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Raises StackError when the server does not run."""
        if self._process is None or self._process.poll() is not None:
            raise StackError(f"{self.name} is not running; its log is {self.log}")
        return self._process.pid

    def spawn(self) -> None:
        """Starts the process; `wait_ready` waits for it. In a session of its own, so that Ctrl-C reaches only us."""
        if self.running:
            raise StackError(f"{self.name} is running already (process {self.pid})")
        environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _START, self.name, *self.command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.directory,
                env=environment,
                pass_fds=[self.lock_fd],
            )
        self._process = process
        self.reaper.watch(process.pid)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Returns once the probe succeeds; raises StackError with the telling lines of the log."""
        deadline = time.monotonic() + timeout_s
        while not self.ready(self.port):
            if not self.running:
                raise StackError(f"{self.name} ended while it started (port {self.port}):\n{self.reason()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready on port {self.port} after {timeout_s:.0f} s; "
                    f"its log is {self.log}:\n{self.reason()}"
                )
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Sends a signal to the server and to what it started; raises StackError when it does not run."""
        os.killpg(self.pid, number)

    def kill(self, number: int = signals.SIGKILL, timeout_s: float = 30.0) -> None:
        """Sends a signal that ends the server and waits for the end."""
        self.signal(number)
        self.wait_end(timeout_s)

    def ask_to_stop(self) -> None:
        """SIGTERM, also to a paused server; `wait_end` waits."""
        if self.running:
            self.signal(signals.SIGTERM)
            self.signal(signals.SIGCONT)

    def wait_end(self, timeout_s: float) -> None:
        """Waits for the end of the process and kills it after `timeout_s`."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signals.SIGKILL)
            self._process.wait()
        self.reaper.forget(self._process.pid)
        self._process = None

    def reason(self) -> str:
        """The lines of the log that say why, out of the settings and farewells around them."""
        try:
            text = self.log.read_text(errors="replace")[-100_000:]
        except OSError as error:
            return str(error)
        if "No space left on device" in text:
            return f"no space left on the disk of {self.directory}; free some, then start again"
        return telling(text)


def telling(log: str) -> str:
    """The lines of a server's log that say why, else its end."""
    lines = [line for line in log.splitlines() if _TELLING.search(line)]
    return "\n".join(lines[-8:]) or log[-1_500:]
