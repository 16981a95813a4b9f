"""`journey test`: what a case says, what it finds, and that the cases of the built-in journeys hold every rule."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.adapters.case_files import cases_beside, load_cases
from pipeline.adapters.case_runs import Report, find_cases, run_cases
from pipeline.adapters.journey_files import MODELS, built_in_journeys, load_journey, load_touches
from pipeline.application.rehearsal import rehearse
from pipeline.application.verdict import judge
from pipeline.cli import main
from pipeline.config import Settings
from pipeline.domain.compile import compile_journey
from pipeline.domain.spec import JourneySpec
from pipeline.domain.touches import TouchTable
from pipeline.errors import UserError
from tests.harness.waiting import until
from tests.property.two_folds import Sent, TwoFolds, load_models
from tests.unit.broken_files import broken_files, expected, messages

runner = CliRunner()
ROOT = Path(__file__).parents[2]
FIVE_STAGE = MODELS / "five-stage.yaml"
CART = """
cases:
  - case: a cart left alone
    given:
      - {at: 0, channel: web, type: cart_added, id: cart}
      - {at: 30min, channel: web, type: order_placed, id: order, arrives: 2h}
    expect:
      - {at: 0, enters: purchase, from: start, by: cart, rule: purchase}
      - {at: 59min, stage: purchase}
      - {at: 1h, signal: cart_abandoned, in: purchase, withdrawn: 2h}
      - {at: 30min, enters: retention, by: order}
