"""The linter over files, folders and what git has; and what it writes for machines."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.adapters.journey_files import MODELS
from pipeline.adapters.journey_translation import MOST_RULES
from pipeline.adapters.touch_files import MOST_ROWS
from pipeline.cli.main import app

BROKEN = Path(__file__).parent / "broken"
TABLE = "touches:\n  saw: {type: page_viewed}\n  ordered: {type: order_placed, channel: [web, store]}\n"
JOURNEY = """\
journey: shop
version: 1
stages:
  - {id: awareness, labels: {en: A, tr: A, pl: A, fa: A}, enter: {when: saw}}
  - {id: customer, labels: {en: A, tr: A, pl: A, fa: A}, enter: {when: ordered}, terminal: true}
"""


def lint(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, arguments)])


def found(*arguments: str | Path) -> list[dict[str, Any]]:
    result = lint(*arguments, "--json")
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    assert result.exit_code == (1 if any(finding["level"] == "error" for finding in findings) else 0)
    return findings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a touch table and a journey, in which the test runs."""
    (tmp_path / "touches.yaml").write_text(TABLE)
    (tmp_path / "shop.yaml").write_text(JOURNEY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_built_in_journeys_have_no_mistakes() -> None:
    assert [finding for finding in found() if finding["level"] == "error"] == []
    assert found(MODELS) == found()


def test_every_broken_journey_is_refused_at_its_places() -> None:
    files = sorted((BROKEN / "journeys").glob("*.yaml"))
    errors = [
        one for one in found(BROKEN / "journeys", "--touches", BROKEN / "touches.yaml") if one["level"] == "error"
    ]
    for file in files:
        expected = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# expect: ")]
        told = []
        for one in errors:
            near = f"; did you mean '{one['suggestion']}'?" if one["suggestion"] else ""
            if one["path"] == str(file):
                told.append(f"# expect: {one['line']}:{one['column']}: {one['message']}{near}")
        assert told == expected
    assert {one["path"] for one in errors} == {str(file) for file in files}


def test_a_mistake_is_shown_with_its_line_and_what_was_meant(folder: Path) -> None:
    Path("shop.yaml").write_text(JOURNEY.replace("when: saw", "when: sow").replace("when: ordered", "wen: ordered"))
    result = lint(".")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:6] == [
        "shop.yaml:4:73: unknown touch 'sow'; did you mean 'saw'?",
        "  4 |   - {id: awareness, labels: {en: A, tr: A, pl: A, fa: A}, enter: {when: sow}}",
        f"    | {' ' * 72}^",
        "shop.yaml:5:66: unknown key 'wen'; did you mean 'when'?",
        "  5 |   - {id: customer, labels: {en: A, tr: A, pl: A, fa: A}, enter: {wen: ordered}, terminal: true}",
        f"    | {' ' * 65}^",
    ]
    assert "2 files: 2 mistakes, 0 warnings" in result.stderr


def test_a_warning_is_no_mistake(folder: Path) -> None:
    signals = "signals:\n  late: {after: 1h, since: last saw, unless: ordered}\n  every: {when: ordered}\n"
    Path("shop.yaml").write_text(JOURNEY + signals)
    assert [(one["level"], one["line"], one["message"]) for one in found(".")] == [
        (
            "warning",
            7,
            "'late' is told 1d after its 1h, because it waits for store; `wait_for` names the channels to wait for",
        ),
        ("warning", 8, "'every' is told at every 'ordered': it has no `count`, `if`, `in`, `unless` or `once`"),
    ]


def test_how_long_channels_take_is_a_setting(folder: Path) -> None:
    Path("shop.yaml").write_text(JOURNEY + "signals:\n  late: {after: 1h, since: last saw, unless: ordered}\n")
    Path("settings.yaml").write_text("grace: {store: 10min}\n")
    assert found("shop.yaml", "--config", "settings.yaml") == []
    assert [one["level"] for one in found("shop.yaml")] == ["warning"]


def test_two_journeys_of_one_name(folder: Path) -> None:
    Path("store.yaml").write_text(JOURNEY)
    (one,) = found(".")
    message = "the journey 'shop' is in shop.yaml:1:10 already: give one of them another name"
    assert (one["path"], one["line"], one["column"], one["message"]) == ("store.yaml", 1, 10, message)


def test_a_journey_of_ten_thousand_rules(folder: Path) -> None:
    rules = "".join(f"      - {{when: ordered, count: 2, within: {n}s}}\n" for n in range(1, 10_001))
    text = JOURNEY.replace(", enter: {when: ordered}, terminal: true}", "}")
    Path("shop.yaml").write_text(text.replace("  - {id: customer, ", "  - id: customer\n    ").rstrip("}\n") + "}\n")
    Path("shop.yaml").write_text(Path("shop.yaml").read_text() + f"    terminal: true\n    enter:\n{rules}")
    (one,) = found("shop.yaml")
    assert one["message"] == f"10,001 rules: a journey has at most {MOST_RULES:,}; make several of it"


