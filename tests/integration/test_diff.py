"""`journey diff` and `journey shadow` on a real Kafka and Redis: they say what lanes would say, and leave no trace."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner, Result

from pipeline.application.replay import Sample
from pipeline.cli import main, shadow_run
from pipeline.dev.stack import Stack
from pipeline.errors import UserError
from tests.harness.application import HOUR, MINUTE, Application, ago, some_traffic
from tests.harness.reading import redis_client
from tests.harness.untouched import traces, untouched
from tests.harness.worker_process import ROOT

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
    said = report(app, "journey", "shop")
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
        assert not re.search(r"\b(c\d{1,2}|late)\b", text), "a customer is named"


def test_the_commands_of_the_page_run(app: Application, candidate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "authoring.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    journey diff five-stage candidate.yaml(.*)$", page, re.MULTILINE)
    assert len(lines) == 3
    monkeypatch.chdir(app.directory)
    for options in lines:
        done = diff(app, "journey", candidate, *options.split())
        assert done.exit_code == 1, done.exception


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


@pytest.mark.parametrize("command", [("diff", "five-stage", "buying"), ("shadow", "five-stage")])
def test_kafka_that_is_away_is_said_in_one_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    away = tmp_path / "away.yaml"
    away.write_text("brokers: 127.0.0.1:1\nidentities: []\n")
    refused = CliRunner().invoke(main.app, [*command, "--config", str(away)]).exception
    assert isinstance(refused, UserError)
    assert refused.exit_code == 2
    assert "127.0.0.1:1" in refused.message


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


def settled(app: Application, candidate: Path, wanted: shadow_run.Wanted) -> shadow_run.Look:
    """A shadow until nothing moves any more, ended as Ctrl-C ends it."""

    def show(look: shadow_run.Look) -> None:
        if look.trouble or (look.comparison.customers and not look.comparison.unsettled):
            os.kill(os.getpid(), signal.SIGINT)

    return shadow_run.run(app.settings, str(candidate), None, wanted, show)


def test_a_shadow_of_lanes_at_rest_says_what_diff_says_and_touches_nothing(app: Application, candidate: Path) -> None:
    with untouched(app.settings):
        look = settled(app, candidate, shadow_run.Wanted(every_s=0.1))
    assert look.trouble == ""
    said = report(app, "journey", candidate)
    shown = {(move["old"] or "", move["new"] or ""): move["customers"] for move in said["moves"]}
    assert {tuple(move): count for move, count in look.comparison.moves.items()} == shown
    assert look.live.versions == {1}
    assert not look.begins_late
    assert (look.live.unread, look.candidate.raised) == (0, {})


def test_a_shadow_of_a_sample_knows_nobody_else(app: Application, candidate: Path) -> None:
    look = settled(app, candidate, shadow_run.Wanted(share=0.5, since=ago(HOUR), every_s=0.1))
    assert look.begins_late
    assert 0 < look.comparison.customers < CUSTOMERS
    assert all(key in Sample(0.5) for key in (*look.live.told.stages, *look.candidate.profiles))


def test_a_journey_that_does_not_run_has_no_shadow(app: Application, candidate: Path) -> None:
    done = CliRunner().invoke(main.app, ["shadow", str(candidate), "--against", "shopp", "--config", str(app.config)])
    assert isinstance(done.exception, UserError)
    assert done.exception.exit_code == 2
    assert "did you mean 'shop'?" in done.exception.message


def test_a_trace_would_be_noticed(app: Application) -> None:
    with redis_client(app.settings) as client:
        with pytest.raises(AssertionError, match="keys"), untouched(app.settings):
            client.set("somebody", "was here")
        client.delete("somebody")
    with pytest.raises(AssertionError, match="ends"), untouched(app.settings):
        send(app, "trace", "page_viewed")
    consumer = Consumer({"bootstrap.servers": app.settings.brokers, "group.id": "diff-trace"})
    first = TopicPartition(app.settings.input_topics[0], 0, 1)
    with pytest.raises(AssertionError, match="groups"), untouched(app.settings):
        consumer.commit(offsets=[first], asynchronous=False)
    consumer.close()


def send(app: Application, customer: str, kind: str) -> None:
    app.sender.event("web", customer, kind, ago(MINUTE))
    app.sender.flush()


def test_a_shadow_follows_live_lanes_until_it_is_interrupted(app: Application, candidate: Path) -> None:
    worker = app.worker("two").until_ready(WAIT_S)
    command = [sys.executable, "-m", "pipeline", "shadow", str(candidate), "--json", "--every", "200ms"]
    looks: list[dict[str, Any]] = []
    with subprocess.Popen([*command, "--config", str(app.config)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None

        def until_look(true: Callable[[dict[str, Any]], bool]) -> None:
            """Lines come whenever something has changed."""
            for line in run.stdout or ():
                looks.append(json.loads(line))
                if true(looks[-1]):
                    return
            raise AssertionError(f"it ended before: {looks[-1:]}")

        def told(look: dict[str, Any]) -> dict[str, tuple[int, int]]:
            return {row["what"]: (row["old"], row["new"]) for row in look["told"]}

        try:
            until_look(lambda look: look["caught_up"] and look["customers"] and not look["unsettled"])
            before = looks[-1]["elsewhere"]
            send(app, "new", "cart_updated")
            until_look(lambda look: look["elsewhere"] == before + 1 and told(look).get("transitions entered") == (1, 1))
            run.send_signal(signal.SIGINT)
            until_look(lambda look: look["ended"])
            assert run.wait(WAIT_S) == 1
        finally:
            run.kill()
    app.assert_right(worker, WAIT_S)
    assert worker.stop() == 0
