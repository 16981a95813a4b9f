"""The watermark never passes what nobody has folded, and moves on: in random worlds, for the real classes (I9).

Each bug planted into the classes, or into how the lanes use them, is seen by those worlds (tests/mutants).
"""

import os
from typing import Final

import pytest

from tests.property.watermark_world import World

TIMES: Final = max(1, int(os.environ.get("JOURNEY_PROPERTY", "0")))
WORLDS: Final = 400 * TIMES
PARTS: Final = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_the_watermark_is_right_and_moves_on(part: int) -> None:
    rises = 0
    for seed in range(part, WORLDS, PARTS):
        world = World(seed)
        world.live()
        rises += world.rises
    assert rises > 10 * WORLDS / PARTS
