"""Durations: every unit, exact round trips, and refusals that help."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.duration import LONGEST, format_duration, format_span, parse_duration, parse_span


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("0s", 0),
        ("5s", 5_000),
        ("5min", 300_000),
        ("24h", 86_400_000),
        ("90d", 7_776_000_000),
        (" 7 d ", 604_800_000),
        ("007d", 604_800_000),
        ("36500d", LONGEST),
    ],
)
def test_parses(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a duration: write a whole number and one of ms, s, min, h, d, such as 90d"),
        ("90", "'90' is not a duration: write a whole number and one of ms, s, min, h, d, such as 90d"),
        ("-1d", "'-1d' is not a duration: write a whole number and one of ms, s, min, h, d, such as 90d"),
        ("1.5h", "'1.5h' is not a duration: write a whole number and one of ms, s, min, h, d, such as 90d"),
        ("1h30min", "'1h30min' is not a duration: write a whole number and one of ms, s, min, h, d, such as 90d"),
        ("٣d", "'٣d' is not a duration: write a whole number and one of ms, s, min, h, d, such as 90d"),
        ("5m", "unknown unit 'm' in '5m'; did you mean '5min'?"),
        ("90 Days", "unknown unit 'Days' in '90 Days'; did you mean '90d'?"),
        ("5H", "unknown unit 'H' in '5H'; did you mean '5h'?"),
        ("2weeks", "unknown unit 'weeks' in '2weeks'; units are ms, s, min, h, d"),
        ("36501d", "'36501d' is longer than a hundred years"),
        ("9" * 5000 + "ms", "'" + "9" * 40 + "' is longer than a hundred years"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (1, "1ms"), (1_500, "1500ms"), (90_000, "90s"), (3_600_000, "1h"), (86_400_000, "1d")],
)
def test_formats(ms: int, text: str) -> None:
    assert format_duration(ms) == text


def test_does_not_format_what_is_negative() -> None:
    with pytest.raises(ValueError, match="a duration is not negative: -1 ms"):
        format_duration(-1)


@given(st.integers(min_value=0, max_value=LONGEST))
def test_reads_back_what_it_writes(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


@pytest.mark.parametrize(
    ("text", "ms"), [("0", 0), ("0s", 0), ("1d", 86_400_000), ("1d2h30min", 95_400_000), ("2h 5s", 7_205_000)]
)
def test_parses_durations_written_together(text: str, ms: int) -> None:
    assert parse_span(text) == ms


@pytest.mark.parametrize("text", ["", "1", "-1d", "1d2", "1.5h", "1 week", "d"])
def test_refuses_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_span(text)


@given(st.integers(0, LONGEST))
def test_a_span_reads_back(ms: int) -> None:
    assert parse_span(format_span(ms)) == ms


def test_a_span_is_not_negative() -> None:
    with pytest.raises(ValueError, match="not negative: -1 ms"):
        format_span(-1)
