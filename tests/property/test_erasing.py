"""Who is erased is gone from everywhere, once, whatever is under way; nobody else loses anything: in random worlds.

Each bug planted into the code is seen by those worlds (tests/mutants/erasing.py).
"""

import os
from typing import Final

import pytest

from pipeline.domain.erasing import Later
from tests.property.erasing_world import ErasingWorld

TIMES: Final = max(1, int(os.environ.get("JOURNEY_PROPERTY", "0")))


@pytest.mark.parametrize("later", ["anew", "drop"])
@pytest.mark.parametrize("calm", [True, False])
def test_whoever_is_erased_is_gone(later: Later, calm: bool) -> None:
    erased = back = 0
    for seed in range(60 * TIMES):
        world = ErasingWorld(seed, later, calm)
        world.live()
        erased += len(world.marks)
        back += len(world.marks.keys() & world.records.keys())
    assert erased > 60
    assert (back > 0) == (later == "anew")
