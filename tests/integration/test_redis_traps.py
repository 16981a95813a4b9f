"""What a real Redis and redis-py do to a table that does not look out."""

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis
import pytest
import structlog
from redis import Redis
from redis.asyncio.connection import Connection

from pipeline.adapters.redis.check import check, ensure_fit, refuse
from pipeline.adapters.redis.reader import TableReader
from pipeline.adapters.redis.table import RedisTable
from pipeline.application.ports import TableDoubt, TableWrite
from pipeline.config import Settings
from pipeline.dev.stack_net import free_port
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.stack_redis import Redis as RedisProcess
from pipeline.dev.stack_server import Server
from pipeline.errors import UserError

SAVES = {"appendonly": "no", "save": "3600 1"}
"""Snapshots now and then, no append-only file."""


@dataclass
class Own:
    """A server of this test alone, to be stopped, killed and misconfigured."""

    server: Server

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server.port}/0"

    @property
    def admin(self) -> Redis:
        return Redis(port=self.server.port, decode_responses=True)

    def table(self, url: str | None = None, step_timeout: float = 5.0) -> RedisTable:
        return RedisTable("journey", 3, url or self.url, step_timeout)

    def start(self) -> None:
        self.server.spawn()
        self.server.wait_ready(10)

    def restart(self) -> None:
        self.server.kill()
        self.start()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP: connections stay open and nothing answers."""
        self.server.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.signal(signal.SIGCONT)


@pytest.fixture
def redis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Own]:
    reaper = Reaper(grace_s=0)
    with (tmp_path / "lock").open("w") as lock:
        settings = getattr(request, "param", {})
        own = Own(RedisProcess(tmp_path, free_port(), settings).server(reaper, lock.fileno()))
        try:
            own.start()
            yield own
        finally:
            if own.server.running:
                own.server.kill()
            reaper.dismiss()


def write(**fields: bytes) -> TableWrite:
    return TableWrite({name.encode(): value for name, value in fields.items()}, {})


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it is the server that changes
            await asyncio.sleep(0.01)


async def filled(redis: Own, position: bytes = b"T:1") -> RedisTable:
    table = redis.table()
    await table.open()
    await table.position()
    await table.apply(position, write(a=b"1"))
    return table


class TestWatchTrap:
    """WATCH dies with the connection, and redis-py connects again by itself."""

    async def test_redis_py_alone_writes_over_a_newer_owner(self, redis: Own) -> None:
        """Once this fails, redis-py keeps the guard itself."""
        with redis.admin as admin:
            admin.hset("trap", "@pos", "1")
            connection = Connection(host="127.0.0.1", port=redis.server.port, protocol=2)
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py types its API only in part

            async def call(*commands: tuple[str, ...]) -> object:
                await connection.send_packed_command([hiredis.pack_command(c) for c in commands])  # type: ignore[arg-type]
                return [await connection.read_response() for _ in commands][-1]

            await call(("WATCH", "trap"))
            admin.hset("trap", "@pos", "2")
            admin.client_kill_filter(skipme=True, _type="normal")
            apply = (("MULTI",), ("HSET", "trap", "@pos", "old"), ("EXEC",))
            with contextlib.suppress(ConnectionError, OSError, Exception):
                await call(*apply)
            await call(*apply)
            assert admin.hget("trap", "@pos") == "old"
            await connection.disconnect()

    async def test_the_table_refuses_for_good(self, redis: Own) -> None:
        table = await filled(redis)
        await table.load([b"a"], b"T:1")
        with redis.admin as admin:
            admin.hset("journey:{3}", mapping={"@pos": "T:2", "a": "newer"})
            admin.client_kill_filter(skipme=True, _type="normal")
            for _ in range(3):
                with pytest.raises(TableDoubt):
                    await table.apply(b"T:2", write(a=b"older"))
            assert admin.hgetall("journey:{3}") == {"@pos": "T:2", "a": "newer"}
            assert len(admin.client_list()) == 1

    async def test_redis_pys_part_of_the_connection_never_connects_twice(self, redis: Own) -> None:
        table = await filled(redis)
        inner = table._connection._connection
        await inner.disconnect()
        for attempt in (inner.connect, lambda: inner.send_command("PING")):
            with pytest.raises(TableDoubt, match="was lost"):
                await attempt()
        with redis.admin as admin:
            await until(lambda: len(admin.client_list()) == 1)


class TestBetweenCheckAndRename:
    """A rebuild looks, then renames: what happens in between must be seen by its WATCH."""

    @pytest.mark.parametrize("between", ["flushed", "filled short", "index lost", "written", "renamed"])
    async def test_the_rename_is_refused(self, redis: Own, monkeypatch: pytest.MonkeyPatch, between: str) -> None:
        table = await filled(redis)
        put_in_place = table._put_in_place

        async def after_something(*arguments: Any) -> None:
            with redis.admin as admin:
                match between:
                    case "flushed":
                        admin.flushall()
                    case "filled short":
                        admin.hdel("journey:{3}:e1", "b")
                    case "index lost":
                        admin.delete("journey:{3}:e1:due")
                    case "written":
                        admin.hset("journey:{3}", mapping={"@pos": "T:2", "a": "newer"})
                    case "renamed":
                        admin.hset("other", mapping={"@pos": "T:2", "a": "newer"})
                        admin.rename("other", "journey:{3}")
            await put_in_place(*arguments)

        monkeypatch.setattr(table, "_put_in_place", after_something)

        async def content() -> AsyncIterator[TableWrite]:
            yield TableWrite({b"a": b"9", b"b": b"9"}, {b"a": 9})

        with pytest.raises(TableDoubt, match="somebody else"):
            await table.rebuild("e1", b"T:1", b"T:9", content())
        with redis.admin as admin:
            assert admin.hget("journey:{3}", "@pos") in {"T:1", "T:2", None}
            assert set(admin.keys("*")) <= {"journey:{3}"}
        await table.close()


class TestNoAnswer:
    async def test_a_stopped_server_is_a_doubt_within_the_step(self, redis: Own) -> None:
        table = redis.table(step_timeout=0.2)
        await table.open()
        await table.position()
        with redis.stopped(), pytest.raises(TableDoubt, match=r"no answer within 0\.2 s"):
            await table.apply(b"T:1", write(a=b"1"))
        with pytest.raises(TableDoubt, match="not open, or was lost"):
            await table.position()

    async def test_an_apply_that_arrives_late_still_obeys_its_watch(self, redis: Own) -> None:
        """It waits in the server's socket; after it nothing of this worker may come."""
        older = redis.table(step_timeout=0.2)
        await older.open()
        await older.position()
        with redis.stopped(), pytest.raises(TableDoubt):
            await older.apply(b"T:1", write(a=b"older"))
        newer = redis.table()
        await newer.open()
        found = await newer.position()
        assert await newer.load([b"a"], found or b"") == [b"older" if found else None]
        await newer.apply(b"T:2", write(a=b"newer"))
        with redis.admin as admin:
            await until(lambda: [client["name"] for client in admin.client_list()].count("journey-3") == 1)
        assert await newer.load([b"a"], b"T:2") == [b"newer"]
        await newer.close()

    async def test_a_cancelled_call_ends_the_connection(self, redis: Own) -> None:
        table = await filled(redis)
        with redis.stopped():
            call = asyncio.create_task(table.load([b"a"], b"T:1"))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        with pytest.raises(TableDoubt):
            await table.apply(b"T:2", write(a=b"2"))
        await table.open()
        assert await table.load([b"a"], b"T:1") == [b"1"]
        await table.close()

    async def test_closing_ends_a_call_in_flight(self, redis: Own) -> None:
        table = await filled(redis)
        with redis.stopped():
            call = asyncio.create_task(table.position())
            await asyncio.sleep(0)
            await table.close()
            with pytest.raises(TableDoubt):
                await call

    @pytest.mark.parametrize("answers", ["closes", "hangs"])
    async def test_a_port_that_does_not_speak_redis_is_a_doubt(self, answers: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if answers == "hangs":
                await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TableDoubt):
            await RedisTable("journey", 3, f"redis://127.0.0.1:{port}/0", 0.3).open()
        server.close()
        await server.wait_closed()

    async def test_nobody_listens(self) -> None:
        with pytest.raises(TableDoubt, match="connecting to"):
            await RedisTable("journey", 3, f"redis://127.0.0.1:{free_port()}/0", 1).open()


