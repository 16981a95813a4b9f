"""Cutting records into batches."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from pipeline.adapters.kafka.batches import SEQUENCES, Batch, Stamp, cut
from pipeline.application.ports import Entry

NOW = 1_700_000_000_000


def entries(*sizes: int) -> list[Entry]:
    return [(b"k%d" % number, bytes(size), ()) for number, size in enumerate(sizes)]


def parsed(batch: Batch) -> DefaultRecordBatch:
    return DefaultRecordBatch(bytes(batch.data))


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ([], []),
        ([10], [1]),
        ([100] * 5, [5]),
        ([400] * 5, [2, 2, 1]),
        ([5_000], [1]),
        ([10, 5_000, 10, 10], [1, 1, 2]),
    ],
)
def test_batches_fit_and_a_large_record_has_its_own(sizes: list[int], counts: list[int]) -> None:
    batches = cut(entries(*sizes), NOW, Stamp(), limit=1_000)
    assert [batch.count for batch in batches] == counts
    assert [len(list(parsed(batch))) for batch in batches] == counts
    assert all(len(batch.data) <= 1_000 for batch in batches if batch.count > 1)
    assert [record.value for batch in batches for record in parsed(batch)] == [bytes(size) for size in sizes]


def test_headers_and_missing_keys_and_values_are_kept() -> None:
    sent: list[Entry] = [(None, b"v", (("a", b"1"),)), (b"k", None, [("b", b"")])]
    (batch,) = cut(sent, NOW, Stamp())
    found = [(record.key, record.value, record.headers, record.timestamp) for record in parsed(batch)]
    assert found == [(None, b"v", [("a", b"1")], NOW), (b"k", None, [("b", b"")], NOW)]


def test_a_stamp_numbers_the_records_of_its_producer_on_and_on() -> None:
    stamp = Stamp(producer=7, epoch=2, sequence=SEQUENCES - 3, transactional=True)
    first = cut(entries(400, 400, 400), NOW, stamp, limit=1_000)
    second = cut(entries(10), NOW, stamp)
    batches = [parsed(batch) for batch in (*first, *second)]
    assert [batch.base_sequence for batch in batches] == [SEQUENCES - 3, SEQUENCES - 1, 0]
    assert {(batch.producer_id, batch.producer_epoch, batch.is_transactional) for batch in batches} == {(7, 2, True)}


def test_nobody_in_particular_has_no_numbers() -> None:
    stamp = Stamp()
    (batch,) = cut(entries(10, 10), NOW, stamp)
    assert (parsed(batch).producer_id, parsed(batch).base_sequence, parsed(batch).is_transactional) == (-1, -1, False)
    assert stamp.sequence == -1
