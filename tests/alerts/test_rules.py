"""The rule files: sound for Prometheus and Alertmanager, made of what the workers show, and ready for a person."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.dev import slo_rules
from tests.alerts.promql import mistakes, names, recorded, shown
from tests.alerts.promtool import ALERTS, DEPLOY, RECORDING, SLO, run

PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yaml"
ALERTMANAGER = DEPLOY / "prometheus" / "alertmanager.yaml"
DASHBOARDS = ("journey-overview", "journey-lanes", "journey-kafka", "journey-redis", "journey-journeys")


def rules(*paths: Path) -> list[dict[str, Any]]:
    load = YAML(typ="safe").load
    return [rule for path in paths for group in load(path)["groups"] for rule in group["rules"]]


EVERY = rules(RECORDING, SLO, ALERTS)
TOLD = [rule for rule in EVERY if "alert" in rule]
KNOWN = shown() | {rule["record"]: recorded(rule["record"]) for rule in EVERY if "record" in rule}

each_alert = pytest.mark.parametrize("alert", TOLD, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")


def test_prometheus_takes_its_files() -> None:
    said = run("promtool", "prometheus", "check", "config", PROMETHEUS)
    assert said.count("rules found") == 3
    run("promtool", "prometheus", "check", "rules", "--lint=all", "--lint-fatal", RECORDING, SLO, ALERTS)


def test_alertmanager_takes_its_file_and_routes_by_severity() -> None:
    run("amtool", "prometheus-alertmanager", "check-config", ALERTMANAGER)
    for labels, receiver in {
        ("severity=page", "job=journey", "alertname=JourneyNoWorker"): "on-call",
        ("severity=inform", "job=journey", "alertname=JourneyRedisAway"): "team",
    }.items():
        run(
            *("amtool", "prometheus-alertmanager", "config", "routes", "test"),
            *(f"--config.file={ALERTMANAGER}", f"--verify.receivers={receiver}", *labels),
        )


def test_what_is_silenced_beside_others_are_alerts_that_there_are() -> None:
    inhibitions = YAML(typ="safe").load(ALERTMANAGER)["inhibit_rules"]
    matchers = [text for rule in inhibitions for side in ("source", "target") for text in rule[f"{side}_matchers"]]
    named = {name for text in matchers if text.startswith("alertname") for name in re.findall(r"Journey\w+", text)}
    assert len(named) > 5
    assert named <= {alert["alert"] for alert in TOLD}


def test_the_rules_of_the_service_levels_are_what_their_file_generates() -> None:
    """If not: python -m pipeline.dev.slo_rules > deploy/prometheus/slo-rules.yaml"""
    assert SLO.read_text() == slo_rules.rules(slo_rules.load())


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.get("record", rule.get("alert")))
def test_a_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    assert mistakes(rule["expr"], KNOWN) == []
    assert names(rule["expr"]) or rule["expr"].startswith("vector(")


def test_all_that_is_asked_for_is_exposed_by_a_worker() -> None:
    asked = {name for rule in EVERY for name in names(rule["expr"]) if ":" not in name} - {"up"}
    page = PrometheusMetrics().exposition("")[0].decode()
    exposed = set(re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE))
    assert len(asked) > 15
    assert {re.sub(r"_bucket$", "", name) for name in asked} <= exposed


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("sum(journey_lane_lags)", "no series journey_lane_lags"),
        ("journey_lane_lag_records_total", "no series journey_lane_lag_records_total"),
        ("rate(journey_batch_events[5m])", "no series journey_batch_events"),
        ('journey_lanes{clocks="live"}', "journey_lanes has no label clocks"),
        ('journey_lanes{clock="life"}', "journey_lanes is never with clock=life"),
        ('journey_lane_state{reason=~"kafka|membershib"}', "journey_lane_state is never with reason=kafka|membershib"),
        (
            'journey_dead_letters_total{reason!="fold_eror"}',
            "journey_dead_letters_total is never with reason=fold_eror",
        ),
        ("sum by (topic) (journey_breaker_open)", "nothing here has the label topic"),
        ("up and on (lane) journey_breaker_open", "nothing here has the label lane"),
        ("max_over_time(sum by (jobs) (up)[1h:])", "nothing here has the label jobs"),
        ('slo:sli_error:ratio_rate7m{slo="freshness"}', "no series slo:sli_error:ratio_rate7m"),
    ],
)
def test_a_typo_is_seen(expression: str, mistake: str) -> None:
    assert mistakes(expression, KNOWN) == [mistake]


@pytest.mark.parametrize("rule", [rule for rule in EVERY if "record" in rule], ids=lambda rule: rule["record"])
def test_a_recorded_series_has_the_labels_that_its_name_says(rule: dict[str, Any]) -> None:
    level = set(recorded(rule["record"])) - set(rule.get("labels", {}))
    grouped = re.findall(r"by \(([\w, ]+)\)", rule["expr"])
    assert all(level <= {label.strip() for label in labels.split(",")} for labels in grouped)


@each_alert
def test_an_alert_says_what_is_up_and_where_to_look(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"Journey[A-Z]\w+", alert["alert"])
    assert alert["labels"]["severity"] in {"page", "inform"}
    notes = alert["annotations"]
    assert re.search(r"\{\{ \$labels.job \}\}", notes["summary"]), "which application"
    assert notes["summary"].endswith(".")
    assert len(notes["summary"]) < 200, "it is read on a telephone"
    assert "\n" not in notes["summary"]
    assert notes["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{alert['alert']}.md"
    dashboard = re.fullmatch(r"\{\{ \$externalLabels\.dashboards \}\}/([\w-]+)\?var-job=.+", notes["dashboard_url"])
    assert dashboard is not None
    assert dashboard[1] in DASHBOARDS


@each_alert
def test_an_alert_keeps_the_labels_that_its_summary_names(alert: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    text = alert["expr"]
    has = {"job"} | {label.strip() for labels in re.findall(r"by \(([\w, ]+)\)", text) for label in labels.split(",")}
    if text.startswith("job_lane:"):
        has.add("lane")
    if text.startswith(("up ", "changes(process_")):
        has.add("instance")
    assert named <= has


def test_the_words_of_an_alert_are_filled_in(tmp_path: Path) -> None:
    test = {
        "rule_files": [str(RECORDING), str(ALERTS)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "external_labels": {"runbooks": "https://runbooks", "dashboards": "https://dashboards"},
                "input_series": [{"series": 'journey_breaker_open{job="shop",lane="7"}', "values": "1x4"}],
                "alert_rule_test": [
                    {
                        "eval_time": "1m",
                        "alertname": "JourneyBreakerOpen",
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": "page", "job": "shop", "lane": "7"},
                                "exp_annotations": {
                                    "summary": "Lane 7 of shop has stopped itself, because the program failed on too "
                                    "many customers. It stands until a person decides.",
                                    "runbook_url": "https://runbooks/JourneyBreakerOpen.md",
                                    "dashboard_url": "https://dashboards/journey-lanes?var-job=shop&var-lane=7",
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    YAML().dump(test, file)
    run("promtool", "prometheus", "test", "rules", file)
