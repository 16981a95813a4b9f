"""What people order about identities on `journey.commands`, by the checker's own reading."""

from collections.abc import Collection
from typing import Literal, cast

import orjson

from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Erase, Order, is_customer

ORDERS = ("link", "block", "unblock")


def read_order(value: bytes | None, lane: int, lanes: int, kinds: Collection[str], at: int = 0) -> Order | None:
    """The order, appended at `at` (ms); None if it is about something else, or cannot be obeyed by the lane in whose
    partition it is.
    """
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
    return Order(cast(Literal["link", "block", "unblock"], what), identity, customer, at)


def read_erase(value: bytes | None, appended: int, lane: int, lanes: int) -> Erase | None:
    """The order to erase somebody; None if it is about something else, or not for this lane."""
    try:
        said = orjson.loads(value or b"")
        name, order = said["identity"], said["id"]
        if said["command"] != "erase" or said["lane"] != lane or not isinstance(name, str) or not name:
            return None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return Erase(name, appended, order) if home_lane(name, lanes) == lane else None
