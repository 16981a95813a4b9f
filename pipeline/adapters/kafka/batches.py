"""Cutting records into the batches that Kafka takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from pipeline.application.ports import Entry

BATCH_BYTES = 900_000
"""Below Kafka's default `max.message.bytes` (1,048,588), which limits batches, not records."""

MAGIC, NO_COMPRESSION = 2, 0
SEQUENCES = 1 << 31


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of one partition in Kafka's format, and how many they are."""

    data: bytearray
    count: int


@dataclass(slots=True)
class Stamp:
    """Who writes to a partition: an idempotent producer and the number of its next record, or nobody in particular."""

    producer: int = -1
    epoch: int = -1
    sequence: int = -1
    transactional: bool = False


def cut(entries: Sequence[Entry], now: int, stamp: Stamp, limit: int = BATCH_BYTES) -> list[Batch]:
    """Batches of at most `limit` bytes, in order, dated `now` (ms); a record larger than that has a batch of its own.

    Moves the stamp's sequence past them.
    """
    batches = []
    builder: Any = None
    count = 0
    for key, value, headers in entries:
        listed = headers if type(headers) is list else list(headers)
        # The builder takes any first record, and answers None to one that does not fit after others. aiokafka's own
        # wrapper around it would cost as much again for each record.
        if builder is None or builder.append(count, now, key, value, listed) is None:
            if builder is not None:
                batches.append(_close(builder, count, stamp))
            builder = DefaultRecordBatchBuilder(
                MAGIC, NO_COMPRESSION, stamp.transactional, stamp.producer, stamp.epoch, stamp.sequence, limit
            )
            count = 0
            builder.append(count, now, key, value, listed)
        count += 1
    if builder is not None:
        batches.append(_close(builder, count, stamp))
    return batches


def _close(builder: Any, count: int, stamp: Stamp) -> Batch:
    if stamp.sequence >= 0:
        stamp.sequence = (stamp.sequence + count) % SEQUENCES
    return Batch(builder.build(), count)
