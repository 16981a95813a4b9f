"""Over all lanes: what one lane sends on arrives at another once, and nothing else does."""

from collections.abc import Sequence
from itertools import pairwise

from pipeline.checker.findings import Findings
from pipeline.checker.lane_check import LaneResult
from pipeline.checker.lane_inputs import LANE_BITS, PLACE_BITS
from pipeline.checker.rules import Rules


def check_routes(rules: Rules, results: Sequence[LaneResult], findings: Findings) -> None:
    """Compares all places that were sent on with those that routed records say they come from."""
    lanes = {result.lane: result for result in results}
    for home, result in lanes.items():
        topic = f"{rules.topic('events')}-{home}"
        wanted = {place for other in results for place in other.sent_on.get(home, ())}
        came = set(result.came)
        findings.checked["routed records"] += len(result.came)
        if len(came) != len(result.came):
            ordered = sorted(result.came)
            for place, after in pairwise(ordered):
                if place == after:
                    findings.add("doubled", topic, f"{_shown(rules, place)} was routed twice")
        if result.starts[rules.topic("events")] > 0:
            findings.unjudged[f"routed records: the log of {topic} has lost its beginning"] += 1
        else:
            for place in sorted(wanted - came):
                findings.add("lost", topic, f"{_shown(rules, place)} is at home here and was not routed")
        for place in sorted(came - wanted):
            number, lane, offset = _parts(place)
            name = rules.inputs[number].topic
            origin = lanes.get(lane)
            if origin is None:
                findings.add("wrong", topic, f"{_shown(rules, place)} was routed, but there is no such lane")
            elif origin.starts[name] <= offset < origin.record["next"].get(name, 0):
                findings.add("wrong", topic, f"{_shown(rules, place)} was routed, and is nothing that belongs here")


def _parts(place: int) -> tuple[int, int, int]:
    offset, rest = place & (1 << PLACE_BITS) - 1, place >> PLACE_BITS
    return rest >> LANE_BITS, rest & (1 << LANE_BITS) - 1, offset


def _shown(rules: Rules, place: int) -> str:
    number, lane, offset = _parts(place)
    return f"{rules.inputs[number].topic}-{lane}@{offset}"