class TestWordsOfTheServer:
    async def _refused(self, redis: Own, act: Callable[[RedisTable], Awaitable[object]]) -> str:
        table = await filled(redis)
        with pytest.raises(TableDoubt) as raised:
            await act(table)
        await table.close()
        return str(raised.value)

    async def test_a_replica(self, redis: Own) -> None:
        async def demoted(table: RedisTable) -> None:
            with redis.admin as admin:
                admin.replicaof("127.0.0.1", "1")
            await table.apply(b"T:2", write(a=b"2"))

        assert "READONLY" in await self._refused(redis, demoted)
        with redis.admin as admin:
            assert admin.hgetall("journey:{3}") == {"@pos": "T:1", "a": "1"}

    @pytest.mark.parametrize("redis", [SAVES], indirect=True)
    async def test_a_full_disk(self, redis: Own) -> None:
        async def unsaved(table: RedisTable) -> None:
            shutil.rmtree(redis.server.directory / "redis")
            with redis.admin as admin:
                admin.bgsave()
                await until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
            await table.apply(b"T:2", write(a=b"2"))

        assert "MISCONF" in await self._refused(redis, unsaved)

    async def test_another_type_at_the_key(self, redis: Own) -> None:
        async def replaced(table: RedisTable) -> None:
            with redis.admin as admin:
                admin.set("journey:{3}", "text")
            await table.position()

        assert "WRONGTYPE" in await self._refused(redis, replaced)

    async def test_after_a_refusal_no_reply_of_that_call_is_taken_for_anothers(self, redis: Own) -> None:
        """Replies behind the refused one are still to come when the call has failed."""
        table = await filled(redis)
        with redis.admin as admin:
            admin.config_set("maxmemory", 1)
            with pytest.raises(TableDoubt, match="OOM"):
                await table.apply(b"T:2", write(a=b"2"))
            admin.config_set("maxmemory", 0)
        with pytest.raises(TableDoubt, match="not open, or was lost"):
            await table.position()

    async def test_a_right_that_is_taken_away(self, redis: Own) -> None:
        with redis.admin as admin:
            admin.acl_setuser("lane", enabled=True, passwords="+secret", keys=["*"], commands=["+@all"])
            table = redis.table(f"redis://lane:secret@127.0.0.1:{redis.server.port}/0")
            await table.open()
            await table.position()
            admin.acl_setuser("lane", enabled=True, passwords="+secret", keys=["*"], commands=["-hset"])
            with pytest.raises(TableDoubt, match="NOPERM"):
                await table.apply(b"T:1", write(a=b"1"))
            assert not admin.exists("journey:{3}")


