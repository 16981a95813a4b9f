"""The list of metrics keeps the rules, the page says what the list says, and the code reports what the list has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from pipeline.application.lane import State
from pipeline.application.lane_record import (
    OUTCOMES,
    Breaker,
    LaneRecord,
    ModelMark,
    Skip,
    Tally,
    first_lane_record,
)
from pipeline.application.lane_samples import samples
from pipeline.application.metrics import BY_NAME, METRICS, OUTCOME, STATE, WAIT, Metric, Metrics, NoMetrics
from pipeline.application.metrics_advice import ADVICE
from pipeline.application.metrics_page import page
from pipeline.application.ports import Doubt

ROOT = Path(__file__).parents[2]
BASE_UNITS = ("seconds", "bytes", "records", "events", "profiles", "info", "ratio")
NO_UNIT = {"customers", "lanes", "breaker_open", "lane_state", "timers_held", "model_version", "carrying_over"}
"""Gauges that count people or lanes, name a version, or say yes or no."""

KINDS = {"increment": "counter", "set": "gauge", "observe": "histogram"}
"""What each way of reporting is for."""

each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def full_record() -> LaneRecord:
    record = first_lane_record("journey", 12)
    record.totals["web"] = Tally(read=21, folded=6, duplicate=5, routed=4, late=3, dead=3)
    record.commands.read, record.commands.obeyed, record.commands.dead = 5, 3, 2
    record.transitions = {"five-stage": {"entered": 9, "corrected": 1}}
    record.signals = {"five-stage": {"cart-abandoned:fired": 4, "cart-abandoned:retracted": 1}}
    record.dead = {"not_json": 3}
    record.stages = {"five-stage": {"awareness": 7, "loyalty": 0}}
    record.models = {"five-stage": ModelMark(2, "f2", "", [], [])}
    record.carrying = {"five-stage": 2}
    record.truncated, record.unclassified, record.old, record.parked = 1, 2, 3, 4
    record.next = {"raw.web": 60, "raw.email": 7}
    record.skipped = [Skip("raw.web", 10, 30, "disk", 1), Skip("raw.web", 50, 51, "disk", 2)]
    return record


class TestRules:
    @each_metric
    def test_is_named_by_convention(self, metric: Metric) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert not re.search(r"_(ms|millis\w*|us|minutes|kb|mb|percent|count|sum|bucket|created)(_|$)", metric.name)
        if metric.kind != "counter" and metric.name not in NO_UNIT:
            assert metric.name.endswith(BASE_UNITS)

    @each_metric
    def test_every_label_is_bounded(self, metric: Metric) -> None:
        for label in metric.labels:
            assert re.fullmatch(r"[a-z]+", label.name)
            assert label.name not in {"le", "quantile", "instance", "job", "customer", "identity", "id", "key", "event"}
            assert bool(label.values) != bool(label.bound)
            assert len(set(label.values)) == len(label.values) <= 20

    @each_metric
    def test_buckets_belong_to_histograms_and_rise(self, metric: Metric) -> None:
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))
        if metric.kind == "histogram":
            assert not metric.labels, "a histogram a lane is a dozen series a lane"
            assert len(metric.buckets) <= 15

    @each_metric
    def test_what_is_a_lanes_says_of_which_lane_first(self, metric: Metric) -> None:
        names = [label.name for label in metric.labels]
        assert (names[:1] == ["lane"]) == (metric.origin in {"record", "lane"})
        assert "lane" not in names[1:]

    @each_metric
    def test_the_help_is_a_sentence(self, metric: Metric) -> None:
        assert metric.help[0].isupper() or metric.help[0].isdigit()
        assert metric.help.endswith(".")
        assert "\n" not in metric.help

    def test_names_are_unique(self) -> None:
        assert len(BY_NAME) == len(METRICS)

    def test_closed_lists_are_those_of_the_code(self) -> None:
        assert get_args(State) == STATE.values
        assert ("read", *OUTCOME.values) == OUTCOMES

    def test_every_doubt_has_a_reason_of_the_list(self) -> None:
        def kinds(kind: type[Doubt]) -> Iterator[type[Doubt]]:
            yield kind
            for below in kind.__subclasses__():
                yield from kinds(below)

        assert {kind.reason for kind in kinds(Doubt)} <= set(WAIT.values)


class TestAdvice:
    def test_is_there_for_each_metric_and_no_other(self) -> None:
        assert ADVICE.keys() == BY_NAME.keys()

    @each_metric
    def test_says_the_unit_and_what_to_do(self, metric: Metric) -> None:
        advice = ADVICE[metric.name]
        assert advice.do.endswith(".")
        for unit, ending in {"seconds": "_seconds", "bytes": "_bytes", "profiles": "_profiles"}.items():
            assert (advice.unit == unit) == (metric.name.endswith(ending) and "timestamp" not in metric.name)

    @each_metric
    def test_leads_to_runbooks_that_are_there(self, metric: Metric) -> None:
        for name in ADVICE[metric.name].runbooks:
            assert (ROOT / "deploy" / "runbooks" / f"{name}.md").is_file(), name


class TestPage:
    def test_is_fresh(self) -> None:
        """If not: python -m pipeline.application.metrics_page > docs/metrics.md"""
        assert (ROOT / "docs" / "metrics.md").read_text() == page()


class TestReports:
    """Every call of the code names a metric of the list, of its kind, with as many labels as it has."""

    def _calls(self) -> Iterator[tuple[str, ast.Call, str]]:
        for path in (ROOT / "pipeline").rglob("*.py"):
            text = path.read_text()
            if "metrics" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                target = ast.unparse(node.func.value)
                if node.func.attr in KINDS and target.rpartition(".")[2] in {"metrics", "_metrics"}:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, node.func.attr

    def test_all_are_in_the_list(self) -> None:
        calls = list(self._calls())
        assert len(calls) > 5
        for place, call, method in calls:
            name, _, *labels = call.args
            assert isinstance(name, ast.Constant), f"{place}: the name of a metric is written out"
            assert name.value in BY_NAME, f"{place}: no metric {name.value!r}"
            metric = BY_NAME[name.value]
            assert metric.origin != "record", f"{place}: {metric.name} comes from the lane record"
            assert metric.kind == KINDS[method], f"{place}: {metric.name} is a {metric.kind}"
            assert len(labels) == len(metric.labels), f"{place}: {metric.name} has {len(metric.labels)} labels"

    def test_nothing_of_the_list_is_reported_by_nobody(self) -> None:
        """But for what the adapter says by itself: the build, and what lane records and states say at a scrape."""
        reported = {call.args[0].value for _, call, _ in self._calls() if isinstance(call.args[0], ast.Constant)}
        asked_for = {metric.name for metric in METRICS if metric.origin != "record"} - {"build_info", "lane_state"}
        assert asked_for - reported == set()


class TestSamples:
    def test_name_only_metrics_of_the_record_with_all_their_labels(self) -> None:
        for name, labels, _ in samples(full_record()):
            assert BY_NAME[name].origin == "record"
            assert len(labels) == len(BY_NAME[name].labels) - 1, name

    def test_every_metric_of_the_record_is_said(self) -> None:
        assert {name for name, _, _ in samples(full_record())} == {m.name for m in METRICS if m.origin == "record"}

    def test_outcomes_add_up_to_what_was_read(self) -> None:
        found = list(samples(full_record()))
        read = sum(value for name, _, value in found if name == "events_read_total")
        assert read == 21 == sum(value for name, _, value in found if name == "events_total")

    def test_says_what_the_record_says(self) -> None:
        found = {(name, labels): value for name, labels, value in samples(full_record())}
        assert found["events_total", ("web", "duplicate")] == 5
        assert found["commands_total", ("obeyed",)] == 3
        assert found["transitions_total", ("five-stage", "corrected")] == 1
        assert found["signals_total", ("five-stage", "cart-abandoned", "fired")] == 4
        assert found["dead_letters_total", ("not_json",)] == 3
        assert found["customers", ("five-stage", "awareness")] == 7
        assert found["skipped_records_total", ("raw.web",)] == 21
        assert found["skipped_records_total", ("raw.email",)] == 0, "a rate needs the zero that it began with"
        assert found["dead_letters_total", ("fold_error",)] == 0, "likewise"
        assert found["breaker_open", ()] == 0

    def test_an_open_breaker_is_one(self) -> None:
        record = msgspec.structs.replace(full_record(), breaker=Breaker("many raised", 1, "1.0", {}, 0))
        assert ("breaker_open", (), 1) in list(samples(record))


def test_measuring_nothing_takes_everything() -> None:
    metrics: Metrics = NoMetrics()
    metrics.increment("lane_takes_total", 1, "3")
    metrics.set("cache_profiles", 1)
    metrics.observe("batch_events", 1)
    metrics.publish(3, full_record())
    metrics.lane_state(3, "running", "")
    metrics.forget(3)
    assert vars(metrics) == {}
