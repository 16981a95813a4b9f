import hashlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.dev import stack_jars
from pipeline.dev.stack_jars import Jar, Progress
from pipeline.errors import StackError

CONTENT = b"a jar"
GOOD = hashlib.sha256(CONTENT).hexdigest()

Fetch = Callable[[list[Jar], Path, Progress], None]


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Fetch], None]:
    """A cache of this test and a lock file of one jar with the given hash, fetched by the given function."""

    def arrange(sha256: str, fetch: Fetch) -> None:
        lock = tmp_path / "kafka-jars.lock"
        lock.write_text(f"group:name:1.0 {len(CONTENT)} {sha256}\n")
        monkeypatch.setenv("JOURNEY_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(stack_jars, "LOCK_FILE", lock)
        monkeypatch.setattr(stack_jars, "read_lock", lambda: [Jar("group:name:1.0", len(CONTENT), sha256)])
        monkeypatch.setattr(stack_jars, "_fetch", fetch)

    return arrange


def write(content: bytes) -> Fetch:
    def fetch(wanted: list[Jar], target: Path, progress: Progress) -> None:
        for jar in wanted:
            (target / jar.file_name).write_bytes(content)
            progress(len(content))

    return fetch


def refuse(wanted: list[Jar], target: Path, progress: Progress) -> None:
    raise AssertionError("nothing was to be fetched")


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != "lock")


def test_what_was_fetched_once_is_not_fetched_again(only: Callable[[str, Fetch], None]) -> None:
    only(GOOD, write(CONTENT))
    [jar] = stack_jars.jars()
    assert jar.read_bytes() == CONTENT
    only(GOOD, refuse)
    assert stack_jars.jars() == [jar]


def test_a_torn_cache_is_fetched_anew(only: Callable[[str, Fetch], None]) -> None:
    only(GOOD, write(CONTENT))
    [jar] = stack_jars.jars()
    jar.write_bytes(b"a")
    assert stack_jars.jars()[0].read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_kept(only: Callable[[str, Fetch], None], tmp_path: Path) -> None:
    only(GOOD, write(b"A jar"))
    with pytest.raises(StackError, match=r"name-1\.0\.jar is not the one that kafka-jars\.lock names"):
        stack_jars.jars()
    assert kept(tmp_path / "cache") == []


def test_a_failure_on_the_way_keeps_nothing(only: Callable[[str, Fetch], None], tmp_path: Path) -> None:
    def torn(wanted: list[Jar], target: Path, progress: Progress) -> None:
        (target / "half").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    only(GOOD, torn)
    with pytest.raises(StackError, match=r"cannot keep the Kafka jars in .*: No space left on device"):
        stack_jars.jars()
    assert kept(tmp_path / "cache") == []


def test_two_at_once_fetch_once(only: Callable[[str, Fetch], None]) -> None:
    fetched = []
    both_started = threading.Barrier(2)

    def fetch(wanted: list[Jar], target: Path, progress: Progress) -> None:
        fetched.append(target)
        write(CONTENT)(wanted, target, progress)

    def ask() -> None:
        both_started.wait(5)
        stack_jars.jars()

    only(GOOD, fetch)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(fetched) == 1


def test_a_full_disk_is_seen_before_the_download(
    only: Callable[[str, Fetch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    only(GOOD, refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=12_000_000))
    with pytest.raises(StackError, match=r"only 12 MB are free in .*, the Kafka jars need 150 MB; free some or set"):
        stack_jars.jars()


def test_a_cache_that_cannot_be_made_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JOURNEY_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StackError, match=r"cannot write the cache .* set JOURNEY_CACHE to another"):
        stack_jars.jars()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"JOURNEY_CACHE": "/a/b"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/customer-journey"),
        ({"HOME": "/home/me"}, "/home/me/.cache/customer-journey"),
    ],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name in ("JOURNEY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert stack_jars.cache() == Path(expected)


def test_the_lock_file_names_each_jar_once_with_size_and_hash() -> None:
    jars = stack_jars.read_lock()
    assert len({jar.file_name for jar in jars}) == len(jars) == 39
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    assert {jar.coordinate for jar in jars} >= {"org.apache.kafka:kafka_2.13:4.3.1"}


def test_maven_is_given_every_jar() -> None:
    pom = stack_jars._pom(stack_jars.read_lock())
    assert pom.count("<dependency>") == 39
    assert "<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.1</version>" in pom
