"""Over all lanes: what one lane sends on arrives at another once and as it was sent, and nothing else does."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from pipeline.checker.findings import Findings
from pipeline.checker.lane_check import LaneResult
from pipeline.checker.lane_inputs import LANE_BITS, PLACE_BITS, Carried
from pipeline.checker.lane_links import Known
from pipeline.checker.plain_admission import Act
from pipeline.checker.rules import Rules


def check_routes(rules: Rules, results: Sequence[LaneResult], findings: Findings) -> None:
    """Compares all places that were sent on with those that routed records say they come from."""
    lanes = {result.lane: result for result in results}
    for home, result in lanes.items():
        topic = f"{rules.topic('events')}-{home}"
        wanted = dict(pair for other in results for pair in _pairs(other.sent_on.get(home, ())))
        came = list(_pairs(result.came))
        findings.checked["routed records"] += len(came)
        for (place, _), (after, _) in pairwise(sorted(came)):
            if place == after:
                findings.add("doubled", topic, f"{_shown(rules, place)} was routed twice")
        there = dict(came)
        if result.starts[rules.topic("events")] > 0:
            findings.unjudged[f"routed records: the log of {topic} has lost its beginning"] += 1
        else:
            for place in sorted(wanted.keys() - there.keys()):
                findings.add("lost", topic, f"{_shown(rules, place)} is at home here and was not routed")
        for place in sorted(wanted.keys() & there.keys()):
            if wanted[place] != there[place]:
                findings.add("wrong", topic, f"{_shown(rules, place)} was not routed as it is")
        for place in sorted(there.keys() - wanted.keys()):
            number, lane, offset = _parts(place)
            name = rules.inputs[number].topic
            origin = lanes.get(lane)
            if origin is None:
                findings.add("wrong", topic, f"{_shown(rules, place)} was routed, but there is no such lane")
            elif origin.starts[name] <= offset < origin.record["next"].get(name, 0):
                findings.add("wrong", topic, f"{_shown(rules, place)} was routed, and is nothing that belongs here")


def check_carried(
    rules: Rules,
    carried: Iterable[Carried],
    groups: Mapping[str, str],
    known: Mapping[str, Known],
    findings: Findings,
) -> None:
    """What was sent on to an owner: once at each step, to nobody who has nothing to do with it, and as it was.

    `groups`: name -> the group of those that were ever named together with it.
    """
    topic = rules.topic("events")
    steps: dict[tuple[str, int], list[Carried]] = defaultdict(list)
    for each in carried:
        steps[each.primary, each.place].append(each)
        findings.checked["events sent on to owners"] += 1
    for (primary, place), those in steps.items():
        what = f"{_shown(rules, place)} of {primary}"
        those.sort(key=lambda each: each.hops)
        for one, after in pairwise(those):
            if one.hops == after.hops:
                findings.add("doubled", topic, f"{what} was sent on twice, to {one.target} and {after.target}")
        for each in those:
            if each.target != primary and groups.get(each.target, each.target) != groups.get(primary, primary):
                findings.add("wrong", topic, f"{what} was sent on to {each.target}, who has nothing to do with it")
            arrivals = known[primary].arrivals if primary in known else ()
            if not any(_alike(each.act, arrival.act) for arrival in arrivals):
                findings.add("wrong", topic, f"{what} was not sent on to {each.target} as it is")


def _alike(one: Act, other: Act) -> bool:
    return one == other and (one.touch, one.channel, one.company) == (other.touch, other.channel, other.company)


def _pairs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Places and digests."""
    return zip(numbers[::2], numbers[1::2], strict=True)


def _parts(place: int) -> tuple[int, int, int]:
    offset, rest = place & (1 << PLACE_BITS) - 1, place >> PLACE_BITS
    return rest >> LANE_BITS, rest & (1 << LANE_BITS) - 1, offset


def _shown(rules: Rules, place: int) -> str:
    number, lane, offset = _parts(place)
    return f"{rules.inputs[number].topic}-{lane}@{offset}"
