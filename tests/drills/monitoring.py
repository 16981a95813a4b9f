"""A real Prometheus and a real Alertmanager over live workers, with the files of deploy/prometheus, and who is told."""

import json
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from pipeline.dev.stack_net import LOOPBACK, free_port
from pipeline.domain.moments import parse_moment
from tests.alerts.promtool import ALERTS, DEPLOY, RECORDING, SLO, tool
from tests.drills.shortened import shortened
from tests.harness.programs import program

RULES: Final = (RECORDING, SLO, ALERTS)
RECEIVERS_PORT: Final = "127.0.0.1:9099"
"""Where the example of an Alertmanager sends what it has to say."""

PROGRAMS: Final = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "redis-cli": "redis-tools",
}
"""What must be installed, by the package that has it."""

Spoil = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Told:
    """That somebody was told of an alert, or of its end; when, and since when it fires (seconds since 1970)."""

    at: float
    began: float
    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def alert(self) -> str:
        return self.labels["alertname"]


class Monitoring:
    """What the two know; `told` is what they told people, in order."""

    def __init__(self, prometheus: int, alertmanager: int, told: Sequence[Told]) -> None:
        self._prometheus = f"http://{LOOPBACK}:{prometheus}/api/v1"
        self._alertmanager = f"http://{LOOPBACK}:{alertmanager}/api/v2"
        self.told = told

    def scraped(self) -> set[str]:
        """The workers that answered the last scrape."""
        found = _json(f"{self._prometheus}/query?query=up==1")["data"]["result"]
        return {series["metric"]["instance"] for series in found}

    def firing(self) -> set[str]:
        """The alerts that Prometheus holds for firing."""
        found = _json(f"{self._prometheus}/alerts")["data"]["alerts"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    def active(self) -> dict[str, str]:
        """The alerts that Alertmanager has: `active`, or `suppressed` because another one says enough."""
        states: dict[str, str] = {}
        for each in _json(f"{self._alertmanager}/alerts?active=true&inhibited=true"):
            name, state = each["labels"]["alertname"], each["status"]["state"]
            states[name] = "active" if "active" in (state, states.get(name)) else state
        return states

    def first_told(self, alert: str, status: str, since: float) -> Told | None:
        """When somebody was first told so."""
        return next(
            (each for each in self.told if each.alert == alert and each.status == status and each.at >= since), None
        )


@contextmanager
def monitoring(
    directory: Path, workers: Sequence[str], factor: float, spoil: Spoil = lambda rules: rules
) -> Iterator[Monitoring]:
    """Both run, and scrape the workers (host:port), until the block ends. `spoil` plants a bug into the rules."""
    found = {name: tool(name, package) for name, package in PROGRAMS.items()}
    ports = {name: free_port() for name in ("prometheus", "alertmanager")}
    folder = directory / "monitoring"
    folder.mkdir()
    for rules in RULES:
        (folder / rules.name).write_text(spoil(shortened(rules.read_text(), factor)))
    with ExitStack() as owned:
        told: list[Told] = []
        heard = owned.enter_context(_receivers(told))
        _write_configurations(folder, workers, ports["alertmanager"], heard, factor)
        for command, port in (
            (
                [
                    *(found["prometheus-alertmanager"], "--cluster.listen-address="),
                    *(f"--config.file={folder / 'alertmanager.yaml'}", f"--storage.path={folder / 'silences'}"),
                    f"--web.listen-address={LOOPBACK}:{ports['alertmanager']}",
                ],
                ports["alertmanager"],
            ),
            (
                [
                    *(found["prometheus"], f"--config.file={folder / 'prometheus.yaml'}"),
                    f"--storage.tsdb.path={folder / 'samples'}",
                    # What stands in no file: how old a sample may be, and when a firing alert is repeated.
                    f"--query.lookback-delta={round(300_000 / factor)}ms",
                    f"--rules.alert.resend-delay={round(60_000 / factor)}ms",
                    f"--web.listen-address={LOOPBACK}:{ports['prometheus']}",
                ],
                ports["prometheus"],
            ),
        ):
            log = folder / f"{Path(command[0]).name}.log"
            owned.enter_context(program(command, log, f"http://{LOOPBACK}:{port}/-/ready"))
        yield Monitoring(ports["prometheus"], ports["alertmanager"], told)


def _write_configurations(folder: Path, workers: Sequence[str], alertmanager: int, heard: int, factor: float) -> None:
    """The two examples, but for the addresses."""
    load = YAML(typ="safe").load
    config = load(shortened((DEPLOY / "prometheus" / "prometheus.yaml").read_text(), factor))
    config["scrape_configs"][0]["static_configs"][0]["targets"] = list(workers)
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"{LOOPBACK}:{alertmanager}"]
    (folder / "prometheus.yaml").write_text(json.dumps(config))  # which is YAML too
    routes = shortened((DEPLOY / "prometheus" / "alertmanager.yaml").read_text(), factor)
    assert RECEIVERS_PORT in routes, "the example sends to somewhere else"
    (folder / "alertmanager.yaml").write_text(routes.replace(RECEIVERS_PORT, f"{LOOPBACK}:{heard}"))


@contextmanager
def _receivers(told: list[Told]) -> Iterator[int]:
    """The pager and the team's channel, as webhooks: notes all that they are told; their port."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            now = time.time()
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.extend(
                Told(
                    now,
                    _moment(each["startsAt"]),
                    message["receiver"],
                    each["status"],
                    each["labels"],
                    each["annotations"],
                )
                for each in message["alerts"]
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer((LOOPBACK, 0), Receiver)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _moment(written: str) -> float:
    return parse_moment(re.sub(r"\.(\d{3})\d*", r".\1", written)) / 1000


def _json(url: str) -> Any:
    with urllib.request.urlopen(urllib.parse.quote(url, safe=":/?&="), timeout=10) as answer:
        return json.load(answer)
