"""The frames of `journey top`, from given looks."""

import json
from io import StringIO

import msgspec
import pytest
from rich.console import Console
from rich.screen import Screen

from pipeline.adapters.kafka.feed_reader import FeedRecord
from pipeline.adapters.lanes_seen import LaneSeen, LanesSeen
from pipeline.adapters.lanes_watched import NEWEST, Rates, View, rates
from pipeline.adapters.published import EventCause, PublishedTransition, transition
from pipeline.application.lane_record import Tally, first_lane_record
from pipeline.application.ports import ProgressRecord
from pipeline.cli.top_shown import Frame, number

NOW = 1_736_154_000_000  # 2025-01-06 09:00
WORKER = "worker-of-a-long-name"
WHY = "breaker: 21 customers failed; `journey lane resume --lane 1 --reason …`"


def lane(place: int, state: str = "running", reason: str = "", lag: int = 0, events: int = 0) -> LaneSeen:
    record = first_lane_record("shop", 2)
    record.totals = {"web": Tally(read=events + 5, folded=events, routed=5)}
    record.transitions = {"five-stage": {"entered": events // 2}}
    said = ProgressRecord(place, "w", NOW, 0, WORKER, state, reason, "raw.web", NOW - 90_000, "1.2.3")
    return LaneSeen(place, record, "t:7", said, NOW - 1_000, lag, lag * 100, state, reason)


def lanes(*them: LaneSeen) -> LanesSeen:
    return LanesSeen("shop", them, NOW - 2_000, "lane 1 raw.store")


def changes(count: int) -> tuple[PublishedTransition, ...]:
    content = {
        "id": "i",
        "journey": "five-stage",
        "version": 1,
        "seq": 1,
        "kind": "corrected",
        "from": None,
        "to": "awareness",
        "entry": "e",
        "supersedes": [],
        "occurred_at": "2025-01-06T08:59:00.000Z",
        "published_at": "2025-01-06T09:00:00.000Z",
        "cause": {"rule": "r", "event": {"id": "e", "type": "page_viewed", "channel": "web"}},
    }
    records = (json.dumps(content | {"customer_id": f"c{number}"}).encode() for number in range(count))
    return tuple(transition(FeedRecord("t", 0, 0, 0, None, record, [])) for record in records)


def drawn(view: View, width: int = 160, height: int | None = None, live: bool = True, later_ms: int = 0) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height)
    frame = Frame(view, NOW + later_ms, live, screen=height is not None)
    lines = console.render_lines(frame if height is None else Screen(frame), pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


TWO = lanes(lane(0), lane(1, "waiting", WHY, lag=1_234))
VIEW = View(TWO, NOW, Rates({0: 1_500.0, 1: 0.5}, 12.0), changes(3))


def test_a_wide_frame_says_everything() -> None:
    text = "\n".join(drawn(VIEW))
    for part in (
        *("shop", "1 of 2 lanes run", "1,500 events/s", "12 transitions/s"),
        "timers stand at 2025-01-06 08:59:58, 2 s ago; held by lane 1 raw.store",
        *("running", "waiting", "90 s", "1,234", "123 s", "0.5", WORKER, "1.2.3", WHY),
        *("c0", "· → awareness corrected", "page_viewed on web", "2025-01-06 08:59"),
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        (100, ["lag", "behind", "events/s", "for", "owner"], ["version", "said"]),
        (70, ["lag", "events/s"], ["said", "version"]),
        (48, ["lag"], ["events/s", "behind"]),
    ],
)
def test_columns_go_by_importance(width: int, there: list[str], gone: list[str]) -> None:
    lines = drawn(VIEW, width)
    (header,) = (line.split() for line in lines if "state" in line.split())
    assert header[:2] == ["lane", "state"]
    assert set(there) <= set(header)
    assert not set(gone) & set(header)
    assert max(map(len, lines)) <= width


def test_the_cause_of_a_transition_is_cut_before_it_goes() -> None:
    silent = msgspec.structs.replace(changes(1)[0].cause, event=EventCause("e", "a_very_long_type_of_event", "web"))
    view = View(TWO, NOW, VIEW.rates, (msgspec.structs.replace(changes(1)[0], cause=silent),))
    assert drawn(view)[-1].endswith("a_very_long_type_of_event on web")
    assert drawn(view, 76)[-1].endswith("  a_very_long_type_of_ev…")
    assert drawn(view, 60)[-1].endswith("awareness corrected")


@pytest.mark.parametrize("width", [120, 60, 40])
def test_the_reason_is_never_cut(width: int) -> None:
    letters = "".join("".join(drawn(VIEW, width)).split())
    said = [word for word in WHY.split() if len(word) > 3]
    assert all(word in letters for word in said)


@pytest.mark.parametrize("height", [8, 12, 24, 50])
def test_a_screen_is_filled_and_not_overrun_and_shows_the_lanes_in_need(height: int) -> None:
    many = lanes(*(lane(place) for place in range(32)), lane(32, "unowned", "no worker has taken it yet", lag=9))
    lines = drawn(View(many, NOW, Rates({}, None), changes(NEWEST)), 120, height)
    assert len(lines) == height
    assert any(line.split()[:2] == ["32", "unowned"] for line in lines)
    if height < 40:
        shown = sum("running" in line.split() for line in lines)
        assert any(f"and {32 - shown} more lanes, all running" in line for line in lines)
    if height >= 24:
        assert f"c{NEWEST - 1} " in lines[-1]


def test_trouble_says_how_old_the_rest_is() -> None:
    lines = drawn(View(TWO, NOW, VIEW.rates, (), "Kafka does not answer"), later_ms=7_000)
    assert lines[0] == "Kafka does not answer; below is what was 7 s ago"
    assert any("waiting" in line for line in lines)
    never = drawn(View(None, 0, Rates({}, None), (), "Kafka does not answer"))
    assert never[0] == "Kafka does not answer"


def test_event_time_has_no_age() -> None:
    text = "\n".join(drawn(VIEW, live=False))
    assert "timers stand at 2025-01-06 08:59:58; held by" in text
    assert "behind" not in text


def test_rates_are_of_what_ended_in_the_lane_since_the_look_before() -> None:
    before = lanes(lane(0, events=100), lane(1, events=50))
    now = lanes(lane(0, events=300), lane(1, events=51))
    found = rates(before, now, 2.0)
    assert (found.events, found.all_events, found.transitions) == ({0: 100.0, 1: 0.5}, 100.5, 50.0)


def test_no_rate_is_made_up() -> None:
    first = rates(None, TWO, 2.0)
    assert (first.events, first.all_events, first.transitions) == ({0: None, 1: None}, None, None)
    lost = rates(lanes(lane(0, events=9)), lanes(lane(0, events=3)), 2.0)
    assert lost.events == {0: None}
    assert [number(None), number(0.0), number(0.25), number(12.4), number(1234)] == ["–", "0", "0.2", "12", "1,234"]
