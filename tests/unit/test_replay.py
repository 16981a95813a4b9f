"""A model over raw events without a lane: it ends where lanes end, silences fire, and what breaks is left out."""

import json
from dataclasses import replace

import pytest

from pipeline.application.intake import PUNCTUATION, Limits
from pipeline.application.replay import Conditions, Model, Replay, Sample
from pipeline.domain.compile import compile_journey
from pipeline.domain.encoding import decode
from pipeline.domain.fold import Fold
from pipeline.domain.touches import TouchTable
from tests.fakes.kafka.log import FakeRecord
from tests.fakes.pipeline import DAY, HOUR, MINUTE, SOURCES, START, TOUCHES, journey

WEB, STORE = SOURCES[:2]
TABLE = TouchTable(TOUCHES)
MODEL = Model(compile_journey(journey(), TABLE.company), TABLE)
CONDITIONS = Conditions(Limits(), event_clock=False, places=2, lateness=DAY, recent_limit=64)


def record(
    number: int,
    customer: str,
    kind: str,
    at: int,
    appended: int | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> FakeRecord:
    event = {"id": f"e{number}", "type": kind, "occurred_at": at, "customer_id": customer}
    return FakeRecord(number, at if appended is None else appended, None, json.dumps(event).encode(), headers)


def test_silences_fire_once_time_has_passed_and_at_their_grace() -> None:
    replay = Replay(MODEL, CONDITIONS)
    replay.take(WEB, 0, [record(1, "one", "order_placed", START), record(2, "two", "cart_updated", START)])
    replay.pass_time(START + HOUR + 4 * MINUTE)
    assert replay.told.stages == {"c:one": "bought"}
    assert replay.told.signals == {}
    replay.pass_time(START + HOUR + 5 * MINUTE)
    assert replay.told.signals == {("cart_left", "fired"): 1}
    replay.pass_time(START + 91 * DAY)
    assert replay.told.stages == {"c:one": "lapsed"}
    assert replay.watermark == START + 91 * DAY
    assert set(replay.profiles) == {"c:one", "c:two"}
    entry = replay.last_entry("c:one")
    assert entry is not None
    assert (entry.to, entry.at) == ("lapsed", START + 90 * DAY)
    assert replay.last_entry("c:two") is None


def test_an_event_from_another_partition_takes_its_place() -> None:
    replay = Replay(MODEL, CONDITIONS)
    replay.take(WEB, 0, [record(1, "one", "cart_updated", START)])
    replay.pass_time(START + 2 * HOUR)
    replay.take(STORE, 1, [record(2, "one", "order_placed", START + MINUTE, START + 3 * HOUR)])
    replay.pass_time(START + 3 * HOUR)
    assert replay.told.signals == {("cart_left", "fired"): 1, ("cart_left", "retracted"): 1}
    assert decode(replay.profiles["c:one"], replay.names).strands[0].newest == START + MINUTE


def test_what_is_no_event_is_counted_and_left_out() -> None:
    replay = Replay(MODEL, CONDITIONS)
    replay.take(WEB, 0, [FakeRecord(0, START, None, b"nonsense"), record(1, "one", "page_viewed", START)])
    replay.pass_time(START)
    assert replay.dead == {"not_json": 1}
    assert (replay.events, replay.told.stages) == (1, {"c:one": "seen"})


def test_on_event_time_nothing_fires_before_every_partition_has_promised() -> None:
    replay = Replay(MODEL, replace(CONDITIONS, event_clock=True))
    promise = ((PUNCTUATION, str(START + 2 * HOUR).encode()),)
    replay.take(WEB, 0, [record(1, "one", "cart_updated", START), FakeRecord(2, START, None, None, promise)])
    replay.pass_time(START + DAY)
    assert (replay.watermark, replay.told.signals) == (None, {})
    replay.take(STORE, 1, [FakeRecord(0, START, None, None, promise)])
    replay.pass_time(START + DAY)
    assert (replay.watermark, replay.told.signals) == (START + 2 * HOUR, {("cart_left", "fired"): 1})


def test_a_sample_is_always_of_the_same_customers_and_about_as_large_as_asked() -> None:
    keys = [f"c:{number}" for number in range(20_000)]
    tenth = {key for key in keys if key in Sample(0.1)}
    assert 1_800 < len(tenth) < 2_200
    assert tenth == {key for key in keys if key in Sample(0.1)}
    assert tenth < {key for key in keys if key in Sample(0.2)}
    assert all(key in Sample(1.0) for key in keys)


def test_only_the_sample_is_folded() -> None:
    replay = Replay(MODEL, replace(CONDITIONS, share=0.5))
    records = [record(number, f"c{number}", "page_viewed", START) for number in range(200)]
    replay.take(WEB, 0, records)
    replay.pass_time(START)
    assert set(replay.profiles) == {f"c:c{number}" for number in range(200) if f"c:c{number}" in Sample(0.5)}
    assert replay.events == len(replay.profiles)
    assert 70 < replay.events < 130


@pytest.mark.pure
def test_an_event_that_the_fold_fails_at_costs_that_event_only(monkeypatch: pytest.MonkeyPatch) -> None:
    fold_event = Fold.event

    def broken(self, profile, identity, event, watermark, feed):  # type: ignore[no-untyped-def]
        if event.id == "e2":
            raise ZeroDivisionError
        return fold_event(self, profile, identity, event, watermark, feed)

    monkeypatch.setattr(Fold, "event", broken)
    replay = Replay(MODEL, CONDITIONS)
    replay.take(
        WEB, 0, [record(n, "one", kind, START + n) for n, kind in enumerate(["page_viewed", "x", "order_placed"])]
    )
    replay.pass_time(START)
    assert replay.raised == {"ZeroDivisionError": 1}
    assert replay.told.stages == {"c:one": "seen"}
    assert replay.told.transitions == {"entered": 1}


@pytest.mark.pure
def test_timers_that_the_fold_fails_at_are_left_alone_and_others_fire(monkeypatch: pytest.MonkeyPatch) -> None:
    fold_time = Fold.time

    def broken(self, profile, watermark, feed):  # type: ignore[no-untyped-def]
        if profile.key == "c:one":
            raise ZeroDivisionError
        fold_time(self, profile, watermark, feed)

    monkeypatch.setattr(Fold, "time", broken)
    replay = Replay(MODEL, CONDITIONS)
    replay.take(WEB, 0, [record(1, "one", "cart_updated", START), record(2, "two", "cart_updated", START)])
    replay.pass_time(START + DAY)
    assert replay.raised == {"ZeroDivisionError": 1}
    assert replay.told.signals == {("cart_left", "fired"): 1}
