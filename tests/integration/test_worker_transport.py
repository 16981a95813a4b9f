"""One worker on a real Kafka: what is fetched reaches the lanes whole, in order, every position accounted for."""

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.application.ports import Fetched, KafkaDoubt
from pipeline.config import Settings
from pipeline.dev.stack import Stack
from pipeline.worker.inputs import ConsumerInputs
from pipeline.worker.lag import Lag
from pipeline.worker.transport import lane_topics
from tests.integration.recording_worker import Journal, RecordingLane
from tests.integration.worker_rig import (
    Traffic,
    assert_unbroken,
    create_topics,
    numbers_in,
    running,
    settings_of,
    until,
)


@pytest.fixture
async def settings(bootstrap: str, prefix: str) -> Settings:
    found = settings_of(bootstrap, prefix, 2)
    await create_topics(found)
    return found


def recording(settings: Settings, directory: Path, partition: int, inputs: ConsumerInputs) -> RecordingLane:
    return RecordingLane(partition, lane_topics(settings), inputs, Journal(directory, partition), "here")


async def in_transaction(producer: AIOKafkaProducer, topic: str, numbers: range, *, commit: bool) -> None:
    await producer.begin_transaction()
    for number in numbers:
        await producer.send(topic, str(number).encode(), partition=0)
    await producer.flush()
    await (producer.commit_transaction() if commit else producer.abort_transaction())


async def test_takes_every_record_of_every_input_once(settings: Settings, tmp_path: Path) -> None:
    async with Traffic(settings) as traffic, running(settings, partial(recording, settings, tmp_path), tmp_path):
        await traffic.send(1_400)
        await until(lambda: len(numbers_in(tmp_path)) == 1_400, "all records")
    assert_unbroken(tmp_path, traffic.sent)


async def test_aborted_records_and_markers_are_positions_without_records(settings: Settings, tmp_path: Path) -> None:
    topic = lane_topics(settings)[0]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.brokers, transactional_id=f"{settings.application}-feed", retry_backoff_ms=5
    )
    await producer.start()
    try:
        await in_transaction(producer, topic, range(100), commit=True)
        await in_transaction(producer, topic, range(1_000, 1_300), commit=False)
        async with running(settings, partial(recording, settings, tmp_path), tmp_path) as worker:
            await until(lambda: len(numbers_in(tmp_path)) == 100, "the first transaction")
            await in_transaction(producer, topic, range(2_000, 2_050), commit=False)
            await in_transaction(producer, topic, range(100, 200), commit=True)
            await in_transaction(producer, topic, range(3_000, 3_010), commit=False)
            lane = worker.lanes.get(0)
            assert isinstance(lane, RecordingLane)
            end = 2 * (100 + 1) + (300 + 1) + (50 + 1) + (10 + 1)
            await until(lambda: lane.next[topic] == end, f"position {end}, behind the last marker")
            assert (await worker.inputs.ends([(topic, 0)])) == {(topic, 0): end}
            assert lane.empty > 0
    finally:
        await producer.stop()
    assert_unbroken(tmp_path, range(200))


async def test_an_open_transaction_ends_what_can_be_read(settings: Settings, tmp_path: Path) -> None:
    topic = lane_topics(settings)[0]
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers, transactional_id=f"{settings.application}-feed")
    await producer.start()
    try:
        async with running(settings, partial(recording, settings, tmp_path), tmp_path) as worker:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"0", partition=0)
            assert (await worker.inputs.ends([(topic, 0)])) == {(topic, 0): 0}
            assert not numbers_in(tmp_path)
            await producer.commit_transaction()
            await until(lambda: len(numbers_in(tmp_path)) == 1, "the record, once it is committed")
    finally:
        await producer.stop()


async def test_a_quiet_input_is_said_to_be_at_its_end(settings: Settings, tmp_path: Path) -> None:
    async with running(settings, partial(recording, settings, tmp_path), tmp_path) as worker:
        lanes = [worker.lanes.get(partition) for partition in range(2)]
        quiet = len(lane_topics(settings))
        await until(lambda: all(isinstance(lane, RecordingLane) and lane.at_end == quiet for lane in lanes), "all ends")


async def test_a_full_lane_pauses_its_partition_and_loses_nothing(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, prefix, 2, fetch_max_bytes=2_000, fetch_min_bytes=1, max_event_bytes=1_000)
    await create_topics(settings)
    deepest = 0

    class Slow(RecordingLane):
        def offer(self, fetched: Fetched) -> None:
            nonlocal deepest
            super().offer(fetched)
            deepest = max(deepest, *(len(queue) for queue in self._queues.values()))

    def slow(partition: int, inputs: ConsumerInputs) -> RecordingLane:
        journal = Journal(tmp_path, partition)
        return Slow(partition, lane_topics(settings), inputs, journal, "here", room=2, pause_s=0.005)

    async with Traffic(settings) as traffic:
        for _ in range(20):  # a fetch never splits what was sent as one batch
            await traffic.send(700)
        async with running(settings, slow, tmp_path):
            await until(lambda: len(numbers_in(tmp_path)) == 14_000, "all records")
    assert_unbroken(tmp_path, traffic.sent)
    assert deepest <= 4, "room for 2, and what was on its way when they came"


