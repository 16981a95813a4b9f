"""Kafka Streams, exactly-once (`exactly_once_v2`), one thread: a processor over a RocksDB store with its changelog."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.benchmarks import common_work
from tests.benchmarks.systems.plain import read_plain
from tests.benchmarks.systems.system import BUILT, Assignment, Running, Unavailable, work_environment

SOURCES: Final = Path(__file__).with_name("java")
TARGET: Final = BUILT / "kafka_streams"
BUILD_S: Final = 600.0


class KafkaStreams:
    """Built by Maven once, again when its sources change."""

    name = "kafka-streams"
    share = 1.0
    uses_redis = False
    variant = ""
    read = staticmethod(read_plain)

    def prepare(self) -> None:
        """Unavailable without Maven and a JDK, or where the jars cannot be fetched."""
        missing = [tool for tool in ("mvn", "java", "javac") if shutil.which(tool) is None]
        if missing:
            raise Unavailable(f"no {', '.join(missing)} on the PATH; install a JDK of version 17 or newer, and Maven")
        jar, sources = TARGET / "work.jar", [path for path in SOURCES.rglob("*") if path.is_file()]
        if jar.exists() and jar.stat().st_mtime > max(path.stat().st_mtime for path in sources):
            return
        command = ["mvn", "-q", "-B", "-f", str(SOURCES / "pom.xml"), f"-Dtarget={TARGET}", "package"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S, check=False)
        if done.returncode:
            raise Unavailable(f"Maven could not build it: {(done.stdout or done.stderr).strip()[-500:]}")

    def version(self) -> str:
        found = re.search(r"<kafka.version>(.+)</kafka.version>", (SOURCES / "pom.xml").read_text())
        assert found, "the pom names the version of Kafka"
        return found[1]

    def output(self, given: Assignment) -> str:
        return f"{given.prefix}{self.name}.transitions"

    def start(self, given: Assignment) -> Running:
        environment = work_environment(given, self.name, given.prefix + common_work.TOPIC, self.output(given))
        command = ["java", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        command += ["-cp", f"{TARGET / 'work.jar'}:{TARGET / 'libs'}/*", "work.Main"]
        return Running(command, environment, given.directory / f"{given.prefix}{self.name}.log")
