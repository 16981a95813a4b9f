"""A fold that raises: what it raises on is isolated or parked, and a lane that cannot go on stands for a person."""

import json

from pipeline.application.lane_record import decode_lane
from pipeline.domain.encoding import decode
from pipeline.domain.packing import Names
from tests.harness.application import HOUR, MINUTE, Application, ago, some_traffic
from tests.harness.reading import read_tables
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess
from tests.integration.failures.common import MEND_S, order, texts


def test_an_event_on_which_the_fold_raises_is_isolated(app: Application) -> None:
    worker = app.worker(planted={"event_raises": ["boom"]}).until_ready()
    some_traffic(app, "before")
    for number in range(3):
        # The customer's other events stand around it, and must be folded as if it had never come.
        customer = f"hit{number}"
        app.sender.event("web", customer, "page_viewed", ago(4 * HOUR))
        app.sender.event("web", customer, "boom", ago(4 * HOUR) + 1, dead="fold_error")
        app.sender.event("web", customer, "order_placed", ago(4 * HOUR) + 2)
    some_traffic(app, "after")
    verdict = app.assert_right(worker)
    assert verdict.dead == 3
    for letter in app.records("journey.dlq"):
        assert json.loads(letter.value or b"")["type"] == "boom"
        assert letter.headers["journey.reason"] == b"fold_error"
        assert letter.headers["__connect.errors.stage"] == b"FOLD"
        trace = texts(letter)["__connect.errors.exception.stacktrace"]
        assert "PlantedBug: cannot fold boom" in trace
        assert "planted_bugs.py" in trace
    until(lambda: worker.times("event.isolated") == 3, "all three are in the log", MEND_S)
    isolated = worker.logged("event.isolated")
    assert all("raw.web-" in line["position"] and line["reason"] == "PlantedBug" for line in isolated)
    assert worker.ready


def test_timers_that_raise_are_parked_until_the_code_is_mended(app: Application) -> None:
    # Sent before there is a watermark: it is folded first, and its timers are looked at when time has passed.
    app.sender.event("web", "stuck", "cart_updated", ago(3 * HOUR))
    some_traffic(app, "before")
    worker = app.worker(planted={"time_raises": ["stuck"]}).until_ready()
    app.assert_right(worker, without={"stuck"})
    home = app.sender.home("stuck")
    (parked,) = worker.logged("timers.parked", lane=home)
    assert parked["reason"] == "PlantedBug"
    fields = read_tables(app.settings)[home].fields
    stuck = decode(fields[b"c:stuck"], Names(decode_lane(fields[b"@lane"]).names))
    assert "PlantedBug: cannot let time pass" in stuck.parked
    assert worker.metric("journey_timers_parked_total") == 1
    assert worker.ready
    # Events are folded all the same.
    app.sender.event("web", "stuck", "order_placed", ago(3 * HOUR - 10 * MINUTE))
    some_traffic(app, "after")
    app.assert_right(worker, without={"stuck"})
    assert app.stages("stuck") == ["choosing", "bought"]
    assert worker.stop() == 0
    worker = app.worker(planted={"version": "0.1.0.1"}).until_ready()
    app.assert_right(worker)
    assert app.stages("stuck") == ["choosing", "bought", "cold"]


def a_bad_deploy(app: Application) -> WorkerProcess:
    """A worker whose fold raises on half of what lane 0 has, all of which was sent before it started."""
    for number, customer in enumerate(app.sender.residents(0, "hit", 40)):
        app.sender.event("web", customer, "page_viewed", ago(4 * HOUR) + number)
        app.sender.event("web", customer, "order_placed", ago(3 * HOUR) + number)
    app.sender.flush()
    worker = app.worker(planted=BAD_DEPLOY)
    worker.until_waits("breaker", MEND_S)
    return worker


BAD_DEPLOY = {"event_raises": ["order_placed"]}


def test_the_breaker_stops_one_lane_until_a_person_resumes_it(app: Application) -> None:
    worker = a_bad_deploy(app)
    opened = worker.until_logged("lane.breaker_open", lane=0)
    assert "the fold raised" in opened["why"]
    assert opened["mend"] == "journey lane resume --lane 0"
    until(lambda: worker.waits() == {"lane 0": "breaker"}, "only lane 0 stands", MEND_S)
    assert worker.live
    assert worker.metric("journey_breaker_open", lane="0") == 1
    other = app.sender.residents(1, "other", 1)[0]
    app.sender.event("web", other, "page_viewed", ago(HOUR))
    app.sender.flush()
    until(lambda: app.stages(other) == ["seen"], "the other lane goes on", MEND_S)
    assert "journey lane resume --lane 0" in app.command("status").stdout
    refused = order(app, "resume", "--lane", "1", "--reason", "mended")
    assert (refused.returncode, "lane 1 is neither paused nor stopped by the breaker" in refused.stderr) == (1, True)
    # Resumed too early, it opens again.
    assert order(app, "resume", "--lane", "0", "--reason", "too early").returncode == 0
    until(lambda: worker.times("lane.breaker_open", lane=0) == 2, "the breaker opens again", MEND_S)
    assert worker.stop() == 0
    # The same version stands where the last one stood, whether or not it would fail as well.
    worker = app.worker()
    worker.until_waits("breaker", MEND_S)
    until(lambda: worker.waits() == {"lane 0": "breaker"}, "only lane 0 stands", MEND_S)
    assert order(app, "resume", "--lane", "0", "--reason", "mended by a person").returncode == 0
    worker.until_logged("lane.resumed", lane=0)
    worker.until_ready()
    some_traffic(app, "after")
    assert app.assert_right(worker).dead == 0
    assert worker.metric("journey_breaker_open", lane="0") == 0


def test_the_breaker_closes_by_itself_under_another_version(app: Application) -> None:
    assert a_bad_deploy(app).stop() == 0
    worker = app.worker(planted={"version": "0.1.0.1"})
    worker.until_logged("lane.breaker_closed", lane=0)
    worker.until_ready()
    assert app.assert_right(worker).dead == 0
