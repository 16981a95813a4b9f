"""The commands that a runbook tells people to type, and what they say when they are typed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.alerts.promtool import DEPLOY

RUNBOOKS: Final = DEPLOY / "runbooks"
OVER: Final = "It is over when"
_FENCED: Final = re.compile(r"^ {4,}(\S.*)$", re.MULTILINE)
_IN_A_SENTENCE: Final = re.compile(r"`([^`\n]+)`")
_READS: Final = re.compile(
    r"journey (status|doctor|topics check|transactions list|touches|tail|identity hot|check)\b|curl -s "
    r"|redis-cli .*(ping|info|slowlog get)"
    r"|kafka-[\w-]+\.sh --bootstrap-server .*(--describe|find-hanging|describe)"
)
"""What changes nothing, so that it may be typed at any time. All else is typed where a drill says that it mends."""
_NUMBER: Final = re.compile(r"(?<= )[A-Z]+(?= |$)")

TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Command:
    """One line to type, out of a section of a page."""

    section: str
    line: str

    @property
    def reads(self) -> bool:
        return _READS.match(self.line) is not None


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote to both of its outputs. `line` is what was typed."""

    line: str
    status: int
    text: str

    def trouble(self, *, mended: bool, gone: bool) -> str | None:
        """Why it did not do what the page has it for; None if it did.

        Exit status 1 is an answer while something is wrong: a lane does not move, Redis does not answer. `gone`: the
        worker does not run, and curl may say that nobody is there.
        """
        answers = {0} if mended else {0, 1}
        if self.line.startswith("kafka-"):  # to them, 1 is a mistake in the call as well
            answers = {0}
        if self.line.startswith("curl "):
            answers = {7, 28, 52, 56} if gone else {0}
        if self.status in answers and "Traceback" not in self.text:
            return None
        return f"`{self.line}` ends with {self.status}: {self.text.strip()[-400:] or 'nothing said'}"


class Runbook:
    """The page of an alert, in `folder`."""

    def __init__(self, alert: str, folder: Path = RUNBOOKS) -> None:
        self.alert = alert
        text = (folder / f"{alert}.md").read_text()
        self.commands = tuple(dict.fromkeys(_commands(text)))

    def looks(self) -> list[Command]:
        """All that only reads, but what says that it is over."""
        return [each for each in self.commands if each.reads and each.section != OVER]

    def confirms(self) -> list[Command]:
        return [each for each in self.commands if each.reads and each.section == OVER]

    def mends(self, beginning: str) -> Command:
        """The one that changes something and begins so; AssertionError if the page has none."""
        found = [each for each in self.commands if not each.reads and each.line.startswith(beginning)]
        assert found, f"{self.alert}.md has no command that begins with `{beginning}`"
        return found[0]


def _commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        section, _, content = part.partition("\n")
        for line in _FENCED.findall(content):
            yield Command(section, line.strip())
        for line in _IN_A_SENTENCE.findall(content):
            if _READS.match(line):
                yield Command(section, line)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Where an engineer types: what the page of runbooks has them export, and the tools on their PATH."""

    config: Path
    broker: str
    redis: str
    tools: Path
    machine: dict[str, str] = field(default_factory=dict)
    """What else is so on the machine where it is typed."""

    def type(self, line: str, worker: str, numbers: Mapping[str, object] | None = None) -> Said:
        """Types it as it stands, with capital letters for numbers replaced; `worker` is host:port."""
        line = _NUMBER.sub(lambda found: str((numbers or {}).get(found[0], found[0])), line)
        environment = {
            **os.environ,
            **self.machine,
            "JOURNEY_CONFIG": str(self.config),
            "WORKER": worker,
            "BROKER": self.broker,
            "REDIS": self.redis,
            "PATH": os.pathsep.join([str(self.tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        try:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", line],
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Said(line, 124, f"no end after {TIMEOUT_S:g} s")
        return Said(line, done.returncode, done.stdout + done.stderr)


def kafka_tools(folder: Path, commands: Mapping[str, Sequence[str]]) -> Path:
    """A directory with Kafka's shell commands: by name, the program that each is."""
    folder.mkdir(exist_ok=True)
    for name, command in commands.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
        script.chmod(0o755)
    return folder
