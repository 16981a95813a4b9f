"""What the counting run may come to: a committed file, and how far above it each count may be."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

BUDGET: Final = Path(__file__).with_name("budget.json")
RENEWAL: Final = "python -m tests.benchmarks counts --renew"

CONDITIONS: Final = {"PYTHONHASHSEED": "0", "JOURNEY_PURE": "1"}
"""Sets in the same order and uncompiled sources, so that what Python keeps in memory is the same everywhere."""

TOLERANCES: Final = {
    "Kafka requests": 0.10,  # a broker may ask for a repetition
    "bytes": 0.01,  # the program's version is in every lane record
    "Python": 0.05,  # one version of Python is not quite like another
}
"""Share by which counts whose names begin so may be above the budget; all others may not be above it at all."""


def ensure_same_conditions() -> None:
    """Starts this very command anew under CONDITIONS if they do not hold: they count from a process's first moment."""
    if any(os.environ.get(name) != value for name, value in CONDITIONS.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **CONDITIONS})


def read() -> Mapping[str, float]:
    """Counts by name; empty where there is no budget yet."""
    return dict(json.loads(BUDGET.read_text())) if BUDGET.exists() else {}


def write(counted: Mapping[str, float]) -> None:
    BUDGET.write_text(json.dumps(dict(sorted(counted.items())), indent=2) + "\n")


def exceeded(counted: Mapping[str, float], budget: Mapping[str, float]) -> list[str]:
    """A line about each count that is above its budget and its tolerance."""
    lines = []
    for name, now in counted.items():
        was = budget.get(name, 0)
        tolerance = next((share for start, share in TOLERANCES.items() if name.startswith(start)), 0.0)
        if now > was * (1 + tolerance):
            lines.append(f"{name} went up from {was:,} to {now:,}, and may by {tolerance:.0%}")
    return lines
