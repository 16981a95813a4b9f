"""What looks on while the pipeline is hurt is trusted because it sees each of these."""

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.application.lane_record import encode_lane, first_lane_record
from pipeline.checker.plain_admission import Act
from pipeline.domain.encoding import encode
from pipeline.domain.extremes import NEVER
from pipeline.domain.moments import format_moment
from pipeline.domain.profile import new_position, new_profile, track_of
from tests.chaos.silences import false_silences
from tests.chaos.table_watch import TableWatch
from tests.harness.reading import LANE

KEY = b"c:anna"


def profile(seq: int, epoch: int = 100, acts: int = 1) -> bytes:
    made = new_profile(KEY.decode(), epoch)
    made.strands[0].touches = (acts, 0, 0, 0, 0)
    position = new_position(made.frame, "shop", 1, track_of("seen", NEVER, NEVER, (), (), (), ()))
    position.seq = seq
    made.positions = (position,)
    return encode(made)


def lane(read: int) -> bytes:
    record = first_lane_record("journey", 1)
    record.totals["web"].read = read
    record.next["raw.web"] = read
    return encode_lane(record)


class World:
    """One lane: its changelog, which the watch follows, and a reader of its table."""

    def __init__(self) -> None:
        self.watch = TableWatch()
        self.offset = -1

    def commit(self, value: bytes | None, read: int) -> None:
        """A transaction: one profile and the lane record."""
        self.offset += 2
        self.watch.committed(0, self.offset - 1, KEY, value)
        self.watch.committed(0, self.offset, LANE, lane(read))

    def see(self, value: bytes | None, read: int, offset: int | None = None) -> None:
        position = f"topic:{self.offset if offset is None else offset}".encode()
        self.watch.saw(self.watch.losses, 0, position, {LANE: lane(read), KEY: value})


@pytest.fixture
def world() -> World:
    """A lane whose table is as the changelog, twice."""
    world = World()
    for number in (1, 2):
        world.commit(profile(number), number)
        world.see(profile(number), number)
    assert (world.watch.back, world.watch.uncommitted, world.watch.unsettled) == ([], [], 0)
    assert (world.watch.looks, world.watch.compared) == (2, 4)
    return world


def test_a_customer_who_goes_back_is_seen(world: World) -> None:
    for value in (profile(1), profile(2, epoch=99), profile(2, acts=0), None):
        before = len(world.watch.back)
        world.commit(value, 3)
        world.see(value, 3)
        assert len(world.watch.back) == before + 1, value
        world.commit(profile(2), 3)
        world.see(profile(2), 3)
    assert world.watch.uncommitted == []


def test_a_lane_that_goes_back_is_seen(world: World) -> None:
    world.see(profile(1), 1, offset=1)
    assert "@pos 1 after 3" in world.watch.back[0]
    world.commit(profile(2), 1)
    world.see(profile(2), 1)
    assert "@lane at @pos 5 went back" in world.watch.back[1]


def test_a_table_that_is_gone_is_seen(world: World) -> None:
    world.watch.saw(world.watch.losses, 0, None, {LANE: None, KEY: None})
    assert len(world.watch.back) == 1


def test_what_is_not_committed_is_seen(world: World) -> None:
    world.see(profile(3), 3, offset=5)
    assert world.watch.unsettled == 2
    assert world.watch.uncommitted == []
    world.commit(profile(2), 3)
    assert world.watch.unsettled == 0
    assert ["c:anna at @pos 5" in found for found in world.watch.uncommitted] == [True]


def test_a_position_in_the_midst_of_a_transaction_is_seen(world: World) -> None:
    world.commit(profile(3), 3)
    world.see(profile(3), 2, offset=4)
    assert "@pos 4 is not that of a lane record" in world.watch.uncommitted[0]


def test_what_redis_lost_counts_again_once_it_is_back(world: World) -> None:
    before = world.watch.losses
    with world.watch.losing():
        world.see(None, 0, offset=0)
    world.watch.saw(before, 0, b"topic:3", {LANE: lane(2), KEY: profile(2)})  # read before, told after
    world.see(profile(1), 1, offset=1)
    assert world.watch.unsettled == 1
    assert world.watch.back == []
    world.see(profile(2), 2)
    assert world.watch.unsettled == 0
    world.see(profile(1), 1, offset=1)
    assert len(world.watch.back) == 1


GRACE = 1_000
DUE, SINCE = 10_000, 6_000


def act(at: int, appended: int, touch: str = "ordered", company: bool = False) -> Act:
    return Act(at, appended, 0, 0, f"e{at}", touch, "web", company)


def fired(**fields: Any) -> Mapping[str, Any]:
    timer = {"rule": "cart_left", "since": format_moment(SINCE), "due": format_moment(DUE)}
    signal = {"signal": "cart_left", "kind": "fired", "cause": {"timer": timer, "rule": "cart_left"}}
    return {"id": "anna", "customer_id": "anna", "journey": "shop", **signal, **fields}


def cold(**fields: Any) -> Mapping[str, Any]:
    return {
        **{name: value for name, value in fired(**fields).items() if name != "signal"},
        "kind": "entered",
        "to": "cold",
    }


@pytest.mark.parametrize(
    ("record", "acts", "false"),
    [
        (fired(), [act(DUE, DUE + GRACE - 1)], True),
        (fired(), [act(DUE, DUE + GRACE)], False),
        (fired(), [act(DUE + 1, DUE)], False),
        (fired(), [act(SINCE, SINCE)], False),
        (fired(), [act(DUE, DUE, touch="saw_content")], False),
        (fired(), [act(DUE, DUE, company=True)], False),
        (fired(kind="retracted"), [act(DUE, DUE)], False),
        (fired(), [act(DUE, DUE), act(DUE + 5, DUE + 5)], True),
        (cold(), [act(DUE, DUE, touch="saw_content")], True),
        (cold(), [act(DUE, DUE), act(DUE + 5, DUE + 5)], False),
        (cold(), [act(DUE, DUE), act(DUE + 5, DUE + 9_000)], True),
        (cold(cause={"event": {}, "rule": "cold"}), [act(DUE, DUE)], False),
    ],
)  # fmt: skip
def test_a_false_silence_is_seen(record: Mapping[str, Any], acts: list[Act], false: bool) -> None:
    found = false_silences({"anna": acts}, [(DUE + 2_000, record)], GRACE)
    assert len(found) == false
