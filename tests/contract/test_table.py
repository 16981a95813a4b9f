"""What a lane may rely on in its table: the fake and the real Redis answer the same."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from redis.asyncio import Redis

from pipeline.adapters.redis.table import FILL_FIELDS, RedisTable
from pipeline.application.ports import Table, TableDoubt, TableWrite
from pipeline.dev.stack import Stack
from tests.fakes.table import FakeRedis, FakeTable


class Server(Protocol):
    """A Redis and what may happen to it."""

    def table(self, lane: int = 3) -> Table: ...
    async def flush(self) -> None: ...
    async def drop_connections(self) -> None: ...
    def out_of_memory(self) -> contextlib.AbstractAsyncContextManager[None]: ...
    async def keys(self) -> set[str]: ...


@dataclass
class Fake:
    server: FakeRedis = field(default_factory=FakeRedis)

    def table(self, lane: int = 3) -> Table:
        return FakeTable(self.server, "journey", lane)

    async def flush(self) -> None:
        self.server.flush()

    async def drop_connections(self) -> None:
        self.server.drop_connections()

    @contextlib.asynccontextmanager
    async def out_of_memory(self) -> AsyncIterator[None]:
        self.server.refuse("OOM command not allowed when used memory > 'maxmemory'.")
        yield
        self.server.refuse(None)

    async def keys(self) -> set[str]:
        keys = set(self.server.tables)
        return keys | {f"{key}:due" for key in keys if self.server.tables[key].due}


@dataclass
class Real:
    """A database of its own on the session's Redis, so that FLUSHDB is FLUSHALL."""

    url: str
    application: str
    admin: Redis

    def table(self, lane: int = 3) -> Table:
        return RedisTable(self.application, lane, self.url, step_timeout=5)

    async def flush(self) -> None:
        await self.admin.flushdb()

    async def drop_connections(self) -> None:
        for client in await self.admin.client_list():
            if client["name"].startswith(self.application):
                await self.admin.client_kill_filter(_id=client["id"])

    @contextlib.asynccontextmanager
    async def out_of_memory(self) -> AsyncIterator[None]:
        await self.admin.config_set("maxmemory", 1)
        yield
        await self.admin.config_set("maxmemory", 0)

    async def keys(self) -> set[str]:
        return {str(key).replace(self.application, "journey", 1) for key in await self.admin.keys("*")}


@pytest.fixture(params=["fake", "real"])
async def server(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Server]:
    if request.param == "fake":
        yield Fake()
        return
    stack: Stack = request.getfixturevalue("stack")
    url = f"redis://127.0.0.1:{stack.redis_port}/5"
    async with Redis.from_url(url, decode_responses=True) as admin:
        await admin.flushdb()
        try:
            yield Real(url, f"{prefix}journey", admin)
        finally:
            await admin.config_set("maxmemory", 0)
            await admin.flushdb()


@pytest.fixture
async def table(server: Server) -> AsyncIterator[Table]:
    table = server.table()
    await table.open()
    yield table
    await table.close()


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Table]:
    """The same lane's table as another worker has it."""
    other = server.table()
    await other.open()
    yield other
    await other.close()


def fields(**values: bytes | None) -> TableWrite:
    return TableWrite({name.encode(): value for name, value in values.items()}, {})


def due(**scores: int | None) -> TableWrite:
    return TableWrite({}, {name.encode(): score for name, score in scores.items()})


async def contents(*writes: TableWrite) -> AsyncIterator[TableWrite]:
    for write in writes:
        yield write


def many(start: int, count: int) -> TableWrite:
    return TableWrite({b"c:%d" % n: b"profile %d" % n for n in range(start, start + count)}, {})


async def fill(table: Table, position: bytes, *writes: TableWrite) -> None:
    """Applies the writes to a table that nobody else writes."""
    await table.position()
    for write in writes:
        await table.apply(position, write)


