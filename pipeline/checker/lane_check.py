"""One lane, judged: what goes in is what is in Kafka and Redis, what comes out is what is wrong with it."""

from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.checker.findings import Findings
from pipeline.checker.lane_changelog import ENDS, LANE, MARK, Changelog, customers_by_stage, published, summed
from pipeline.checker.lane_customers import LaneCustomers
from pipeline.checker.lane_feed import Feed
from pipeline.checker.lane_inputs import LaneInputs
from pipeline.checker.lane_letters import LaneLetters
from pipeline.checker.lane_links import Known, LaneLinks
from pipeline.checker.lane_table import TableRead, check_table
from pipeline.checker.lane_versions import MODELS, Versions, lane_rules
from pipeline.checker.plain_profile import Unreadable, decode, is_linked, public_key
from pipeline.checker.rules import Rules

FAR = 1 << 62
NOTHING: Mapping[str, Any] = {
    "next": {},
    "totals": {},
    "watermark": None,
    "transitions": {},
    "signals": {},
    "dead": {},
    "stages": {},
    "commands": {"read": 0},
}
"""The record of a lane that has never committed."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to where a lane is judged: the lane record at `offset` of the changelog, -1 if there is none."""

    offset: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of events, for sums over all lanes. `taken`: valid ones that this lane read first, by channel.

    `told`: those of journey.events; `whole`: nothing is missing of any log, and nothing lies beyond the cut.
    """

    taken: Counter[str]
    told: int
    whole: bool


@dataclass(slots=True)
class LaneResult:
    """What came out for one lane. `record`: the lane's at the cut; the rest is for the check over all lanes."""

    lane: int
    record: Mapping[str, Any]
    findings: Findings
    sent_on: dict[int, "array[int]"]
    came: "array[int]"
    starts: Mapping[str, int]
    links: LaneLinks
    flow: Flow


