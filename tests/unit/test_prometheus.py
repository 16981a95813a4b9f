from collections.abc import Iterable
from math import isnan

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.application.lane_record import Tally, first_lane_record
from pipeline.application.metrics import METRICS, PREFIX, Metrics
from tests.fakes.pipeline import START, Workers
from tests.unit.test_metrics import full_record

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> PrometheusMetrics:
    metrics = PrometheusMetrics()
    port: Metrics = metrics
    assert port is metrics
    return metrics


def series(metrics: PrometheusMetrics) -> Series:
    """Everything of ours that a scrape shows; a series that stands twice fails here as it does in Prometheus."""
    body, _ = metrics.exposition("")
    found: Series = {}
    for family in parse_text(body.decode()):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                key = sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))
                assert key not in found
                found[key] = sample.value
    return found


def named(found: Iterable[tuple[str, tuple[tuple[str, str], ...]]], name: str) -> list[dict[str, str]]:
    return [dict(labels) for known, labels in found if known == name]


class TestExposition:
    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [("", "text/plain"), ("*/*", "text/plain"), (OPENMETRICS, "application/openmetrics")],
    )
    def test_is_what_the_scraper_asks_for(self, metrics: PrometheusMetrics, accept: str, content_type: str) -> None:
        metrics.publish(3, full_record())
        body, found = metrics.exposition(accept)
        assert found.startswith(content_type)
        parse = parse_openmetrics if "openmetrics" in content_type else parse_text
        families = {family.name for family in parse(body.decode())}
        assert {PREFIX + metric.name.removesuffix("_total") for metric in METRICS} <= families
        assert "process_resident_memory_bytes" in families

    def test_two_workers_in_one_process_do_not_meet(self, metrics: PrometheusMetrics) -> None:
        metrics.set("cache_profiles", 7)
        assert series(PrometheusMetrics())["cache_profiles", ()] != 7

    def test_shows_no_times_of_creation(self, metrics: PrometheusMetrics) -> None:
        metrics.observe("transaction_seconds", 0.1)
        assert b"_created" not in metrics.exposition("")[0]

    def test_names_the_build(self, metrics: PrometheusMetrics) -> None:
        assert named(series(metrics), "build_info")[0].keys() == {"version", "python"}


