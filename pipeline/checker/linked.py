"""Customers of several identities, over all lanes: each event is in one place, and that is its owner's.

An owner is worked out from all that events and orders name together (`plain_links`); what one identity did is compared
with its strand there, and the owner's history with the plain fold of all that its identities did.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.checker.erasures import Erased
from pipeline.checker.findings import Findings
from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.lane_links import Known, LaneLinks
from pipeline.checker.plain_admission import Admission, counters
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import MOST_CLAIMS, Links
from pipeline.checker.plain_profile import StoredProfile, Strand, public_key
from pipeline.checker.plain_touches import CHANNELS
from pipeline.checker.rules import Rules

Place = tuple[str, Strand]
"""The identity whose record it is, and a strand in it."""


@dataclass(frozen=True, slots=True)
class Linked:
    """All lanes' linked identities together. `group_of`: name -> leader of all that was ever named together with it."""

    lanes: Mapping[int, LaneLinks]
    links: Links
    known: Mapping[str, Known]
    moving: frozenset[str]
    groups: Mapping[str, Sequence[str]]
    group_of: Mapping[str, str]
    moving_groups: frozenset[str]
    erased: Erased

    @classmethod
    def of(cls, rules: Rules, lanes: Iterable[LaneLinks]) -> "Linked":
        """Works out of all that events and orders name together who belongs to whom."""
        by_lane = {lane.lane: lane for lane in lanes}
        links = Links([kind.name for kind in rules.identities.kinds])
        for lane in by_lane.values():
            for customer, identity in lane.named:
                links.name(customer, identity)
        for lane in by_lane.values():
            links.obey(lane.orders)
        known = {name: each for lane in by_lane.values() for name, each in lane.known.items()}
        moving = frozenset(name for lane in by_lane.values() for name in lane.moving)
        groups = links.groups()
        group_of = {name: leader for leader, group in groups.items() for name in group}
        moving_groups = frozenset(group_of.get(name, name) for name in moving)
        erased = Erased.of(links.kinds, list(by_lane.values()), groups)
        return cls(by_lane, links, known, moving, groups, group_of, moving_groups, erased)

    def is_judged(self, name: str) -> bool:
        """Whether messages are under way for nobody of the same group, and none of them was erased."""
        return self.group_of.get(name, name) not in self.moving_groups and name not in self.erased.touched

    def unsettled(self) -> set[str]:
        """Of whom nothing certain can be said: messages are under way, limits were reached, or one was erased."""
        doubtful = [
            group
            for leader, group in self.groups.items()
            if leader in self.moving_groups or self.links.over_limit(group)
        ]
        return {*self.moving, *self.erased.touched, *(name for group in doubtful for name in group)}

    def owners(self) -> dict[str, str]:
        """To whom each belongs by its own record."""
        found = {customer: customer for customer in self.links.claimed}
        for name, each in self.known.items():
            found[name] = public_key(each.stored.to) or name if each.stored else name
        return found


def check_linked(rules: Rules, linked: Linked, findings: Findings) -> None:
    """Judges all who are linked, group by group: a group is all that was ever named together."""
    places: dict[str, list[Place]] = defaultdict(list)
    for name, each in linked.known.items():
        for strand in each.stored.strands if each.stored else ():
            if _happened(strand) or strand.late:
                places[public_key(strand.identity)].append((name, strand))
    for leader, group in linked.groups.items():
        if not linked.erased.touched.isdisjoint(group):
            findings.unjudged["linked customers of whom one was erased: owners and histories"] += 1
            continue
        if leader in linked.moving_groups:
            findings.unjudged["linked customers of whom messages are under way"] += 1
            continue
        _Group(rules, linked.lanes, linked.links, findings, group, linked.known, places).judge()
    named = linked.group_of.keys() | linked.links.blocked.keys() | linked.erased.touched | linked.moving
    for name in sorted(linked.known.keys() - named):
        findings.add("owner", _where(rules, name), "is linked, though no event and no order names it with anybody")


def _where(rules: Rules, name: str) -> str:
    return f"{rules.topic('profiles')}-{home_lane(name, rules.partitions)} {name}"


