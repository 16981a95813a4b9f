"""One lane and somebody who is erased in it: what is written, counted and remembered, in one batch or in many."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.application.lane_record import LaneRecord, first_lane_record
from pipeline.application.ports import Headers
from pipeline.application.stitch import Effects, Stitch, bring_up_to_date, write_out
from pipeline.domain.compile import compile_journey
from pipeline.domain.encoding import decode
from pipeline.domain.erasing import Erasure, Later, decode_mark, encode_mark
from pipeline.domain.fold import Fold
from pipeline.domain.packing import NO_NAMES
from pipeline.domain.touches import TouchTable
from tests.fakes.pipeline import DAY, MINUTE, START, TOUCHES, journey

WEB, COMMANDS = Source("raw.web", "raw", "web"), Source("journey.commands", "commands")
ERASED = START + 10 * MINUTE


@dataclass
class Read:
    offset: int
    timestamp: int
    value: bytes | None
    headers: Headers = ()
    key: bytes | None = None


Said = tuple[Source, Read]


def event(number: int, at: int, appended: int | None = None) -> Said:
    said = {"id": f"e{number}", "type": "page_viewed", "occurred_at": at, "customer_id": "anna"}
    return WEB, Read(number, at if appended is None else appended, json.dumps(said).encode())


def erase(order: str = "o1", appended: int = ERASED) -> Said:
    said = {"id": order, "command": "erase", "lane": 0, "reason": "a test", "identity": "anna"}
    return COMMANDS, Read(7, appended, json.dumps(said).encode())


@dataclass
class Lane:
    """`stored` and `marks` as the table has them; `customers`: what was written there of anna, oldest first."""

    later: Later = "anew"
    stored: dict[str, bytes | None] = field(default_factory=dict)
    marks: dict[str, bytes] = field(default_factory=dict)
    record: LaneRecord = field(default_factory=lambda: first_lane_record("a", 1))
    customers: list[bytes | None] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        table = TouchTable(TOUCHES)
        fold = Fold([compile_journey(journey(), table.company)], table.company, DAY, 64)
        intake = Intake(0, table, Limits(), lambda _: 0, False)
        self.stitch = Stitch(fold, intake, "1", Erasure(self.later, DAY))

    def take(self, said: Sequence[Said]) -> None:
        batch, effects = Batch(), Effects("2026-01-01T00:00:00.000Z")
        for source, record in said:
            self.stitch.intake.take(source, [record], batch)
        place = self.stitch.erasure.mark_key("c:anna")
        marks = {"c:anna": self.marks[place]} if place in self.marks else {}
        stored = {"c:anna": self.stored.get("c:anna")}
        for _ in self.stitch.fold(batch.arrivals, stored, None, batch, effects, (), marks):
            pass
        written = write_out(effects)
        bring_up_to_date(self.record, batch, effects, "1")
        self.stored |= effects.profiles
        for key, mark in effects.marks.items():
            self.marks.pop(key, None)
            if mark is not None:
                self.marks[key] = encode_mark(mark)
        assert {key.decode() for key, _ in written.profiles} == {*effects.profiles, *effects.marks}
        self.customers += [value for _, value, _ in written.customers]
        self.ids += [json.loads(value or b"")["id"] for _, value, _ in written.transitions]


LIFE = [
    event(1, START),
    event(2, START + MINUTE),
    erase(),
    event(3, START + 2 * MINUTE),  # late, and appended before
    event(4, START + 3 * MINUTE, ERASED + MINUTE),  # of before, appended behind
    erase(),  # once more
    event(5, ERASED + 2 * MINUTE),
    erase(appended=ERASED + 3 * MINUTE),  # and again, after a return
    event(6, ERASED + 4 * MINUTE),
]


@pytest.mark.parametrize("at_once", [1, 2, len(LIFE)])
@pytest.mark.parametrize(("later", "dropped"), [("anew", 2), ("drop", 4)])
def test_what_was_before_is_gone_and_what_is_later_follows_the_policy(later: Later, dropped: int, at_once: int) -> None:
    lane = Lane(later)
    for first in range(0, len(LIFE), at_once):
        lane.take(LIFE[first : first + at_once])
    tally = lane.record.totals["web"]
    assert (tally.read, tally.folded, tally.erased) == (6, 6 - dropped, dropped)
    assert lane.record.erased == 1
    (mark,) = (decode_mark(data) for data in lane.marks.values())
    assert (mark.at, mark.order, mark.until) == (ERASED, "o1", ERASED + DAY)
    data = lane.stored["c:anna"]
    if later == "drop":
        assert data is None
        assert lane.customers[-1] is None
        assert sum(lane.record.stages["shop"].values()) == 0
        return
    assert data is not None
    profile = decode(data, NO_NAMES)
    assert profile.epoch == ERASED + 2 * MINUTE
    assert [strand.count for strand in profile.strands] == [2]
    assert sum(lane.record.stages["shop"].values()) == 1
    epochs = [int(each.rsplit(":", 2)[1]) for each in lane.ids]
    assert epochs == sorted(epochs)
    assert set(epochs) == {START, ERASED + 2 * MINUTE}


def test_another_order_erases_who_has_come_back() -> None:
    lane = Lane()
    lane.take(LIFE)
    lane.take([erase("o2", ERASED + 9 * MINUTE)])
    assert lane.stored["c:anna"] is None
    (mark,) = (decode_mark(data) for data in lane.marks.values())
    assert (mark.at, mark.order) == (ERASED + 9 * MINUTE, "o2")
    assert lane.record.erased == 2


def test_a_mark_that_has_expired_is_of_nobody() -> None:
    lane = Lane("drop")
    lane.take(LIFE[:3])
    lane.take([event(9, ERASED + 2 * DAY)])
    assert lane.stored["c:anna"] is not None
    assert not lane.marks


def test_nobody_who_was_never_seen_gets_a_record() -> None:
    lane = Lane()
    lane.take([erase()])
    assert lane.stored.get("c:anna") is None
    assert len(lane.marks) == 1
