"""The end: all that was sent through the plain fold, against all that was published, counted and stored."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.adapters.kafka.sender import home_partition
from pipeline.application.lane_models import LaneModels
from pipeline.application.lane_record import OUTCOMES, LaneRecord
from pipeline.checker import plain_fold
from pipeline.checker.net_history import Subscriber
from pipeline.checker.plain_admission import act_of
from pipeline.checker.plain_switch import Switch, live
from pipeline.domain.moments import format_moment
from tests.fakes.kafka import FakeKafka
from tests.fakes.pipeline import TOPICS
from tests.simulation.audit import Wrong
from tests.simulation.ledger import Ledger, Sent
from tests.simulation.models import LATENESS, models, plain_shop

MOST = 1 << 30


def judge(
    kafka: FakeKafka,
    ledger: Ledger,
    records: Sequence[LaneRecord],
    routed: int,
    watermark: int,
    lanes: Sequence[LaneModels],
    found_by: Mapping[str, int],
) -> None:
    """Raises Wrong. All is at rest, `routed` events were sent on, and time has passed up to `watermark` (ms).

    `lanes`: which versions each lane has run; `found_by`: after how many switches of its lane an event was folded.
    """
    _same_versions(lanes)
    subscriber = Subscriber()
    for said in published(kafka, TOPICS.transitions):
        subscriber.transition(said)
    for said in published(kafka, TOPICS.signals):
        subscriber.signal(said)
    if problems := subscriber.at_rest():
        raise Wrong(f"I2, I3: {problems[0]}")
    _compare(_expected(ledger, watermark, lanes, found_by), _known(subscriber))
    _count(kafka, ledger, records, routed)


def published(kafka: FakeKafka, topic: str) -> Iterator[dict[str, Any]]:
    """What a read_committed subscriber finds, partition by partition."""
    for log in kafka.topics[topic].logs:
        found, _ = log.read(0, MOST, committed=True)
        for record in found:
            yield json.loads(record.value or b"")


def _good(ledger: Ledger) -> dict[str, Sent]:
    """By id, every event that must be folded."""
    return {sent.id: sent for sent in ledger.acknowledged if sent.dead is None and not sent.late}


def _same_versions(lanes: Sequence[LaneModels]) -> None:
    """All lanes or none: every lane has made the same switches, in the same order."""
    made = [
        [(switch.id, switch.version) for switch in own.switches] if (own := lane.journeys.get("shop")) else []
        for lane in lanes
    ]
    if any(one != made[0] for one in made):
        raise Wrong(f"the lanes have made different switches: {made}")


def _switches(lane: LaneModels) -> list[Switch]:
    own = lane.journeys.get("shop")
    return [
        Switch(
            plain_shop(said.former % 2 == 0),
            plain_shop(said.version % 2 == 0),
            said.version,
            said.stages,
            said.watermark,
            said.next,
        )
        for said in (own.switches if own is not None else ())
    ]


def _expected(
    ledger: Ledger, watermark: int, lanes: Sequence[LaneModels], found_by: Mapping[str, int]
) -> dict[str, object]:
    known = models()
    acts: dict[str, list[Any]] = {}
    for sent in _good(ledger).values():
        act = act_of(sent.event, sent.channel, known.rows, sent.appended, sent.partition, sent.offset)
        acts.setdefault(sent.customer, []).append(act)
    wanted: dict[str, object] = {}
    versions = (*known.plain, plain_shop(True))
    names = {(one.name, silence.rule): silence.signal for one in versions for silence in one.silences}
    for customer, theirs in acts.items():
        lane = lanes[home_partition(customer.encode(), len(lanes))]
        for journey in known.plain:
            switches = _switches(lane) if journey.name == "shop" else []
            parts: list[list[Any]] = [[] for _ in range(len(switches) + 1)]
            for act in theirs:
                parts[found_by[act.id] if switches else 0].append(act)
            life = live(journey, switches, parts, watermark, LATENESS)
            position = life.position
            for entry, (at, to) in plain_fold.net_history(customer, journey, position).items():
                wanted[f"entry {entry}"] = (format_moment(at), to)
            if position.history:
                wanted[f"stage of {customer} in {journey.name}"] = position.stage or None
            told = [(move.version, move.origin, move.to) for move in life.moves if move.origin or move.to]
            if told:
                wanted[f"switches of {customer} in {journey.name}"] = told
            for firing in position.signals:
                due, name = format_moment(firing.due), names[journey.name, firing.rule]
                wanted[f"signal {customer}:{journey.name}:{name} of {due}"] = True
    return wanted


def _known(subscriber: Subscriber) -> dict[str, object]:
    known: dict[str, object] = {}
    for (customer, journey), track in subscriber.tracks.items():
        known.update({f"entry {entry}": value for entry, value in {**track.closed, **track.entries}.items()})
        told = [(version, before or "", after or "") for version, before, after in track.moves if before or after]
        if told:
            known[f"switches of {customer} in {journey}"] = told
        known[f"stage of {customer} in {journey}"] = track.stage
    for (customer, journey, name), signals in subscriber.signals.items():
        known.update({f"signal {customer}:{journey}:{name} of {due}": True for due in signals.holding.values()})
    return known


def _compare(wanted: dict[str, object], known: dict[str, object]) -> None:
    """I1, I2, I5: what a subscriber knows is what the plain fold makes of all that was sent."""
    for what in sorted(wanted.keys() | known.keys()):
        if wanted.get(what) != known.get(what):
            raise Wrong(f"I5: {what} is {known.get(what)} to a subscriber, {wanted.get(what)} to the plain fold")


def _count(kafka: FakeKafka, ledger: Ledger, records: Sequence[LaneRecord], routed: int) -> None:
    """I7: each event had the outcome that the rules give it, and the lane records count what is there."""
    totals: Counter[str] = Counter()
    for record in records:
        for tally in record.totals.values():
            totals.update({outcome: getattr(tally, outcome) for outcome in OUTCOMES})
    good, late, dead = len(_good(ledger)), sum(sent.late for sent in ledger.acknowledged), sum(ledger.dead.values())
    sent = len(ledger.acknowledged)
    wanted = {"folded": good, "late": late, "dead": dead, "duplicate": sent - good - late - dead}
    for outcome, number in wanted.items():
        if totals[outcome] != number:
            raise Wrong(f"I7: {totals[outcome]} events {outcome}, not {number}: {dict(totals)}")
    if totals["read"] != sent + totals["routed"]:
        raise Wrong(f"I7: {sent} events were sent: {dict(totals)}")
    if totals["routed"] != routed:
        raise Wrong(f"I7: {totals['routed']} events routed by the lane records, {routed} in {TOPICS.events}")
    reasons: Counter[str] = Counter()
    for record in records:
        reasons.update(record.dead)
    letters = 0
    for log in kafka.topics[TOPICS.dead_letters].logs:
        letters += len(log.read(0, MOST, committed=True)[0])
    if letters != dead or reasons != ledger.dead:
        raise Wrong(f"I7: {letters} dead letters, {dict(reasons)} by the lane records, not {dict(ledger.dead)}")