@dataclass(slots=True)
class _Group:
    """All that was ever named together. `known` and `places` (by identity) are those of everybody."""

    rules: Rules
    lanes: Mapping[int, LaneLinks]
    links: Links
    findings: Findings
    names: Sequence[str]
    known: Mapping[str, Known]
    places: Mapping[str, Sequence[Place]]

    def judge(self) -> None:
        certain = not self.links.over_limit(self.names)
        if not certain:
            self.findings.unjudged["linked customers of whom more was said than the limits allow: owners"] += 1
        for name in self.names:
            self.findings.checked["linked identities"] += 1
            self._identity(name, certain)
        if certain:
            for owner in sorted({self.links.owner(name) for name in self.names}):
                self._history(owner)

    def _identity(self, name: str, certain: bool) -> None:
        found, where, known = self.findings, _where(self.rules, name), self.known.get(name)
        stored = known.stored if known else None
        named = self.links.named.get(name, set())
        if stored is None:
            if named:
                found.add("lost", where, f"was named together with {', '.join(sorted(named))}, and knows of nobody")
        elif certain:
            self._claims(name, stored, where)
        arrivals = known.arrivals if known else ()
        if certain:
            owner = self.links.owner(name)
            for record, _ in self.places.get(name, ()):
                if record != owner:
                    found.add("owner", where, f"what it did is at {record}, and it belongs to {owner}")
        self._strand(name, arrivals, where)
        if stored is not None:
            lane = self.lanes[home_lane(name, self.rules.partitions)]
            lane.customers.compare_positions(name, stored, where, found)
            said = lane.customers.feed.customers.get(name)
            if said is not None and (said.into or "") != public_key(stored.to):
                what = f"says that it has joined {said.into}, and it belongs to {public_key(stored.to) or 'itself'}"
                found.add("customer", f"{self.rules.topic('customers')}-{lane.lane}@{said.offset} {name}", what)
            for journey, into in lane.customers.joined(name).items():
                if stored.to and into is None:
                    found.add("gap", where, f"belongs to {public_key(stored.to)}, and {journey} does not say it moved")

    def _claims(self, name: str, stored: StoredProfile, where: str) -> None:
        """What the record knows of its owner, and who claims it."""
        links, found = self.links, self.findings
        has, wanted = public_key(stored.to) or name, links.owner(name)
        if has != wanted:
            found.add("owner", where, f"belongs to {has}, by events and orders to {wanted}")
        claims = {public_key(customer): public_key(owner) for customer, owner in stored.claims.items()}
        named = links.named.get(name, set())
        if len(named) > MOST_CLAIMS:
            return
        for customer in sorted(named - claims.keys()):
            found.add("lost", where, f"was named together with {customer}, and does not know it")
        for customer in sorted(claims.keys() - named):
            found.add("wrong", where, f"is claimed by {customer}, though nothing names both")
        for customer in sorted(claims.keys() & named):
            if claims[customer] != links.owner(customer):
                found.add("owner", where, f"takes {customer} for {claims[customer]}, who is {links.owner(customer)}")
        blocked = {public_key(customer) for customer in stored.blocked}
        if blocked != links.blocked.get(name, set()):
            found.add("wrong", where, f"blocks {sorted(blocked)}, by orders {sorted(links.blocked.get(name, set()))}")

    def _strand(self, name: str, arrivals: Sequence[Arrival], where: str) -> None:
        """Nothing of what it did is lost, and nothing is there twice; how many copies were late is not known."""
        found, places = self.findings, self.places.get(name, ())
        copies, events = len(arrivals), len({arrival.act.id for arrival in arrivals})
        found.checked["events of linked identities"] += copies
        if len(places) > 1:
            found.add("doubled", where, f"what it did is in several places: {', '.join(at for at, _ in places)}")
        counted = sum(_happened(strand) + strand.late for _, strand in places)
        if counted < events:
            found.add("lost", where, f"{events} events, and {counted} of them are counted")
        elif counted > copies:
            found.add("doubled", where, f"{copies} events with all copies, and {counted} are counted")
        remembered = Counter(event.id for _, strand in places for event in strand.recent)
        ids = {arrival.act.id for arrival in arrivals}
        for identifier, often in remembered.items():
            if identifier not in ids:
                found.add("wrong", where, f"remembers {identifier}, which is no event of it")
            elif often > 1:
                found.add("doubled", where, f"remembers {identifier} {often} times")

    def _history(self, owner: str) -> None:
        """The owner's history is the plain fold of all that is theirs. Exactly so only if all that ever were together
        lie within the lateness: what was older when two were united counts by the stage that each had reached."""
        mine = [name for name in self.names if name in self.known and self.links.owner(name) == owner]
        arrivals = [arrival for name in mine for arrival in self.known[name].arrivals]
        stored = self.known[owner].stored if owner in self.known else None
        if stored is None or not arrivals:
            return
        arrivals.sort(key=lambda a: (a.act.appended, a.source, a.offset))
        admission = Admission(self.rules.lateness, self.rules.limit * len(mine))
        accepted = sorted(
            (arrival for arrival in arrivals if admission.arrive(arrival.act) == "accepted"), key=lambda a: a.act
        )
        companions = self.links.companions(mine, self.names)
        times = [a.act.at for name in companions if name in self.known for a in self.known[name].arrivals]
        pushed_out = any(strand.pushed_out for strand in stored.strands)
        exact = max(times) - min(times) <= self.rules.lateness and not pushed_out
        own = Findings(self.findings.kept)
        lane = self.lanes[home_lane(owner, self.rules.partitions)]
        if lane.customers.judge_linked(owner, accepted, stored, own) and exact:
            self._counters(owner, stored, accepted, own)
        if own.total and not exact:
            self.findings.unjudged["linked customers of longer than the lateness: stages and signals"] += 1
            return
        own.checked["histories of linked customers"] += 1
        self.findings.merge(own)

    def _counters(self, owner: str, stored: StoredProfile, accepted: Sequence[Arrival], found: Findings) -> None:
        total = counters(arrival.act for arrival in accepted)
        wanted = [*(total.touches.get(channel, 0) for channel in CHANNELS), total.company]
        has = [sum(numbers) for numbers in zip(*([*s.touches, s.company] for s in stored.strands), strict=True)]
        if has != wanted:
            found.add("profile", _where(self.rules, owner), f"touches and company acts {has}, by the events {wanted}")


def _happened(strand: Strand) -> int:
    return sum(strand.touches) + strand.company
