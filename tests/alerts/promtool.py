"""Prometheus's own test tool, led through courses of metrics that a test makes up."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
RECORDING, SLO, ALERTS = (DEPLOY / "prometheus" / name for name in ("recording.yaml", "slo-rules.yaml", "alerts.yaml"))
SCRAPE_S = 15
MINUTE = 60

Course = Callable[[float], float | None]
"""The value of a series at a second of the test; None while nobody shows it."""


def tool(name: str, package: str) -> str:
    """Where a program of Prometheus is; a skip, which is a failure with CI=true, if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install --no-install-recommends {package}")
    return found


def run(name: str, package: str, *arguments: str | Path) -> str:
    """What the program says; fails with that if it fails."""
    command = [tool(name, package), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def check(
    folder: Path,
    rules: Sequence[Path],
    series: Mapping[str, Course],
    expected: Mapping[tuple[float, str], Mapping[str, float]],
    minutes: int,
) -> None:
    """Fails unless each (minute, query) gives exactly these samples, by their labels, under these rules.

    `series` has the values that a scrape finds, by name and labels.
    """
    times = range(0, minutes * MINUTE + 1, SCRAPE_S)
    content = {
        "rule_files": [str(path) for path in rules],
        "evaluation_interval": f"{SCRAPE_S}s",
        "tests": [
            {
                "interval": f"{SCRAPE_S}s",
                "input_series": [
                    {"series": name, "values": " ".join(_written(course(time)) for time in times)}
                    for name, course in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": f"{round(minute * MINUTE)}s",
                        "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
                    }
                    for (minute, query), samples in expected.items()
                ],
            }
        ],
    }
    file = folder / "test.yaml"
    file.write_text(json.dumps(content))  # which is YAML too
    run("promtool", "prometheus", "test", "rules", file)


def _written(value: float | None) -> str:
    return "stale" if value is None else f"{value:g}"
