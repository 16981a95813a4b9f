"""`journey top` on a running application: one frame for scripts, and the screen with its keys."""

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from tests.harness.application import HOUR, Application, ago
from tests.harness.waiting import until
from tests.harness.worker_process import ROOT

pytestmark = pytest.mark.timeout(180)

WAIT_S = 60.0
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with Application(stack, tmp_path_factory.mktemp("top"), "top-") as running:
        running.worker().until_ready(WAIT_S)
        running.sender.event("web", "4711", "page_viewed", ago(HOUR))
        running.until_accounted(WAIT_S)
        yield running


def test_one_frame_for_scripts(app: Application) -> None:
    done = app.command("top", "--once", "--interval", "1s", within_s=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    for part in ("2 of 2 lanes run", "0 events/s  0 transitions/s", "held by lane", "4711", "· → seen", "page_viewed"):
        assert part in done.stdout
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["0", "running"] in rows
    assert ["1", "running"] in rows


@pytest.mark.parametrize("how", ["q", "interrupt", "terminate"])
def test_the_terminal_is_as_it_was(app: Application, how: str) -> None:
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, 100))
    before = termios.tcgetattr(inner)
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                shown.extend(os.read(outer, 65_536))
            except OSError:  # nobody has the inner end any more
                return

    reader = threading.Thread(target=read)
    reader.start()
    process = start(app.config, inner)
    try:
        until(lambda: b"2 of 2 lanes run" in shown, lambda: f"a frame is drawn, not {bytes(shown)!r}", WAIT_S)
        assert termios.tcgetattr(inner) != before
        if how == "q":
            os.write(outer, b"q")
        else:
            process.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert termios.tcgetattr(inner) == before
    finally:
        process.kill()
        process.wait()
        os.close(inner)
        reader.join()
        os.close(outer)
    assert shown.count(ENTER) == shown.count(LEAVE) == 1
    assert shown.endswith(LEAVE)
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert b"Traceback" not in shown


def start(config: Path, terminal: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "top", "--interval", "1s", "--config", str(config)],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