class TestRestart:
    @pytest.mark.parametrize("redis", [{"appendonly": "no"}], indirect=True)
    async def test_an_empty_server_has_no_position(self, redis: Own) -> None:
        table = await filled(redis)
        redis.restart()
        with pytest.raises(TableDoubt):
            await table.load([b"a"], b"T:1")
        await table.open()
        with pytest.raises(TableDoubt):
            await table.load([b"a"], b"T:1")
        assert await table.position() is None
        await table.close()

    @pytest.mark.parametrize("redis", [SAVES], indirect=True)
    async def test_an_old_snapshot_has_an_old_position(self, redis: Own) -> None:
        table = await filled(redis)
        with redis.admin as admin:
            admin.save()
        await table.apply(b"T:2", write(a=b"2"))
        redis.restart()
        await table.open()
        assert await table.position() == b"T:1"
        assert await table.load([b"a"], b"T:1") == [b"1"]
        await table.close()

    async def test_an_append_only_file_keeps_position_and_data_together(self, redis: Own) -> None:
        table = await filled(redis)
        with redis.admin as admin:
            admin.config_set("appendfsync", "always")
        await table.apply(b"T:2", TableWrite({b"a": b"2"}, {b"a": 5}))
        redis.restart()
        await table.open()
        assert await table.load([b"a"], b"T:2") == [b"2"]
        assert await table.earliest() == 5
        await table.close()


