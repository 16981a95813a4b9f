"""Reading the bytes of a fetch, made here as a broker would send them."""

import gc
import struct
import weakref
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from pipeline.adapters.kafka.parsing import drain, parse

TP = TopicPartition("raw.web", 3)
ABORT, COMMIT = 0, 1
CONTROL = 0x20
GZIP = 1
ONE, OTHER = 7, 8

ATTRIBUTES_AT, CRC_AT, BASE_AT = 21, 17, 0


def batch(
    offset: int,
    values: Sequence[bytes],
    producer: int = -1,
    headers: list[tuple[str, bytes]] | None = None,
    codec: int = 0,
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, producer >= 0, producer, 0, 0, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number, 1_000 + number, b"k", value, headers or [])
    return at_offset(builder.build(), offset)


def marker(offset: int, producer: int, kind: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, True, producer, 0, -1, 1 << 20)
    builder.append(0, 1_000, struct.pack(">hh", 0, kind), b"\0\0\0\0\0\0", [])
    made = bytearray(builder.build())
    made[ATTRIBUTES_AT + 1] |= CONTROL
    return resealed(at_offset(made, offset))


def at_offset(made: bytearray, offset: int) -> bytes:
    struct.pack_into(">q", made, BASE_AT, offset)
    return bytes(made)


def resealed(data: bytes) -> bytes:
    """With the CRC of what it holds now."""
    made = bytearray(data)
    struct.pack_into(">I", made, CRC_AT, calc_crc32c(bytes(made[ATTRIBUTES_AT:])))
    return bytes(made)


def read(
    data: bytes, position: int = 0, aborted: Sequence[tuple[int, int]] = (), isolation: int = READ_COMMITTED
) -> tuple[list[tuple[int, bytes | None]], int, Exception | None]:
    found, end, error = parse(TP, data, list(aborted), position, isolation)
    return [(record.offset, record.value) for record in found], end, error


def test_all_records_of_all_batches_and_the_range_they_cover() -> None:
    assert read(batch(0, [b"a", b"b"]) + batch(5, [b"c"])) == ([(0, b"a"), (1, b"b"), (5, b"c")], 6, None)


def test_records_before_the_position_are_left_out() -> None:
    assert read(batch(0, [b"a", b"b", b"c"]) + batch(3, [b"d"]), position=2) == ([(2, b"c"), (3, b"d")], 4, None)


def test_a_compressed_batch_is_read_from_its_middle() -> None:
    assert read(batch(0, [b"a", b"b"], codec=GZIP), position=1) == ([(1, b"b")], 2, None)


def test_markers_count_in_the_range_only() -> None:
    assert read(batch(0, [b"a"], ONE) + marker(1, ONE, COMMIT)) == ([(0, b"a")], 2, None)
    assert read(marker(1, ONE, COMMIT), position=1) == ([], 2, None)


def test_a_producer_is_heard_again_after_its_abort() -> None:
    data = (
        batch(0, [b"bad"], ONE)
        + batch(1, [b"good"], OTHER)
        + marker(2, ONE, ABORT)
        + batch(3, [b"later"], ONE)
        + marker(4, OTHER, COMMIT)
        + marker(5, ONE, COMMIT)
    )
    assert read(data, aborted=[(ONE, 0)]) == ([(1, b"good"), (3, b"later")], 6, None)
    assert read(data, aborted=[(ONE, 0)], isolation=READ_UNCOMMITTED)[0] == [(0, b"bad"), (1, b"good"), (3, b"later")]


def test_a_fetch_may_hold_nothing_but_aborted_records() -> None:
    assert read(batch(4, [b"a", b"b"], ONE), position=4, aborted=[(ONE, 4)]) == ([], 6, None)


def test_a_transaction_that_was_aborted_before_this_fetch_stays_so() -> None:
    data = batch(9, [b"bad"], ONE) + marker(10, ONE, ABORT)
    assert read(data, position=9, aborted=[(ONE, 2)]) == ([], 11, None)


def test_what_comes_before_a_broken_batch_is_handed_out() -> None:
    broken = bytearray(batch(2, [b"c"]))
    broken[-1] ^= 0xFF
    found, end, error = read(batch(0, [b"a", b"b"]) + bytes(broken))
    assert (found, end) == ([(0, b"a"), (1, b"b")], 2)
    assert isinstance(error, CorruptRecordException)
    assert "wrong CRC" in str(error)


def test_nothing_of_a_batch_that_breaks_in_its_middle_is_handed_out() -> None:
    broken = bytearray(batch(0, [b"aaaa", b"bbbb"]))
    broken[-6] = 0x7F  # the length of the second value
    found, end, error = read(resealed(bytes(broken)))
    assert (found, end) == ([], 0)
    assert isinstance(error, CorruptRecordException)


@pytest.mark.parametrize("codec", [0, GZIP])
def test_a_header_name_that_is_no_text_does_not_stop_the_reading(codec: int) -> None:
    data = batch(0, [b"a"]) + batch(1, [b"b", b"c"], headers=[("n\u00e9", b"\xff"), ("x", b"")])
    if codec == 0:
        data = data.replace("n\u00e9".encode(), b"n\xff\xfe")
        data = batch(0, [b"a"]) + resealed(data[len(batch(0, [b"a"])) :])
    found, end, error = parse(TP, data, [], 0, READ_COMMITTED)
    assert (end, error) == (3, None)
    assert [record.value for record in found] == [b"a", b"b", b"c"]
    assert found[1].headers[0][1] == b"\xff"
    assert list(found[1].headers)[1] == ("x", b"")


def test_a_fetch_is_let_go_without_the_garbage_collector() -> None:
    fetch = PartitionRecords(TP, MemoryRecords(batch(0, [b"a"])), [], 0, None, None, True, READ_COMMITTED)
    gone = weakref.ref(fetch)
    gc.disable()
    try:
        found, error = drain(fetch)
        del fetch
        assert gone() is None
    finally:
        gc.enable()
    assert (len(found), error) == (1, None)
