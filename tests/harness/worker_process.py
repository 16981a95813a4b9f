"""One worker as a process of its own: its signals, its pages, its log."""

import json
import math
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.dev.stack_net import LOOPBACK
from tests.harness.preloaded import Preloaded
from tests.harness.waiting import until

ROOT = Path(__file__).parents[2]
ANSWER_S = 2.0


class WorkerProcess:
    """`python -m pipeline worker`, or with `planted` or JOURNEY_BUG the same with bugs in it (see `planted_bugs`).

    `preloaded`: forked from a process that has imported everything, which is quicker by some seconds of a busy machine.
    """

    def __init__(
        self,
        name: str,
        config: Path,
        port: int,
        directory: Path,
        planted: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        preloaded: bool = False,
    ) -> None:
        self.name = name
        self._preloaded = preloaded
        self.port = port
        self.log_file = directory / f"{name}.log"
        is_wrong = planted is not None or "JOURNEY_BUG" in (environment or {})
        module = "tests.harness.planted_bugs" if is_wrong else "pipeline"
        self._command = [sys.executable, "-m", module, "worker", "--config", str(config)]
        self._environment = {
            **os.environ,
            "JOURNEY_HTTP_PORT": str(port),
            "PLANTED": json.dumps(planted or {}),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | Preloaded | None = None

    def start(self) -> "WorkerProcess":
        assert self._process is None or self._process.poll() is not None, f"{self.name} runs already"
        if self._preloaded:
            self._process = Preloaded(self._command[3:], self._environment, self.log_file)
            return self
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for whoever started it
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes] | Preloaded:
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # ---- what is done to it

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self, within_s: float = 10.0) -> int:
        """SIGTERM; the exit code, which must come in time."""
        self.ask_to_stop()
        return self.ended(within_s)

    def ended(self, within_s: float = 10.0) -> int:
        """The exit code, once it has ended by itself."""
        until(lambda: not self.running, lambda: f"{self.name} ends\n{self.tail()}", within_s)
        code = self.process.returncode
        assert code is not None
        return code

    def dispose(self) -> None:
        if self.running:
            self.resume()
            self.kill()

    # ---- what it says

    def page(self, path: str, token: str = "") -> tuple[int, bytes]:
        """Status and body; (0, b"") while nobody listens. `token`: that of the pages under /debug."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = urllib.request.Request(f"http://{LOOPBACK}:{self.port}{path}", headers=headers)
        try:
            try:
                answer = urllib.request.urlopen(asked, timeout=ANSWER_S)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                return answer.status, answer.read()
        except OSError:
            return 0, b""

    @property
    def ready(self) -> bool:
        return self.page("/readyz")[0] == 200

    @property
    def live(self) -> bool:
        return self.page("/livez")[0] == 200

    def waits(self) -> dict[str, str]:
        """The word why it is not ready, by lane; empty if it is, or does not answer."""
        _, body = self.page("/readyz")
        said = json.loads(body)["waits"] if body else []
        return {"worker" if each["lane"] is None else f"lane {each['lane']}": each["reason"] for each in said}

    def lanes(self) -> list[dict[str, Any]]:
        """The lanes as /status tells of them."""
        _, body = self.page("/status")
        return list(json.loads(body)["lanes"]) if body else []

    def metric(self, name: str, **labels: str) -> float | None:
        """The sum over all series of a metric that have these labels; None if there is none, or nothing is known."""
        found = None
        for line in self.page("/metrics")[1].decode().splitlines():
            series, _, value = line.rpartition(" ")
            has = series == name or series.startswith(f"{name}{{")
            if has and all(f'{label}="{wanted}"' in series for label, wanted in labels.items()):
                found = (found or 0.0) + float(value)
        return None if found is not None and math.isnan(found) else found

    def until_ready(self, within_s: float = 20.0) -> "WorkerProcess":
        def answered() -> bool:
            assert self.running, f"{self.name} ended with {self.process.returncode}\n{self.tail()}"
            return self.ready

        until(answered, lambda: f"{self.name} is ready, waits for {self.waits()}\n{self.tail()}", within_s)
        return self

    def until_waits(self, reason: str, within_s: float = 20.0) -> None:
        """Until one of its lanes says that it waits for this reason."""
        until(
            lambda: reason in self.waits().values(),
            lambda: f"{self.name} says {reason!r}, waits for {self.waits()}\n{self.tail()}",
            within_s,
        )

    def until_logged(self, event: str, within_s: float = 20.0, **fields: object) -> dict[str, Any]:
        """The first line of the log with this event and these fields."""
        return until(
            lambda: self.logged(event, **fields),
            lambda: f"{self.name} logs {event} {fields}\n{self.tail()}",
            within_s,
        )[0]

    def logged(self, event: str, **fields: object) -> list[dict[str, Any]]:
        return [
            line
            for line in self.log()
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def times(self, event: str, **fields: object) -> int:
        """How often its log says that something happened, also in lines that sum up."""
        return sum(line.get("repeated", 1) for line in self.logged(event, **fields))

    def log(self) -> Sequence[dict[str, Any]]:
        """Its log lines; what is no JSON (a message of the command line, say) is an event `text`."""
        return [_parsed(line) for line in self._text().splitlines() if line.strip()]

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self._text().splitlines()[-lines:])

    def _text(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "event" in found else {"event": "text", "text": line}
