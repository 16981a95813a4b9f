"""A real Prometheus over live workers, with the rules of this repository, asked as Grafana asks it."""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pipeline.dev.stack_net import LOOPBACK, free_port
from tests.alerts.promtool import ALERTS, RECORDING, SLO, tool
from tests.harness.programs import program

JOB: Final = "journey"
SCRAPE_S: Final = 1


@dataclass(frozen=True, slots=True)
class Series:
    """The values that are numbers, by their time (seconds since 1970)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """Scrapes the workers (name -> port) every second, and follows the rules every `rules_s` seconds, until it is left.

    The service levels are shares of looks every 15 s: with another interval they are numbers, and not the right ones.
    """

    def __init__(self, directory: Path, workers: Mapping[str, int], rules_s: int) -> None:
        self._directory = directory
        self._rules_s = rules_s
        self._workers = workers
        self._port = free_port()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        found = tool("prometheus", "prometheus")
        for rules in (RECORDING, SLO, ALERTS):
            text = re.sub(r"interval: \w+", f"interval: {self._rules_s}s", rules.read_text())
            (self._directory / rules.name).write_text(text)
        config = {
            "global": {"scrape_interval": f"{SCRAPE_S}s", "external_labels": {"runbooks": "", "dashboards": ""}},
            "rule_files": [rules.name for rules in (RECORDING, SLO, ALERTS)],
            "scrape_configs": [
                {
                    "job_name": JOB,
                    "static_configs": [
                        {"targets": [f"{LOOPBACK}:{port}"], "labels": {"instance": name}}
                        for name, port in self._workers.items()
                    ],
                }
            ],
        }
        file = self._directory / "prometheus.yaml"
        file.write_text(json.dumps(config))  # which is YAML too
        command = [
            *(found, f"--config.file={file}", f"--storage.tsdb.path={self._directory / 'prometheus'}"),
            f"--web.listen-address={LOOPBACK}:{self._port}",
        ]
        log = self._directory / "prometheus.log"
        self._running.enter_context(program(command, log, f"http://{LOOPBACK}:{self._port}/-/ready"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Every series of an expression from `start` to `end`; AssertionError in Prometheus' words if it is wrong."""
        return self._ask("query_range", query=expr, start=start, end=end, step=step)

    def at(self, expr: str, moment: float) -> list[Series]:
        """Every series of an expression at one moment."""
        return self._ask("query", query=expr, time=moment)

    def _ask(self, what: str, **parameters: object) -> list[Series]:
        query = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self._port}/api/v1/{what}", query, timeout=20) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{parameters['query']}: {refused.read().decode()}") from None
        return [series for each in data["result"] if (series := _series(each)).points]


def _series(found: Mapping[str, Any]) -> Series:
    points = [found["value"]] if "value" in found else found["values"]
    numbers = [(float(moment), float(value)) for moment, value in points]
    return Series(found["metric"], tuple(point for point in numbers if isfinite(point[1])))
