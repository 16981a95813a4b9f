"""`journey diff` on a real Kafka and Redis: what it says is what lanes would say, and it leaves no trace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.dev.stack import Stack
from pipeline.errors import UserError
from tests.harness.application import HOUR, Application, ago, some_traffic
from tests.harness.untouched import traces, untouched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WAIT_S = 60.0
CUSTOMERS = 24


@pytest.fixture(scope="module")
def app(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A small application that a real worker has run, at rest."""
    with Application(stack, tmp_path_factory.mktemp("diff"), "diff-") as running:
        worker = running.worker().until_ready(WAIT_S)
        some_traffic(running, "c", CUSTOMERS)
        running.sender.event("web", "late", "order_placed", ago(3 * HOUR))
        running.sender.event("store", "late", "cart_updated", ago(4 * HOUR))
        running.until_accounted(WAIT_S)
        running.until_time_has_passed(worker, WAIT_S)
        assert worker.stop() == 0
        yield running


@pytest.fixture(scope="module")
def candidate(app: Application) -> Path:
    """The same journey with a stage renamed, and with more patience before a customer is cold."""
    text = (app.directory / "journey.yaml").read_text().replace("choosing", "deciding")
    path = app.directory / "candidate.yaml"
    path.write_text(text.replace('"version": 1', '"version": 2').replace('"2h"', '"10h"'))
    return path


def diff(app: Application, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main.app, ["diff", *map(str, arguments), "--config", str(app.config)])


def report(app: Application, *arguments: str | Path) -> Any:
    done = diff(app, *arguments, "--json")
    assert done.exit_code in {0, 1}, done.exception
    return json.loads(done.stdout)


def stages(moves: list[dict[str, Any]], side: str) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for move in moves:
        counts[move[side]] = counts.get(move[side], 0) + move["customers"]
    return counts


def test_the_running_model_replayed_is_where_its_lanes_are(app: Application) -> None:
    said = report(app, "journey", "journey")
    assert (said["customers"], said["elsewhere"]) == (CUSTOMERS + 1, 0)
    live: dict[str, str | None] = {}
    for transition in app.feed():
        live[transition["customer_id"]] = transition["to"]
    assert stages(said["moves"], "old") == {stage: list(live.values()).count(stage) for stage in live.values()}
    told = {row["what"]: row["new"] for row in said["told"]}
    signals = [signal["kind"] for signal in app.feed("journey.signals")]
    kept = told["signal cart_left"] - told.get("signal cart_left withdrawn", 0)
    assert kept == signals.count("fired") - signals.count("retracted") > 0


def test_who_would_be_elsewhere_is_shown_and_nothing_is_touched(app: Application, candidate: Path) -> None:
    before = traces(app.settings)
    assert before.keys
    assert any(before.ends.values())
    picture, page = app.directory / "diff.svg", app.directory / "diff.html"
    with untouched(app.settings):
        done = diff(app, "journey", candidate, "--out", picture)
        again = diff(app, "journey", candidate, "--out", page)
    assert (done.exit_code, again.exit_code) == (1, 1), done.exception
    assert "choosing is gone" in done.stdout
    assert "deciding is new" in done.stdout
    assert "in another stage" in done.stdout
    said = report(app, "journey", candidate)
    moves = {(move["old"], move["new"]): move for move in said["moves"]}
    assert moves["cold", "deciding"]["customers"] == CUSTOMERS // 2
    assert set(moves["cold", "deciding"]["examples"]) <= {f"c{number}" for number in range(0, CUSTOMERS, 2)}
    for file in (picture, page):
        text = file.read_text(encoding="utf-8")
        assert "choosing (gone)" in text
        assert not any(
            f"c{number}" in text.replace("c2571a", "").replace("c3cfe4", "") for number in range(10, CUSTOMERS)
        )


def test_a_sample_and_a_limit_say_what_they_leave_out(app: Application, candidate: Path) -> None:
    half = report(app, "journey", candidate, "--sample", "50%")
    assert 0 < half["customers"] < CUSTOMERS
    cut = report(app, "journey", candidate, "--limit", "10")
    assert cut["caveats"][0].startswith("stopped after 10 records")
    assert cut["events"] == 10


def test_nothing_to_replay_is_said(app: Application, candidate: Path) -> None:
    done = diff(app, "journey", candidate, "--since", "2100-01-01T00:00:00Z")
    assert done.exit_code == 0
    assert "nothing to replay: no events in diff-raw.web" in done.stdout


def test_a_broken_model_is_refused_in_the_words_of_the_linter(app: Application, candidate: Path) -> None:
    broken = app.directory / "broken.yaml"
    broken.write_text(candidate.read_text().replace('"ordered"', '"ordred"'))
    lint = ["lint", str(broken), "--touches", str(app.directory / "touches.yaml"), "--json"]
    findings = json.loads(CliRunner().invoke(main.app, lint).stdout)["findings"]
    refused = diff(app, "journey", broken).exception
    assert isinstance(refused, UserError)
    assert refused.exit_code == 2
    assert findings
    assert all(f"{broken}:{each['line']}:{each['column']}" in refused.message for each in findings)
    assert all(each["message"] in refused.message for each in findings)
