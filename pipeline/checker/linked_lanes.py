"""All lanes together: who is linked, that what was sent on arrived, and that every event ended once (I7)."""

from collections import Counter
from collections.abc import Sequence

from pipeline.checker.erasures import check_erased
from pipeline.checker.findings import Findings
from pipeline.checker.lane_changelog import summed
from pipeline.checker.lane_check import LaneResult
from pipeline.checker.linked import Linked, check_linked
from pipeline.checker.routes import check_carried
from pipeline.checker.rules import Rules


def check_links(rules: Rules, results: Sequence[LaneResult], findings: Findings) -> Linked:
    """Judges all who are linked, and the totals over all lanes."""
    inputs = [*(source.topic for source in rules.inputs), rules.topic("events"), rules.topic("commands")]
    lost = sum(result.starts[topic] > 0 for result in results for topic in inputs)
    lanes = [result.links for result in results]
    linked = Linked.of(rules, lanes)
    if not linked.known:
        return linked
    if lost:
        findings.unjudged["linked customers: logs have lost their beginning, and with it who was named together"] += 1
        return linked
    check_linked(rules, linked, findings)
    check_erased(rules, linked.lanes, linked.known, linked.erased, findings)
    carried = [each for lane in lanes for each in lane.carried if linked.is_judged(each.primary)]
    check_carried(rules, carried, linked.group_of, linked.known, findings)
    if all(result.flow.whole for result in results):
        _check_flow(rules, results, findings)
    return linked


def _check_flow(rules: Rules, results: Sequence[LaneResult], findings: Findings) -> None:
    """At rest every event that was taken has ended once, and every record of journey.events was sent by somebody."""
    taken: Counter[str] = sum((result.flow.taken for result in results), Counter())
    ended: Counter[str] = Counter()
    for result in results:
        for channel, tally in result.record["totals"].items():
            ended[channel] += tally["folded"] + tally["duplicate"] + tally["late"] + tally.get("erased", 0)
    where = rules.topic("profiles")
    for channel in {*taken, *ended}:
        findings.checked["totals"] += 1
        if taken[channel] != ended[channel]:
            what = f"{channel}: {ended[channel]} events ended in all lane records, {taken[channel]} were taken"
            findings.add("totals", where, what)
    routed, told = sum(summed(result.record, "routed") for result in results), sum(r.flow.told for r in results)
    findings.checked["totals"] += 1
    if routed != told:
        findings.add("totals", where, f"{routed} routed in all lane records, {told} in {rules.topic('events')}")
