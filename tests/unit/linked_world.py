"""Linked customers as a pipeline without fault leaves them, made by hand, for faults to be planted.

One journey: viewed makes `seen`, ordered makes `bought`. An event is (hour, primary, named, type); its id is its place.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.checker import plain_fold
from pipeline.checker.findings import Findings
from pipeline.checker.lane_customers import LaneCustomers
from pipeline.checker.lane_feed import CustomerSaid, Feed
from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.lane_links import Known, LaneLinks
from pipeline.checker.lane_versions import lane_rules
from pipeline.checker.linked import Linked, check_linked
from pipeline.checker.net_history import Track
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_journey import read_journey
from pipeline.checker.plain_links import Order
from pipeline.checker.plain_profile import Position, StoredEvent, StoredProfile, Strand
from pipeline.checker.rules import Rules
from pipeline.checker.silences import moment
from tests.unit.identity_rules import RULES as IDENTITIES

HOUR = 3_600_000
START = 500_000 * HOUR
LANES = 4
JOURNEY = read_journey(
    {
        "journey": "shop",
        "version": 1,
        "stages": [
            {"id": "seen", "enter": {"when": "viewed"}},
            {"id": "bought", "enter": {"from": ["start", "seen"], "when": "ordered"}},
        ],
    },
    [],
    {},
)
RULES = Rules(
    application="a",
    prefix="",
    partitions=LANES,
    inputs=(),
    event_clock=True,
    lateness=24 * HOUR,
    limit=64,
    future=None,
    max_bytes=1,
    max_depth=1,
    rows=(),
    journeys=(JOURNEY,),
    versions={"shop": 1},
    identities=IDENTITIES,
)
Told = tuple[int, str, Sequence[str], str]


@dataclass
class LinkedWorld:
    """`stored`, `arrivals`, `tracks`, `moving`: what a check is given, by public key; to be spoiled before `check`.

    `joined`: what journey.customers says instead of what is right.
    """

    events: Sequence[Told]
    orders: Sequence[Order] = ()
    stored: dict[str, StoredProfile] = field(default_factory=dict)
    arrivals: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    tracks: dict[str, Track] = field(default_factory=dict)
    joined: dict[str, str | None] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for number, (hour, primary, _, touch) in enumerate(self.events):
            at = START + hour * HOUR
            act = Act(at, at + number, 0, number, f"e{number}", touch, "web")
            self.arrivals[primary].append(Arrival(at + number, 0, number, at + number, act))
        links = Linked.of(RULES, [LaneLinks(0, self._customers(0), self._named(), self.orders)]).links
        names = sorted(
            {*self.arrivals, *links.named, *(customer for some in links.named.values() for customer in some)}
        )
        for name in names:
            owner = links.owner(name)
            mine = [each for each in names if links.owner(each) == name]
            claims = {customer: links.owner(customer) for customer in sorted(links.named.get(name, ()))}
            strands = [self._strand(each) for each in mine if self.arrivals.get(each)]
            position = self._live(name, mine)
            self.stored[name] = StoredProfile(
                name,
                START,
                None,
                "",
                strands,
                position,
                "" if owner == name else owner,
                claims,
                sorted(links.blocked.get(name, ())),
            )

    def spoil(self, name: str, **changes: Any) -> None:
        """Changes a record."""
        self.stored[name] = replace(self.stored[name], **changes)

    def check(self) -> Findings:
        findings = Findings()
        check_linked(RULES, Linked.of(RULES, self.lanes()), findings)
        return findings

    def lanes(self) -> list[LaneLinks]:
        """What the checker has read of each lane."""
        return [self._lane(number) for number in range(LANES)]

    def _named(self) -> list[tuple[str, str]]:
        return [(primary, other) for _, primary, named, _ in self.events for other in named if ":" not in primary]

    def _strand(self, name: str) -> Strand:
        acts = [arrival.act for arrival in self.arrivals[name]]
        recent = [StoredEvent(act.id, act.at) for act in sorted(acts)]
        times = [act.at for act in acts]
        return Strand(name, min(times), max(times), [len(acts), 0, 0, 0, 0], 0, 0, recent)

    def _live(self, owner: str, names: Sequence[str]) -> list[Position]:
        """What the plain fold makes of it, as it was published and stored."""
        acts = sorted(arrival.act for name in names for arrival in self.arrivals.get(name, ()))
        if not acts:
            return []
        position = plain_fold.fold(JOURNEY, acts, None)
        history = plain_fold.net_history(owner, JOURNEY, position)
        entries = {entry: (moment(at), to) for entry, (at, to) in history.items()}
        self.tracks[owner] = Track(START, len(entries), position.stage or None, entries)
        return [Position("shop", 1, len(entries), position.stage)]

    def _customers(self, lane: int) -> LaneCustomers:
        made = lane_customers(lane, self.tracks)
        for name, stored in self.stored.items():
            made.feed.customers[name] = CustomerSaid(7, {}, self.joined.get(name, stored.to or None))
        return made

    def _lane(self, number: int) -> LaneLinks:
        known = {
            name: Known(self.arrivals.get(name, []), stored)
            for name, stored in self.stored.items()
            if home_lane(name, LANES) == number
        }
        named, orders = (self._named(), self.orders) if number == 0 else ([], ())
        return LaneLinks(number, self._customers(number), named, orders, known, self.moving)


def lane_customers(lane: int, tracks: Mapping[str, Track], without: Collection[str] = ()) -> LaneCustomers:
    """What judges the customers of a lane, of whom this was published."""
    rules, versions = lane_rules(RULES, None)
    feed = Feed(rules, lane, {}, {"transitions": 0, "signals": 0}, Findings(), versions)
    feed.subscriber.tracks = {(name, "shop"): track for name, track in tracks.items()}
    return LaneCustomers(rules, versions, {}, None, None, feed, Findings(), without)
