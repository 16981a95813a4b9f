"""Identities that take far more than their share: what they take stays bounded, and nobody else waits for them.

Two lanes, with all of the domain and the application but without Kafka. JOURNEY_BOT_IDS=1000000 for a larger bot.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from pipeline.application.intake import MERGED, Source
from pipeline.application.lane_record import LaneRecord, first_lane_record
from pipeline.application.routing import posted
from pipeline.application.stitch import bring_up_to_date
from pipeline.config import load
from pipeline.domain.messages import Link, Post
from pipeline.domain.ownership import MOST_BLOCKS, MOST_CLAIMS
from pipeline.domain.profile import Profile
from pipeline.domain.stitching import MOST_CLAIMED, MOST_STRANDS, link, order_of
from pipeline.worker.wiring import compile_rules
from tests.benchmarks import common_work
from tests.benchmarks.fold import APPENDED, SETTINGS, Done, Read
from tests.benchmarks.lanes import Lanes

RAW = Source(common_work.TOPIC, "raw")
HOUR = 3_600_000
BOT_IDS = int(os.environ.get("JOURNEY_BOT_IDS", "100000"))

MOST_TURNS = 1_000
"""How often each lane may read what it was sent before it counts as stuck."""

MOST_BYTES = 8_000
"""No profile of one strand is larger, whoever it is of: 64 remembered events are most of it."""


class World:
    """What the lanes count goes into `records`, as it would in a real lane."""

    def __init__(self) -> None:
        self.lanes = Lanes(compile_rules(load(SETTINGS, {})), 2)
        self.records: list[LaneRecord] = [first_lane_record("hot", 2) for _ in self.lanes.each]
        self.sent = 0

    def see(self, people: Iterable[tuple[str, str]], *, kind: str = "page_viewed", properties: str = "{}") -> None:
        """An event for each (customer id, browser), one of which may be empty; an hour after the event before."""
        fetches: list[list[Read]] = [[] for _ in self.lanes.each]
        for customer, browser in people:
            value = common_work.as_json(
                f"e{self.sent}", kind, common_work.SITE, customer, common_work.START_MS + self.sent * HOUR, properties
            )
            named = f'"identities":{{"anonymous":"{browser}"}}' if browser else ""
            if not customer:
                value = value.replace(b'"customer_id":""', named.encode())
            elif browser:
                value = value.replace(b'"properties"', f'{named},"properties"'.encode())
            home = self.lanes.home((customer or f"anonymous:{browser}").encode())
            fetches[home].append(Read(self.sent, APPENDED, None, value, ()))
            self.sent += 1
        for lane, records in enumerate(fetches):
            self._count(lane, self.lanes.take(lane, RAW, records))
        self.settle()

    def tell(self, posts: Iterable[Post]) -> None:
        """Puts messages to identities on journey.events."""
        for post in posts:
            entry = posted(post)
            assert entry[0] is not None
            self.lanes.waiting[self.lanes.home(entry[0])].append(entry)
        self.settle()

    def settle(self) -> None:
        for _ in range(MOST_TURNS):
            if not any(self.lanes.waiting):
                return
            for lane in range(len(self.records)):
                self._count(lane, self.lanes.listen(lane))
        pytest.fail("they never stop telling each other things")

    def _count(self, lane: int, done: Done) -> None:
        bring_up_to_date(self.records[lane], done.batch, done.effects, "1")

    def profile(self, key: str) -> Profile:
        return self.lanes.home_of(key).profile(key)

    def size(self, key: str) -> int:
        """Bytes of the profile."""
        return len(self.lanes.home_of(key).stored[key] or b"")

    def largest(self) -> int:
        return max(len(data or b"") for lane in self.lanes.each for data in lane.stored.values())

    def refused(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for record in self.records:
            found.update(record.refused)
        return found

    def messages(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for record in self.records:
            found.update(record.messages)
        return found

    def dead(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for record in self.records:
            found.update(record.dead)
        return found

    def folded(self) -> int:
        return sum(tally.folded for record in self.records for tally in record.totals.values())

    def held(self) -> Mapping[str, int]:
        """By owner, how many events stand in its profile."""
        owners = [key for lane in self.lanes.each for key in lane.stored]
        counts = {key: sum(sum(s.touches) + s.company for s in self.profile(key).strands) for key in owners}
        return {key: count for key, count in counts.items() if count}


@pytest.fixture
def world() -> World:
    return World()


def all_goes_on(world: World) -> None:
    """Nobody waits: an ordinary customer in each lane is folded, and everything that was sent has been taken once."""
    world.see([(f"ordinary{number}", "") for number in range(8)])
    assert all(world.held()[f"c:ordinary{number}"] == 1 for number in range(8))
    assert sum(world.held().values()) == world.folded()
    assert world.folded() + sum(world.dead().values()) == world.sent


def test_an_identity_with_a_fifth_of_all_events(world: World) -> None:
    for _ in range(10):
        world.see((("hot", "") if number % 5 == 0 else (f"c{number}", "")) for number in range(1_000))
    assert world.held()["c:hot"] == 2_000
    assert world.size("c:hot") < MOST_BYTES
    assert not world.messages()
    all_goes_on(world)


def test_a_kiosk_where_10000_customers_sign_up(world: World) -> None:
    customers = 10_000
    for first in range(0, customers, 1_000):
        world.see((f"c{number:05}", "kiosk") for number in range(first, first + 1_000))
    kiosk = world.profile("anonymous:kiosk")
    assert kiosk.to == ""
    assert kiosk.links is not None
    assert len(kiosk.links.claims) == MOST_CLAIMS + 1
    assert world.refused() == {"too_many_claims": customers - MOST_CLAIMS - 1}
    assert kiosk.links.refused == world.refused()
    assert world.size("anonymous:kiosk") < 500
    assert world.messages()["claim"] == customers
    assert sum(world.messages().values()) - customers < 10
    all_goes_on(world)


def test_the_events_of_a_kiosk_stay_its_own(world: World) -> None:
    world.see((f"c{number}", "kiosk") for number in range(20))
    world.see([("", "kiosk")] * 1_000)
    assert world.held()["anonymous:kiosk"] == 1_000
    assert world.size("anonymous:kiosk") < MOST_BYTES
    all_goes_on(world)


def test_a_bot_with_a_new_browser_for_each_event(world: World) -> None:
    for first in range(0, BOT_IDS, 10_000):
        world.see(("", f"bot{number}") for number in range(first, min(BOT_IDS, first + 10_000)))
    assert sum(len(lane.stored) for lane in world.lanes.each) == BOT_IDS
    assert world.largest() < 200
    assert not world.messages()
    assert world.folded() == BOT_IDS
    world.see([("ordinary", "")])
    assert world.folded() == BOT_IDS + 1


def test_a_customer_that_claims_1000_browsers(world: World) -> None:
    world.see(("", f"b{number}") for number in range(1_000))
    world.see(("collector", f"b{number}") for number in range(1_000))
    (strand, *others) = [s for s in world.profile("c:collector").strands if s.identity == "c:collector"]
    assert not others
    assert len(strand.claimed) == MOST_CLAIMED
    assert len(world.profile("c:collector").strands) == MOST_STRANDS
    assert world.refused() == {"too_many_claimed": 1_000 - MOST_CLAIMED}
    assert world.size("c:collector") < MOST_STRANDS * MOST_BYTES
    assert world.messages() == {"claim": MOST_CLAIMED, "adopt": MOST_CLAIMED}
    all_goes_on(world)


def test_a_browser_that_1000_customers_are_linked_with(world: World) -> None:
    world.see([("", "b")])
    world.tell(link(f"c:c{number:04}", "anonymous:b") for number in range(1_000))
    assert world.profile("anonymous:b").to == ""
    assert world.held() == {"anonymous:b": 1}
    assert world.refused() == {"too_many_claims": 1_000 - MOST_CLAIMS - 1}
    assert world.size("anonymous:b") < 600
    all_goes_on(world)


def test_1000_customers_who_are_merged_into_one(world: World) -> None:
    world.see((f"c{number:04}", "") for number in range(1_000))
    world.tell(link("c:c0000", f"c:c{number:04}") for number in range(1, 1_000))
    assert world.held()["c:c0000"] == MOST_STRANDS
    assert world.refused() == {"too_many_claimed": 1_000 - MOST_STRANDS}
    assert world.size("c:c0000") < MOST_STRANDS * 300
    all_goes_on(world)


def test_a_chain_of_customers_who_each_bring_browsers(world: World) -> None:
    """The limit of strands, not that of claims: each customer claims few, all of them end in one profile."""
    customers, browsers = range(20), range(5)
    world.see((f"c{number:02}", f"b{number}-{browser}") for number in customers for browser in browsers)
    world.see(("", f"b{number}-{browser}") for number in customers for browser in browsers)
    world.tell(link(f"c:c{number:02}", f"c:c{number + 1:02}") for number in customers[:-1])
    assert len(world.profile("c:c00").strands) <= MOST_STRANDS
    assert world.refused()["too_many_strands"] > 0
    strands, merges = len(customers) * (1 + len(browsers)), len(customers) - 1
    assert sum(world.messages().values()) < 2 * strands * merges
    all_goes_on(world)


def test_merges_in_a_ring(world: World) -> None:
    ring = [f"c{number}" for number in range(8)]
    world.see((customer, "") for customer in ring)
    world.tell(link(f"c:{one}", f"c:{other}") for one, other in zip(ring, [*ring[1:], ring[0]], strict=True))
    assert world.held() == {"c:c0": len(ring)}
    assert not world.refused()
    world.see((customer, "") for customer in ring)
    assert world.held() == {"c:c0": 2 * len(ring)}
    all_goes_on(world)


def test_a_merge_into_oneself(world: World) -> None:
    world.see([("narcissus", "")], kind=MERGED, properties='{"into":"narcissus"}')
    assert world.dead() == {"bad_identity": 1}
    world.tell([Post("c:narcissus", Link("c:narcissus", "c:narcissus"))])
    assert world.refused() == {"no_customer": 1}
    all_goes_on(world)


def test_a_merge_of_two_who_were_never_seen(world: World) -> None:
    world.tell([link("c:b", "c:a")])
    assert world.profile("c:b").to == "c:a"
    assert not world.held()
    assert world.largest() < 100
    world.see([("b", ""), ("a", "")])
    assert world.held() == {"c:a": 2}
    all_goes_on(world)


@pytest.mark.parametrize("first", ["a", ""])
def test_a_link_before_either_side_was_seen(world: World, first: str) -> None:
    world.tell([link("c:a", "anonymous:b")])
    world.see([(first, "" if first else "b")])
    world.see([("", "b"), ("a", "")])
    assert world.held() == {"c:a": 3}
    all_goes_on(world)


def test_blocks_of_what_was_never_linked(world: World) -> None:
    blocks = 100
    world.tell(order_of("block", "anonymous:b", f"c:c{number:02}") for number in range(blocks))
    assert world.refused() == {"too_many_blocks": blocks - MOST_BLOCKS}
    assert world.size("anonymous:b") < 1_000
    world.see([("c00", "b"), ("", "b")])
    assert world.held() == {"c:c00": 1, "anonymous:b": 1}
    all_goes_on(world)
