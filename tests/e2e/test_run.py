"""`journey run` as a person has it: it starts, shows, survives a dead worker, stops in order, and goes on."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.config import JOURNEYS
from pipeline.dev.stack_net import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PATIENCE_S = 90.0


def surroundings() -> dict[str, str]:
    """Variables for the processes: no settings of whoever runs the tests, and no ports that others may take."""
    kept = {name: value for name, value in os.environ.items() if name == "JOURNEY_CACHE" or "JOURNEY_" not in name}
    return kept | {"PYTHONUNBUFFERED": "1", "JOURNEY_HTTP_PORT": "0"}


class Run:
    """A `journey run` in its own folder, and other commands called there."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.output = folder / "output.txt"
        self.environment = surroundings()
        command = [sys.executable, "-m", "pipeline", "run", *options]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment
            )

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def until(self, what: str, holds: Callable[[str], object]) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self.text()):
            assert self.process.poll() is None, f"it ended before {what}:\n{self.text()}"
            assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}\n{self.text()}"
            time.sleep(0.1)
        return self.text()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "worker" in child.cmdline() and "--hold" in child.cmdline()]

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.text()
        return self.text()


@pytest.fixture
def ports() -> tuple[str, ...]:
    return ("--kafka-port", str(free_port()), "--redis-port", str(free_port()))


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[Run]:
    run = Run(folder, *options)
    everybody: list[psutil.Process] = []
    try:
        yield run
    finally:
        if run.process.poll() is None:
            everybody = psutil.Process(run.process.pid).children(recursive=True)
            run.process.kill()
            run.process.wait()
        _, left = psutil.wait_procs(everybody, timeout=30)
        assert not left, f"left behind: {left}"


def shown_customer(text: str) -> str | None:
    found = re.search(r"worth a look: .* show (c\d+)", text)
    return found[1] if found else None


def simulated(text: str) -> str:
    found = re.search(r"folded\s+up to (\S+ \S+) simulated", text)
    assert found, text
    return found[1]


def test_a_run_is_watched_stopped_and_gone_on_with(tmp_path: Path, ports: tuple[str, ...]) -> None:
    with running(tmp_path, *ports, "--customers", "150", "--speed", "3d") as run:
        text = run.until(
            "a stage change and a signal", lambda text: "→" in text and "!" in text and shown_customer(text)
        )
        customer = shown_customer(text) or ""
        seen = json.loads(run.call("show", customer, "--json").stdout)
        assert seen["customer_id"] == customer
        assert seen["journeys"][0]["stage"]
        people = run.call("show", customer)
        assert people.returncode == 0
        assert all(journey in people.stdout for journey in JOURNEYS)
        nobody = run.call("show", customer[1:])
        assert nobody.returncode == 1
        assert f"did you mean {customer}" in nobody.stderr
        status = run.call("status", "--json")
        assert {lane["state"] for lane in json.loads(status.stdout)["lanes"]} == {"running"}, status.stdout
        assert status.returncode == 0
        tail = run.call("tail", "transitions", "--customer", customer, "--json", "-n", "1000")
        changes = [json.loads(line) for line in tail.stdout.splitlines()]
        assert {change["journey"] for change in changes} <= set(JOURNEYS)
        for journey in JOURNEYS:
            numbers = [change["seq"] for change in changes if change["journey"] == journey]
            assert numbers == list(range(1, len(numbers) + 1))
        assert run.call("tail", "dlq").returncode == 1
        children = psutil.Process(run.process.pid).children(recursive=True)
        first = run.stop()
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left
    assert "dead letters 0" in first
    with running(tmp_path, *ports, "--speed", "3d") as run:
        run.until("a stage change", lambda text: "→" in text)
        second = run.stop()
    assert simulated(second) > simulated(first)
    assert "dead letters 0" in second


def test_a_dead_worker_is_said_and_started_again(tmp_path: Path, ports: tuple[str, ...]) -> None:
    with running(tmp_path, *ports, "--workers", "1", "--customers", "60") as run:
        run.until("a stage change", lambda text: "→" in text)
        run.workers()[0].kill()
        run.until("the news", lambda text: "worker-1 ended by itself (exit status -9); it is started again" in text)
        before = run.text().count("→")
        run.until("more stage changes", lambda text: text.count("→") > before + 3)
        run.until("a worker", lambda _: bool(run.workers()))  # what was on its way when it was killed is shown as well
        run.workers()[0].kill()
        run.process.wait(PATIENCE_S)
        assert run.process.returncode == 1
        assert "it is not started again" in run.text()
        assert "Traceback" not in run.text()


def test_nothing_outlives_a_run_that_nobody_reads_any_more(tmp_path: Path, ports: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pipeline", "run", *ports, "--customers", "60"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(line)
            if "→" in line:
                break
        assert "→" in lines[-1], "".join(lines)
        children = psutil.Process(run.pid).children(recursive=True)
        run.stdout.close()
        assert run.wait(PATIENCE_S) == 1
    _, left = psutil.wait_procs(children, timeout=30)
    assert not left


def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path, ports: tuple[str, ...]) -> None:
    with running(tmp_path, *ports, "--customers", "60") as run:
        run.until("a stage change", lambda text: "→" in text)
        children = psutil.Process(run.process.pid).children(recursive=True)
        assert len(children) >= 4
        run.process.kill()
        run.process.wait()
        _, left = psutil.wait_procs(children, timeout=30)
        assert not left
