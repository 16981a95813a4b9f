"""What is read and written by hand of Kafka's protocol, against aiokafka's schemas of the same formats."""

from io import BytesIO
from typing import Any

from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from pipeline.adapters.kafka.transactions import ProduceAnswerV12, ProduceV12

RECORD_ERRORS = CompactArray(("index", Int32), ("message", CompactString()), ("tags", TaggedFields))
ANSWER = Schema(
    (
        "topics",
        CompactArray(
            ("topic", CompactString()),
            (
                "partitions",
                CompactArray(
                    ("partition", Int32),
                    ("error_code", Int16),
                    ("offset", Int64),
                    ("appended", Int64),
                    ("log_start", Int64),
                    ("record_errors", RECORD_ERRORS),
                    ("error_message", CompactString()),
                    ("tags", TaggedFields),
                ),
            ),
            ("tags", TaggedFields),
        ),
    ),
    ("throttle_time_ms", Int32),
    ("tags", TaggedFields),
)
REQUEST = Schema(
    ("transactional_id", CompactString()),
    ("acks", Int16),
    ("timeout", Int32),
    (
        "topics",
        CompactArray(
            ("topic", CompactString()),
            ("partitions", CompactArray(("partition", Int32), ("records", CompactBytes), ("tags", TaggedFields))),
            ("tags", TaggedFields),
        ),
    ),
    ("tags", TaggedFields),
)


def test_an_answer_with_refused_records_and_tags_is_read() -> None:
    good: tuple[Any, ...] = (3, 0, 41, 1_700_000_000_000, 0, [], None, {})
    refused: tuple[Any, ...] = (4, 87, -1, -1, -1, [(0, "no", {}), (2, None, {})], "Invalid record", {})
    data = ANSWER.encode([[("one", [good, refused], {}), ("two", [good], {})], 7, {}])
    answer = ProduceAnswerV12.decode(BytesIO(data))
    assert answer.topics == [("one", [good[:5], refused[:5]]), ("two", [good[:5]])]
    assert answer.throttle_time_ms == 7


def test_what_a_broker_tells_of_another_leader_is_passed_over() -> None:
    row: tuple[Any, ...] = (3, 6, -1, -1, -1, [], None)
    fields = ANSWER.fields[0].array_of.fields[1].array_of.fields
    partition = b"".join(field.encode(value) for field, value in zip(fields, row, strict=False))
    leader = b"\x01\x00\x05\x00\x00\x00\x02\x00"  # one tag, number 0, five bytes
    data = b"\x02" + CompactString().encode("one") + b"\x02" + partition + leader + b"\x00" + bytes(4) + b"\x00"
    assert ProduceAnswerV12.decode(data).topics == [("one", [row[:5]])]


def test_a_request_is_written_as_its_schema_says() -> None:
    topics = [("one", [(0, bytearray(b"batch")), (12, bytearray(300))]), ("two", [(1, bytearray(20_000))])]
    written = ProduceV12("lane-3", -1, 5_000, topics).encode()
    tagged: list[Any] = [(name, [(number, bytes(data), {}) for number, data in rows], {}) for name, rows in topics]
    assert written == REQUEST.encode(["lane-3", -1, 5_000, tagged, {}])
