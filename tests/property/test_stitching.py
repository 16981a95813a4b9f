"""Every event ends up once, with its owner, in the strand of its primary identity: in random worlds, for the real code.

Each bug planted into the code is seen by those worlds (tests/mutants/stitching.py).
"""

import os
from typing import Final

import pytest

from tests.property.stitching_world import CHAINS, CROWDED, SMALL, Shape, World

TIMES: Final = max(1, int(os.environ.get("JOURNEY_PROPERTY", "0")))


@pytest.mark.parametrize(("shape", "worlds"), [(SMALL, 120), (CHAINS, 80)])
def test_every_event_is_with_its_owner(shape: Shape, worlds: int) -> None:
    for seed in range(worlds * TIMES):
        world = World(seed, shape)
        world.live()
        assert not world.refused
        assert world.folded == world.sent.events.keys()


def test_a_crowd_loses_nothing_at_the_limits() -> None:
    refused: set[str] = set()
    for seed in range(12 * TIMES):
        world = World(seed, CROWDED)
        world.live()
        refused |= world.refused
    assert refused == {"too_many_strands", "too_many_claimed", "too_many_claims"}
