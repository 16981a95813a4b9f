"""The checker's own reading of messages and orders agrees with what lanes write and obey."""

import json
from typing import Any

import pytest

from pipeline.adapters.identity_kinds import identities_for_counting
from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Order
from pipeline.checker.plain_messages import Message, NoMessage, digest, read_message
from pipeline.checker.plain_orders import read_order
from pipeline.config import Settings
from pipeline.domain.messages import (
    Adopt,
    AnyMessage,
    Block,
    Claim,
    GiveBack,
    Kept,
    Link,
    Refuse,
    Release,
    Seen,
    Unblock,
    encode_message,
)
from pipeline.domain.touches import TouchTable
from tests.unit.identity_rules import KINDS

LANES = 4
IDENTITIES = identities_for_counting(Settings())
SEEN = Seen("email:1", ("anonymous:x", "phone:2"), 3, "e1", 5, 7, 1, 9, "email_opened", "opened", "email")


def read(message: AnyMessage, company: frozenset[str] = frozenset()) -> Message:
    return read_message(b"ann", encode_message(message), company)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (Claim("c:bob", "c:al"), ("bob", "al")),
        (Adopt("email:1", b"s"), ("email:1",)),
        (Release("email:1", "c:bob"), ("email:1", "bob")),
        (Release("email:1", ""), ("email:1",)),
        (Kept("c:bob"), ("bob",)),
        (GiveBack(b"s"), ()),
        (Refuse("c:bob"), ("bob",)),
        (Link("email:1", "c:bob"), ("email:1", "bob")),
        (Block("c:bob"), ("bob",)),
        (Unblock("c:bob"), ("bob",)),
    ],
)
def test_says_whom_a_message_is_about(message: AnyMessage, names: tuple[str, ...]) -> None:
    assert read(message) == Message(("ann", *names))


def test_reads_an_event_that_was_sent_on() -> None:
    found = read(SEEN)
    assert found.names == ("ann", "email:1", "anonymous:x", "phone:2")
    assert (found.primary, found.named, found.hops) == ("email:1", ("anonymous:x", "phone:2"), 3)
    act = found.act
    assert act is not None
    assert (act.at, act.appended, act.partition, act.offset, act.id) == (5, 7, 1, 9, "e1")
    assert (act.touch, act.channel, act.company) == ("opened", "email", False)
    there = read(SEEN, frozenset({"opened"})).act
    assert there is not None
    assert there.company
    assert digest("a", (), act) == digest("a", (), there) != digest("a", ("b",), act)


@pytest.mark.parametrize("value", [None, b"", b"\xc1", b"\x92\xa5claim\x01", b"\x91\xa5other", b"\x91\xa5event"])
def test_what_is_no_message(value: bytes | None) -> None:
    with pytest.raises(NoMessage):
        read_message(b"ann", value, frozenset())


def obeyed(command: dict[str, Any], lane: int) -> AnyMessage | None:
    """What the lane makes of it, None for a dead letter."""
    intake = Intake(
        lane,
        TouchTable(()),
        Limits(),
        lambda key: home_lane(key.decode(), LANES),
        False,
        identities_for_counting(Settings()),
    )
    batch = Batch()
    intake.take(Source("journey.commands", "commands", None), [Raw(json.dumps(command).encode())], batch)
    return batch.arrivals[0].message if batch.arrivals else None


class Raw:
    """A record of journey.commands."""

    offset, timestamp, key, headers = 7, 9, None, ()

    def __init__(self, value: bytes) -> None:
        self.value = value


@pytest.mark.parametrize("order", ["link", "block", "unblock"])
@pytest.mark.parametrize(
    ("one", "other"),
    [("email:1", "ann"), ("bob", "ann"), ("ann", "bob"), ("ann", "ann"), ("email:1", "phone:1")],
)
def test_an_order_is_read_as_the_lane_obeys_it(order: str, one: str, other: str) -> None:
    for lane in range(LANES):
        command = {"id": "1", "command": order, "lane": lane, "reason": "r", "identity": one, "customer": other}
        found = read_order(json.dumps(command).encode(), lane, LANES, KINDS)
        message = obeyed(command, lane)
        if message is None:
            assert found is None
        elif isinstance(message, Link):
            assert found == Order("link", public(message.identity), public(message.customer))
        else:
            assert isinstance(message, Block | Unblock)
            assert found is not None
            assert (found.what, found.customer) == (order, public(message.customer))
            assert home_lane(found.identity, LANES) == lane


def public(key: str) -> str:
    return key.removeprefix("c:")


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"command": "resume", "lane": 0}'])
def test_what_is_no_order_about_identities(value: bytes | None) -> None:
    assert read_order(value, 0, LANES, KINDS) is None
