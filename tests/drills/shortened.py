"""The files of deploy/prometheus with every duration divided, so that a drill waits seconds and not minutes.

Divided are intervals, `for`, `keep_firing_for`, the ranges of expressions and the waits of Alertmanager: as many
samples lie in a range, and as many evaluations in a wait, as in production. Nothing else is touched: a threshold, also
one in seconds, is what it is.
"""

import re
from typing import Final

MILLISECONDS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION: Final = r"(\d+)(ms|[smhdw])"
_RANGE: Final = re.compile(rf"\[{_DURATION}\]")
_SETTING: Final = re.compile(
    rf"\b(interval|scrape_interval|evaluation_interval|for|keep_firing_for|group_wait|group_interval|repeat_interval)"
    rf": {_DURATION}\b"
)


def divided(number: str, unit: str, factor: float) -> str:
    """A duration of Prometheus, divided: `1m` by 15 is `4000ms`."""
    return f"{max(1, round(int(number) * MILLISECONDS[unit] / factor))}ms"


def shortened(text: str, factor: float) -> str:
    """A file of rules, or a configuration of Prometheus or Alertmanager, with its durations divided."""
    text = _RANGE.sub(lambda found: f"[{divided(found[1], found[2], factor)}]", text)
    return _SETTING.sub(lambda found: f"{found[1]}: {divided(found[2], found[3], factor)}", text)
