"""A real Kafka broker, one KRaft node: its settings, its storage, its process."""

import base64
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.dev.stack_java import java_command
from pipeline.dev.stack_net import free_port, kafka_ready
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.stack_server import Server, telling
from pipeline.errors import StackError

_TEMPLATE = Path(__file__).with_name("kafka.properties.in")


@dataclass(frozen=True, slots=True)
class Broker:
    """What a broker is started with. `props` go over the template; `format_args` to Kafka's StorageTool."""

    directory: Path
    port: int
    props: Mapping[str, object] = field(default_factory=dict)
    format_args: Sequence[str] = ()
    heap_mb: int = 256
    optimise: bool = False
    ready: Callable[[int], bool] = kafka_ready
    train: Path | None = None

    @property
    def _settings(self) -> Path:
        return self.directory / "kafka.properties"

    @property
    def _data(self) -> Path:
        return self.directory / "kafka"

    def server(self, reaper: Reaper, lock_fd: int) -> Server:
        """Writes the settings, formats the storage if it is new, and returns the server, not started yet."""
        template = _TEMPLATE.read_text().format(kafka=self.port, controller=free_port(), data=self._data)
        own = "".join(f"{name}={value}\n" for name, value in self.props.items())
        self._settings.write_text(f"{template}\n{own}")  # of a repeated name the last one counts
        if not (self._data / "meta.properties").exists():
            self._format()
        return Server("kafka", self.port, self.directory, self._command, self.ready, reaper, lock_fd)

    def _command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self._settings), train=self.train)

    def _format(self) -> None:
        # A cluster id that begins with '-' would be read as an option.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(self._settings))
        command = self._java(*tool, *self.format_args)
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.directory, check=False)
        if done.returncode:
            raise StackError(f"Kafka could not format {self._data}:\n{telling(done.stdout + done.stderr)}")

    def _java(self, *arguments: str, train: Path | None = None) -> list[str]:
        return java_command(self.directory, *arguments, heap_mb=self.heap_mb, optimise=self.optimise, train=train)
