"""Whole fetches from a real broker: the ranges they cover, and what may come between a fetch and its reader."""

import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import IllegalStateError, OffsetOutOfRangeError
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import ConsumerRecord

from pipeline.adapters.kafka.batches import Batch, Stamp, cut
from pipeline.adapters.kafka.connection import Cluster, Connection
from pipeline.adapters.kafka.producing import produce
from pipeline.adapters.kafka.records import Unreadable, WholeFetches, read_whole_fetches
from pipeline.application.ports import Fetched

WAIT_S = 2.0
CRC_AT, CRC_FROM = 17, 21


@dataclass
class Logs:
    """A topic of three partitions, and somebody who writes to it."""

    bootstrap: str
    topic: str
    admin: AIOKafkaAdminClient

    def tp(self, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    async def write(self, values: Sequence[bytes], partition: int = 0, *, abort: bool | None = None) -> None:
        """In a transaction if `abort` says how it ends."""
        transactional = None if abort is None else f"{self.topic}-writer"
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=transactional) as producer:
            if abort is not None:
                await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(self.topic, value, key=b"k", partition=partition)
            if abort is not None:
                await (producer.abort_transaction() if abort else producer.commit_transaction())

    async def write_batch(self, batch: Batch, partition: int = 0) -> None:
        async with Cluster(Connection(self.bootstrap, "test", 5.0)) as cluster:
            await produce(cluster, {(self.topic, partition): batch}, 5.0)

    @asynccontextmanager
    async def reader(self, *partitions: int, max_bytes: int = 1 << 20) -> AsyncIterator[WholeFetches]:
        """Reads these partitions from their beginnings."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=max_bytes,
        ) as consumer:
            fetcher = read_whole_fetches(consumer)
            consumer.assign([self.tp(partition) for partition in partitions])
            for partition in partitions:
                fetcher.seek(self.tp(partition), 0)
            fetcher.consumer = consumer  # the tests pause and resume with it
            yield fetcher


@pytest.fixture
async def logs(bootstrap: str, prefix: str) -> AsyncIterator[Logs]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topic = f"{prefix}raw"
    await admin.create_topics([NewTopic(topic, 3, 1)])
    yield Logs(bootstrap, topic, admin)
    await admin.delete_topics([topic])
    await admin.close()


async def take(fetcher: WholeFetches, until: Callable[[list[Fetched]], bool] = bool) -> list[Fetched]:
    """What is handed out until there is enough; a quiet time of WAIT_S fails."""
    found: list[Fetched] = []
    while not until(found):
        handed = await fetcher.fetched_records((), WAIT_S)
        assert handed, f"nothing more after {found}"
        found += handed.values()
    return found


async def read_for_ever(fetcher: WholeFetches, found: list[Fetched]) -> None:
    while True:
        found += (await fetcher.fetched_records((), WAIT_S)).values()


def values(found: Sequence[Fetched]) -> list[bytes | None]:
    return [record.value for fetched in found for record in fetched.records]


def joins(found: Sequence[Fetched], start: int, end: int) -> bool:
    """Whether the ranges follow each other from `start` to `end` without a hole."""
    for fetched in found:
        if fetched.start != start:
            return False
        start = fetched.end
    return start == end


async def test_ranges_join_over_markers_and_aborted_records(logs: Logs) -> None:
    await logs.write([b"a", b"b"], abort=False)
    await logs.write([b"x", b"y"], abort=True)
    await logs.write([b"c"], abort=False)
    async with logs.reader(0) as fetcher:
        found = await take(fetcher, lambda found: bool(found) and found[-1].end == 8)
    assert values(found) == [b"a", b"b", b"c"]
    assert joins(found, 0, 8)
    assert found[-1].caught_up


async def test_a_fetch_of_nothing_but_aborted_records_is_seen(logs: Logs) -> None:
    async with logs.reader(0) as fetcher:
        assert (await take(fetcher))[0].end == 0
        await logs.write([b"x"], abort=True)
        found = await take(fetcher, lambda found: bool(found) and found[-1].end == 2)
    assert values(found) == []
    assert joins(found, 0, 2)


async def test_a_quiet_input_is_told_once_after_each_seek(logs: Logs) -> None:
    await logs.write([b"a"])
    async with logs.reader(0, 1) as fetcher:
        found = await take(fetcher, lambda found: len(found) == 2)
        quiet = next(fetched for fetched in found if fetched.partition == 1)
        assert (quiet.start, quiet.end, list(quiet.records), quiet.caught_up) == (0, 0, [], True)
        assert await fetcher.fetched_records((), 0.3) == {}
        fetcher.seek(logs.tp(), 1)
        (again,) = await take(fetcher)
        assert (again.partition, again.start, again.end, again.caught_up) == (0, 1, 1, True)


async def test_a_fetch_that_is_not_the_last_is_not_caught_up(logs: Logs) -> None:
    await logs.write([b"a", b"b", b"c"])
    async with logs.reader(0, max_bytes=1) as fetcher:
        found = await take(fetcher, lambda found: len(values(found)) == 3)
    assert [fetched.caught_up for fetched in found if fetched.records] == [False, False, True]
    assert joins(found, 0, 3)


async def test_a_seek_into_a_batch_hands_out_from_there(logs: Logs) -> None:
    (batch,) = cut([(None, b"%d" % number, ()) for number in range(10)], 1_000, Stamp())
    await logs.write_batch(batch)
    async with logs.reader(0) as fetcher:
        fetcher.seek(logs.tp(), 7)
        (fetched,) = await take(fetcher)
    assert (fetched.start, fetched.end, values([fetched])) == (7, 10, [b"7", b"8", b"9"])


async def test_what_was_fetched_before_a_pause_comes_again_after_it(logs: Logs) -> None:
    await logs.write([b"a"])
    async with logs.reader(0) as fetcher:
        while logs.tp() not in fetcher._records:
            await fetcher.fetched_records([logs.tp(2)], 0.01)
        fetcher.consumer.pause(logs.tp())
        assert await fetcher.fetched_records((), 0.2) == {}
        fetcher.consumer.resume(logs.tp())
        assert values(await take(fetcher)) == [b"a"]


async def test_a_seek_drops_what_was_fetched_before_it(logs: Logs) -> None:
    await logs.write([b"a", b"b"])
    async with logs.reader(0) as fetcher:
        while logs.tp() not in fetcher._records:
            await fetcher.fetched_records([logs.tp(2)], 0.01)
        fetcher.seek(logs.tp(), 1)
        (fetched,) = await take(fetcher)
    assert (fetched.start, values([fetched])) == (1, [b"b"])


async def test_a_position_that_retention_took_is_an_error_of_that_partition_alone(logs: Logs) -> None:
    await logs.write([b"a", b"b"], 0)
    await logs.write([b"c"], 1)
    await logs.admin.delete_records({logs.tp(): RecordsToDelete(before_offset=2)})
    async with logs.reader(0, 1) as fetcher:
        found: list[Fetched] = []
        with pytest.raises(Unreadable, match=f"{logs.topic}-0@0") as unreadable:
            await read_for_ever(fetcher, found)
        assert isinstance(unreadable.value.cause, OffsetOutOfRangeError)
        assert (unreadable.value.partition, unreadable.value.offset) == (0, 0)
        fetcher.seek(logs.tp(), 2)
        found += await take(fetcher, lambda more: values(found + more) == [b"c"])


async def test_a_header_name_that_is_no_text_does_not_stop_a_lane(logs: Logs) -> None:
    await logs.write([b"a"])
    (batch,) = cut([(b"k", b"b", [("n\u00e9", b"1")])], 1_000, Stamp())
    made = bytearray(bytes(batch.data).replace("n\u00e9".encode(), b"n\xff\xfe"))
    struct.pack_into(">I", made, CRC_AT, calc_crc32c(bytes(made[CRC_FROM:])))
    await logs.write_batch(Batch(made, 1))
    await logs.write([b"c"])
    async with logs.reader(0) as fetcher:
        found = await take(fetcher, lambda found: len(values(found)) == 3)
    assert values(found) == [b"a", b"b", b"c"]
    assert joins(found, 0, 3)


async def test_a_partition_that_is_not_assigned_cannot_be_sought(logs: Logs) -> None:
    async with logs.reader(0) as fetcher:
        await take(fetcher)
        with pytest.raises(IllegalStateError):
            fetcher.seek(logs.tp(1), 0)


async def test_other_consumers_of_the_process_stay_as_they_are(logs: Logs) -> None:
    await logs.write([b"a"])
    async with (
        logs.reader(0) as fetcher,
        AIOKafkaConsumer(bootstrap_servers=logs.bootstrap, auto_offset_reset="earliest") as plain,
    ):
        plain.assign([logs.tp()])
        record = await plain.getone()
        assert isinstance(record, ConsumerRecord)
        assert values(await take(fetcher)) == [b"a"]
        assert read_whole_fetches(fetcher.consumer) is fetcher


@pytest.mark.parametrize("compression", ["gzip", "lz4", "snappy", "zstd"])
async def test_what_a_sender_compresses_is_read(logs: Logs, compression: str) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=logs.bootstrap, compression_type=compression, linger_ms=50
    ) as producer:
        sent = [await producer.send(logs.topic, b"%d" % number * 100, partition=0) for number in range(20)]
        for each in sent:
            await each
    async with logs.reader(0) as fetcher:
        found = await take(fetcher, lambda found: bool(found) and found[-1].end == 20)
    assert values(found) == [b"%d" % number * 100 for number in range(20)]
