"""Durations as people write them: `250ms`, `5s`, `5min`, `24h`, `90d`; inside the program, whole milliseconds."""

import re
from typing import Final

UNITS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Milliseconds of each unit, shortest first."""

LONGEST: Final = 36_500 * UNITS["d"]
"""A hundred years in ms: more is a slip of the keyboard, and dates would no longer fit."""

_FORM: Final = re.compile(r"([0-9]+) ?([A-Za-z]+)")
_PART: Final = re.compile(r"[0-9]+[A-Za-z]+")
_MEANT: Final = {
    "msec": "ms",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "m": "min",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
    "hr": "h",
    "hrs": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
}


def parse_duration(text: str) -> int:
    """Milliseconds of a whole number and its unit; ValueError that says what is wrong and what was meant."""
    form = _FORM.fullmatch(text.strip())
    if form is None:
        units = ", ".join(UNITS)
        raise ValueError(f"{text!r} is not a duration: write a whole number and one of {units}, such as 90d")
    number, unit = form.groups()
    if unit not in UNITS:
        meant = _MEANT.get(unit.lower(), unit.lower())
        hint = f"did you mean '{number}{meant}'?" if meant in UNITS else f"units are {', '.join(UNITS)}"
        raise ValueError(f"unknown unit '{unit}' in {text!r}; {hint}")
    # A number of this length is refused before it is computed: it would cost time and print as noise.
    if len(number) > 20 or int(number) * UNITS[unit] > LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than a hundred years")
    return int(number) * UNITS[unit]


def format_duration(ms: int) -> str:
    """The shortest exact form, which `parse_duration` reads back: 7_200_000 is `2h`; ValueError below 0."""
    if ms < 0:
        raise ValueError(f"a duration is not negative: {ms} ms")
    if ms == 0:
        return "0s"
    unit = next(unit for unit in reversed(UNITS) if ms % UNITS[unit] == 0)
    return f"{ms // UNITS[unit]}{unit}"


def parse_span(text: str) -> int:
    """Milliseconds of durations written together, as `1d2h30min`, or of `0`; ValueError that says what is wrong."""
    if text.strip() == "0":
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(parts) != text.replace(" ", ""):
        raise ValueError(f"{text!r} is not a time: write numbers with {', '.join(UNITS)}, such as 1d or 2h30min")
    return sum(map(parse_duration, parts))


def format_span(ms: int) -> str:
    """What `parse_span` reads back, largest unit first: `1d2h`; ValueError below 0."""
    if ms < 0:
        raise ValueError(f"a duration is not negative: {ms} ms")
    parts = []
    for unit, size in reversed(UNITS.items()):
        if ms >= size:
            parts.append(f"{ms // size}{unit}")
            ms %= size
    return "".join(parts) or "0s"