@dataclass(slots=True)
class LaneCheck:
    """Takes what was read of one lane part by part: first `changelog`, then everything else, `finish` at last.

    `latest`: the highest watermark (ms) that any lane knew when the cuts were chosen. `starts`: first offset of the
    lane's partition of each topic, by full name. `table_position`: where the table in Redis was before anything was
    read. `without`: customers whose feed is not compared. `positions`: of all lanes at their cuts, by topic.
    """

    rules: Rules
    lane: int
    cut: Cut
    latest: int | None
    starts: Mapping[str, int]
    table_position: int | None
    without: Collection[str] = ()
    kept: int = 20
    positions: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    findings: Findings = field(init=False)
    changelog: Changelog = field(init=False)
    inputs: LaneInputs = field(init=False)
    feed: Feed = field(init=False)
    letters: LaneLetters = field(init=False)
    versions: Mapping[str, Versions] = field(init=False)

    def __post_init__(self) -> None:
        rules = self.rules
        self.findings = Findings(self.kept)
        since = self.cut.offset if self.table_position is None else min(self.cut.offset, self.table_position)
        self.changelog = Changelog(rules, self.lane, self.cut.offset, since, self.findings)
        self._begin(*lane_rules(rules, None))

    def know_versions(self) -> None:
        """The changelog has been taken, so it is known which versions the lane has run; nothing else has been."""
        self._begin(*lane_rules(self.rules, self.changelog.value(MODELS, self.cut.offset)))

    def _begin(self, rules: Rules, versions: Mapping[str, Versions]) -> None:
        record = self.cut.record
        self.rules, self.versions = rules, versions
        self.inputs = LaneInputs(rules, self.lane, self.findings, self.positions)
        names = ("transitions", "signals")
        counts = {name: published(record, name) for name in names}
        starts = {name: self.starts[rules.topic(name)] for name in names}
        self.feed = Feed(rules, self.lane, counts, starts, self.findings, versions)
        dead = sum(record["dead"].values())
        self.letters = LaneLetters(rules, self.lane, dead, self.starts[rules.topic("dlq")], self.findings)

    def finish(self, table: TableRead, changelog_id: str) -> LaneResult:
        """Everything has been taken, the changelog once more up to its end after all the rest."""
        findings, changelog = self.findings, self.changelog
        changelog.finish()
        newest = changelog.newest or NOTHING
        at_rest = changelog.newest_at == self.cut.offset
        self.feed.finish({name: published(newest, name) for name in ("transitions", "signals")}, at_rest)
        self.letters.finish(sum(newest["dead"].values()))
        check_table(table, changelog, changelog_id, findings)
        self.feed.check_customers(at_rest)
        lost_beginning = self._lost_beginning()
        for topic in lost_beginning:
            findings.unjudged[f"what {topic}-{self.lane} held before {self.starts[topic]}, where its log begins"] += 1
        inputs = self.inputs
        isolated = self.letters.compare(inputs.dead, inputs.astray, lost_beginning)
        failed = self._take_out(isolated)
        customers = self._judge()
        known = self._customers(customers, self._judged_from(lost_beginning))
        links = LaneLinks(
            self.lane,
            customers.only(known),
            sorted(inputs.named),
            inputs.orders,
            known,
            frozenset(inputs.moving) | {public_key(key.decode()) for key in changelog.changed_after(self.cut.offset)},
            inputs.carried,
            inputs.erasures,
            inputs.first_named,
            inputs.last_said,
        )
        if not lost_beginning:
            self._totals(failed, customers, known)
        if self.starts[self.rules.topic("transitions")] == 0:
            self._stages()
        whole = not lost_beginning and at_rest and not inputs.moving
        flow = Flow(inputs.first_read - failed, inputs.told, whole)
        return LaneResult(
            self.lane, self.cut.record, findings, inputs.sent_on, inputs.came, dict(self.starts), links, flow
        )

    def _lost_beginning(self) -> list[str]:
        """The inputs whose logs do not begin where the lane began to read."""
        topics = (*(source.topic for source in self.rules.inputs), self.rules.topic("events"))
        return [topic for topic in topics if self.starts[topic] > 0]

    def _judged_from(self, lost_beginning: Sequence[str]) -> int:
        """Customers who came later than this (ms) have all of their events in what is left of the logs."""
        return max((self.inputs.first_append.get(topic, FAR) for topic in lost_beginning), default=-1)

    def _take_out(self, isolated: Collection[tuple[str, int]]) -> Counter[str]:
        """Leaves out the events on which the program failed; how many by channel."""
        numbers = {source.topic: number for number, source in enumerate(self.rules.inputs)}
        numbers[self.rules.topic("events")] = len(numbers)
        places = {(numbers[topic], offset) for topic, offset in isolated if topic in numbers}
        failed: Counter[str] = Counter()
        if places:
            self.findings.unjudged["events on which the fold failed: they are in the dead letters"] += len(places)
            for customer, arrivals in self.inputs.arrivals.items():
                out = [arrival for arrival in arrivals if (arrival.source, arrival.offset) in places]
                failed.update(arrival.act.channel for arrival in out)
                if out:
                    self.inputs.arrivals[customer] = [arrival for arrival in arrivals if arrival not in out]
                    self.inputs.moving.add(customer)  # whom it named as well is not linked by it
        for each in self.inputs.carried:
            if (self.rules.topic("events"), each.offset) in isolated:
                self.inputs.moving.update((each.primary, each.target))
                failed[each.act.channel] += 1
        return failed

    def _judge(self) -> LaneCustomers:
        record = self.cut.record
        return LaneCustomers(
            self.rules,
            self.versions,
            record.get("carrying", {}),
            record["watermark"],
            self.latest,
            self.feed,
            self.findings,
            self.without,
        )

    def _customers(self, customers: LaneCustomers, judged_from: int) -> dict[str, Known]:
        """Judges all who are not linked with anybody; what is known of the others."""
        record, arrivals, changelog, linked = self.cut.record, self.inputs.arrivals, self.changelog, self.inputs.linked
        known: set[str] = set()
        left: dict[str, Known] = {}
        for key in changelog:
            value = changelog.value(key, self.cut.offset)
            if key in (LANE, MODELS) or key.startswith(MARK) or value is None:
                continue
            name = f"{changelog.topic} {key.decode(errors='replace')}"
            try:
                stored = decode(value, record.get("names", ()))
            except Unreadable as error:
                self.findings.add("profile", name, f"cannot be read: {error}")
                continue
            customer = public_key(stored.key)
            known.add(customer)
            if customer in linked or is_linked(stored):
                left[customer] = Known(arrivals.pop(customer, ()), stored)
            elif stored.epoch <= judged_from:
                arrivals.pop(customer, None)
                self.findings.unjudged["customers older than what is left of the inputs"] += 1
            elif customer in arrivals:
                customers.judge(customer, arrivals.pop(customer), stored, changelog.topic)
            else:
                self.findings.add("wrong", name, "a profile, though no event of this customer was read")
        for customer, those in arrivals.items():
            if customer in linked:
                left[customer] = Known(those, None)
            elif judged_from < 0:
                customers.judge(customer, those, None, changelog.topic)
        for customer in {customer for customer, _ in self.feed.subscriber.tracks} - known - self.feed.gone:
            self.findings.add("torn", f"{changelog.topic} {customer}", "no profile, but transitions")
        return left

    def _totals(self, failed: Counter[str], customers: LaneCustomers, known: Mapping[str, Known]) -> None:
        """I7: what the lane record counts is what is there, and each event had the outcome that the rules give it.

        Where somebody is linked, a lane alone cannot tell what was folded here and what was sent on to an owner.
        """
        record, inputs, outcomes, doubtful = self.cut.record, self.inputs, customers.outcomes, customers.doubtful
        pairs = [
            ("events read", summed(record, "read"), inputs.records),
            ("dead", summed(record, "dead"), len(inputs.dead) + failed.total()),
            ("commands", record["commands"]["read"], inputs.commands),
        ]
        if not known:
            pairs.append(("routed", summed(record, "routed"), inputs.hops))
        for channel in {*record["totals"], *inputs.read}:
            tally = record["totals"].get(channel, {})
            taken = tally.get("read", 0) - tally.get("dead", 0)
            pairs.append((f"{channel}: events taken", taken, inputs.read[channel] - failed[channel]))
            for outcome in () if known else ("folded", "duplicate", "late"):
                counted, folded = tally.get(outcome, 0), outcomes[channel, outcome]
                if abs(counted - folded) > doubtful:
                    pairs.append((f"{channel}: {outcome}", counted, folded))
        where = f"{self.changelog.topic}@{self.cut.offset}"
        for name, counted, found in pairs:
            self.findings.checked["totals"] += 1
            if counted != found:
                self.findings.add("totals", where, f"{name}: {counted} in the lane record, {found} by what is there")
        self.findings.checked["events"] += inputs.records
        for end in ENDS:
            self.findings.checked[f"events {end}"] += summed(record, end)

    def _stages(self) -> None:
        tracks = self.feed.subscriber.tracks
        feed = self.feed
        found = Counter(
            (journey, track.stage)
            for (customer, journey), track in tracks.items()
            if track.stage and feed.is_of_now(customer, track)
        )
        counted = customers_by_stage(self.cut.record)
        where = f"{self.changelog.topic}@{self.cut.offset}"
        for stage in {*found, *counted}:
            self.findings.checked["totals"] += 1
            if found[stage] != counted[stage]:
                what = f"customers in {stage[0]}:{stage[1]}: {counted[stage]} in the lane record"
                self.findings.add("totals", where, f"{what}, {found[stage]} by their last transitions")
