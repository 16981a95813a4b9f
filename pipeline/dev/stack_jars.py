"""The jars of a Kafka broker: fetched once into the user's cache, each checked against `kafka-jars.lock`."""

import fcntl
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StackError

LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")
"""Lines of `group:artifact:version bytes sha256`."""

_ROOM = 150_000_000
_WHAT_TO_DO = (
    "Check the network, then run the command again. Behind a proxy set HTTPS_PROXY, behind a TLS proxy "
    "REQUESTS_CA_BUNDLE too; behind a mirror install mvn and name the mirror in ~/.m2/settings.xml."
)

Progress = Callable[[int], None]
"""Called with the number of bytes that have arrived since the last call."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar as the lock file has it."""

    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def cache() -> Path:
    """Where the jars and the JVM's class archive are kept: JOURNEY_CACHE, or `customer-journey` in the user's cache."""
    if chosen := os.environ.get("JOURNEY_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "customer-journey"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """The jars in the order of the class path, which the class archive depends on."""
    lines = (line.split() for line in path.read_text().splitlines())
    return [Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in lines]


def jars() -> list[Path]:
    """The broker's class path. Fetches what is not there yet; safe when several processes do so at once."""
    wanted = read_lock()
    home = cache() / f"kafka-{hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]}"
    if not _complete(home, wanted):
        with _alone(cache()):
            if not _complete(home, wanted):
                _fetch_into(home, wanted)
    return [home / jar.file_name for jar in wanted]


def _complete(home: Path, wanted: list[Jar]) -> bool:
    try:
        return all((home / jar.file_name).stat().st_size == jar.size for jar in wanted)
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Only one process at a time fetches; the others wait and then find the jars."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise StackError(
            f"cannot write the cache {directory}: {error.strerror}; make it writable or set JOURNEY_CACHE to another"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_into(home: Path, wanted: list[Jar]) -> None:
    """Fetches into a directory beside `home` and renames it: what has the name is complete and checked."""
    for left in [*home.parent.glob("fetch-*"), home]:
        shutil.rmtree(left, ignore_errors=True)
    if (free := shutil.disk_usage(home.parent).free) < _ROOM:
        raise StackError(
            f"only {free // 1_000_000} MB are free in {home.parent}, the Kafka jars need {_ROOM // 1_000_000} MB; "
            "free some or set JOURNEY_CACHE to another disk"
        )
    target = Path(tempfile.mkdtemp(prefix="fetch-", dir=home.parent))
    try:
        with _shown(wanted) as progress:
            _fetch(wanted, target, progress)
        for jar in wanted:
            _check(target / jar.file_name, jar)
        target.rename(home)
    except OSError as error:
        raise StackError(f"cannot keep the Kafka jars in {home.parent}: {error.strerror}") from error
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _check(path: Path, jar: Jar) -> None:
    if not path.exists():
        raise StackError(f"{jar.coordinate} did not arrive. {_WHAT_TO_DO}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        raise StackError(
            f"the downloaded {jar.file_name} is not the one that {LOCK_FILE.name} names (SHA-256 differs); "
            "nothing was kept. Run the command again; if it stays so, what serves the file altered it."
        )


@contextmanager
def _shown(wanted: list[Jar]) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"Fetching Kafka ({len(wanted)} jars, once)", total=sum(jar.size for jar in wanted))
        yield functools.partial(bar.advance, task)


def _fetch(wanted: list[Jar], target: Path, progress: Progress) -> None:
    """Maven first where the user has settings for it (a mirror, a proxy), else jgo; then the other one."""
    ways = []
    if importlib.util.find_spec("jgo"):
        ways.append(_with_jgo)
    if shutil.which("mvn"):
        ways.insert(0 if (Path.home() / ".m2/settings.xml").exists() else len(ways), _with_mvn)
    if not ways:
        raise StackError("nothing here can fetch the Kafka jars; run: pip install 'jgo>=3.2,<4'")
    failures = []
    for way in ways:
        try:
            return way(wanted, target, progress)
        except StackError as error:
            failures.append(str(error))
    raise StackError("\n".join([*failures, _WHAT_TO_DO]))