class TestReporting:
    def test_counts(self, metrics: PrometheusMetrics) -> None:
        assert series(metrics)["cache_lookups_total", (("result", "hit"),)] == 0
        metrics.increment("cache_lookups_total", 3, "hit")
        metrics.increment("cache_lookups_total", 4, "hit")
        assert series(metrics)["cache_lookups_total", (("result", "hit"),)] == 7

    def test_sets(self, metrics: PrometheusMetrics) -> None:
        metrics.set("lane_lag_records", 9, "3", "raw.web")
        metrics.set("lane_lag_records", 5, "3", "raw.web")
        assert series(metrics)["lane_lag_records", (("lane", "3"), ("topic", "raw.web"))] == 5

    def test_what_is_not_known_yet_is_not_zero(self, metrics: PrometheusMetrics) -> None:
        assert isnan(series(metrics)["watermark_timestamp_seconds", ()])
        metrics.set("watermark_timestamp_seconds", 1.5)
        assert series(metrics)["watermark_timestamp_seconds", ()] == 1.5

    def test_observes_in_buckets(self, metrics: PrometheusMetrics) -> None:
        metrics.observe("transaction_seconds", 0.03)
        found = series(metrics)
        assert found["transaction_seconds_bucket", (("le", "0.025"),)] == 0
        assert found["transaction_seconds_bucket", (("le", "0.05"),)] == 1
        assert found["transaction_seconds_sum", ()] == 0.03

    @pytest.mark.parametrize(
        ("metric", "labels", "error"),
        [
            ("no_such", (), KeyError),
            ("cache_profiles", (), KeyError),
            ("events_total", ("3", "web", "folded"), KeyError),
            ("lane_takes_total", (), ValueError),
            ("lane_takes_total", ("3", "redis"), ValueError),
        ],
    )
    def test_a_mistake_is_not_counted(
        self, metrics: PrometheusMetrics, metric: str, labels: tuple[str, ...], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            metrics.increment(metric, 1, *labels)

    def test_a_value_outside_its_list_makes_no_series_of_its_own(self, metrics: PrometheusMetrics) -> None:
        for reason in ("redis", "c:4711", "c:4712", ""):
            metrics.increment("lane_doubts_total", 1, "3", reason)
        found = series(metrics)
        assert {labels["reason"] for labels in named(found, "lane_doubts_total")} == {"redis", "other", "none"}
        assert found["lane_doubts_total", (("lane", "3"), ("reason", "other"))] == 2


class TestLanes:
    def test_show_the_committed_record(self, metrics: PrometheusMetrics) -> None:
        metrics.publish(3, full_record())
        found = series(metrics)
        read = (("channel", "web"), ("lane", "3"))
        assert found["events_read_total", read] == 21
        outcomes = [
            value
            for (name, labels), value in found.items()
            if name == "events_total"
            and dict(labels) | {"outcome": ""} == {"lane": "3", "channel": "web", "outcome": ""}
        ]
        assert sum(outcomes) == 21

    def test_the_next_record_takes_the_place_of_the_last(self, metrics: PrometheusMetrics) -> None:
        metrics.publish(3, full_record())
        newer = full_record()
        newer.totals["web"] = Tally(read=30, folded=30)
        newer.stages = {"five-stage": {"loyalty": 1}}
        metrics.publish(3, newer)
        found = series(metrics)
        assert found["events_read_total", (("channel", "web"), ("lane", "3"))] == 30
        assert [labels["stage"] for labels in named(found, "customers")] == ["loyalty"]

    def test_unknown_values_of_a_record_are_added_up(self, metrics: PrometheusMetrics) -> None:
        record = first_lane_record("journey", 12)
        record.dead = {"of_a_newer_version": 2, "of_another": 3, "not_json": 1}
        metrics.publish(3, record)
        assert series(metrics)["dead_letters_total", (("lane", "3"), ("reason", "other"))] == 5

    def test_are_in_one_state_at_a_time(self, metrics: PrometheusMetrics) -> None:
        metrics.lane_state(3, "taking", "replaying")
        metrics.lane_state(3, "running", "")
        metrics.lane_state(4, "waiting", "redis")
        states = {
            (labels["lane"], labels["state"], labels["reason"]) for labels in named(series(metrics), "lane_state")
        }
        assert states == {("3", "running", "none"), ("4", "waiting", "redis")}

    @pytest.mark.parametrize("by", ["forget", "stopped"])
    def test_disappear_when_they_leave(self, metrics: PrometheusMetrics, by: str) -> None:
        for lane in (1, 11):
            metrics.publish(lane, full_record())
            metrics.lane_state(lane, "running", "")
            metrics.set("lane_lag_records", 9, str(lane), "raw.web")
            metrics.increment("lane_doubts_total", 1, str(lane), "odd")
        metrics.set("timers_held", 1, "1")
        match by:
            case "forget":
                metrics.forget(1)
            case "stopped":
                metrics.lane_state(1, "stopped", "")
        found = series(metrics)
        lanes = {dict(labels)["lane"] for _, labels in found if "lane" in dict(labels)}
        assert lanes == {"11"}
        assert found["timers_held", (("holder", "1"),)] == 1

    def test_count_anew_when_they_come_back(self, metrics: PrometheusMetrics) -> None:
        metrics.increment("lane_takes_total", 5, "3")
        metrics.forget(3)
        metrics.increment("lane_takes_total", 1, "3")
        assert series(metrics)["lane_takes_total", (("lane", "3"),)] == 1


class TestCustomers:
    """However many there are, and whatever they are called, a scrape has as many series."""

    async def test_add_no_series(self) -> None:
        metrics = PrometheusMetrics()
        workers = Workers(metrics=metrics)
        workers.run()
        counts: list[int] = []
        for first in (0, 50, 2_000):
            for number in range(first, 10 * first or 50):
                workers.send(f"customer-{number}", ("page_viewed", "order_placed", "nonsense")[number % 3], START)
                workers.append("raw.web", number % 2, f"no event {number}".encode())
            await workers.settle()
            counts.append(len(series(metrics)))
        await workers.kill()
        assert sum(series(metrics)[name] for name in series(metrics) if name[0] == "customers") > 10_000
        assert counts[0] == counts[1] == counts[2]
        assert b"customer-" not in metrics.exposition("")[0]

    def test_a_million_records_leave_the_series_of_one(self, metrics: PrometheusMetrics) -> None:
        record = full_record()
        metrics.publish(3, record)
        before = series(metrics).keys()
        for number in range(1_000_000):
            record.totals["web"].read = record.totals["web"].folded = number
            record.owner = f"customer-{number}"
            metrics.publish(3, record)
        assert series(metrics).keys() == before
        assert series(metrics)["events_read_total", (("channel", "web"), ("lane", "3"))] == 999_999
