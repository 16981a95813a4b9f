"""What the lanes may rely on in `journey.progress`: the fake and the real Kafka answer the same."""

from collections.abc import Callable

import pytest

from pipeline.application.ports import KafkaDoubt, ProgressLog, ProgressRecord
from tests.contract.kafka_worlds import World, world

__all__ = ["world"]


def said(lane: int, raw: int | None = None) -> ProgressRecord:
    return ProgressRecord(lane, "journey:AAA", raw, None, "worker-1", "running", "", "")


async def read_until(
    progress: ProgressLog, enough: Callable[[list[tuple[int, ProgressRecord]]], bool]
) -> list[tuple[int, ProgressRecord]]:
    """Reads until there is enough; the test's own timeout is the deadline."""
    found: list[tuple[int, ProgressRecord]] = []
    while not enough(found):
        found += await progress.read()
    return found


async def test_publishing_tells_the_append_time_and_the_offset(world: World) -> None:
    progress = world.progress(await world.topic("progress"))
    before = world.now()
    first = await progress.publish(said(3))
    second = await progress.publish(said(4))
    assert (first[1], second[1]) == (0, 1)
    assert before <= first[0] <= second[0] <= world.now()


async def test_a_topic_that_keeps_the_senders_time_is_refused(world: World) -> None:
    topic = await world.topic("progress", append_time=False)
    with pytest.raises(KafkaDoubt, match=r"message\.timestamp\.type=LogAppendTime"):
        await world.progress(topic).publish(said(3))


async def test_reading_begins_at_the_beginning_and_goes_on_with_what_is_new(world: World) -> None:
    topic = await world.topic("progress")
    progress = world.progress(topic)
    await progress.publish(said(3, raw=100))
    await progress.publish(said(4))
    assert await read_until(progress, lambda found: len(found) == 2) == [(0, said(3, raw=100)), (1, said(4))]
    assert list(await progress.read()) == []
    await progress.publish(said(3, raw=200))
    assert await read_until(progress, bool) == [(2, said(3, raw=200))]


async def test_every_reader_reads_everything(world: World) -> None:
    topic = await world.topic("progress")
    one, two = world.progress(topic), world.progress(topic)
    await one.publish(said(3))
    await two.publish(said(4))
    for reader in (one, two):
        assert [record for _, record in await read_until(reader, lambda found: len(found) == 2)] == [said(3), said(4)]


async def test_what_is_no_progress_record_is_passed_over(world: World) -> None:
    topic = await world.topic("progress")
    await world.append(topic, 0, [b"not JSON", b'{"lane": 3}'])
    progress = world.progress(topic)
    await progress.publish(said(3))
    assert await read_until(progress, bool) == [(2, said(3))]


async def test_ends_are_high_watermarks_of_many_partitions(world: World) -> None:
    one, two = await world.topic("one", 2), await world.topic("two")
    await world.append(one, 1, [b"a", b"b"])
    progress = world.progress(await world.topic("progress"))
    wanted = [(one, 0), (one, 1), (two, 0)]
    assert await progress.ends(wanted) == {(one, 0): 0, (one, 1): 2, (two, 0): 0}
    async with world.open_transaction(two, [b"open", b"open"]):
        assert await progress.ends(wanted) == {(one, 0): 0, (one, 1): 2, (two, 0): 2}


async def test_an_end_that_nobody_knows_is_none_and_the_others_are_known(world: World) -> None:
    topic = await world.topic("one")
    gone = await world.topic("gone")
    await world.delete(gone)
    progress = world.progress(await world.topic("progress"))
    assert await progress.ends([(gone, 0), (topic, 0), (topic, 9)]) == {
        (gone, 0): None,
        (topic, 0): 0,
        (topic, 9): None,
    }
    assert await progress.ends([]) == {}
