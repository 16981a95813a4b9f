"""The checker's rules for linked customers against the real protocol: it agrees at rest, and sees what is planted."""

from collections import defaultdict
from dataclasses import replace
from random import Random

import pytest

from pipeline.checker.findings import Findings
from pipeline.checker.lane_inputs import Arrival
from pipeline.checker.lane_links import Known, LaneLinks
from pipeline.checker.linked import Linked, check_linked
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Order
from pipeline.checker.plain_profile import StoredProfile, decode, public_key
from pipeline.domain.fold import Fold
from pipeline.domain.packing import NO_NAMES
from tests.property.stitching_world import CHAINS, CROWDED, EPOCH, SMALL, Shape, World
from tests.unit.linked_world import LANES, RULES, lane_customers


def fold() -> Fold:
    """The real one, of no journey."""
    return Fold([], frozenset(), 24 * 3_600_000, 64)


def checked(world: World, spoil: str = "") -> Findings:
    """The findings about a world at rest; `spoil`: whose record is left out."""
    stored = {public_key(key): decode(data, NO_NAMES.names) for key, data in world.records.items()}
    arrivals: dict[str, list[Arrival]] = defaultdict(list)
    named = []
    for number, (identifier, (primary, others)) in enumerate(world.sent.events.items()):
        if identifier not in world.folded:
            continue
        act = Act(EPOCH + number, EPOCH + number, 0, number, identifier, "saw_content", "web")
        arrivals[public_key(primary)].append(Arrival(EPOCH, 0, number, None, act))
        named += [(public_key(primary), public_key(other)) for other in others if primary.startswith("c:")]
    orders = [Order("link", public_key(one), public_key(customer)) for one, customer in world.sent.links]
    for identity, customers in world.sent.blocks.items():
        orders += [Order("block", public_key(identity), public_key(each)) for each in customers]
    known = {name: Known(arrivals.get(name, []), stored.get(name)) for name in {*arrivals, *stored} if name != spoil}
    lanes = [
        LaneLinks(
            number,
            lane_customers(number, {}, without=stored),
            named if number == 0 else (),
            orders if number == 0 else (),
            {name: each for name, each in known.items() if home_lane(name, LANES) == number},
        )
        for number in range(LANES)
    ]
    linked = Linked.of(RULES, lanes)
    linked_only = {name: each for name, each in linked.known.items() if name in linked.group_of}
    findings = Findings(1_000)
    check_linked(RULES, replace(linked, known=linked_only), findings)
    return findings


@pytest.mark.parametrize(("shape", "worlds"), [(SMALL, 60), (CHAINS, 30), (CROWDED, 4)])
def test_agrees_with_the_protocol_at_rest(shape: Shape, worlds: int) -> None:
    judged = 0
    for seed in range(worlds):
        world = World(seed, shape, fold())
        world.live()
        found = checked(world)
        assert not found.examples, (seed, list(map(str, found.examples))[:5])
        judged += found.checked["linked identities"]
    assert judged > worlds


def test_sees_that_a_record_is_gone() -> None:
    for seed in range(20):
        world = World(seed, SMALL, fold())
        world.live()
        names = sorted(public_key(key) for key, data in world.records.items() if claims(decode(data, NO_NAMES.names)))
        if names:
            assert checked(world, Random(seed).choice(names)).total > 0, seed


def claims(stored: StoredProfile) -> bool:
    return bool(stored.claims)
