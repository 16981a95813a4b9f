"""The built-in journeys for both folds, and events of the touch table that they share. Times are ms."""

from functools import cache
from typing import Any

from pipeline.adapters.journey_files import MODELS, built_in_journeys
from pipeline.checker.plain_touches import CHANNELS, Row
from tests.property.random_journeys import Dice
from tests.property.two_folds import CUSTOMER, Models, Sent, load_models

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
GRACE = dict.fromkeys(CHANNELS, 5 * MINUTE) | {"store": DAY}
BEGINNING = 1_767_225_600_000
"""2026-01-01."""


@cache
def built_in(*names: str) -> Models:
    """These journeys, or all of them."""
    journeys = [path for path in built_in_journeys() if not names or path.stem in names]
    return load_models(MODELS / "touches.yaml", journeys, GRACE)


def event(dice: Dice, row: Row, number: int, at: int) -> Sent:
    """An event that the row fits."""
    properties: dict[str, Any] = {}
    for path, values in row.where.items():
        *outer, last = path.split(".")
        inside = properties
        for name in outer:
            inside = inside.setdefault(name, {})
        inside[last] = dice.one(values)
    raw = {
        "id": f"e{number}",
        "type": dice.one(sorted(row.types or {"other"})),
        "source": dice.one(sorted(row.sources or {"site"})),
        "actor": row.actor,
        "occurred_at": at,
        "customer_id": CUSTOMER,
        "properties": properties,
    }
    return Sent(raw, dice.one(sorted(row.channels or CHANNELS)), at + dice.below(3) * HOUR, 0, number)
