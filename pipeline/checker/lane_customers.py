"""I1, I5, I9 for the customers of one lane: the plain fold of what was read, against what was told and stored."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.checker import plain_fold
from pipeline.checker.findings import Findings
from pipeline.checker.known_history import known_of, moves_of
from pipeline.checker.lane_feed import SKEW_MS, Feed, Fired
from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.lane_versions import Versions
from pipeline.checker.plain_admission import Act, Admission, Kind, counters
from pipeline.checker.plain_journey import Journey
from pipeline.checker.plain_profile import Position, StoredProfile
from pipeline.checker.plain_switch import Life, live
from pipeline.checker.plain_touches import CHANNELS
from pipeline.checker.rules import Rules
from pipeline.checker.silences import falsely_fired, milliseconds, moment, settled_by_event

ORDER_DOUBT_MS = 60_000
"""Within one input the order of arrival is certain. A lane merges its inputs by append time, but waits for none for
ever; events of two inputs that were appended less than this apart may have been read the other way round."""

OUTCOMES: Mapping[Kind, str] = {"accepted": "folded", "duplicate": "duplicate", "late": "late"}


@dataclass(slots=True)
class LaneCustomers:
    """Judges one customer after the other. `versions` of each journey; `carrying`: those whose customers are still
    being carried over to another, with the version. `watermark` is the lane's at the cut, None if there was none yet;
    `latest` the highest that any lane knew then. Nobody whose timers the lane need not look at before `latest` may be
    behind it.

    `without`: customers whose feed is not compared. `outcomes`: events by (channel, outcome) as the plain fold has
    them; `doubtful`: events of customers for whom the order of arrival decides, and nobody knows it.
    """

    rules: Rules
    versions: Mapping[str, Versions]
    carrying: Mapping[str, int]
    watermark: int | None
    latest: int | None
    feed: Feed
    findings: Findings
    without: Collection[str] = ()
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    doubtful: int = 0
    _signals: dict[tuple[str, str], str] = field(init=False)
    _topics: list[str] = field(init=False)

    def __post_init__(self) -> None:
        known = [
            journey for each in self.versions.values() for journey in (each.first, *(s.journey for s in each.switches))
        ]
        self._signals = {(journey.name, rule.rule): rule.signal for journey in known for rule in journey.waiting}
        self._topics = [*(source.topic for source in self.rules.inputs), self.rules.topic("events")]

    def judge(self, customer: str, arrivals: list[Arrival], stored: StoredProfile | None, where: str) -> None:
        """One customer with all that arrived for them; `where` is their record in the changelog."""
        arrivals.sort(key=lambda a: (a.at, a.source, a.offset))
        admission = Admission(self.rules.lateness, self.rules.limit)
        accepted: list[Arrival] = []
        kinds: list[Kind] = []
        for arrival in arrivals:
            kind = admission.arrive(arrival.act)
            kinds.append(kind)
            if kind == "accepted":
                accepted.append(arrival)
        accepted.sort(key=lambda a: a.act)
        doubtful = order_decides(arrivals, self.rules.lateness, admission.truncated)
        if doubtful:
            self.doubtful += len(arrivals)
        for arrival, kind in zip(arrivals, kinds, strict=True):
            self.outcomes[arrival.act.channel, OUTCOMES[kind]] += 1
        if customer in self.without:
            return
        self.findings.checked["customers"] += 1
        if stored is None:
            if accepted:
                self.findings.add("lost", where, f"no profile of {customer}, who has {len(accepted)} events")
            return
        own = Findings(self.findings.kept)
        self._compare_profile(customer, accepted, kinds, admission, stored, where, own)
        self._compare_history(customer, accepted, stored, admission.truncated, own)
        if doubtful and own.total:
            self.findings.unjudged["customers for whom the order of arrival over several inputs decides"] += 1
            return
        self.findings.merge(own)

    def only(self, names: Collection[str]) -> "LaneCustomers":
        """One that judges these. What they were told by time before they were linked may have been taken back since,
        so no timer of theirs is called false.
        """
        return replace(self, feed=self.feed.only(names), outcomes=Counter(), doubtful=0)

    def judge_linked(self, owner: str, accepted: Sequence[Arrival], stored: StoredProfile, found: Findings) -> bool:
        """The owner of several identities with all that was accepted of theirs, in order; whether it can be judged."""
        if owner in self.without:
            return False
        return self._compare_history(owner, accepted, stored, False, found)

    def joined(self, customer: str) -> dict[str, str | None]:
        """By journey in which anything was told: whom the customer has joined by the last transition."""
        tracks = self.feed.subscriber.tracks
        names = [journey.name for journey in self.rules.journeys if (customer, journey.name) in tracks]
        return {name: tracks[customer, name].into for name in names}

    def _compare_history(
        self, customer: str, accepted: Sequence[Arrival], stored: StoredProfile, truncated: bool, found: Findings
    ) -> bool:
        """Whether it could be compared."""
        if stored.parked:
            found.unjudged["customers whose timers are parked: stages and signals"] += 1
            return False
        if stored.indexed is not None and self.watermark is not None and stored.indexed <= self.watermark:
            found.unjudged["customers whose timers are due and not looked at yet: stages and signals"] += 1
            return False
        waits = stored.indexed is not None and self.latest is not None and stored.indexed <= self.latest
        late = {position.journey for position in stored.positions if self._is_late(position, found)}
        watermark = self.watermark if waits else self.latest
        self._compare_feed(customer, accepted, watermark, late, truncated, found)
        return True

    def _compare_profile(
        self,
        customer: str,
        accepted: Sequence[Arrival],
        kinds: Sequence[Kind],
        admission: Admission,
        stored: StoredProfile,
        where: str,
        found: Findings,
    ) -> None:
        total = counters(arrival.act for arrival in accepted)
        strand = stored.strands[0]
        wanted = {
            "touches": [total.touches.get(channel, 0) for channel in CHANNELS],
            "company acts": total.company,
            "first seen": total.first_seen,
            "last seen": total.last_seen,
            "late events": sum(kind == "late" for kind in kinds),
            "remembered events": [act.id for act in admission.remembered],
        }
        has = {
            "touches": list(strand.touches),
            "company acts": strand.company,
            "first seen": strand.first,
            "last seen": strand.newest,
            "late events": strand.late,
            "remembered events": [event.id for event in strand.recent],
        }
        for name, value in wanted.items():
            if has[name] != value:
                found.add("profile", f"{where} {customer}", f"{name}: {has[name]}, by the events {value}")
        self.compare_positions(customer, stored, f"{where} {customer}", found)

    def compare_positions(self, customer: str, stored: StoredProfile, where: str, found: Findings) -> None:
        """What the profile says was published last, against what was."""
        for position in stored.positions:
            track = self.feed.subscriber.tracks.get((customer, position.journey))
            told = (track.stage, track.seq) if track else (None, 0)
            if self.feed.starts["transitions"] > 0 and track is None:
                continue
            if (position.stage or None, position.seq) != told:
                found.add(
                    "torn",
                    where,
                    f"{position.journey} is {position.stage or None} at seq {position.seq}, "
                    f"the last transition leads to {told[0]} at seq {told[1]}",
                )

    def _told_in(self, journey: str) -> set[str]:
        """The signals of all versions of a journey."""
        return {signal for (name, _), signal in self._signals.items() if name == journey}

    def _is_late(self, position: Position, found: Findings) -> bool:
        """Whether the customer is under a version that the lane runs no more."""
        name, version = position.journey, self.rules.versions.get(position.journey)
        if name not in self.versions or not self.versions[name].switches or position.version == version:
            return False
        if name not in self.carrying:
            found.add("lost", name, f"under version {position.version}, although all are carried over to {version}")
        return True

    def _parts(self, versions: Versions, accepted: Sequence[Arrival]) -> list[list[Act]]:
        """The acts that each version found: what the lane had read when it switched is the former one's."""
        parts: list[list[Act]] = [[] for _ in range(len(versions.switches) + 1)]
        for arrival in accepted:
            topic = self._topics[arrival.source]
            passed = [arrival.offset >= switch.positions.get(topic, 0) for switch in versions.switches]
            parts[sum(passed)].append(arrival.act)
        return parts

    def _compare_feed(
        self,
        customer: str,
        accepted: Sequence[Arrival],
        watermark: int | None,
        late: Collection[str],
        truncated: bool,
        found: Findings,
    ) -> None:
        subscriber = self.feed.subscriber
        true_firings: set[tuple[str, str, str, str]] = set()
        for journey in self.rules.journeys:
            versions = self.versions[journey.name]
            if journey.name in late or not versions.whole or (truncated and versions.folds_again):
                found.unjudged[f"customers in {journey.name} under other versions"] += 1
                continue
            parts = self._parts(versions, accepted)
            life = live(versions.first, versions.switches, parts, watermark, self.rules.lateness)
            position = life.position
            for step in position.history:
                if step.event is None and step.since is not None:
                    true_firings.add((journey.name, step.rule, moment(step.since), moment(step.at)))
            for firing in position.signals:
                true_firings.add((journey.name, firing.rule, moment(firing.since), moment(firing.due)))
            wanted = self._wanted(customer, journey, life)
            known = known_of(customer, journey, subscriber, self._told_in(journey.name))
            track = subscriber.tracks.get((customer, journey.name))
            if self.feed.starts["transitions"] > 0 and (track is None or not track.whole):
                found.unjudged["histories of customers of which the feed has lost the beginning"] += 1
                stage = f"stage of {customer} in {journey.name}"
                wanted = {stage: wanted[stage]} if track is not None and stage in wanted else {}
                known = {stage: known[stage]} if track is not None else {}
            elif self.feed.starts["signals"] > 0:
                wanted = {name: value for name, value in wanted.items() if not name.startswith("signal ")}
                known = {name: value for name, value in known.items() if not name.startswith("signal ")}
            topic = f"{self.rules.topic('transitions')}-{self.feed.lane}"
            found.checked["history entries and signals"] += len(wanted)
            if wanted != known and journey.name in self.feed.other_versions:
                found.unjudged[f"customers in {journey.name}: other versions of it have published, too"] += 1
                continue
            for name, value in wanted.items():
                if known.get(name) != value:
                    found.add("lost", topic, f"{name}: {value}, known is {known.get(name)}")
            for name, value in known.items():
                if wanted.get(name) != value:
                    found.add("wrong", topic, f"{name}: {value}, by the events {wanted.get(name)}")
        for fired in self.feed.fired.get(customer, ()):
            self._check_silence(customer, fired, accepted, true_firings, found)

    def _wanted(self, customer: str, journey: Journey, life: Life) -> dict[str, object]:
        position = life.position
        wanted: dict[str, object] = {
            entry: (moment(at), to) for entry, (at, to) in plain_fold.net_history(customer, journey, position).items()
        }
        if position.history:
            wanted[f"stage of {customer} in {journey.name}"] = position.stage or None
        moves = [(move.version, move.origin or None, move.to or None) for move in life.moves]
        wanted |= moves_of(customer, journey.name, moves)
        for fired in position.signals:
            name = self._signals[journey.name, fired.rule]
            wanted[f"signal {customer}:{journey.name}:{name} of {moment(fired.due)}"] = True
        return wanted

    def _check_silence(
        self,
        customer: str,
        fired: Fired,
        accepted: Sequence[Arrival],
        true_firings: set[tuple[str, str, str, str]],
        found: Findings,
    ) -> None:
        silence = fired.silence
        if fired.journey in self.feed.other_versions:
            return
        live = not self.rules.event_clock
        due, since = milliseconds(fired.due), milliseconds(fired.since)
        name = f"{fired.entry} (silent since {fired.since}, due {fired.due})"
        if live and fired.signal and fired.appended + SKEW_MS < due + silence.grace:
            found.add("silence", fired.where, f"{name} was told before its due and the grace of {silence.grace} ms")
            return
        if (fired.journey, silence.rule, fired.since, fired.due) in true_firings:
            return
        if self.versions[fired.journey].switches:
            found.unjudged[f"timers of {fired.journey} taken back, under several versions"] += 1
            return
        if any(arrival.acknowledged is None for arrival in accepted):
            found.unjudged["timers taken back, of customers with routed events, by an event clock"] += 1
            return
        if settled_by_event(silence, due, accepted, fired.appended):
            return
        found.checked["timers taken back"] += 1
        if falsely_fired(self.versions[fired.journey].now, silence, since, due, accepted):
            found.add("silence", fired.where, f"{name} although what breaks it was acknowledged in time")


def order_decides(arrivals: Sequence[Arrival], lateness: int, truncated: bool) -> bool:
    """Whether two events, of two inputs and appended about the same time, could have another outcome the other way
    round: one too old for the other, a second copy, or any two once the limit has pushed something out."""
    for place, one in enumerate(arrivals):
        for other in arrivals[place + 1 :]:
            if other.at - one.at > ORDER_DOUBT_MS:
                break
            if one.source != other.source and (
                truncated or one.act.id == other.act.id or abs(one.act.at - other.act.at) > lateness
            ):
                return True
    return False