"""


def report_of(folder: Path, cases: str) -> Report:
    (folder / "five-stage.yaml").write_text(FIVE_STAGE.read_text(encoding="utf-8"), encoding="utf-8")
    path = folder / "five-stage.cases.yaml"
    path.write_text(cases, encoding="utf-8")
    return run_cases(Settings(), path)


def run_all(names: list[str]) -> list[Report]:
    return [run_cases(Settings(), path) for path in find_cases(Settings(), names)]


def says(report: Report) -> list[str]:
    return [difference.says for played in report.played for difference in played.verdict.differences]


def test_a_case_that_is_met(tmp_path: Path) -> None:
    report = report_of(tmp_path, CART)
    assert says(report) == []
    assert (report.failed, report.journey, len(report.played)) == (0, "five-stage", 1)
    assert report.played[0].rehearsal.outcomes == {"cart": "cart", "order": "ordered"}
    assert report.played[0].case.place.endswith("five-stage.cases.yaml:3")


@pytest.mark.parametrize(
    ("written", "instead", "finds"),
    [
        ("{at: 0, enters", "{at: 1min, enters", ["at 0s, not at 1min"]),
        ("from: start", "from: awareness", ["from start, not from awareness"]),
        ("by: order", "by: cart", ["by order, not by cart"]),
        ("rule: purchase", "rule: retention/2", ["by rule purchase, not by rule retention/2"]),
        ("in: purchase", "in: retention", ["in purchase, not in retention"]),
        ("withdrawn: 2h", "withdrawn: 3h", ["it withdrawn at 2h, expected: withdrawn at 3h"]),
        (", withdrawn: 2h", "", ["it withdrawn at 2h, expected: holds"]),
        ("stage: purchase", "stage: start", ["in purchase, not in start"]),
        ("      - {at: 30min, enters: retention, by: order}\n", "", ["not expected"]),
        ("enters: retention", "enters: lapsed", ["did not happen", "not expected"]),
        ("signal: cart_abandoned", "signal: stalled", ["did not happen", "not expected"]),
        ("type: cart_added", "type: cart_stolen", ["did not happen", "in start, not in purchase", "did not happen"]),
        (", arrives: 2h", "", ["in retention, not in purchase", "did not happen"]),
    ],
)
def test_a_case_that_is_not_met(tmp_path: Path, written: str, instead: str, finds: list[str]) -> None:
    assert written in CART
    assert says(report_of(tmp_path, CART.replace(written, instead, 1))) == finds


def test_an_event_that_is_none_is_told(tmp_path: Path) -> None:
    case = "cases: [{case: bad, given: {at: 0, channel: web, type: '%s'}}]" % ("x" * 200)
    assert report_of(tmp_path, case).played[0].rehearsal.outcomes == {"event 1": "dead letter, invalid"}


def test_the_grace_of_a_file_delays_what_is_told(tmp_path: Path) -> None:
    case = "cases: [{case: one, given: {at: 0, channel: web, type: cart_added}, until: %s, expect: %s}]"
    entered = "[{at: 0, enters: purchase}]"
    assert says(report_of(tmp_path, "grace: {web: 5min}\n" + case % ("64min", entered))) == []
    assert says(report_of(tmp_path, "grace: {web: 5min}\n" + case % ("65min", entered))) == ["not expected"]
    assert says(report_of(tmp_path, case % ("1h", entered))) == ["not expected"]


@pytest.mark.parametrize("path", broken_files("cases"))
def test_refuses_a_file_of_cases(path: Path) -> None:
    touches = load_touches(MODELS / "touches.yaml")
    with pytest.raises(UserError) as refusal:
        load_cases(path).of(load_journey(FIVE_STAGE, touches, {}, clock_is_event=True))
    assert messages(path, refusal.value) == expected(path)


def test_finds_cases_by_file_folder_and_journey(tmp_path: Path) -> None:
    report_of(tmp_path, CART)
    (found,) = find_cases(Settings(), [str(tmp_path)])
    assert find_cases(Settings(), [str(found)]) == [found]
    assert find_cases(Settings(), [str(tmp_path / "five-stage.yaml"), str(found)]) == [found]
    assert find_cases(Settings(), ["five-stage"]) == [cases_beside(FIVE_STAGE)]
    assert find_cases(Settings(), []) == [cases_beside(MODELS / f"{name}.yaml") for name in Settings().journeys]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("four-stage", "did you mean 'five-stage'?"),
        ("{tmp}", "no file in this folder ends in .cases.yaml"),
        ("{tmp}/alone.yaml", "there are no cases of it"),
        ("{tmp}/alone.cases.yaml", "alone.cases.yaml"),
    ],
)
def test_says_where_cases_are_missing(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        run_all([name.replace("{tmp}", str(tmp_path))])


@pytest.mark.parametrize("path", built_in_journeys(), ids=lambda path: path.stem)
def test_the_cases_of_a_built_in_journey_pass(path: Path) -> None:
    report = run_cases(Settings(), cases_beside(path))
    assert {
        played.case.name: says(replace(report, played=(played,)))
        for played in report.played
        if not played.verdict.passed
    } == {}


@pytest.mark.parametrize("path", built_in_journeys(), ids=lambda path: path.stem)
def test_every_rule_of_a_built_in_journey_is_held_by_a_case(path: Path) -> None:
    touches = load_touches(MODELS / "touches.yaml")
    cases = load_cases(cases_beside(path))
    spec = load_journey(path, touches, cases.grace, clock_is_event=False)
    table = TouchTable(touches)

    def passes(other: JourneySpec) -> bool:
        journey = compile_journey(other, table.company)
        settings = Settings()
        return all(
            judge(
                case.expected,
                case.looks,
                rehearse(
                    journey,
                    table,
                    case.given,
                    [look.at for look in case.looks],
                    case.until,
                    settings.lateness,
                    settings.recent_limit,
                ),
            ).passed
            for case in cases.of(spec)
        )

    assert passes(spec)
    assert [rule for rule, other in without_a_rule(spec) if passes(other)] == []


@pytest.mark.parametrize("path", built_in_journeys(), ids=lambda path: path.stem)
def test_the_slow_fold_says_the_same_of_every_case(path: Path) -> None:
    cases = load_cases(cases_beside(path))
    models = load_models(MODELS / "touches.yaml", [path], cases.grace)
    settings = Settings()
    for played in run_cases(settings, cases_beside(path)).played:
        folds = TwoFolds(models, settings.lateness, settings.recent_limit)
        for offset, event in enumerate(sorted(played.case.given, key=lambda event: event.arrives)):
            folds.rise(event.arrives - 1)
            content = json.loads(event.value)
            folds.arrive(Sent(content, content["channel"], event.arrives, 0, offset))
        folds.rise(played.case.until)
        (plain,) = folds.positions()
        holds = [one for one in played.rehearsal.happened if one.withdrawn is None]
        assert [(step.at, step.to) for step in plain.history] == [
            (one.at, one.stage) for one in holds if not one.signal
        ]
        assert sorted((one.due, one.rule) for one in plain.signals) == sorted(
            (one.at, one.rule) for one in holds if one.signal
        )


def without_a_rule(spec: JourneySpec) -> Iterator[tuple[str, JourneySpec]]:
    """The journey with one rule dropped, or one that is weaker; each must make a case fail."""
    for entry in spec.entries:
        yield entry.rule, replace(spec, entries=tuple(one for one in spec.entries if one is not entry))
        weaker = {"count": replace(entry, count=1), "within": replace(entry, within_ms=None)}
        weaker["if"] = replace(entry, at_least=())
        for key, weak in weaker.items():
            if weak != entry:
                entries = tuple(weak if one is entry else one for one in spec.entries)
                yield f"`{key}` of {entry.rule}", replace(spec, entries=entries)
    for trigger in spec.triggers:
        yield trigger.rule, replace(spec, triggers=tuple(one for one in spec.triggers if one is not trigger))
        looser = {"count": replace(trigger, count=1), "within": replace(trigger, within_ms=None)}
        looser |= {"if": replace(trigger, at_least=()), "unless": replace(trigger, unless=())}
        looser |= {"once": replace(trigger, once=None), "in": replace(trigger, froms=None)}
        for key, loose in looser.items():
            if loose != trigger:
                triggers = tuple(loose if one is trigger else one for one in spec.triggers)
                yield f"`{key}` of {trigger.rule}", replace(spec, triggers=triggers)
    for silence in spec.silences:
        rest = tuple(one for one in spec.silences if one is not silence)
        yield silence.rule, replace(spec, silences=rest)
        if silence.unless:
            deaf = tuple(replace(one, unless=()) if one is silence else one for one in spec.silences)
            yield f"`unless` of {silence.rule}", replace(spec, silences=deaf)


def test_the_example_of_the_page_passes(tmp_path: Path) -> None:
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("journeys.md", "authoring.md"))
    for kind, name in (("touches", "touches.yaml"), ("journey", "shop.yaml"), ("cases", "shop.cases.yaml")):
        example = re.search(rf"```yaml {kind}\n(.*?)```", pages, re.DOTALL)
        assert example is not None
        (tmp_path / name).write_text(example[1], encoding="utf-8")
    settings = Settings(touches=str(tmp_path / "touches.yaml"))
    assert says(run_cases(settings, tmp_path / "shop.cases.yaml")) == []


def test_the_command_says_by_its_status_how_it_went(tmp_path: Path) -> None:
    report_of(tmp_path, CART)
    good = runner.invoke(main.app, ["test", str(tmp_path)])
    assert (good.exit_code, "1 case passed" in good.output) == (0, True)
    report_of(tmp_path, CART.replace("at: 1h", "at: 2h"))
    bad = runner.invoke(main.app, ["test", str(tmp_path)])
    assert bad.exit_code == 1
    assert re.search(r"✗ +1h ! cart_abandoned in purchase .* at 1h, not at 2h +line 10", bad.output)
    assert isinstance(runner.invoke(main.app, ["test", "nowhere.cases.yaml"]).exception, UserError)


def test_the_command_speaks_json(tmp_path: Path) -> None:
    report_of(tmp_path, CART.replace("at: 1h", "at: 2h"))
    told = runner.invoke(main.app, ["test", str(tmp_path), "--json"])
    assert told.exit_code == 1
    content = json.loads(told.output)
    assert (content["cases"], content["failed"]) == (1, 1)
    (case,) = content["files"][0]["cases"]
    assert [difference["says"] for difference in case["differences"]] == ["at 1h, not at 2h"]
    assert [(one["at"], one["stage"], one["signal"], one["withdrawn"]) for one in case["happened"]] == [
        ("0s", "purchase", None, None),
        ("30min", "retention", None, None),
        ("1h", "purchase", "cart_abandoned", "2h"),
    ]


@contextmanager
def watching(name: Path, output: Path) -> Iterator[Callable[[str], bool]]:
    """`journey test --watch`; gives the question whether it has shown a text."""
    with output.open("w", encoding="utf-8") as out:
        command = [sys.executable, "-m", "pipeline", "test", "--watch", str(name)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ)
    try:
        yield lambda text: text in output.read_text(encoding="utf-8")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


# Until a folder is watched a change goes unseen, so these tests change it again while nothing is said.


def test_watch_runs_again_when_a_file_changes(tmp_path: Path) -> None:
    report_of(tmp_path, CART)
    with watching(tmp_path / "five-stage.cases.yaml", tmp_path / "output.txt") as shown:
        until(lambda: shown("1 case passed"), "the first run", 60)
        broken = CART.replace("at: 1h", "at: 2h")
        until(lambda: report_of(tmp_path, broken).failed and shown("1 of 1 case failed"), "the second run", 60)
        (tmp_path / "five-stage.yaml").write_text("journey: [", encoding="utf-8")
        until(lambda: shown("five-stage.yaml:1:"), "the mistake", 60)


def test_watch_notices_new_files_and_folders(tmp_path: Path) -> None:
    journeys = tmp_path / "journeys"
    journeys.mkdir()
    with watching(journeys, tmp_path / "output.txt") as shown:
        until(lambda: shown("no file in this folder ends in .cases.yaml"), "the empty folder", 60)
        until(lambda: not report_of(journeys, CART).failed and shown("1 case passed"), "the first cases", 60)
        deeper = journeys / "deeper"
        deeper.mkdir()
        until(lambda: not report_of(deeper, CART).failed and shown("2 cases passed"), "cases in a new folder", 60)


def test_watch_notices_the_first_cases_of_a_journey(tmp_path: Path) -> None:
    journey = tmp_path / "five-stage.yaml"
    shutil.copy(FIVE_STAGE, journey)
    with watching(journey, tmp_path / "output.txt") as shown:
        until(lambda: shown("there are no cases of it"), "the journey without cases", 60)
        until(lambda: not report_of(tmp_path, CART).failed and shown("1 case passed"), "its first cases", 60)
