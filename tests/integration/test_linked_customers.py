"""People of several identities, and a worker that is killed: nothing is lost, nobody is taken for another."""

import heapq
import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.adapters.identity_kinds import identities_of
from pipeline.adapters.kafka.sender import home_partition
from pipeline.dev.crm import Decision
from pipeline.dev.people import DAY
from pipeline.dev.stack import Stack
from pipeline.dev.traffic import Delivery, ordered, people, traffic
from pipeline.dev.truth import truth_of
from pipeline.domain.identity import public_key
from pipeline.domain.moments import format_moment
from tests.chaos.test_kill import JOURNEY, have_their_lanes
from tests.harness.application import HOUR, Application, ago
from tests.harness.sending import Sent
from tests.harness.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED, START, CUSTOMERS = 11, 1_700_000_000_000, 120
SPAN = 150 * DAY
WITHIN = 20 * HOUR
"""The lives of months are told in so many hours, so that everything can still be placed exactly."""
LANES = 6
BACK_S = 60.0
NAMES = ("one", "two", "three")


def told() -> Iterator[Delivery | Decision]:
    """All that happens within the span, in order of sending."""
    events = itertools.takewhile(lambda each: each.at < START + SPAN, traffic(SEED, START, CUSTOMERS))
    orders = itertools.takewhile(lambda each: each.at < START + SPAN, ordered(SEED, START, CUSTOMERS, START))
    return heapq.merge(events, orders, key=lambda each: each.at)


def event(app: Application, begin: int, delivery: Delivery) -> Sent:
    """The event as it is sent here, its time moved into the hours before now."""
    said: dict[str, Any] = json.loads(delivery.value)
    said["occurred_at"] = format_moment(begin + (delivery.occurred_at - START) * WITHIN // SPAN)
    place = home_partition(delivery.key, LANES)
    topic = f"raw.{delivery.channel}"
    return Sent(topic, delivery.channel, place, delivery.key, json.dumps(said).encode(), event=said)


def order(app: Application, decision: Decision) -> Sent:
    """A command that blocks, as a person would give it."""
    identity, customer = decision.customer, decision.other
    if decision.email:
        key, _ = identities_of(app.settings).look_up("email", decision.email)
        identity, customer = public_key(key), decision.customer
    lane = home_partition(identity.encode(), LANES)
    command = {
        "id": f"crm-{decision.at}",
        "command": "block",
        "lane": lane,
        "reason": "a test",
        "at": decision.at,
        "identity": identity,
        "customer": customer,
    }
    return Sent("journey.commands", "", lane, identity.encode(), json.dumps(command).encode())


def test_people_are_put_together_rightly_while_workers_die(stack: Stack, tmp_path: Path, prefix: str) -> None:
    truth = tmp_path / "truth.json"
    truth.write_bytes(msgspec.json.encode(truth_of(SEED, people(SEED, START, CUSTOMERS, START + SPAN))))
    with Application(
        stack,
        tmp_path,
        prefix,
        JOURNEY,
        partitions=LANES,
        journeys=["five-stage", "journey.yaml"],
        touches="touches",
        recent_limit=500,
        max_batch_events=200,
    ) as app:
        begin = ago(WITHIN + HOUR)
        story = [order(app, each) if isinstance(each, Decision) else event(app, begin, each) for each in told()]
        share = len(story) // 4
        for name in NAMES:
            app.worker(name)
        until(partial(have_their_lanes, [app.workers[name] for name in NAMES], LANES), app.tails, BACK_S)
        for number, what in enumerate(("kill", "leave", "")):
            before = app.accounted()
            for sent in story[number * share : (number + 1) * share]:
                app.sender.put(sent)
            app.sender.flush()
            app.until_at_work(before + share // 3, BACK_S)
            if what == "kill":
                app.workers["one"].kill()
                app.worker("one")
            elif what == "leave":
                assert app.workers["two"].stop(BACK_S) == 0
                app.worker("two")
        for sent in story[3 * share :]:
            app.sender.put(sent)
        verdict = app.assert_right(app.workers["three"], BACK_S)
        done = app.command("check", "--json", "--truth", str(truth), within_s=120.0)
    said = json.loads(done.stdout)
    assert (done.returncode, said["right"], said["unjudged"]) == (0, True, {}), done.stdout
    outcomes = said["truth"]["outcomes"]
    assert outcomes["right"] > 2 * CUSTOMERS
    assert {"shared_by_people", "alone"} <= outcomes.keys()
    assert not {"wrong", "missed"} & outcomes.keys()
    assert said["checked"]["linked identities"] > 3 * CUSTOMERS
    assert said["checked"]["histories of linked customers"] > CUSTOMERS // 2
    assert verdict.corrections > 0