def _with_jgo(wanted: list[Jar], target: Path, progress: Progress) -> None:
    # Its own cache keeps a torn file for good, and it only warns about a wrong checksum: so a directory of our own.
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException

    @contextmanager
    def arriving(_file: str, _size: int) -> Iterator[Progress]:
        yield progress

    resolver = PythonResolver(progress_callback=arriving)
    context = MavenContext(resolver=resolver, repo_cache=target / "m2", timeout=60)

    def fetch(jar: Jar) -> None:
        path = context.create_dependency(jar.coordinate).artifact.resolve()
        path.rename(target / jar.file_name)

    _trust_what_the_system_trusts()
    with ThreadPoolExecutor(max_workers=4) as pool:
        pending = [(jar, pool.submit(fetch, jar)) for jar in wanted]
        try:
            for jar, future in pending:
                _await(jar, future.result, RequestException)
        finally:
            pool.shutdown(cancel_futures=True)
    shutil.rmtree(target / "m2")


def _await(jar: Jar, result: Callable[[], None], network: type[Exception]) -> None:
    try:
        result()
    except network as error:
        raise StackError(f"could not download {jar.coordinate}: {_innermost(error)}.") from error
    except RuntimeError as error:  # what jgo raises when no repository has it
        raise StackError(f"could not download {jar.coordinate}: the Maven repository does not serve it.") from error


def _innermost(error: BaseException) -> str:
    """What really happened, in a few words: the network errors of requests wrap it several times."""
    text = str(error)
    for known, plain in (
        ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted here"),
        ("Name or service not known", "no network, or no name resolution"),
        ("Temporary failure in name resolution", "no network, or no name resolution"),
        ("ProxyError", "the proxy cannot be reached"),
        ("Unable to connect to proxy", "the proxy cannot be reached"),
        ("Connection refused", "the connection was refused"),
        ("timed out", "no answer in time"),
    ):
        if known in text:
            return plain
    return type(error).__name__


def _trust_what_the_system_trusts() -> None:
    """Jgo trusts only the bundle of certifi; a company's own certificate is in the system's."""
    if not {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} & os.environ.keys():
        paths = ssl.get_default_verify_paths()
        if trusted := paths.cafile or paths.capath:
            os.environ["REQUESTS_CA_BUNDLE"] = trusted


def _with_mvn(wanted: list[Jar], target: Path, progress: Progress) -> None:
    sizes = {jar.file_name: jar.size for jar in wanted}
    pom = target / "pom.xml"
    pom.write_text(_pom(wanted))
    goal = ("dependency:copy-dependencies", "-DexcludeTransitive=true", f"-DoutputDirectory={target}")
    command = ["mvn", "-B", "-f", str(pom), *goal]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as maven:
        assert maven.stdout is not None
        for line in maven.stdout:
            lines.append(line)
            if arrived := re.search(r"Downloaded from .*/(\S+\.jar) ", line):
                progress(sizes.pop(arrived[1], 0))
    if maven.returncode:
        why = next((line.strip() for line in lines if line.startswith("[ERROR]")), "it did not say why")
        raise StackError(f"mvn could not download the Kafka jars: {why.removeprefix('[ERROR] ')[:300]}")
    progress(sum(sizes.values()))  # what its own repository had already
    pom.unlink()


def _pom(wanted: list[Jar]) -> str:
    """A project of no use but for its dependencies."""
    project = ET.Element("project")
    parts = {"modelVersion": "4.0.0", "groupId": "none", "artifactId": "none", "version": "1"}
    for tag, text in parts.items():
        ET.SubElement(project, tag).text = text
    dependencies = ET.SubElement(project, "dependencies")
    for jar in wanted:
        dependency = ET.SubElement(dependencies, "dependency")
        for tag, text in zip(("groupId", "artifactId", "version"), jar.coordinate.split(":"), strict=True):
            ET.SubElement(dependency, tag).text = text
    return ET.tostring(project, encoding="unicode")
