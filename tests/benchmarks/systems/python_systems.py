"""Quix Streams, exactly-once, and stock Faust, at least once: programs of ours in an environment of their own."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.benchmarks import common_work
from tests.benchmarks.systems.plain import read_plain
from tests.benchmarks.systems.system import BUILT, Assignment, Running, Unavailable, work_environment

PROGRAMS: Final = Path(__file__).with_name("programs")
REQUIREMENTS: Final = PROGRAMS / "requirements.txt"
ENVIRONMENT: Final = BUILT / "python_systems"
INSTALL_S: Final = 600.0


class PythonSystem:
    """A program of `programs/`, run by the environment that `prepare` makes once, again when its list changes."""

    uses_redis = False
    variant = ""
    read = staticmethod(read_plain)

    def __init__(self, name: str, package: str, share: float) -> None:
        self.name = name
        self.share = share
        self._package = package

    def prepare(self) -> None:
        """Unavailable where the packages cannot be fetched."""
        installed = ENVIRONMENT / REQUIREMENTS.name
        if installed.exists() and installed.read_text() == REQUIREMENTS.read_text():
            return
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
            [str(ENVIRONMENT / "bin/pip"), "install", "--quiet", "--requirement", str(REQUIREMENTS)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            if done.returncode:
                raise Unavailable(f"its packages could not be installed: {done.stderr.strip()[-500:]}")
        installed.write_text(REQUIREMENTS.read_text())

    def version(self) -> str:
        found = re.search(rf"^{self._package}\b.*==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
        assert found, f"{REQUIREMENTS.name} names the version of {self._package}"
        return found[1]

    def output(self, given: Assignment) -> str:
        return f"{given.prefix}{self.name}.transitions"

    def start(self, given: Assignment) -> Running:
        environment = work_environment(given, self.name, given.prefix + common_work.TOPIC, self.output(given))
        command = [str(ENVIRONMENT / "bin/python"), str(PROGRAMS / f"{self.name.replace('-', '_')}.py")]
        return Running(command, environment, given.directory / f"{given.prefix}{self.name}.log")
