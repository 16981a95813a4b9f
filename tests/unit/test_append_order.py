"""Logs read as one: in append order over all, in offset order in each, nothing lost."""

from collections.abc import AsyncIterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from pipeline.application.append_order import in_append_order
from pipeline.application.ports import Record
from tests.fakes.kafka.log import FakeRecord

PIECES = st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=4)


async def log(pieces: Sequence[Sequence[Record]]) -> AsyncIterator[Sequence[Record]]:
    for piece in pieces:
        yield piece


def rising(steps: list[list[int]]) -> list[list[FakeRecord]]:
    """Pieces of a log whose append times never fall."""
    time = offset = 0
    pieces = []
    for piece in steps:
        records = []
        for step in piece:
            time += step
            records.append(FakeRecord(offset, time, None, None))
            offset += 1
        pieces.append(records)
    return pieces


@given(st.lists(PIECES, max_size=4))
async def test_all_records_come_once_in_append_order(steps: list[list[list[int]]]) -> None:
    logs = [rising(each) for each in steps]
    runs = [run async for run in in_append_order([log(pieces) for pieces in logs])]
    assert all(records for _, records in runs)
    times = [record.timestamp for _, records in runs for record in records]
    assert times == sorted(times)
    for number, pieces in enumerate(logs):
        came = [record for place, records in runs if place == number for record in records]
        assert came == [record for piece in pieces for record in piece]


async def test_a_log_whose_times_step_back_still_comes_whole() -> None:
    back = [FakeRecord(0, 5, None, None), FakeRecord(1, 2, None, None), FakeRecord(2, 9, None, None)]
    other = [FakeRecord(0, 4, None, None), FakeRecord(1, 6, None, None)]
    runs = [run async for run in in_append_order([log([back]), log([other])])]
    assert [record for place, records in runs if place == 0 for record in records] == back
    assert [record for place, records in runs if place == 1 for record in records] == other
