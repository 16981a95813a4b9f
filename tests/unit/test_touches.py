"""`journey touches`: what is counted as what, and what the table leaves unclassified."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pytest
from typer.testing import CliRunner

from pipeline.adapters.journey_files import load_models
from pipeline.adapters.kafka import feed_reader
from pipeline.adapters.kafka.feed_reader import FeedRecord
from pipeline.application.intake import Limits, Source
from pipeline.application.touch_survey import Act, Survey, Surveyor
from pipeline.cli import main
from pipeline.config import Settings
from pipeline.dev.life import life
from pipeline.dev.people import person
from pipeline.domain.identity import ANONYMOUS_ONLY
from pipeline.domain.touches import TouchTable

MONDAY = 1_736_154_000_000
runner = CliRunner()


def record(number: int, kind: str, topic: str = "raw.web", **more: object) -> FeedRecord:
    event = {"id": f"e{number}", "type": kind, "occurred_at": MONDAY, "customer_id": f"c{number}", **more}
    return FeedRecord(topic, number % 4, number, MONDAY, None, json.dumps(event).encode(), ())


WEB = [
    record(1, "order_placed"),
    record(2, "order_placed"),
    record(3, "wish_added", source="site"),
    record(4, "wish_added", source="site"),
    record(5, "wish_added"),
    record(6, "order_placed", actor="company"),
    FeedRecord("raw.web", 0, 7, MONDAY, None, b"{", ()),
]


def survey_of(records: Sequence[FeedRecord], channel: str = "web") -> Survey:
    table = TouchTable(load_models(Settings())[0])
    surveyor = Surveyor(table, Limits(), event_clock=False, identities=ANONYMOUS_ONLY)
    surveyor.look(Source(f"raw.{channel}", "raw", channel), records)
    return surveyor.survey


def test_counts_what_no_row_fits() -> None:
    survey = survey_of(WEB)
    assert survey.events == 6
    assert survey.of("ordered") == 2
    assert survey.unknown == {
        Act("web", "wish_added", "site", "customer"): 2,
        Act("web", "wish_added", "", "customer"): 1,
        Act("web", "order_placed", "", "company"): 1,
    }
    assert survey.examples[Act("web", "wish_added", "site", "customer")] == "e3"
    assert survey.dead == {"not_json": 1}


def test_every_act_of_the_simulated_customers_is_classified() -> None:
    for number in range(12):
        acts = list(life(7, person(7, number, MONDAY)))
        for channel in {act.channel for act in acts}:
            of_channel = [act for act in acts if act.channel == channel]
            records = [
                record(place, act.type, source=act.source, actor=act.actor, properties=dict(act.properties))
                for place, act in enumerate(of_channel)
            ]
            survey = survey_of(records, channel)
            assert (survey.events, dict(survey.unknown), survey.dead) == (len(of_channel), {}, {})


class Reader:
    """A stand-in for the reader of topics: those of `records`, and nothing in the others."""

    records: Sequence[FeedRecord] = ()

    def __init__(self, _: str, topics: Sequence[str]) -> None:
        self._topics = topics

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def last(self, count: int) -> list[FeedRecord]:
        return [record for record in self.records if record.topic in self._topics][-count:]


def test_the_command_lists_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_reader, "FeedReader", Reader)
    monkeypatch.setattr(Reader, "records", WEB)
    shown = runner.invoke(main.app, ["touches"])
    assert shown.exit_code == 1
    assert "6 events, 4 of them fit no row of the touch table (66.67%)" in shown.output
    (line,) = [line for line in shown.output.splitlines() if "e3" in line]
    assert line.split() == ["2", "web", "wish_added", "site", "customer", "e3"]
    assert "no events: not_json 1" in shown.output
    content = json.loads(runner.invoke(main.app, ["touches", "--json"]).output)
    assert content["events"] == 6
    assert content["touches"]["ordered"] == {"web": 2}
    assert content["touches"]["cart"] == {}
    assert [act["count"] for act in content["unclassified"]] == [2, 1, 1]
    fewer = json.loads(runner.invoke(main.app, ["touches", "--json", "-n", "3"]).output)
    assert fewer["events"] == 2


def test_the_command_is_content_if_all_is_classified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_reader, "FeedReader", Reader)
    monkeypatch.setattr(Reader, "records", WEB[:2])
    assert runner.invoke(main.app, ["touches"]).exit_code == 0