def test_a_table_of_more_touches_than_can_be_asked(folder: Path) -> None:
    rows = "".join(f"  touch{n}: {{type: type{n}}}\n" for n in range(MOST_ROWS + 1))
    Path("touches.yaml").write_text(f"touches:\n{rows}")
    (one,) = found("touches.yaml")
    assert (one["line"], one["message"]) == (1, "1,001 touches: a table has at most 1,000")


def test_a_broken_table_is_told_once(folder: Path) -> None:
    Path("touches.yaml").write_text(TABLE.replace("type: page_viewed", "typ: page_viewed"))
    Path("store.yaml").write_text(JOURNEY.replace("shop", "store"))
    assert [(one["path"], one["message"]) for one in found(".")] == [
        ("touches.yaml", "unknown key 'typ'"),
        ("shop.yaml", "not judged: its touch table, touches.yaml, has mistakes of its own"),
        ("store.yaml", "not judged: its touch table, touches.yaml, has mistakes of its own"),
    ]


def git(*arguments: str) -> None:
    names = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *arguments], check=True, capture_output=True)


def test_other_rules_need_another_version_than_git_has(folder: Path) -> None:
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert found(".") == []
    changed = JOURNEY.replace("{when: ordered}", "{when: ordered, count: 2}")
    Path("shop.yaml").write_text(changed)
    (one,) = found(".")
    assert (one["path"], one["line"], one["column"]) == ("shop.yaml", 2, 10)
    assert one["message"].startswith("the rules are not those of version 1 in HEAD: make this version 2")
    Path("shop.yaml").write_text(changed.replace("version: 1", "version: 2"))
    assert found(".") == []
    Path("shop.yaml").write_text(JOURNEY.replace("en: A", "en: Another"))
    assert found(".") == []
    Path("shop.yaml").write_text(JOURNEY)
    Path("touches.yaml").write_text(TABLE.replace("[web, store]", "web"))
    assert [one["path"] for one in found(".")] == ["shop.yaml"]


def test_other_rules_need_another_version_than_an_older_file(folder: Path) -> None:
    Path("older").mkdir()
    Path("older/shop.yaml").write_text(JOURNEY.replace("{when: ordered}", "{when: ordered, count: 2}"))
    (one,) = found("shop.yaml", "--against", "older/shop.yaml")
    assert "in older/shop.yaml" in one["message"]
    (none,) = found("shop.yaml", "--against", "no-such-revision")
    assert (none["level"], none["message"]) == ("warning", "not compared: git knows no such file in 'no-such-revision'")


def test_a_stage_that_is_gone_needs_to_be_named(folder: Path) -> None:
    Path("older").mkdir()
    labels = "labels: {en: Q, tr: Q, pl: Q, fa: Q}"
    enter = "enter: {after: 9d, since: last saw, from: awareness}"
    more = f"  - {{id: quiet, {labels}, terminal: true, {enter}}}\n"
    Path("older/shop.yaml").write_text(JOURNEY + more)
    second = JOURNEY.replace("version: 1", "version: 2")

    def said(carry: str) -> list[str]:
        Path("shop.yaml").write_text(f"{second}\n{carry}")
        return [one["message"] for one in found("shop.yaml", "--against", "older/shop.yaml")]

    (gone,) = said("")
    assert gone.startswith("the stage 'quiet' of version 1 is gone, and nothing says where its customers go")
    assert said("carry_over: {from_version: 1, stages: {quiet: customer}}") == []
    assert said("carry_over: {from_version: 1, stages: {quiet: re-fold}}") == []
    (unknown,) = said("carry_over: {from_version: 1, stages: {quiet: nowhere}}")
    assert unknown.startswith("unknown stage 'nowhere'")
    (nobody,) = said("carry_over: {from_version: 1, stages: {quiet: re-fold, quite: re-fold}}")
    assert nobody == "version 1 has no stage 'quite'"
    (version,) = said("carry_over: {from_version: 2, stages: {quiet: re-fold}}")
    assert version == "customers come from a version below 2"
    (stays,) = said("carry_over: {from_version: 1, stages: {quiet: stay}}")
    assert stays == "nobody can stay in 'quiet': it is no stage of this version"


def test_for_github(folder: Path) -> None:
    Path("shop.yaml").write_text(JOURNEY.replace("when: saw", "when: sow"))
    assert lint(".", "--format", "github").stdout == (
        "::error file=shop.yaml,line=4,col=73,title=journey lint::unknown touch 'sow'; did you mean 'saw'?\n"
    )


def test_sarif(folder: Path) -> None:
    Path("shop.yaml").write_text(JOURNEY.replace("when: saw", "when: sow"))
    (run,) = json.loads(lint(".", "--format", "sarif").stdout)["runs"]
    (result,) = run["results"]
    assert result["ruleId"] in {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "shop.yaml"
    assert place["physicalLocation"]["region"] == {"startLine": 4, "startColumn": 73}


def test_nothing_to_judge(tmp_path: Path) -> None:
    assert "no YAML file" in str(lint(tmp_path).exception)
    (one,) = found(tmp_path / "none.yaml")
    assert (one["line"], one["message"]) == (0, "no such file")