class TestUrl:
    async def test_user_password_and_database(self, redis: Own) -> None:
        with redis.admin as admin:
            admin.acl_setuser("lane", enabled=True, passwords="+se:cr/et", keys=["*"], commands=["+@all"])
            table = redis.table(f"redis://lane:se%3Acr%2Fet@127.0.0.1:{redis.server.port}/7")
            await table.open()
            await table.position()
            await table.apply(b"T:1", write(a=b"1"))
            assert not admin.exists("journey:{3}")
            admin.select(7)
            assert [client["name"] for client in admin.client_list() if client["user"] == "lane"] == ["journey-3"]
        with Redis(port=redis.server.port, db=7, decode_responses=True) as seventh:
            assert seventh.hgetall("journey:{3}") == {"@pos": "T:1", "a": "1"}
        await table.close()

    async def test_a_wrong_password_is_named(self, redis: Own) -> None:
        table = redis.table(f"redis://lane:wrong@127.0.0.1:{redis.server.port}/0")
        with pytest.raises(TableDoubt, match="WRONGPASS"):
            await table.open()

    @pytest.mark.parametrize(
        "url", ["localhost:6379", "http://x", "redis://user:pa/ss@host:1/0", "redis://host:port/0", "redis://host?no=1"]
    )
    def test_a_url_that_cannot_be_read_is_a_users_mistake(self, url: str) -> None:
        with pytest.raises(UserError, match="redis_url") as raised:
            RedisTable("journey", 3, url, 1)
        assert raised.value.exit_code == 2
        assert "pa" not in str(raised.value).replace("password", "").replace("path", "")

    async def test_tls(self, redis: Own, tmp_path: Path) -> None:
        """Through a proxy that ends TLS: the embedded server does not speak it."""
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        command = (
            f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=redis "
            f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
        )
        process = await asyncio.create_subprocess_exec(*command.split(), stderr=subprocess.DEVNULL)
        assert await process.wait() == 0
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        async with _proxy(redis.server.port, context) as port:
            table = redis.table(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
            await table.open()
            await table.position()
            values = {b"c:%d" % n: os.urandom(300) for n in range(5000)}
            await table.apply(b"T:1", TableWrite(values, {}))
            assert await table.load(list(values), b"T:1") == list(values.values())
            await table.close()
            with pytest.raises(TableDoubt, match="certificate verify failed"):
                await redis.table(f"rediss://127.0.0.1:{port}/0").open()


@contextlib.asynccontextmanager
async def _proxy(target: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


class TestCheck:
    async def test_a_good_server_has_no_problem(self, redis: Own) -> None:
        problems = await check("journey", redis.url, 5)
        assert problems == []
        refuse(problems)
        with redis.admin as admin:
            assert admin.dbsize() == 0

    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
    async def test_eviction_is_refused(self, redis: Own, policy: str) -> None:
        with redis.admin as admin:
            admin.config_set("maxmemory-policy", policy)
        problems = await check("journey", redis.url, 5)
        with pytest.raises(UserError, match=f"{policy}.*noeviction") as raised:
            refuse(problems)
        assert raised.value.exit_code == 2

    async def test_a_policy_that_cannot_be_known_is_a_warning(self, redis: Own) -> None:
        with redis.admin as admin:
            admin.acl_setuser("lane", enabled=True, passwords="+s", keys=["*"], commands=["+@all", "-info", "-config"])
        (problem,) = await check("journey", f"redis://lane:s@127.0.0.1:{redis.server.port}/0", 5)
        assert not problem.fatal
        assert "maxmemory-policy" in problem.what

    @pytest.mark.parametrize("forbidden", ["multi", "watch", "hset", "rename", "zadd", "unlink", "smembers", "discard"])
    async def test_a_missing_right_is_refused_and_nothing_written(self, redis: Own, forbidden: str) -> None:
        with redis.admin as admin:
            admin.acl_setuser("lane", enabled=True, passwords="+s", keys=["*"], commands=["+@all", f"-{forbidden}"])
            (problem,) = await check("journey", f"redis://lane:s@127.0.0.1:{redis.server.port}/0", 5)
            assert problem.fatal
            assert "NOPERM" in problem.what
            assert admin.dbsize() == 0

    @pytest.mark.parametrize("login", ["", "lane:wrong@", "nobody:s@"])
    async def test_a_wrong_login_is_refused(self, redis: Own, login: str) -> None:
        with redis.admin as admin:
            admin.acl_setuser("lane", enabled=True, passwords="+s", keys=["*"], commands=["+@all"])
            admin.acl_setuser("default", enabled=True, reset_passwords=True, passwords="+other")
            (problem,) = await check("journey", f"redis://{login}127.0.0.1:{redis.server.port}/0", 5)
            assert problem.fatal
            assert "password" in problem.mend

    async def test_a_database_that_is_not_there_is_refused(self, redis: Own) -> None:
        (problem,) = await check("journey", f"redis://127.0.0.1:{redis.server.port}/999", 5)
        assert problem.fatal
        assert "database" in problem.mend

    @pytest.mark.parametrize("redis", [{"appendonly": "no"}], indirect=True)
    async def test_what_only_costs_time_is_a_warning(self, redis: Own) -> None:
        with redis.admin as admin:
            admin.replicaof("127.0.0.1", "1")
        problems = await check("journey", redis.url, 5)
        assert [problem.fatal for problem in problems] == [False, False, False]
        text = "\n".join(map(str, problems))
        assert "replica" in text
        assert "append-only" in text
        assert "READONLY" in text

    async def test_a_full_server_is_a_warning(self, redis: Own) -> None:
        with redis.admin as admin:
            admin.config_set("maxmemory", 1)
        (problem,) = await check("journey", redis.url, 5)
        assert not problem.fatal
        assert "OOM" in problem.what

    async def test_a_server_that_is_away_is_a_doubt(self) -> None:
        with pytest.raises(TableDoubt):
            await check("journey", f"redis://127.0.0.1:{free_port()}/0", 1)

    async def test_a_worker_waits_for_a_server_that_is_away(self, redis: Own) -> None:
        redis.server.kill()
        waiting = asyncio.create_task(ensure_fit(Settings(redis_url=redis.url)))
        with structlog.testing.capture_logs() as logs:
            await until(lambda: any(entry["event"] == "redis.away" for entry in logs))
            await asyncio.to_thread(redis.start)
            await waiting

    async def test_a_worker_refuses_a_server_that_evicts(self, redis: Own) -> None:
        with redis.admin as admin:
            admin.config_set("maxmemory-policy", "allkeys-lfu")
        with pytest.raises(UserError, match="noeviction"):
            await ensure_fit(Settings(redis_url=redis.url))


class TestReader:
    async def test_reads_what_a_lane_wrote(self, redis: Own) -> None:
        table = redis.table()
        await table.open()
        await table.position()
        profiles = {b"c:%d" % n: b"profile %d" % n for n in range(2500)}
        await table.apply(b"T:1", TableWrite({**profiles, b"@lane": b'{"v":1}'}, {b"c:7": 1234}))
        with TableReader("journey", redis.url) as reader:
            assert reader.lane_record(3) == (b"T:1", b'{"v":1}')
            assert reader.profile(3, b"c:7") == (b"T:1", b"profile 7")
            assert reader.profile(3, b"c:none") == (b"T:1", None)
            assert reader.profile(4, b"c:7") == (None, None)
            assert reader.profiles(3, [b"c:2", b"c:1"]) == (b"T:1", [b"profile 2", b"profile 1"])
            assert (reader.next_look(3, b"c:7"), reader.next_look(3, b"c:8")) == (1234, None)
            assert (reader.size(3), reader.size(4)) == (2500, 0)
            assert dict(reader.scan(3)) == profiles
        await table.close()

    def test_a_server_that_is_away_is_told_plainly(self) -> None:
        with TableReader("journey", f"redis://127.0.0.1:{free_port()}/0", timeout=1) as reader:
            with pytest.raises(UserError, match="redis_url") as raised:
                reader.lane_record(3)
            assert raised.value.exit_code == 1
            with pytest.raises(UserError):
                list(reader.scan(3))
