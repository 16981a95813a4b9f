"""The embedded stack: a real Kafka broker and a real Redis-compatible server as child processes of this one.

    with Stack() as stack:                      # thrown away afterwards; `async with` works too
        stack.bootstrap, stack.redis_url

No Docker, no root, no installed Java: Java and the server come from PyPI, Kafka's jars are fetched once and checked.
Whatever ends this process, SIGKILL included, a small reaper process stops both servers.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal as signals
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal, Self

from pipeline.dev.stack_kafka import Broker
from pipeline.dev.stack_net import LOOPBACK, bindable, free_port, kafka_ready
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.stack_redis import Redis
from pipeline.dev.stack_server import Server
from pipeline.dev.stack_training import train_in_background
from pipeline.errors import StackError

__all__ = ["Addresses", "Stack", "StackError", "reset", "running"]

Which = Literal["kafka", "redis"]

_ROOM = 300_000_000
_REAPING_S, _STARTING_S = 12.0, 1.0
_PAUSING_S = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running stack is reached, and the process it belongs to."""

    bootstrap: str
    redis_url: str
    owner: int


class Stack:
    """Kafka and Redis on the given loopback ports (0: a free one each).

    `data_dir` is kept and reused; without it everything is thrown away at the end. `props` go over the broker's
    settings, `redis_props` over the server's, `format_args` to Kafka's StorageTool (users with SCRAM, say), `ready`
    is asked with the broker's port until it says yes. `optimise`: the broker need not start fast, it is to run as in
    production. Every method blocks: in a coroutine call it with `asyncio.to_thread`. Raises StackError, which says what
    to do.
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        kafka_port: int = 0,
        redis_port: int = 0,
        props: Mapping[str, object] | None = None,
        *,
        redis_props: Mapping[str, object] | None = None,
        format_args: Sequence[str] = (),
        ready: Callable[[int], bool] = kafka_ready,
        heap_mb: int = 256,
        optimise: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        self.data_dir = Path(data_dir).absolute() if data_dir else None
        self.kafka_port = kafka_port
        self.redis_port = redis_port
        self._props = dict(props or {})
        self._redis_props = dict(redis_props or {})
        self._format_args = tuple(format_args)
        self._ready = ready
        self._heap_mb = heap_mb
        self._optimise = optimise
        self._timeout_s = timeout_s
        self._directory: Path | None = None
        self._lock: IO[str] | None = None
        self._reaper: Reaper | None = None
        self._training: subprocess.Popen[bytes] | None = None
        self._servers: dict[Which, Server] = {}

    @property
    def bootstrap(self) -> str:
        """`host:port` of the broker, once started."""
        return f"{LOOPBACK}:{self.kafka_port}"

    @property
    def redis_url(self) -> str:
        return f"redis://{LOOPBACK}:{self.redis_port}/0"

    @property
    def directory(self) -> Path:
        """Where data, settings and logs are while it runs; raises StackError before."""
        if self._directory is None:
            raise StackError("the stack is not started")
        return self._directory

    @property
    def kafka_pid(self) -> int:
        return self._server("kafka").pid

    @property
    def redis_pid(self) -> int:
        return self._server("redis").pid

    def start(self) -> Self:
        """Returns when both servers answer: about a second, or ten where Kafka must be fetched first."""
        try:
            self._reaper = Reaper()
            lock_fd = self._take_directory()
            self._take_ports()
            redis = Redis(self.directory, self.redis_port, self._redis_props).server(self._reaper, lock_fd)
            broker = Broker(
                self.directory,
                self.kafka_port,
                self._props,
                self._format_args,
                self._heap_mb,
                self._optimise,
                self._ready,
            ).server(self._reaper, lock_fd)
            self._servers = {"kafka": broker, "redis": redis}
            for server in self._servers.values():
                if server.log.exists():
                    server.log.replace(server.log.with_suffix(".previous.log"))
                server.spawn()
            for server in self._servers.values():
                server.wait_ready(self._timeout_s)
            self._announce()
            self._train()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise StackError(f"cannot use {error.filename or self.data_dir}: {error.strerror}") from error
            raise
        return self

    def stop(self, grace_s: float = 30.0) -> None:
        """Stops both servers in order; what has no `data_dir` is killed and removed. Does nothing if not started."""
        if self._training:
            self._training.kill()
            self._training.wait()
        for server in self._servers.values():
            if self.data_dir:
                server.ask_to_stop()
            elif server.running:
                server.signal(signals.SIGKILL)
        for server in self._servers.values():
            server.wait_end(grace_s)
        if self._lock:
            self._lock.close()
        if self._directory and not self.data_dir:
            shutil.rmtree(self._directory, ignore_errors=True)
        if self._reaper:
            self._reaper.dismiss()
        self._servers, self._lock, self._reaper, self._training, self._directory = {}, None, None, None, None

    def kill_kafka(self, signal: int = signals.SIGKILL) -> None:
        """Ends the broker with a signal and waits for its end. Port and data stay for `start_kafka`."""
        self._server("kafka").kill(signal)

    def start_kafka(self) -> None:
        """Starts the broker again and waits until it answers; after SIGKILL once its old session is over (9 s)."""
        self._start_again("kafka")

    def kill_redis(self, signal: int = signals.SIGKILL) -> None:
        """Ends the server with a signal and waits for its end. Port and data stay for `start_redis`."""
        self._server("redis").kill(signal)

    def start_redis(self) -> None:
        self._start_again("redis")

    def pause(self, which: Which) -> None:
        """SIGSTOP: connections stay open and nothing answers. Returns once every thread of the server stands."""
        server = self._server(which)
        server.signal(signals.SIGSTOP)
        deadline = time.monotonic() + _PAUSING_S
        while not _stands(server.pid) and time.monotonic() < deadline:
            time.sleep(0.005)

    def resume(self, which: Which) -> None:
        self._server(which).signal(signals.SIGCONT)

    def wait(self, seconds: float | None = None) -> None:
        """Blocks for as long as both servers run, at most `seconds`; raises StackError when one ends by itself."""
        deadline = time.monotonic() + seconds if seconds is not None else float("inf")
        while time.monotonic() < deadline:
            for name, server in self._servers.items():
                if not server.running:
                    raise StackError(f"{name} ended by itself; its log is {server.log}:\n{server.reason()}")
            time.sleep(0.2)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_failure: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_failure: object) -> None:
        await asyncio.to_thread(self.stop)

    def _server(self, which: Which) -> Server:
        if which not in self._servers:
            raise StackError("the stack is not started")
        return self._servers[which]

    def _start_again(self, which: Which) -> None:
        server = self._server(which)
        server.wait_end(0)  # it may have ended by itself
        server.spawn()
        server.wait_ready(self._timeout_s)

    def _take_directory(self) -> int:
        """Makes the directory ours; the servers inherit the lock, so it is held for as long as one of them lives."""
        assert self._reaper is not None
        if self.data_dir:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._directory = self.data_dir
        else:
            self._directory = Path(tempfile.mkdtemp(prefix="journey-stack-"))
            self._reaper.remove(self._directory)
        self._lock = _lock(self._directory)
        if (free := shutil.disk_usage(self._directory).free) < _ROOM:
            raise StackError(
                f"only {free // 1_000_000} MB are free in {self._directory}, the stack needs {_ROOM // 1_000_000} MB; "
                "free some or choose another directory"
            )
        return self._lock.fileno()

    def _take_ports(self) -> None:
        self.kafka_port = self.kafka_port or free_port()
        self.redis_port = self.redis_port or free_port()
        for name, port in (("Kafka", self.kafka_port), ("Redis", self.redis_port)):
            if not bindable(port):
                raise StackError(f"port {port} for {name} is taken; stop what listens there or choose another port")

    def _announce(self) -> None:
        addresses = Addresses(self.bootstrap, self.redis_url, os.getpid())
        (self.directory / _ADDRESSES).write_text(json.dumps(asdict(addresses)))

    def _train(self) -> None:
        """The first start does not wait for the class archive that quickens the later ones."""
        assert self._reaper is not None
        self._training = train_in_background()
        if self._training:
            self._reaper.watch(self._training.pid)


_LOCK, _ADDRESSES, _IDENTITY_KEY = "lock", "addresses.json", "identity.key"


def identity_key(data_dir: Path) -> Path:
    """The file with the key by which whoever uses this stack hashes personal identities; made at the first time."""
    path = data_dir / _IDENTITY_KEY
    with contextlib.suppress(FileExistsError):
        path.touch(0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32) + "\n")
    return path


def running(data_dir: str | Path) -> Addresses | None:
    """The stack that runs on this directory, in whatever process; None if there is none."""
    directory = Path(data_dir)
    try:
        lock = (directory / _LOCK).open()
    except OSError:
        return None
    with lock:
        if _try_lock(lock):
            return None
        return _read_addresses(directory)


def reset(data_dir: str | Path) -> bool:
    """Removes all that a stack keeps in this directory; True if there was something. Refuses while one runs on it."""
    directory = Path(data_dir).absolute()
    if not (directory / _LOCK).exists():
        if directory.is_dir() and any(directory.iterdir()):
            raise StackError(f"{directory} holds no data of a stack; nothing was removed")
        return False
    with _lock(directory):
        shutil.rmtree(directory)
    return True


def _lock(directory: Path) -> IO[str]:
    """Locks the directory. When its last owner was killed, its reaper is still at work for a moment: wait for that."""
    lock = (directory / _LOCK).open("w")
    deadline = time.monotonic() + _REAPING_S
    while not _try_lock(lock):
        addresses = _read_addresses(directory)
        if (addresses and _alive(addresses.owner)) or time.monotonic() > deadline:
            lock.close()
            by = f" by process {addresses.owner}" if addresses else ""
            raise StackError(f"{directory} is in use{by}; stop that stack first, or choose another directory")
        time.sleep(0.1)
    (directory / _ADDRESSES).unlink(missing_ok=True)
    return lock


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_addresses(directory: Path) -> Addresses | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Addresses(**json.loads((directory / _ADDRESSES).read_text()))
    return None


def _stands(process: int) -> bool:
    """Whether no thread of a paused process runs any more; where /proc does not tell, it is taken to stand."""
    states = []
    for stat in Path(f"/proc/{process}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            states.append(stat.read_text().rpartition(")")[2].split()[0])
    return all(state in "tTZX" for state in states)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
