"""What people order about identities on `journey.commands`, by the checker's own reading."""

from collections.abc import Collection
from typing import Literal, cast

import orjson

from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Order, is_customer

ORDERS = ("link", "block", "unblock")


def read_order(value: bytes | None, lane: int, lanes: int, kinds: Collection[str]) -> Order | None:
    """The order; None if it is about something else, or cannot be obeyed by the lane in whose partition it is."""
    try:
        said = orjson.loads(value or b"")
        what, one, other = said["command"], said["identity"], said["customer"]
        if said["lane"] != lane or what not in ORDERS or not isinstance(one, str) or not isinstance(other, str):
            return None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    customers = [name for name in (one, other) if is_customer(name, kinds)]
    if one == other or not customers or not one or not other:
        return None
    customer = min(customers)
    identity = other if customer == one else one
    if home_lane(customer if what == "link" else identity, lanes) != lane:
        return None
    return Order(cast(Literal["link", "block", "unblock"], what), identity, customer)
