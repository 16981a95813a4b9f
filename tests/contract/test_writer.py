"""What a lane may rely on in its transactional producer: the fake and the real Kafka answer the same.

The real one is asked in the transaction protocol of Kafka 4 and in the one before.
"""

import pytest

from pipeline.adapters.kafka import transactions
from pipeline.adapters.kafka.connection import Cluster
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.application.ports import Entry, Fenced, KafkaDoubt, Outgoing
from tests.contract.kafka_worlds import World, world

__all__ = ["world"]


@pytest.fixture(autouse=True, params=["newer", "older"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    async def no(_cluster: Cluster) -> bool:
        return False

    if request.param == "older":
        monkeypatch.setattr(transactions, "begins_by_producing", no)
    return str(request.param)


def entries(*values: bytes) -> list[Entry]:
    return [(b"k", value, ()) for value in values]


async def values(world: World, topic: str, partition: int = 0) -> list[bytes | None]:
    return [value for _, _, value, _ in await world.committed(topic, partition)]


async def test_a_commit_is_seen_whole(world: World) -> None:
    one, two = await world.topic("one", 2), await world.topic("two")
    writer = world.writer("lane")
    await writer.start()
    await writer.commit([Outgoing(one, 1, entries(b"a", b"b")), Outgoing(two, 0, entries(b"c"))])
    assert await values(world, one, 1) == [b"a", b"b"]
    assert await values(world, two) == [b"c"]
    assert await values(world, one, 0) == []


async def test_keys_values_and_headers_come_out_as_they_went_in(world: World) -> None:
    topic = await world.topic("records")
    sent: list[Entry] = [
        (b"key", b"value", ()),
        (None, b"no key", [("journey.hops", b"1"), ("journey.hops", b"2")]),
        (b"deleted", None, ()),
        (b"", b"", (("empty", b""),)),
    ]
    writer = world.writer("lane")
    await writer.start()
    await writer.commit([Outgoing(topic, 0, sent)])
    found = [(key, value, headers) for _, key, value, headers in await world.committed(topic)]
    assert found == [(key, value, list(headers)) for key, value, headers in sent]


async def test_it_tells_the_offset_of_the_last_record_of_each_partition(world: World) -> None:
    one, two = await world.topic("one", 2), await world.topic("two")
    writer = world.writer("lane")
    await writer.start()
    parts = [Outgoing(one, 1, entries(b"a", b"b")), Outgoing(two, 0, entries(b"c")), Outgoing(one, 0, [])]
    assert await writer.commit(parts) == {(one, 1): 1, (two, 0): 0}


async def test_offsets_have_a_hole_where_a_transaction_ended(world: World) -> None:
    topic = await world.topic("holes")
    writer = world.writer("lane")
    await writer.start()
    first = await writer.commit([Outgoing(topic, 0, entries(b"a", b"b"))])
    second = await writer.commit([Outgoing(topic, 0, entries(b"c"))])
    assert (first[topic, 0], second[topic, 0]) == (1, 3)
    assert [offset for offset, *_ in await world.committed(topic)] == [0, 1, 3]


async def test_parts_for_one_partition_keep_their_order(world: World) -> None:
    topic = await world.topic("order")
    writer = world.writer("lane")
    await writer.start()
    last = await writer.commit([Outgoing(topic, 0, entries(b"a")), Outgoing(topic, 0, entries(b"b", b"c"))])
    assert await values(world, topic) == [b"a", b"b", b"c"]
    assert last == {(topic, 0): 2}


async def test_nothing_to_write_is_no_transaction(world: World) -> None:
    topic = await world.topic("empty")
    writer = world.writer("lane")
    await writer.start()
    assert await writer.commit([]) == {}
    assert await writer.commit([Outgoing(topic, 0, [])]) == {}
    assert await writer.commit([Outgoing(topic, 0, entries(b"a"))]) == {(topic, 0): 0}


async def test_a_transaction_larger_than_a_batch_arrives_whole_and_in_order(world: World) -> None:
    topic = await world.topic("big")
    sent: list[Entry] = [(b"%d" % number, bytes(1_000), ()) for number in range(3_000)]
    writer = world.writer("lane")
    await writer.start()
    assert await writer.commit([Outgoing(topic, 0, sent)]) == {(topic, 0): 2_999}
    assert [key for _, key, _, _ in await world.committed(topic)] == [key for key, _, _ in sent]


async def test_a_record_that_fills_a_batch_goes_through_between_small_ones(world: World) -> None:
    topic = await world.topic("large")
    writer = world.writer("lane")
    await writer.start()
    assert await writer.commit([Outgoing(topic, 0, entries(b"a", bytes(1_000_000), b"b"))]) == {(topic, 0): 2}
    assert [len(value or b"") for value in await values(world, topic)] == [1, 1_000_000, 1]


async def test_a_record_that_is_too_large_is_a_doubt_and_nothing_of_its_transaction_is_seen(world: World) -> None:
    one, two = await world.topic("one"), await world.topic("two")
    writer = world.writer("lane")
    await writer.start()
    with pytest.raises(KafkaDoubt, match=one):
        await writer.commit([Outgoing(two, 0, entries(b"good")), Outgoing(one, 0, entries(b"good", bytes(1_200_000)))])
    assert (await values(world, one), await values(world, two)) == ([], [])

    await writer.start()
    await writer.commit([Outgoing(two, 0, entries(b"after"))])
    assert (await values(world, one), await values(world, two)) == ([], [b"after"])


async def test_after_a_doubt_nothing_is_written_until_it_is_started_again(world: World) -> None:
    topic = await world.topic("doubt")
    writer = world.writer("lane")
    with pytest.raises(KafkaDoubt, match="not started"):
        await writer.commit([Outgoing(topic, 0, entries(b"too early"))])
    await writer.start()
    with pytest.raises(KafkaDoubt):
        await writer.commit([Outgoing(topic, 0, entries(bytes(1_200_000)))])
    with pytest.raises(KafkaDoubt, match="in doubt"):
        await writer.commit([Outgoing(topic, 0, entries(b"b"))])
    assert await values(world, topic) == []


async def test_a_second_start_fences_the_first(world: World) -> None:
    topic = await world.topic("fence")
    zombie, owner = world.writer("lane"), world.writer("lane")
    await zombie.start()
    await zombie.commit([Outgoing(topic, 0, entries(b"before"))])
    await owner.start()
    with pytest.raises(Fenced):
        await zombie.commit([Outgoing(topic, 0, entries(b"zombie"))])
    await owner.commit([Outgoing(topic, 0, entries(b"after"))])
    assert await values(world, topic) == [b"before", b"after"]


async def test_another_lane_is_not_fenced(world: World) -> None:
    topic = await world.topic("lanes")
    three, four = world.writer("lane-3"), world.writer("lane-4")
    await three.start()
    await four.start()
    await three.commit([Outgoing(topic, 0, entries(b"three"))])
    await four.commit([Outgoing(topic, 0, entries(b"four"))])
    assert await values(world, topic) == [b"three", b"four"]


async def test_what_a_dead_owner_left_open_is_aborted_by_the_next(world: World) -> None:
    topic = await world.topic("dead")
    await world.leave_open("lane", topic, [b"half"])
    assert await values(world, topic) == []
    writer = world.writer("lane")
    await writer.start()
    await writer.commit([Outgoing(topic, 0, entries(b"whole"))])
    assert await values(world, topic) == [b"whole"]


async def test_a_closed_writer_writes_nothing_and_closes_again(world: World) -> None:
    topic = await world.topic("closed")
    writer = world.writer("lane")
    await writer.close()
    await writer.start()
    await writer.close()
    await writer.close()
    with pytest.raises(KafkaDoubt):
        await writer.commit([Outgoing(topic, 0, entries(b"a"))])
    assert await values(world, topic) == []


async def test_a_topic_that_does_not_exist_is_a_doubt(world: World) -> None:
    topic = await world.topic("there")
    await world.delete(topic)
    writer = world.writer("lane")
    await writer.start()
    with pytest.raises(KafkaDoubt, match=topic):
        await writer.commit([Outgoing(topic, 0, entries(b"a"))])


async def test_each_transaction_has_an_epoch_of_its_own_in_the_newer_protocol(world: World, protocol: str) -> None:
    topic = await world.topic("epochs")
    writer = world.writer("lane")
    await writer.start()
    epochs = set()
    for value in (b"a", b"b", b"c"):
        await writer.commit([Outgoing(topic, 0, entries(value))])
        epochs.add(writer.epoch if isinstance(writer, TransactionalWriter) else value)
    assert len(epochs) == (1 if isinstance(writer, TransactionalWriter) and protocol == "older" else 3)
    assert await values(world, topic) == [b"a", b"b", b"c"]
