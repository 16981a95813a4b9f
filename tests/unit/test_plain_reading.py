"""The checker's own reading of journeys and touch tables says what the pipeline's says."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.journey_files import MODELS, built_in_journeys, load_journey, load_touches
from pipeline.checker.plain_admission import act_of
from pipeline.checker.plain_journey import duration, read_file, read_journey
from pipeline.checker.plain_touches import read_touches, touch_of
from pipeline.domain.duration import parse_duration
from pipeline.domain.moments import parse_moment

GRACE = {"web": 1, "email": 2, "social": 3, "phone": 4, "store": 5}
"""In ms, all different, so that a wrong channel shows."""

TOUCHES = MODELS / "touches.yaml"
JOURNEYS = built_in_journeys()


@pytest.mark.parametrize("path", JOURNEYS, ids=lambda path: path.stem)
def test_built_in_journeys_are_read_alike(path: Path) -> None:
    spec = load_journey(path, load_touches(TOUCHES), GRACE, clock_is_event=False)
    plain = read_journey(read_file(path), read_touches(read_file(TOUCHES)), GRACE)
    assert (plain.name, plain.stages) == (spec.name, tuple(stage.id for stage in spec.stages))
    assert [(e.rule, e.to, e.touches, e.froms, e.count, e.within, e.at_least) for e in plain.entries] == [
        (e.rule, e.to, frozenset(e.touches), frozenset(e.froms), e.count, e.within_ms, e.at_least) for e in spec.entries
    ]
    assert [(s.rule, s.to, s.after, s.since, s.unless, s.grace, s.expires) for s in plain.silences] == [
        (s.rule, s.to, s.after_ms, names(s.since), names(s.unless), s.grace_ms, s.expires_ms) for s in spec.silences
    ]
    # Nobody enters the start, so for a silence since the entry it makes no difference whether it is listed.
    assert [names(s.froms) if s.since else less_start(s.froms) for s in plain.silences] == [
        names(s.froms) if s.since else less_start(s.froms) for s in spec.silences
    ]


def names(found: Any) -> frozenset[str] | None:
    return None if found is None else frozenset(found)


def less_start(found: Any) -> frozenset[str] | None:
    return None if found is None else frozenset(found) - {""}


def test_on_event_time_nothing_waits() -> None:
    for path in JOURNEYS:
        spec = load_journey(path, load_touches(TOUCHES), GRACE, clock_is_event=True)
        plain = read_journey(read_file(path), read_touches(read_file(TOUCHES)), {})
        assert {silence.grace_ms for silence in spec.silences} | {silence.grace for silence in plain.silences} == {0}


@pytest.mark.parametrize("text", ["1ms", "250ms", "5s", "5min", "24h", "90d", "7 d"])
def test_durations(text: str) -> None:
    assert duration(text) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "d", "5", "5 weeks", "1.5h", "-1d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)


ROWS = read_touches(
    {
        "touches": {
            "dear": {"type": "order", "where": {"basket.total": [100, True], "currency": "EUR"}},
            "in_shop": {"type": ["order", "visit"], "channel": "store"},
            "clicked": {"source": ["ad", "mail"], "where": {"closed": None}},
            "urged": {"type": "order", "actor": "company"},
        }
    }
)


@pytest.mark.parametrize(
    ("event", "channel", "touch"),
    [
        ({"type": "order", "properties": {"basket": {"total": 100}, "currency": "EUR"}}, "web", "dear"),
        ({"type": "order", "properties": {"basket": {"total": 1}, "currency": "EUR"}}, "web", "unclassified"),
        ({"type": "order", "properties": {"basket": {"total": True}, "currency": "EUR"}}, "web", "dear"),
        ({"type": "order", "properties": {"basket": 100, "currency": "EUR"}}, "store", "in_shop"),
        ({"type": "visit"}, "store", "in_shop"),
        ({"type": "visit"}, "web", "unclassified"),
        ({"type": "look", "source": "ad"}, "web", "clicked"),
        ({"type": "look", "source": "ad", "properties": {"closed": False}}, "web", "unclassified"),
        ({"type": "look", "source": "site"}, "web", "unclassified"),
        ({"type": "order", "actor": "company"}, "store", "urged"),
        ({"type": "visit", "actor": "company"}, "store", "company_act"),
    ],
)
def test_touches(event: dict[str, Any], channel: str, touch: str) -> None:
    assert touch_of(event, channel, ROWS) == touch


@pytest.mark.parametrize("text", ["2026-01-31T09:30:00.123Z", "2026-01-31T09:30:00Z", "2026-01-31T10:30:00.1+01:00"])
def test_moments(text: str) -> None:
    act = act_of({"id": "a", "type": "look", "occurred_at": text}, "web", ROWS, 0, 0, 0)
    assert act.at == parse_moment(text)
