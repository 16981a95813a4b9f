"""Makes the JVM's class archive: a broker runs once, and what it loaded is kept for every later start."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.dev.stack_jars import cache
from pipeline.dev.stack_java import archive
from pipeline.dev.stack_kafka import Broker
from pipeline.dev.stack_net import free_port
from pipeline.dev.stack_reaper import Reaper
from pipeline.errors import StackError

_KEPT = 3
_START_S, _WRITE_S = 120.0, 120.0


def train() -> bool:
    """Makes the class archive unless it is there or another process is making it; True if it was made."""
    if archive().exists():
        return False
    with (cache() / "training").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        for left in cache().glob("*.new*"):
            left.unlink(missing_ok=True)
        made = archive().with_suffix(".new")
        _run_broker(made, lock.fileno())
        if not made.exists():
            raise StackError("the JVM wrote no class archive; the stack works without it and starts a second later")
        made.rename(archive())
    _forget_old()
    return True


def train_in_background() -> "subprocess.Popen[bytes] | None":
    """A process that does so with low priority, if it is needed. To end it early, kill it."""
    if archive().exists():
        return None
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.dev.stack_training"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _run_broker(made: Path, lock_fd: int) -> None:
    reaper = Reaper(grace_s=0)  # whoever kills the training wants the processor, not the archive
    try:
        with tempfile.TemporaryDirectory(prefix="journey-training-", ignore_cleanup_errors=True) as name:
            reaper.remove(Path(name))
            server = Broker(Path(name), free_port(), train=made).server(reaper, lock_fd)
            server.spawn()
            try:
                server.wait_ready(_START_S)
            finally:
                server.ask_to_stop()
                server.wait_end(_WRITE_S)
    finally:
        reaper.dismiss()


def _forget_old() -> None:
    """An archive fits one Java and one set of jars; those of the past are of no use, those of a second checkout are."""
    archives = sorted(cache().glob("classes-*.archive"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[_KEPT:]:
        old.unlink(missing_ok=True)


if __name__ == "__main__":
    os.nice(10)  # behind what the person waits for, but done within the first minute
    train()
