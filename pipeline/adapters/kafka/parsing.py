"""From the bytes of a fetch to its records, on aiokafka's parsers."""

from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

from pipeline.application.ports import Record

CHECK_CRC = True


def parse(
    tp: TopicPartition, data: bytes, aborted: Any, position: int, isolation: int
) -> tuple[list[Record], int, KafkaError | None]:
    """What a fetch from `position` holds, the position behind it, and what stopped the reading, if anything did.

    `aborted` is the broker's list of (producer, first offset). Header names that are no UTF-8 are read with
    replacement characters: aiokafka's quick parser refuses their batch, and would so for ever.
    """
    fetch = PartitionRecords(tp, MemoryRecords(data), aborted, position, None, None, CHECK_CRC, isolation)
    found, error = drain(fetch)
    if isinstance(error, UnicodeDecodeError):
        fetch = PartitionRecords(tp, _LenientRecords(data), aborted, position, None, None, CHECK_CRC, isolation)
        found, error = drain(fetch)
    if error is not None and not isinstance(error, KafkaError):
        error = CorruptRecordException(f"{tp.topic}-{tp.partition}@{fetch.next_fetch_offset}: {error!r}")
    return found, fetch.next_fetch_offset, error


def drain(fetch: PartitionRecords) -> tuple[list[Record], Exception | None]:
    """All readable records of one fetch, and what stopped the reading, if anything did.

    Moves `fetch.next_fetch_offset` past what was read: markers, aborted records and compacted gaps included.
    """
    # The generator that aiokafka made for single records refers back to its owner. It is never run to its end here,
    # so without this line every fetch would wait for the garbage collector.
    fetch._records_iterator = None
    found: list[Record] = []
    whole = 0
    try:
        while fetch._records.has_next():
            batch = fetch._records.next_batch()
            if fetch._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"the batch at {batch.base_offset} has a wrong CRC")
            if _visible(fetch, batch):
                position = fetch.next_fetch_offset
                if batch.base_offset >= position:
                    found += batch
                else:
                    found += [record for record in batch if record.offset >= position]
                whole = len(found)
            fetch.next_fetch_offset = batch.next_offset
    except Exception as error:  # noqa: BLE001  # whatever bytes do to a parser; the batches before them are good
        del found[whole:]
        return found, error
    return found, None


def _visible(fetch: PartitionRecords, batch: Any) -> bool:
    """Whether the batch holds records for this reader: no markers, and with read_committed nothing aborted."""
    if fetch._isolation_level == READ_COMMITTED and batch.is_transactional:
        fetch._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and fetch._contains_abort_marker(batch):
            fetch._aborted_producers.discard(batch.producer_id)
        elif batch.producer_id in fetch._aborted_producers:
            return False
    return not batch.is_control_batch


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka has no types
    """The batches of a fetch, with aiokafka's parser in Python: slow, and kind to header names."""

    def next_batch(self) -> Any:
        data = self._next_slice
        self._cache_next()
        return _LenientBatch(data)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka has no types
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _LenientBytes(self._buffer)


class _LenientBytes(bytearray):
    """Its slices decode whatever they hold."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _LenientBytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return bytes(self).decode(encoding, errors)