class TestReading:
    async def test_a_table_that_was_never_written_has_no_position(self, table: Table) -> None:
        assert await table.position() is None

    async def test_the_empty_position_stands_for_a_table_without_one(self, table: Table) -> None:
        assert await table.load([b"c:1", b"c:2"], b"") == [None, None]
        with pytest.raises(TableDoubt, match="T:1"):
            await table.load([b"c:1"], b"T:1")

    async def test_reads_back_what_was_applied(self, table: Table) -> None:
        await fill(table, b"T:7", TableWrite({b"c:1": b"one", b"c:2": b"\x00\r\n\xff", b"@lane": b"{}"}, {}))
        assert await table.position() == b"T:7"
        assert await table.load([b"c:2", b"c:9", b"c:1", b"@lane"], b"T:7") == [b"\x00\r\n\xff", None, b"one", b"{}"]

    @pytest.mark.parametrize("wrong", [b"T:6", b"T:8", b"U:7", b""])
    async def test_refuses_to_read_at_another_position(self, table: Table, wrong: bytes) -> None:
        await fill(table, b"T:7", fields(a=b"1"))
        with pytest.raises(TableDoubt, match="T:7"):
            await table.load([b"a"], wrong)

    async def test_reading_nothing_still_looks_at_the_position(self, table: Table) -> None:
        await fill(table, b"T:7", fields(a=b"1"))
        assert await table.load([], b"T:7") == []
        with pytest.raises(TableDoubt):
            await table.load([], b"T:6")

    async def test_large_reads_and_writes_are_whole(self, table: Table) -> None:
        profiles = {b"c:%d" % n: b"profile %d" % n for n in range(3 * FILL_FIELDS + 1)}
        gone = dict.fromkeys(list(profiles)[::3])
        scores = {name: n for n, name in enumerate(profiles)}
        await fill(table, b"T:1", TableWrite(profiles, scores), TableWrite(gone, gone))
        expected = [None if name in gone else profiles[name] for name in profiles]
        assert await table.load(list(profiles), b"T:1") == expected
        assert len(await table.due(len(profiles), len(profiles))) == len(profiles) - len(gone)

    async def test_lanes_do_not_meet(self, server: Server, table: Table) -> None:
        await fill(table, b"T:7", fields(a=b"1"))
        neighbour = server.table(lane=4)
        await neighbour.open()
        assert await neighbour.position() is None
        await neighbour.apply(b"U:1", fields(a=b"2"))
        await neighbour.close()
        assert await table.load([b"a"], b"T:7") == [b"1"]


