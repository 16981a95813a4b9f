"""This project's worker with all its features on, as docs say to set it up for the common work."""

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from pipeline import __version__, _compiled
from pipeline.config import Settings, load
from pipeline.dev.stack_net import LOOPBACK, free_port
from tests.benchmarks import common_work
from tests.benchmarks.oracle import START, Transition
from tests.benchmarks.systems.system import ROOT, Assignment, Running

EXAMPLE: Final = ROOT / "examples/work"
ANSWER_S: Final = 5.0


class _Named(msgspec.Struct):
    id: str


class _Cause(msgspec.Struct):
    event: _Named | None = None


class _Published(msgspec.Struct):
    customer_id: str
    seq: int
    cause: _Cause
    occurred_at: str
    source: str | None = msgspec.field(name="from", default=None)
    target: str | None = msgspec.field(name="to", default=None)


class Worker:
    """One worker process; `pure` runs its sources uncompiled."""

    share = 1.0
    uses_redis = True

    def __init__(self, *, pure: bool = False) -> None:
        self.name = "worker-pure" if pure else "worker"
        self.variant = "pure-" if pure else ""
        self._environment = {"JOURNEY_PURE": "1"} if pure else {}
        self._decode = msgspec.json.Decoder(_Published).decode

    def prepare(self) -> None:
        """The project's own environment has all that it needs."""

    def version(self) -> str:
        """Says so where it runs uncompiled without having been asked to."""
        return __version__ if self.variant or _compiled.directory().is_dir() else f"{__version__} uncompiled"

    def output(self, given: Assignment) -> str:
        return f"{given.prefix}journey.transitions"

    def start(self, given: Assignment) -> Running:
        port = free_port()
        path = write_settings(given, port)
        command = [sys.executable, "-m", "pipeline", "worker", "--config", str(path)]
        return Running(
            command, self._environment, given.directory / f"{given.prefix}{self.name}.log", lambda: facts(port)
        )

    def read(self, value: bytes) -> Transition:
        said = self._decode(value)
        cause = said.cause.event.id if said.cause.event else ""
        return Transition(
            said.customer_id, said.seq, said.source or START, said.target or START, said.occurred_at, cause
        )


def write_settings(given: Assignment, port: int = 0) -> Path:
    """The settings file of one run; JSON is YAML."""
    path = given.directory / f"{given.prefix}settings.yaml"
    values = {
        "app_id": f"{given.prefix}work",
        "prefix": given.prefix,
        "inputs": {"topic": common_work.TOPIC, "channel_field": "channel"},
        "partitions": given.lanes,
        "clock": "live" if given.live else "event",
        "lateness": "7d",
        "journeys": str(EXAMPLE / "work.yaml"),
        "touches": str(EXAMPLE / "touches.yaml"),
        "brokers": given.stack.bootstrap,
        "redis_url": given.stack.redis_url,
        "http_port": port,
        "identity_key": "a key for measuring, made up by nobody",
        **given.settings,
    }
    path.write_text(json.dumps(values, indent=2))
    return path


def settings_of(given: Assignment) -> Settings:
    return load(write_settings(given), {})


def metrics(port: int) -> Mapping[str, float]:
    """Every sample of the worker's metrics page by its name with labels; empty if the page does not answer."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=ANSWER_S) as answer:
            page = answer.read().decode()
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return {}
    return {found[1]: float(found[2]) for found in re.finditer(r"^(\w+(?:\{[^}]*\})?) (\S+)$", page, re.MULTILINE)}


def facts(port: int) -> dict[str, float]:
    """How large its transactions were so far."""
    found = metrics(port)
    count = found.get("journey_batch_events_count", 0)
    return {"events_per_transaction": found["journey_batch_events_sum"] / count} if count else {}