async def test_seeks_and_pauses_at_any_moment_keep_the_chain(settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(7)
    async with (
        Traffic(settings) as traffic,
        running(settings, partial(recording, settings, tmp_path), tmp_path) as worker,
    ):
        for _ in range(40):
            await traffic.send(70)
            lane = worker.lanes.get(chance.randrange(2))
            assert isinstance(lane, RecordingLane)
            topic = chance.choice(lane_topics(settings))
            await worker.inputs.pause(topic, lane.partition)
            await worker.inputs.seek(topic, lane.partition, chance.randint(0, lane._expected.get(topic, 0)))
        await until(lambda: len(numbers_in(tmp_path)) == len(traffic.sent), "all records")
    assert_unbroken(tmp_path, traffic.sent)


async def test_what_faust_would_drop_is_told_to_the_lane(settings: Settings, tmp_path: Path) -> None:
    async with running(settings, partial(recording, settings, tmp_path), tmp_path) as worker:
        lane = worker.lanes.get(0)
        assert isinstance(lane, RecordingLane)
        topic = lane_topics(settings)[0]
        await until(lambda: lane._state == "running", "the lane runs")
        worker.consumer.stop_flow()
        await worker.consumer._hand_on([Fetched(topic, 0, 0, 5, (), caught_up=False)])
        worker.consumer.resume_flow()
        assert lane.holes == 1


async def test_an_offset_that_the_log_has_lost_is_told_to_the_lane(settings: Settings, tmp_path: Path) -> None:
    topic = lane_topics(settings)[0]
    lost: list[Fetched] = []

    class Told(RecordingLane):
        def lost(self, fetched: Fetched) -> None:
            lost.append(fetched)

    def told(partition: int, inputs: ConsumerInputs) -> RecordingLane:
        return Told(partition, lane_topics(settings), inputs, Journal(tmp_path, partition), "here")

    async with Traffic(settings) as traffic, running(settings, told, tmp_path) as worker:
        await traffic.send(140)
        await until(lambda: len(numbers_in(tmp_path)) == 140, "all records")
        await worker.inputs.pause(topic, 0)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
        await admin.start()
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=5)})
        await admin.close()
        assert (await worker.inputs.log_starts([topic], 0)) == {topic: 5}
        await worker.inputs.seek(topic, 0, 2)
        await until(lambda: bool(lost), "the lane hears of it")
        assert (lost[0].start, lost[0].end, lost[0].records) == (2, 3, ())
        await worker.inputs.seek(topic, 0, 5)
        await traffic.send(140)
        await until(lambda: len(numbers_in(tmp_path)) == 280, "reading goes on from a position that is there")
    assert_unbroken(tmp_path, traffic.sent)


async def test_answers_about_membership_and_unassigned_partitions(settings: Settings, tmp_path: Path) -> None:
    unattached = ConsumerInputs(1.0)
    with pytest.raises(KafkaDoubt, match="not started"):
        await unattached.flowing()
    async with running(settings, partial(recording, settings, tmp_path), tmp_path) as worker:
        generation = worker.consumer.app.consumer_generation_id
        assert await worker.inputs.confirm_membership(generation) is None
        assert "generation" in (await worker.inputs.confirm_membership(generation - 1) or "")
        with pytest.raises(KafkaDoubt, match="not assigned"):
            await worker.inputs.seek(lane_topics(settings)[0], 7, 0)
    with pytest.raises(KafkaDoubt, match="stopped"):
        await worker.inputs.seek(lane_topics(settings)[0], 0, 0)
    assert "stopped" in (await worker.inputs.confirm_membership(generation) or "")


async def test_lag_is_known_and_published_for_tools(settings: Settings, tmp_path: Path) -> None:
    topics = lane_topics(settings)
    async with (
        Traffic(settings) as traffic,
        running(settings, partial(recording, settings, tmp_path), tmp_path) as worker,
    ):
        await traffic.send(140)
        await until(lambda: len(numbers_in(tmp_path)) == 140, "all records")
        metrics = PrometheusMetrics()
        lag = Lag(worker.inputs, worker.lanes, metrics)
        await lag.look()
        assert lag.all() == {(topic, partition): 0 for topic in topics for partition in range(2)}
        await worker.inputs.pause(topics[0], 1)
        await traffic.send(140)
        await until(lambda: len(numbers_in(tmp_path)) == 270, "all records but ten")
        await lag.look()
        assert lag.by_lane() == {0: 0, 1: 10}
        shown = f'journey_lane_readable_lag_records{{lane="1",topic="{topics[0]}"}} 10.0'
        assert shown in metrics.exposition("")[0].decode().splitlines()
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
        await admin.start()
        offsets = await admin.list_consumer_group_offsets(settings.application)
        await admin.close()
    assert {(tp.topic, tp.partition): found.offset for tp, found in offsets.items()} == {
        (topic, partition): 10 if (topic, partition) == (topics[0], 1) else 20
        for topic in topics
        for partition in (0, 1)
    }


async def test_goes_on_after_the_broker_was_killed(own_stack: Stack, tmp_path: Path) -> None:
    settings = settings_of(own_stack.bootstrap, "", 2)
    await create_topics(settings)
    async with (
        Traffic(settings) as traffic,
        running(settings, partial(recording, settings, tmp_path), tmp_path) as worker,
    ):
        await traffic.send(1_400)
        await until(lambda: len(numbers_in(tmp_path)) == 1_400, "all records")
        await asyncio.to_thread(own_stack.kill_kafka)
        assert await worker.inputs.confirm_membership(worker.consumer.app.consumer_generation_id) is not None
        await asyncio.to_thread(own_stack.start_kafka)
        await traffic.send(1_400)
        await until(lambda: len(numbers_in(tmp_path)) == 2_800, "all records")
        assert not worker.lanes.failure.done()
    assert_unbroken(tmp_path, traffic.sent)