class TestApply:
    async def test_deletes(self, table: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1", b=b"2"), fields(a=None, c=b"3"))
        assert await table.load([b"a", b"b", b"c"], b"T:1") == [None, b"2", b"3"]

    async def test_moves_the_position_though_nothing_else_changes(self, table: Table) -> None:
        await fill(table, b"T:1", fields())
        assert await table.position() == b"T:1"

    async def test_needs_a_position_that_was_read_on_this_connection(self, server: Server, table: Table) -> None:
        with pytest.raises(TableDoubt):
            await table.apply(b"T:1", fields(a=b"1"))
        assert await server.keys() == set()

    async def test_goes_on_from_what_it_wrote_itself(self, table: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await table.apply(b"T:2", fields(b=b"2"))
        assert await table.load([b"a", b"b"], b"T:2") == [b"1", b"2"]

    @pytest.mark.parametrize("read_by", ["load", "load nothing", "position", "apply", "rebuild"])
    async def test_refuses_once_another_worker_wrote(self, table: Table, other: Table, read_by: str) -> None:
        await fill(table, b"T:1", TableWrite({b"a": b"1"}, {b"a": 5}))
        match read_by:
            case "load":
                await table.load([b"a"], b"T:1")
            case "load nothing":
                await table.load([], b"T:1")
            case "position":
                await table.position()
            case "apply":
                await table.apply(b"T:1", fields(b=b"1"))
            case "rebuild":
                await table.rebuild("e1", b"T:1", b"T:1", contents(TableWrite({b"a": b"1"}, {b"a": 5})))
        await fill(other, b"T:2", fields(a=b"newer"))
        with pytest.raises(TableDoubt):
            await table.apply(b"T:2", TableWrite({b"a": b"older", b"z": b"1"}, {b"a": 9}))
        assert await other.load([b"a", b"z"], b"T:2") == [b"newer", None]
        assert await other.due(100, 10) == [(b"a", 5)]

    async def test_refuses_after_a_flush(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await table.load([b"a"], b"T:1")
        await server.flush()
        with pytest.raises(TableDoubt):
            await table.apply(b"T:2", fields(b=b"2"))
        assert await server.keys() == set()

    async def test_a_doubt_ends_with_the_position_read_again(self, table: Table, other: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await fill(other, b"T:2", fields(a=b"2"))
        with pytest.raises(TableDoubt):
            await table.load([b"a"], b"T:1")
        with pytest.raises(TableDoubt):
            await table.apply(b"T:3", fields(a=b"3"))
        assert await table.position() == b"T:2"
        await table.apply(b"T:3", fields(a=b"3"))
        assert await other.load([b"a"], b"T:3") == [b"3"]

    async def test_what_an_earlier_watch_saw_is_forgotten(self, table: Table, other: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await fill(other, b"T:2", fields(a=b"2"))
        assert await table.load([b"a"], b"T:2") == [b"2"]
        await table.apply(b"T:3", fields(a=b"3"))
        assert await table.position() == b"T:3"


class TestLostConnection:
    async def test_never_writes_again(self, server: Server, table: Table, other: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await table.load([b"a"], b"T:1")
        await server.drop_connections()
        newer = server.table()
        await newer.open()
        await fill(newer, b"T:2", fields(a=b"newer"))
        for _ in range(3):
            with pytest.raises(TableDoubt):
                await table.apply(b"T:2", fields(a=b"older"))
        assert await newer.load([b"a"], b"T:2") == [b"newer"]
        await newer.close()

    async def test_everything_is_a_doubt_until_it_is_opened(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await server.drop_connections()
        for _ in range(2):
            with pytest.raises(TableDoubt):
                await table.position()
            with pytest.raises(TableDoubt):
                await table.load([b"a"], b"T:1")
            with pytest.raises(TableDoubt):
                await table.due(9, 9)
            with pytest.raises(TableDoubt):
                await table.rebuild("e1", b"T:1", b"T:2", contents(fields(a=b"2")))
        await table.open()
        assert await table.load([b"a"], b"T:1") == [b"1"]

    async def test_a_new_connection_guards_nothing_yet(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        await table.open()
        with pytest.raises(TableDoubt):
            await table.apply(b"T:2", fields(a=b"2"))
        assert await table.position() == b"T:1"

    async def test_a_table_that_is_not_open_is_a_doubt(self, server: Server) -> None:
        table = server.table()
        with pytest.raises(TableDoubt):
            await table.position()
        await table.close()


class TestScan:
    async def test_everything_comes_while_fields_come_and_change(self, server: Server, table: Table) -> None:
        there = {b"c:%d" % number: b"1" for number in range(2_000)}
        await fill(table, b"T:1", TableWrite(there, {}))
        seen: set[bytes] = set()
        cursor, turn = 0, 0
        while turn == 0 or cursor:
            cursor, found = await table.scan(cursor, 100)
            seen.update(found)
            turn += 1
            more = TableWrite({b"more:%d" % turn: b"1", b"c:%d" % turn: b"2"}, {})
            await table.apply(b"T:%d" % (turn + 1), more)
        assert turn > 5
        assert there.keys() <= seen

    async def test_a_table_that_has_lost_its_data_is_a_doubt(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", TableWrite({b"a": b"1"}, {}))
        await server.flush()
        with pytest.raises(TableDoubt) as raised:
            await table.scan(0, 100)
        assert raised.value.failure == "lost"


class TestRefusal:
    async def test_says_the_word_of_the_server_and_writes_nothing(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", TableWrite({b"a": b"1"}, {b"a": 5}))
        async with server.out_of_memory():
            with pytest.raises(TableDoubt, match="OOM command not allowed") as raised:
                await table.apply(b"T:2", TableWrite({b"a": b"2"}, {b"a": 6}))
        assert raised.value.failure == "oom"
        await table.open()
        assert await table.load([b"a"], b"T:1") == [b"1"]
        assert await table.earliest() == 5

    async def test_a_rebuild_that_is_refused_leaves_the_table(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", fields(a=b"1"))
        async with server.out_of_memory():
            with pytest.raises(TableDoubt, match="OOM"):
                await table.rebuild("e1", b"T:1", b"T:2", contents(fields(a=b"2")))
        await table.open()
        assert await table.load([b"a"], b"T:1") == [b"1"]
        assert await server.keys() == {"journey:{3}"}


class TestDue:
    async def test_an_empty_index(self, table: Table) -> None:
        await table.position()
        assert await table.due(2**53, 10) == []
        assert await table.earliest() is None

    async def test_lowest_first_up_to_and_including(self, table: Table) -> None:
        now = 1_764_000_000_123
        await fill(table, b"T:1", due(late=now + 1, sharp=now, early=now - 9, same=now))
        assert await table.due(now, 10) == [(b"early", now - 9), (b"same", now), (b"sharp", now)]
        assert await table.due(now, 2) == [(b"early", now - 9), (b"same", now)]
        assert await table.due(now - 10, 10) == []
        assert await table.earliest() == now - 9

    async def test_scores_are_exact_and_may_lie_before_1970(self, table: Table) -> None:
        await fill(table, b"T:1", due(far=2**53 - 1, near=-1, zero=0))
        assert await table.due(2**53, 10) == [(b"near", -1), (b"zero", 0), (b"far", 2**53 - 1)]
        assert await table.earliest() == -1

    async def test_moves_and_removes(self, table: Table) -> None:
        await fill(table, b"T:1", due(a=1, b=2, c=3), due(a=9, b=None, unknown=None))
        assert await table.due(100, 10) == [(b"c", 3), (b"a", 9)]

    async def test_a_lost_index_is_a_doubt_and_not_an_empty_one(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", due(a=1))
        await server.flush()
        with pytest.raises(TableDoubt):
            await table.due(100, 10)
        await fill(table, b"T:1", due(a=1))
        await server.flush()
        with pytest.raises(TableDoubt):
            await table.earliest()

    async def test_another_workers_index_is_a_doubt(self, table: Table, other: Table) -> None:
        await fill(table, b"T:1", due(a=1))
        await fill(other, b"T:2", due(b=1))
        with pytest.raises(TableDoubt, match="T:2"):
            await table.due(100, 10)


class TestRebuild:
    async def test_over_nothing(self, server: Server, table: Table) -> None:
        assert await table.position() is None
        await table.rebuild("e1", None, b"T:9", contents(TableWrite({b"a": b"1", b"@lane": b"{}"}, {b"a": 5})))
        assert await table.position() == b"T:9"
        assert await table.load([b"a", b"@lane"], b"T:9") == [b"1", b"{}"]
        assert await table.due(9, 9) == [(b"a", 5)]
        assert await server.keys() == {"journey:{3}", "journey:{3}:due"}

    async def test_replaces_all_that_was_there(self, server: Server, table: Table) -> None:
        await fill(table, b"T:5", TableWrite({b"old": b"1", b"both": b"1"}, {b"old": 5}))
        await table.rebuild("e1", b"T:5", b"T:9", contents(TableWrite({b"both": b"2"}, {b"both": 7})))
        assert await table.load([b"old", b"both"], b"T:9") == [None, b"2"]
        assert await table.due(99, 9) == [(b"both", 7)]

    async def test_an_empty_index_replaces_a_full_one(self, server: Server, table: Table) -> None:
        await fill(table, b"T:5", TableWrite({b"a": b"1"}, {b"a": 5}))
        await table.rebuild("e1", b"T:5", b"T:9", contents(fields(a=b"2")))
        assert await table.earliest() is None
        assert await server.keys() == {"journey:{3}"}

    async def test_of_nothing(self, server: Server, table: Table) -> None:
        await fill(table, b"T:5", TableWrite({b"a": b"1"}, {b"a": 5}))
        await table.rebuild("e1", b"T:5", b"T:9", contents())
        assert await table.load([b"a"], b"T:9") == [None]
        assert await server.keys() == {"journey:{3}"}

    async def test_at_the_empty_position_empties_the_table(self, server: Server, table: Table) -> None:
        await fill(table, b"T:5", TableWrite({b"a": b"1"}, {b"a": 5}))
        await table.rebuild("e1", b"T:5", b"", contents())
        assert await server.keys() == set()
        assert await table.load([b"a"], b"") == [None]
        assert await table.earliest() is None
        await table.apply(b"U:1", fields(a=b"2"))
        assert await table.position() == b"U:1"

    async def test_the_table_is_guarded_afterwards(self, table: Table) -> None:
        await table.rebuild("e1", None, b"T:9", contents(fields(a=b"1")))
        assert await table.due(9, 9) == []
        await table.apply(b"T:10", fields(a=b"2"))
        assert await table.load([b"a"], b"T:10") == [b"2"]

    async def test_content_may_repeat_and_delete_as_a_changelog_does(self, table: Table) -> None:
        await table.rebuild(
            "e1",
            None,
            b"T:9",
            contents(
                many(0, FILL_FIELDS),
                TableWrite({b"c:1": b"newer", b"c:2": None, b"never": None}, {b"c:1": 5, b"c:2": 6}),
                many(10, FILL_FIELDS),
                TableWrite({b"c:2": b"back", b"c:3": None}, {b"c:1": 7, b"c:2": None, b"never": None}),
            ),
        )
        assert await table.load([b"c:1", b"c:2", b"c:3", b"c:4"], b"T:9") == [b"newer", b"back", None, b"profile 4"]
        assert await table.due(99, 9) == [(b"c:1", 7)]

    @pytest.mark.parametrize("seen", [None, b"T:4", b"T:6"])
    async def test_only_over_the_position_that_was_seen(self, server: Server, table: Table, seen: bytes | None) -> None:
        await fill(table, b"T:5", fields(a=b"1"))
        with pytest.raises(TableDoubt, match="T:5"):
            await table.rebuild("e1", seen, b"T:9", contents(fields(a=b"2")))
        assert await table.load([b"a"], b"T:5") == [b"1"]
        assert await server.keys() == {"journey:{3}"}

    async def test_not_over_what_another_worker_wrote_meanwhile(
        self, server: Server, table: Table, other: Table
    ) -> None:
        await fill(table, b"T:5", fields(a=b"1"))

        async def content() -> AsyncIterator[TableWrite]:
            yield many(0, FILL_FIELDS)
            await fill(other, b"T:6", fields(a=b"newer"))
            yield many(FILL_FIELDS, 10)

        with pytest.raises(TableDoubt, match="T:6"):
            await table.rebuild("e1", b"T:5", b"T:9", content())
        assert await other.load([b"a"], b"T:6") == [b"newer"]
        assert await server.keys() == {"journey:{3}"}

    @pytest.mark.parametrize("lost", ["first", "between", "last"])
    async def test_a_loss_in_mid_fill_is_found(self, server: Server, table: Table, lost: str) -> None:
        """Half a table with a right position passes every other check."""

        async def content() -> AsyncIterator[TableWrite]:
            yield TableWrite(many(0, FILL_FIELDS).fields, {b"c:0": 5})
            if lost == "first":
                await server.flush()
            yield many(FILL_FIELDS, FILL_FIELDS)
            if lost == "between":
                await server.flush()
            yield many(0, FILL_FIELDS)
            if lost == "last":
                await server.flush()

        await table.position()
        with pytest.raises(TableDoubt, match="lost data"):
            await table.rebuild("e1", None, b"T:9", content())
        assert await table.position() is None
        assert await server.keys() == set()

    async def test_a_loss_of_the_index_alone_is_found(self, server: Server, table: Table) -> None:
        async def content() -> AsyncIterator[TableWrite]:
            yield TableWrite({}, {b"c:%d" % n: n for n in range(FILL_FIELDS)})
            await server.flush()
            yield many(0, FILL_FIELDS)

        with pytest.raises(TableDoubt, match="lost data"):
            await table.rebuild("e1", None, b"T:9", content())

    async def test_the_same_attempt_may_begin_again(self, server: Server, table: Table) -> None:
        async def broken() -> AsyncIterator[TableWrite]:
            yield many(0, FILL_FIELDS)
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await table.rebuild("e1", None, b"T:9", broken())
        await table.rebuild("e1", None, b"T:9", contents(fields(a=b"1")))
        assert await table.load([b"a", b"c:1"], b"T:9") == [b"1", None]
        assert await server.keys() == {"journey:{3}"}

    @pytest.mark.parametrize("by", ["open", "rebuild"])
    async def test_leftovers_of_earlier_attempts_are_removed(self, server: Server, table: Table, by: str) -> None:
        async def broken() -> AsyncIterator[TableWrite]:
            yield TableWrite(many(0, FILL_FIELDS).fields, {b"c:1": 5})
            raise ConnectionResetError

        await fill(table, b"T:5", fields(a=b"1"))
        for attempt in ("e1", "e2"):
            with pytest.raises(ConnectionResetError):
                await table.rebuild(attempt, b"T:5", b"T:9", broken())
        assert "journey:{3}:e2" in await server.keys()
        match by:
            case "open":
                await table.open()
            case "rebuild":
                await table.rebuild("host:77.3", b"T:5", b"T:9", contents(fields(a=b"1")))
        assert await server.keys() == {"journey:{3}"}

    async def test_of_two_workers_the_later_one_wins(self, server: Server, table: Table, other: Table) -> None:
        async def overtaken() -> AsyncIterator[TableWrite]:
            yield many(0, FILL_FIELDS)
            await other.rebuild("e2", None, b"T:9", contents(fields(a=b"newer")))
            yield many(FILL_FIELDS, FILL_FIELDS)

        with pytest.raises(TableDoubt):
            await table.rebuild("e1", None, b"T:8", overtaken())
        assert await other.load([b"a"], b"T:9") == [b"newer"]
        assert await server.keys() == {"journey:{3}"}

    async def test_one_whose_keys_were_removed_elsewhere_gives_up(self, server: Server, table: Table) -> None:
        async def interrupted() -> AsyncIterator[TableWrite]:
            yield many(0, FILL_FIELDS)
            newcomer = server.table()
            await newcomer.open()
            await newcomer.close()
            yield many(FILL_FIELDS, FILL_FIELDS)

        with pytest.raises(TableDoubt, match="lost data"):
            await table.rebuild("e1", None, b"T:8", interrupted())
        assert await server.keys() == set()

    @pytest.mark.parametrize("name", ["", "due", "attempts", "a:due"])
    async def test_an_attempt_cannot_hide_another_key(self, table: Table, name: str) -> None:
        with pytest.raises(ValueError, match=f"'{name}' cannot name a rebuild"):
            await table.rebuild(name, None, b"T:1", contents())


class TestLoss:
    async def test_position_and_data_go_together(self, server: Server, table: Table) -> None:
        await fill(table, b"T:1", TableWrite({b"a": b"1"}, {b"a": 5}))
        await server.flush()
        with pytest.raises(TableDoubt):
            await table.load([b"a"], b"T:1")
        assert await table.position() is None
        assert await table.load([b"a"], b"") == [None]
        assert await table.earliest() is None


class TestFakeFaults:
    """What only the fake can do, so that a simulation can rely on it."""

    @pytest.fixture
    def redis(self) -> FakeRedis:
        return FakeRedis()

    @pytest.fixture
    async def fake(self, redis: FakeRedis) -> FakeTable:
        table = FakeTable(redis, "journey", 3)
        await table.open()
        await fill(table, b"T:1", fields(a=b"1"))
        return table

    @pytest.mark.parametrize(("fault", "position"), [("lost", b"T:1"), ("unanswered", b"T:2"), ("late", b"T:1")])
    async def test_an_apply_ends_as_a_doubt(
        self, redis: FakeRedis, fake: FakeTable, fault: str, position: bytes
    ) -> None:
        redis.fail_next("apply", fault)  # type: ignore[arg-type]  # parametrised
        with pytest.raises(TableDoubt):
            await fake.apply(b"T:2", fields(a=b"2"))
        await fake.open()
        assert await fake.position() == position

    async def test_a_late_apply_is_done_if_nobody_wrote_since(self, redis: FakeRedis, fake: FakeTable) -> None:
        redis.fail_next("apply", "late")
        with pytest.raises(TableDoubt):
            await fake.apply(b"T:2", fields(a=b"2"))
        redis.deliver_late()
        await fake.open()
        assert await fake.position() == b"T:2"

    async def test_a_late_apply_is_refused_if_somebody_wrote_since(self, redis: FakeRedis, fake: FakeTable) -> None:
        redis.fail_next("apply", "late")
        with pytest.raises(TableDoubt):
            await fake.apply(b"T:2", fields(a=b"2"))
        await fake.open()
        await fill(fake, b"T:3", fields(a=b"3"))
        redis.deliver_late()
        assert await fake.load([b"a"], b"T:3") == [b"3"]

    async def test_an_apply_that_comes_twice_is_done_once(self, redis: FakeRedis, fake: FakeTable) -> None:
        redis.fail_next("apply", "doubled")
        await fake.apply(b"T:2", fields(a=b"2"))
        await fake.apply(b"T:3", fields(a=b"3"))
        redis.deliver_late()
        assert await fake.load([b"a"], b"T:3") == [b"3"]

    async def test_a_late_rename_finds_what_the_next_attempt_has_left_of_it(
        self, redis: FakeRedis, fake: FakeTable
    ) -> None:
        async def content() -> AsyncIterator[TableWrite]:
            yield fields(a=b"late")

        redis.fail_next("rename", "late")
        with pytest.raises(TableDoubt):
            await fake.rebuild("first", b"T:1", b"T:2", content())
        await fake.open()
        await fill(fake, b"T:3", fields(a=b"3"))
        redis.deliver_late()
        assert await fake.load([b"a"], b"T:3") == [b"3"]

    async def test_a_restart_falls_back_to_a_snapshot(self, redis: FakeRedis, fake: FakeTable) -> None:
        before = redis.snapshot()
        await fake.apply(b"T:2", fields(a=b"2"))
        redis.restore(before)
        with pytest.raises(TableDoubt):
            await fake.load([b"a"], b"T:2")
        await fake.open()
        assert await fake.position() == b"T:1"

    async def test_a_step_may_do_anything_to_the_server(self, redis: FakeRedis, fake: FakeTable) -> None:
        steps: list[tuple[str, str]] = []

        async def step(operation: str, moment: str) -> None:
            steps.append((operation, moment))
            if (operation, moment) == ("apply", "answered"):
                redis.drop_connections()

        redis.step = step
        with pytest.raises(TableDoubt):
            await fake.apply(b"T:2", fields(a=b"2"))
        assert steps == [("apply", "sent"), ("apply", "answered")]
        assert redis.tables["journey:{3}"].fields[b"@pos"] == b"T:2"
