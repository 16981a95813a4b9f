"""One drill in short, planted bugs that a drill must see, and what the drills rest on."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.dev.stack_net import LOOPBACK
from tests.alerts.promtool import ALERTS, DEPLOY, RECORDING, SLO
from tests.alerts.test_rules import TOLD
from tests.drills.drill import Course, Outcome
from tests.drills.faults import DRILLS
from tests.drills.report import page
from tests.drills.runbook import Prompt, Runbook
from tests.drills.scene import Scene, scene
from tests.drills.shortened import shortened

FACTOR = 30.0
FILES = (RECORDING, SLO, ALERTS, *(DEPLOY / "prometheus" / name for name in ("prometheus.yaml", "alertmanager.yaml")))
CANNOT_FIRE = ("up == 0 and", "up == 2 and")

# ---- what they rest on


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_duration_is_divided_and_nothing_else(file: Path) -> None:
    whole, short = file.read_text(), shortened(file.read_text(), 10)
    durations = r"(?<=\[)\d+[smhdw](?=\])|(?<=: )\d+[smhdw]\b(?!\w)"
    assert re.findall(durations, whole)
    assert not re.findall(durations, short)
    assert re.sub(durations, "", whole) == re.sub(r"(?<=\[)\d+ms(?=\])|(?<=: )\d+ms\b", "", short)


def test_a_rule_looks_at_as_many_samples_as_before() -> None:
    text = "interval: 15s\nexpr: sum(rate(a_total[5m])) > 60\nfor: 1m\nrecord: a:b:rate5m"
    assert (
        shortened(text, 15)
        == "interval: 1000ms\nexpr: sum(rate(a_total[20000ms])) > 60\nfor: 4000ms\nrecord: a:b:rate5m"
    )


def test_a_drill_is_of_an_alert_that_there_is_and_of_whom_it_reaches() -> None:
    severity = {alert["alert"]: alert["labels"]["severity"] for alert in TOLD if "slo" not in alert["labels"]}
    receivers = {"page": "on-call", "inform": "team"}
    assert {drill.name: receivers[severity[drill.alert]] for drill in DRILLS.values()} == {
        drill.name: drill.receiver for drill in DRILLS.values()
    }


def test_commands_are_found_in_their_sections() -> None:
    book = Runbook("JourneyInputLost")
    assert [each.line for each in book.looks()] == [
        "journey status",
        "curl -s -m 5 $WORKER/status",
        "journey topics check",
    ]
    assert book.mends("journey lane skip").line.startswith("journey lane skip --lane P --topic raw.web --reason")
    assert [each.line for each in book.confirms()] == ["journey status"]
    with pytest.raises(
        AssertionError, match=r"JourneyInputLost\.md has no command that begins with `journey lane skipp`"
    ):
        book.mends("journey lane skipp")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("journey statuss", "ends with 2"),
        ("journey lane resume --lane P", "ends with 2"),
        ("kafka-topics.sh --describe", "ends with 127"),
        ("curl -s -m 5 $WORKER/metrics | grep journey_nothing", "ends with"),
        ("echo Traceback", "ends with 0: Traceback"),
    ],
)
def test_a_command_that_does_not_work_is_seen(line: str, told: str, tmp_path: Path) -> None:
    prompt = Prompt(tmp_path / "settings.yaml", "broker", "redis", tmp_path)
    (tmp_path / "settings.yaml").write_text("partitions: 1\n")
    trouble = prompt.type(line, f"{LOOPBACK}:1").trouble(mended=False, gone=False)
    assert trouble is not None
    assert told in trouble


def test_the_page_of_the_last_drills_is_of_these_drills() -> None:
    """If not: make drill ARGS="--write" """
    said = (DEPLOY.parent / "docs" / "drills.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| (Journey\w+) \|", said, re.MULTILINE)
    assert rows == [(drill.name, drill.alert) for drill in DRILLS.values()]


# ---- a drill in short


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """With one rule that cannot fire any more."""

    def spoil(rules: str) -> str:
        return rules.replace(*CANNOT_FIRE)

    assert CANNOT_FIRE[0] in ALERTS.read_text()
    with scene(tmp_path_factory.mktemp("drill"), FACTOR, {}, {}, spoil) as found:
        yield found


def course(scene: Scene, name: str, **changed: object) -> Course:
    drill = replace(DRILLS[name], **changed)  # type: ignore[arg-type]  # fields of a Drill
    return Course(drill, scene, Outcome(drill), print)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_redis_is_stopped_and_the_team_is_told_and_told_that_it_is_over(held: Scene) -> None:
    drill = course(held, "redis-stopped")
    drill.run()
    outcome = drill.outcome
    assert outcome.to_alert is not None
    assert outcome.to_clear is not None
    assert [said.line for said in outcome.said if "redis-cli" in said.line]
    assert f"| redis-stopped | JourneyRedisAway | team | {outcome.to_alert:.0f} s |" in page([outcome], FACTOR, "today")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_alert_that_cannot_fire_fails_its_drill(held: Scene) -> None:
    drill = course(held, "worker-killed")
    drill.patience_s = 8.0  # it takes half of that where the rule is right
    with pytest.raises(AssertionError, match=r"JourneyWorkerDown is told as firing\. Prometheus holds for firing:"):
        drill.run()
    assert drill.outcome.to_alert is None
