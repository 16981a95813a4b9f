"""What the checker says of erasures that were not done, or done too far; each planted into a pipeline without fault."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.checker.erasures import check_erased
from pipeline.checker.findings import Findings
from pipeline.checker.lane_feed import CustomerSaid
from pipeline.checker.lane_links import Known, LaneLinks
from pipeline.checker.linked import Linked, check_linked
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Erase
from pipeline.checker.plain_profile import StoredEvent, StoredProfile, Strand
from tests.unit.linked_world import LANES, RULES, START, LinkedWorld

AT = START + 5 * 3_600_000
BROWSER, KIOSK = "anonymous:1", "anonymous:9"
GONE = ("ann", BROWSER)


class ErasedWorld:
    """`ann` owned a browser, and a kiosk together with `bob`; she was erased. To be spoiled before `found`.

    `stored` by public key, `said`: who is in journey.customers, `last`: when somebody was named last.
    """

    def __init__(self) -> None:
        told = [(1, "ann", (BROWSER, KIOSK), "viewed"), (2, "bob", (KIOSK,), "viewed"), (3, BROWSER, (), "viewed")]
        self.world = LinkedWorld(told)
        self.stored: dict[str, StoredProfile | None] = dict(self.world.stored) | dict.fromkeys(GONE)
        self.stored[KIOSK] = replace(self.world.stored[KIOSK], claims={"bob": "bob"})
        self.said = self.world.stored.keys() - set(GONE)
        self.gone = set(GONE)
        self.last: dict[str, int] = {}

    def found(self) -> Findings:
        lanes = [self._lane(lane) for lane in self.world.lanes()]
        linked = Linked.of(RULES, lanes)
        findings = Findings()
        check_linked(RULES, linked, findings)
        check_erased(RULES, linked.lanes, linked.known, linked.erased, findings)
        return findings

    def _lane(self, lane: LaneLinks) -> LaneLinks:
        feed = lane.customers.feed
        feed.customers = {name: CustomerSaid(7, {}, None) for name in self.said if home_lane(name, LANES) == lane.lane}
        feed.gone = {name for name in self.gone if home_lane(name, LANES) == lane.lane}
        known = {
            name: Known(self.world.arrivals.get(name, []), stored)
            for name, stored in self.stored.items()
            if home_lane(name, LANES) == lane.lane
        }
        orders = [Erase("ann", AT, "o1"), Erase("ann", AT + 7, "o1")] if lane.lane == home_lane("ann", LANES) else []
        named = dict.fromkeys(lane.named, START)
        return replace(lane, known=known, erasures=orders, first_named=named, last_said=self.last)

    def comes_back(self, epoch: int, *events: str) -> None:
        strand = Strand("ann", AT + 9, AT + 9, [1, 0, 0, 0, 0], 0, 0, [StoredEvent(each, AT + 9) for each in events])
        self.stored["ann"] = StoredProfile("ann", epoch, None, "", [strand], [])
        self.said = {*self.said, "ann"}
        self.last["ann"] = AT + 9


def test_an_erasure_that_is_done_is_right() -> None:
    findings = ErasedWorld().found()
    assert (findings.total, findings.checked["erased identities"]) == (0, 2)


def forget_an_identity(world: ErasedWorld) -> None:
    world.stored[BROWSER] = world.world.stored[BROWSER]


def leave_the_owner(world: ErasedWorld) -> None:
    world.stored["ann"] = world.world.stored["ann"]


def leave_what_subscribers_read(world: ErasedWorld) -> None:
    world.said = {*world.said, BROWSER}


def leave_a_mention(world: ErasedWorld) -> None:
    world.stored[KIOSK] = world.world.stored[KIOSK]


def begin_with_the_old_epoch(world: ErasedWorld) -> None:
    world.comes_back(START)


def keep_an_old_event(world: ErasedWorld) -> None:
    world.comes_back(AT + 9, "e0")


def erase_somebody_else(world: ErasedWorld) -> None:
    world.gone.add("cy")


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (forget_an_identity, "was erased, and its record is still there"),
        (leave_the_owner, "was erased, and its record is still there"),
        (leave_what_subscribers_read, "was erased, and is still there"),
        (leave_a_mention, "names ann, who was erased"),
        (begin_with_the_old_epoch, "is not behind its erasure"),
        (keep_an_old_event, "remembers e0, which is of before its erasure"),
        (erase_somebody_else, "no order has erased it"),
    ],
)
def test_what_is_planted_is_seen(plant: Callable[[ErasedWorld], None], says: str) -> None:
    world = ErasedWorld()
    plant(world)
    findings = world.found()
    assert set(findings.counts) == {"erased"}
    assert any(says in each.what for each in findings.examples)
