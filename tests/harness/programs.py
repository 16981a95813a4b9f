"""Programs that answer on a port of loopback, run for as long as a block lasts."""

import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.harness.waiting import until

START_S = 30.0


@contextmanager
def program(command: Sequence[str], log: Path, ready_url: str) -> Iterator[None]:
    """Runs it with its output in `log`, from when `ready_url` answers with 200; AssertionError if never."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        until(lambda: _answers(ready_url), lambda: f"{command[0]} is ready\n{log.read_text()[-2_000:]}", START_S)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
