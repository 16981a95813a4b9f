"""A table brought in step with its changelog, whatever it is found to be."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.application.lane_metrics import ReplayMeter
from pipeline.application.lane_record import KEY, POSITION, decode_lane, encode_lane, first_lane_record
from pipeline.application.ports import Doubt, Entry, OpenTransaction, Record, TableDoubt, TableWrite
from pipeline.application.taking import CHUNK, LOOK_BACK, Broken, Standing, stand
from pipeline.domain.encoding import encode, indexed_of
from pipeline.domain.profile import new_profile
from tests.fakes.kafka import FakeChangelog, FakeKafka, FakeWriter
from tests.fakes.pipeline import RealTime
from tests.fakes.table import FakeRedis, FakeTable
from tests.unit.test_prometheus import series

TOPIC = "journey.profiles"
HOUR = 3_600_000
START = 1_750_000_000_000
OLDEST = 12 * HOUR


def profile(key: str, due: int | None = None) -> bytes:
    """A profile whose timers the index holds at `due`."""
    made = new_profile(key, 1)
    made.indexed = due
    return encode(made)


def lane(number: int) -> bytes:
    """The lane record of the transaction with this number."""
    record = first_lane_record("journey", 1)
    record.next = {"raw.web": number}
    return encode_lane(record)


@dataclass
class Place:
    """A changelog and its table. `transact` writes to the changelog alone."""

    now: int = START
    transactions: int = 0
    kafka: FakeKafka = field(init=False)
    redis: FakeRedis = field(default_factory=FakeRedis)

    def __post_init__(self) -> None:
        self.kafka = FakeKafka(now=lambda: self.now)
        self.kafka.create_topic(TOPIC, max_message_bytes=8 << 20)
        self.changelog = FakeChangelog(self.kafka, TOPIC)
        self.table = FakeTable(self.redis, "journey", 0)
        self.metrics = PrometheusMetrics()
        self.clock = RealTime()

    def transact(self, *changes: tuple[str, bytes | None], committed: bool = True) -> None:
        self.transactions += 1
        entries: list[Entry] = [(key.encode(), value, ()) for key, value in changes]
        epoch = self.kafka.take_over("journey-0")
        self.kafka.write("journey-0", epoch, TOPIC, 0, [*entries, (KEY, lane(self.transactions), ())], self.now)
        self.kafka.end("journey-0", epoch, committed=committed)

    async def stand(self, attempt: str = "a.1", **how: int) -> Standing:
        await self.table.open()
        self.meter = ReplayMeter(0, self.metrics, self.clock)
        return await stand(self.changelog, self.table, 0, attempt, how.get("oldest", OLDEST), self.now, self.meter)

    def stored(self) -> dict[bytes, bytes]:
        found = self.redis.tables.get("journey:{0}")
        return {} if found is None else dict(found.fields)

    def index(self) -> dict[bytes, int]:
        found = self.redis.tables.get("journey:{0}")
        return {} if found is None else dict(found.due)

    def assert_in_step(self, standing: Standing) -> None:
        """The table is what is committed in the changelog, and nothing else is in Redis."""
        records, _ = self.kafka.log(TOPIC, 0).read(0, 1 << 30, committed=True)
        newest = {record.key or b"": record.value for record in records}
        topic = self.kafka.topics[TOPIC].id
        last = [record for record in records if record.key == KEY][-1]
        expected = {key: value for key, value in newest.items() if value is not None}
        assert standing.position == f"{topic}:{last.offset}".encode()
        assert self.stored() == {**expected, POSITION: standing.position}
        assert standing.record == decode_lane(last.value or b"")
        assert standing.world == topic
        assert list(self.redis.tables) == ["journey:{0}"]
        due = {key: indexed_of(value) for key, value in expected.items() if not key.startswith(b"@")}
        assert self.index() == {key: at for key, at in due.items() if at is not None}


@pytest.fixture
def place() -> Place:
    return Place()


def filled(place: Place) -> None:
    """Three transactions; the second deletes, the third changes a timer."""
    place.transact(("c:anna", profile("c:anna", 500)), ("c:ben", profile("c:ben")))
    place.transact(("c:ben", None), ("c:cleo", profile("c:cleo", 900)))
    place.transact(("c:anna", profile("c:anna", 700)), ("c:cleo", profile("c:cleo")))


# ---- nothing yet


async def test_a_lane_that_never_committed_stands_nowhere(place: Place) -> None:
    standing = await place.stand()
    assert (standing.record, standing.position, standing.replayed) == (None, b"", 0)
    assert place.redis.tables == {}
    assert await place.table.earliest() is None


async def test_a_table_without_a_changelog_is_emptied(place: Place) -> None:
    filled(place)
    await place.stand()
    place.kafka.delete_topic(TOPIC)
    place.kafka.create_topic(TOPIC)
    standing = await place.stand()
    assert (standing.record, standing.position) == (None, b"")
    assert "emptied" in standing.how
    assert place.redis.tables == {}


async def test_aborted_transactions_alone_are_nothing(place: Place) -> None:
    place.transact(("c:anna", profile("c:anna")), committed=False)
    standing = await place.stand()
    assert (standing.record, standing.position) == (None, b"")


# ---- the tail is enough


async def test_without_a_table_the_whole_is_read(place: Place) -> None:
    filled(place)
    standing = await place.stand()
    place.assert_in_step(standing)
    assert standing.how == "rebuilt: no table"


@pytest.mark.parametrize("behind", [0, 1, 2])
async def test_a_table_that_is_behind_is_rolled_forward(place: Place, behind: int) -> None:
    for number in range(5):
        place.transact((f"c:{number}", profile(f"c:{number}", number)))
        if number == 4 - behind:
            await place.stand()
    seen = place.stored()[POSITION]
    standing = await place.stand()
    place.assert_in_step(standing)
    assert "rolled forward" in standing.how
    assert (standing.position == seen) == (behind == 0)
    assert standing.replayed == 1 + 2 * behind


async def test_a_roll_forward_deletes_and_moves_timers(place: Place) -> None:
    place.transact(("c:anna", profile("c:anna", 500)), ("c:ben", profile("c:ben", 1)))
    await place.stand()
    place.transact(("c:ben", None), ("c:anna", profile("c:anna", 700)))
    place.transact(("c:anna", profile("c:anna")))
    place.assert_in_step(await place.stand())


async def test_a_long_roll_forward_is_written_in_pieces(place: Place) -> None:
    place.transact(("c:0", profile("c:0")))
    await place.stand()
    written: list[int] = []
    apply = place.table.apply

    async def count(position: bytes, write: TableWrite) -> None:
        written.append(len(write.fields))
        await apply(position, write)

    place.table.apply = count  # type: ignore[method-assign]
    for transaction in range(5):
        place.transact(*((f"c:{transaction}.{n}", profile("c:x", n)) for n in range(CHUNK // 2 + 1)))
    place.assert_in_step(await place.stand())
    assert len(written) == 3
    assert all(CHUNK <= count <= 2 * CHUNK for count in written[:2])


async def test_aborted_transactions_are_passed_over(place: Place) -> None:
    filled(place)
    await place.stand()
    place.transact(("c:anna", None), committed=False)
    place.transact(("c:dora", profile("c:dora")))
    place.transact(("c:dora", None), committed=False)
    place.assert_in_step(await place.stand())


# ---- the tail is not enough


def flushed(place: Place) -> None:
    place.redis.flush()


def half_lost(place: Place) -> None:
    """The position went with the rest of what was lost."""
    fields = place.redis.tables["journey:{0}"].fields
    del fields[POSITION], fields[b"c:anna"]


def of_another_log(place: Place) -> None:
    place.redis.tables["journey:{0}"].fields[POSITION] = b"another:3"


def no_position(place: Place) -> None:
    place.redis.tables["journey:{0}"].fields[POSITION] = b"\xff no position"


def ahead(place: Place) -> None:
    place.redis.tables["journey:{0}"].fields[POSITION] = f"{place.kafka.topics[TOPIC].id}:4000".encode()


def at_the_end(place: Place) -> None:
    place.redis.tables["journey:{0}"].fields[POSITION] = (
        f"{place.kafka.topics[TOPIC].id}:{place.kafka.log(TOPIC, 0).end}".encode()
    )


def between_transactions(place: Place) -> None:
    place.redis.tables["journey:{0}"].fields[POSITION] = f"{place.kafka.topics[TOPIC].id}:0".encode()


def compacted(place: Place) -> None:
    place.transact(("c:anna", profile("c:anna", 800)))
    place.kafka.log(TOPIC, 0).compact()


def cut(place: Place) -> None:
    """The lane record that the table stands at is before the start of the log."""
    place.transact(("c:anna", profile("c:anna", 800)), ("c:cleo", profile("c:cleo")))
    log = place.kafka.log(TOPIC, 0)
    log.compact()
    log.cut(min(slot.offset for slot in log.slots if slot.record is not None))


def too_old(place: Place) -> None:
    place.now += OLDEST + 1
    place.transact(("c:anna", profile("c:anna", 800)))


WHOLE: list[Callable[[Place], None]] = [
    flushed,
    half_lost,
    of_another_log,
    no_position,
    ahead,
    at_the_end,
    between_transactions,
    compacted,
    cut,
    too_old,
]


@pytest.mark.parametrize("happens", WHOLE, ids=lambda each: each.__name__)
async def test_what_cannot_be_trusted_is_rebuilt_whole(place: Place, happens: Callable[[Place], None]) -> None:
    filled(place)
    await place.stand()
    happens(place)
    standing = await place.stand("a.2")
    assert standing.how.startswith("rebuilt")
    place.assert_in_step(standing)


async def test_a_table_just_young_enough_is_rolled_forward(place: Place) -> None:
    filled(place)
    await place.stand()
    place.now += OLDEST
    place.transact(("c:anna", profile("c:anna", 800)))
    standing = await place.stand()
    assert "rolled forward" in standing.how
    place.assert_in_step(standing)


async def test_a_deletion_that_compaction_took_is_not_missed(place: Place) -> None:
    filled(place)
    await place.stand()
    place.transact(("c:anna", None))
    place.now += OLDEST + 1
    place.transact(("c:cleo", profile("c:cleo", 3)))
    place.kafka.log(TOPIC, 0).compact(tombstones=True)
    place.assert_in_step(await place.stand())
    assert b"c:anna" not in place.stored()


async def test_what_an_earlier_attempt_left_is_removed(place: Place) -> None:
    filled(place)
    place.redis.fail_next("rename", "lost")
    with pytest.raises(TableDoubt):
        await place.stand()
    standing = await place.stand("a.2")
    place.assert_in_step(standing)


@pytest.mark.parametrize("transactions", [1, LOOK_BACK[0], 40])
async def test_the_last_lane_record_is_found_however_much_stands_behind_it(place: Place, transactions: int) -> None:
    filled(place)
    for _ in range(transactions):
        place.transact(("c:anna", None), committed=False)
    place.assert_in_step(await place.stand())


# ---- what must wait, or must not be taken


async def test_an_open_transaction_is_waited_for(place: Place) -> None:
    filled(place)
    epoch = place.kafka.take_over("zombie")
    place.kafka.write("zombie", epoch, TOPIC, 0, [(b"c:anna", None, ())], place.now)
    for _ in range(2):
        with pytest.raises(OpenTransaction):
            await place.stand()
    place.kafka.expire("zombie")
    place.assert_in_step(await place.stand())


async def test_a_commit_that_cannot_be_read_yet_is_not_passed_over(place: Place) -> None:
    filled(place)
    await place.stand()
    place.kafka.slow_markers = True
    writer = FakeWriter(place.kafka, "journey-0")
    await writer.start()
    epoch = writer.epoch
    place.kafka.write("journey-0", epoch, TOPIC, 0, [(b"c:anna", None, ()), (KEY, lane(9), ())], place.now)
    place.kafka.end("journey-0", epoch, committed=True)
    with pytest.raises(OpenTransaction):
        await place.stand()
    place.kafka.write_markers()
    standing = await place.stand()
    place.assert_in_step(standing)
    assert standing.record is not None
    assert standing.record.next == {"raw.web": 9}


@pytest.mark.parametrize("known", [True, False])
async def test_a_changelog_that_does_not_end_with_a_lane_record_is_broken(place: Place, known: bool) -> None:
    filled(place)
    if known:
        await place.stand()
    place.kafka.append(TOPIC, 0, [(b"c:foreign", profile("c:foreign"), ())])
    with pytest.raises(Broken, match="its lane record is at"):
        await place.stand()
    assert b"c:foreign" not in place.stored()


@pytest.mark.parametrize("rebuilt", [True, False])
@pytest.mark.parametrize("fault", ["lost", "unanswered"])
async def test_a_table_that_fails_on_the_way_is_taken_again(place: Place, fault: str, rebuilt: bool) -> None:
    filled(place)
    if not rebuilt:
        await place.stand()
        place.transact(("c:anna", profile("c:anna", 1)))
    operation = "fill" if rebuilt else "apply"
    place.redis.fail_next(operation, fault)  # type: ignore[arg-type]
    with pytest.raises(TableDoubt):
        await place.stand()
    place.assert_in_step(await place.stand("a.2"))


async def test_whoever_wrote_meanwhile_is_not_overwritten(place: Place) -> None:
    """Another worker rebuilds the same table and is done first."""
    filled(place)
    other = FakeTable(place.redis, "journey", 0)
    replay = place.changelog.replay

    async def replay_slowly(partition: int, start: int, end: int) -> AsyncIterator[object]:
        async for records in replay(partition, start, end):
            if start == 0 and b"@pos" not in place.stored():
                await other.open()
                await stand(FakeChangelog(place.kafka, TOPIC), other, 0, "b.1", OLDEST, place.now, place.meter)
            yield records

    place.changelog.replay = replay_slowly  # type: ignore[method-assign,assignment]
    with pytest.raises(Doubt):
        await place.stand()
    place.changelog.replay = replay  # type: ignore[method-assign]
    standing = await place.stand("a.2")
    place.assert_in_step(standing)


async def test_a_rebuild_says_how_much_is_left_while_it_goes_on(place: Place) -> None:
    for number in range(3):
        place.transact((f"c:{number}", profile(f"c:{number}")))
    end = place.kafka.log(TOPIC, 0).end
    left: list[float] = []
    replay = place.changelog.replay

    async def replay_one_by_one(partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        async for records in replay(partition, start, end):
            for record in records:
                place.clock.ms += 1000
                yield [record]
                seconds = shown(place.metrics, "lane_replay_left_seconds")
                if seconds is not None:  # the last lane record is looked for before
                    left.append(seconds)

    place.changelog.replay = replay_one_by_one  # type: ignore[method-assign]
    standing = await place.stand()
    assert standing.replayed == 6 == shown(place.metrics, "lane_replayed_records_total")
    assert shown(place.metrics, "lane_replay_left_records") == 1, "the last marker holds no record"
    assert left[0] == end - 1, "a second a position, one of them read"
    assert left == sorted(left, reverse=True)
    place.meter.done()
    assert shown(place.metrics, "lane_replay_left_records") == shown(place.metrics, "lane_replay_left_seconds") == 0


def shown(metrics: PrometheusMetrics, name: str) -> float | None:
    """The value of lane 0, if there is one."""
    return series(metrics).get((name, (("lane", "0"),)))
