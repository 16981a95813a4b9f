"""What a lane may rely on when it reads its changelog: the fake and the real Kafka answer the same."""

import pytest

from pipeline.application.ports import Changelog, Entry, KafkaDoubt, OpenTransaction, Outgoing, Record, Writer
from tests.contract.kafka_worlds import World, world

__all__ = ["world"]


def entries(*values: bytes) -> list[Entry]:
    return [(b"k", value, ()) for value in values]


async def committed(world: World, topic: str, *transactions: list[Entry]) -> Writer:
    """Each of them in a transaction of its own, on partition 0."""
    writer = world.writer("lane")
    await writer.start()
    for transaction in transactions:
        await writer.commit([Outgoing(topic, 0, transaction)])
    await world.committed(topic)
    return writer


async def replayed(changelog: Changelog, start: int, end: int) -> list[Record]:
    return [record async for records in changelog.replay(0, start, end) for record in records]


async def test_an_empty_log_has_no_bounds_to_speak_of(world: World) -> None:
    changelog = world.changelog(await world.topic("profiles", 2))
    bounds = await changelog.bounds(1)
    assert (bounds.start, bounds.end) == (0, 0)
    assert await replayed(changelog, bounds.start, bounds.end) == []


async def test_the_end_is_behind_markers_and_open_transactions(world: World) -> None:
    topic = await world.topic("profiles")
    await committed(world, topic, entries(b"a", b"b"))
    changelog = world.changelog(topic)
    assert (await changelog.bounds(0)).end == 3
    async with world.open_transaction(topic, [b"open"]):
        assert (await changelog.bounds(0)).end == 4
    assert (await changelog.bounds(0)).end == 5


async def test_the_topic_id_stays_until_the_topic_is_made_anew(world: World) -> None:
    topic = await world.topic("profiles", 2)
    changelog = world.changelog(topic)
    first = await changelog.bounds(0)
    assert first.topic_id == (await changelog.bounds(1)).topic_id
    assert first.topic_id != (await world.changelog(await world.topic("other")).bounds(0)).topic_id
    await world.delete(topic)
    await world.topic(topic, 2)
    assert (await changelog.bounds(0)).topic_id != first.topic_id


async def test_a_replay_begins_with_the_record_at_its_start(world: World) -> None:
    topic = await world.topic("profiles")
    await committed(world, topic, entries(b"a", b"b"), entries(b"c"))
    changelog = world.changelog(topic)
    assert [(record.offset, record.value) for record in await replayed(changelog, 1, 5)] == [(1, b"b"), (3, b"c")]
    assert [record.value for record in await replayed(changelog, 2, 5)] == [b"c"], "2 is a marker"
    assert await replayed(changelog, 4, 5) == [], "4 is a marker"


async def test_a_replay_has_keys_values_headers_and_append_times(world: World) -> None:
    topic = await world.topic("profiles")
    before = world.now()
    await committed(world, topic, [(b"c:1", b"profile", (("h", b"1"),)), (b"c:2", None, ())])
    one, two = await replayed(world.changelog(topic), 0, 2)
    assert (one.key, one.value, list(one.headers)) == (b"c:1", b"profile", [("h", b"1")])
    assert (two.key, two.value, list(two.headers)) == (b"c:2", None, [])
    assert before <= one.timestamp <= two.timestamp <= world.now()


async def test_a_replay_stops_at_its_end(world: World) -> None:
    topic = await world.topic("profiles")
    await committed(world, topic, entries(b"a", b"b"), entries(b"c"))
    changelog = world.changelog(topic)
    assert [record.value for record in await replayed(changelog, 0, 1)] == [b"a"]
    assert [record.value for record in await replayed(changelog, 0, 3)] == [b"a", b"b"]
    assert await replayed(changelog, 2, 2) == []


async def test_a_replay_passes_over_what_was_aborted_up_to_the_very_end(world: World) -> None:
    topic = await world.topic("profiles")
    await committed(world, topic, entries(b"a"))
    async with world.open_transaction(topic, [b"aborted", b"aborted"]):
        pass
    changelog = world.changelog(topic)
    end = (await changelog.bounds(0)).end
    assert end == 5
    assert [record.value for record in await replayed(changelog, 0, end)] == [b"a"]
    assert await replayed(changelog, 2, end) == []


async def test_an_open_transaction_ends_the_wait_and_is_named(world: World) -> None:
    topic = await world.topic("profiles")
    await committed(world, topic, entries(b"a"))
    changelog = world.changelog(topic)
    async with world.open_transaction(topic, [b"open"]):
        replay = aiter(changelog.replay(0, 0, (await changelog.bounds(0)).end))
        assert [record.value for record in await anext(replay)] == [b"a"]
        with pytest.raises(OpenTransaction, match=rf"{topic}-0.* offset 2"):
            await anext(replay)


async def test_a_replay_larger_than_a_fetch_is_whole_and_in_order(world: World) -> None:
    topic = await world.topic("profiles")
    big: list[Entry] = [(b"%d" % number, bytes(1_000), ()) for number in range(3_000)]
    await committed(world, topic, big, big)
    changelog = world.changelog(topic)
    end = (await changelog.bounds(0)).end
    runs = [records async for records in changelog.replay(0, 0, end)]
    keys = [record.key for records in runs for record in records]
    assert keys == [key for key, _, _ in big] * 2
    assert len(runs) > 1


async def test_a_start_outside_of_the_log_is_a_doubt(world: World) -> None:
    topic = await world.topic("profiles")
    await committed(world, topic, entries(b"a"))
    with pytest.raises(KafkaDoubt, match=f"{topic}-0"):
        await replayed(world.changelog(topic), 40, 50)


async def test_a_log_that_does_not_exist_is_a_doubt(world: World) -> None:
    topic = await world.topic("profiles")
    await world.delete(topic)
    with pytest.raises(KafkaDoubt, match=topic):
        await world.changelog(topic).bounds(0)
