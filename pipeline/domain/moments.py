"""Times in milliseconds since the epoch; RFC 3339 and back, fast for the form that channels mostly send.

That is `2025-01-31T09:30:00.000Z`.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_MS = 3_600_000
_MINUTES = {f"{m:02d}:{s:02d}.": (m * 60 + s) * 1000 for m in range(60) for s in range(60)}
_MILLIS = {f"{i:03d}Z": i for i in range(1000)}
_MINUTE_TEXT = [f"{m:02d}:{s:02d}." for m in range(60) for s in range(60)]
_MILLI_TEXT = [f"{i:03d}Z" for i in range(1000)]
_REMEMBERED = 20_000
_hours: dict[str, int] = {}
_hour_texts: dict[int, str] = {}
LARGEST = 221_845_392_000_000
"""9000-01-01T00:00:00Z in ms: a year's timers after it can still be printed as a date."""


def parse_moment(text: str) -> int:
    """Milliseconds since the epoch; ValueError if it is no RFC 3339 date-time with an offset, or before 1970."""
    try:
        return _hours[text[:14]] + _MINUTES[text[14:20]] + _MILLIS[text[20:]]
    except KeyError:
        return _parse_any(text)


def _parse_any(text: str) -> int:
    if len(text) < 20 or text[10] not in "Tt ":
        raise ValueError(f"not an RFC 3339 date-time with an offset: {text[:40]!r}")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset from UTC: {text[:40]!r}")
    ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= ms <= LARGEST:
        raise ValueError(f"not between the years 1970 and 9000: {text[:40]!r}")
    if len(text) == 24 and text[-1] == "Z" and text[10] == "T":
        if len(_hours) >= _REMEMBERED:
            _hours.clear()
        _hours[text[:14]] = ms - ms % _HOUR_MS
    return ms


def format_moment(ms: int) -> str:
    """RFC 3339, UTC, always milliseconds and `Z`."""
    hour = ms // 3_600_000
    rest = ms - hour * 3_600_000
    text = _hour_texts.get(hour) or _hour_text(hour)
    second = rest // 1000
    return f"{text}{_MINUTE_TEXT[second]}{_MILLI_TEXT[rest - second * 1000]}"


def _hour_text(hour: int) -> str:
    if len(_hour_texts) >= _REMEMBERED:
        _hour_texts.clear()
    text = _hour_texts[hour] = (_EPOCH + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:").zfill(14)
    return text
