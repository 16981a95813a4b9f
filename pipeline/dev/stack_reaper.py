"""A small process that outlives its parent by a moment, to stop the servers that the parent left when it was killed.

The parent writes lines to its standard input: `watch PID`, `forget PID`, `remove DIRECTORY`, `done`. When the input
ends without `done`, or the parent is gone, the watched process groups are terminated, then killed, and the directories
removed. It runs as a plain script on the standard library, so that it starts in a few milliseconds.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


class Reaper:
    """The parent's side. With `grace_s` 0 the servers are killed at once instead of asked to stop."""

    def __init__(self, grace_s: float = 8.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            text=True,
        )

    def watch(self, pid: int) -> None:
        """Stop the process group of `pid` when the parent dies."""
        self._say(f"watch {pid}")

    def forget(self, pid: int) -> None:
        """The process has ended; its number may belong to another one soon."""
        self._say(f"forget {pid}")

    def remove(self, directory: Path) -> None:
        """Remove the directory when the parent dies."""
        self._say(f"remove {directory}")

    def dismiss(self) -> None:
        """Everything was stopped in order: there is nothing to do any more."""
        self._say("done")
        self._process.communicate()

    def _say(self, line: str) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # someone killed the reaper; the servers are still ours to stop


def _commands(parent: int) -> tuple[set[int], list[str], bool]:
    """Reads until the input ends or the parent has gone; returns groups to stop, directories to remove, and `done`.

    The parent's number is looked at too: a forked copy of the parent may hold the other end of the pipe open.
    """
    groups: set[int] = set()
    directories: list[str] = []
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], 1.0)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            command, _, argument = line.decode(errors="surrogateescape").partition(" ")
            if command == "watch":
                groups.add(int(argument))
            elif command == "forget":
                groups.discard(int(argument))
            elif command == "remove":
                directories.append(argument)
            elif command == "done":
                return set(), [], True
    return groups, directories, False


def _signal(groups: set[int], number: int) -> set[int]:
    """Signals each group; returns those that are still there."""
    there = set()
    for group in groups:
        try:
            os.killpg(group, number)
            there.add(group)
        except OSError:
            pass
    return there


def _main() -> None:
    parent = os.getppid()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups, directories, done = _commands(parent)
    if done:
        return
    deadline = time.monotonic() + float(sys.argv[1])
    groups = _signal(_signal(groups, signal.SIGTERM), signal.SIGCONT)  # a stopped process sees SIGTERM when it goes on
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = _signal(groups, 0)
    _signal(groups, signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _main()
