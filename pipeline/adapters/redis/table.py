"""A lane's table in Redis: one hash, the index of its timers beside it, and compare-and-set on `@pos`.

The guard is WATCH, kept up from the first `position` or `load` on: `apply` watches again in the write that ends the
former watch, and reads `@pos` back. Nothing is ever written that is not under it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, suppress

from redis.exceptions import RedisError

from pipeline.adapters.redis.commands import FIELDS_A_COMMAND, POSITION, Keys, write_commands
from pipeline.adapters.redis.connection import Command, OneLifeConnection, failure_of
from pipeline.application import failpoints
from pipeline.application.failpoints import Failpoint
from pipeline.application.ports import TableDoubt, TableWrite

_SCORES = b"WITHSCORES"

FILL_FIELDS = 4000
"""Fields a rebuild gathers before it sends them: fewer round trips, and still a short step for Redis."""


class RedisTable:
    """Implements ports.Table for lane `lane` of `application`; `step_timeout` in seconds bounds every call to Redis.

    Calls wait for each other. After a TableDoubt read `position` again, or `open` again if that is a doubt too. The
    empty position b"" stands for a table that holds nothing.
    """

    def __init__(self, application: str, lane: int, url: str, step_timeout: float) -> None:
        self._keys = Keys.of(application, lane)
        self._label = f"table of lane {lane}"
        self._client_name = f"{application}-{lane}"
        self._url = url
        self._step_timeout = step_timeout
        self._connection = self._new_connection()
        self._turn = asyncio.Lock()
        self._guarded = False
        self._position = b""

    async def open(self) -> None:
        """Connects anew and removes what earlier rebuilds left half-filled."""
        await self.close()
        async with self._turn:
            self._connection = self._new_connection()
            await self._connection.open()
            await self._remove_attempts(await self._known_attempts())

    async def close(self) -> None:
        """Drops the connection at once; a call in flight ends as a TableDoubt."""
        self._guarded = False
        self._connection.close()

    async def position(self) -> bytes | None:
        """The `@pos` that Redis has, if any; the table is watched from here on."""
        async with self._turn:
            self._guarded = False
            found: bytes | None
            *_, found = await self._connection.call(*self._new_watch(), (b"HGET", self._keys.table, POSITION))
            self._guarded, self._position = True, found or b""
            return found

    async def load(self, fields: Sequence[bytes], position: bytes) -> list[bytes | None]:
        """The fields' values, each HMGET with the `@pos` it was read at; TableDoubt if one is not `position`.

        For no fields at all the watch that is kept up since the table was at `position` is as good as another look.
        """
        if not fields and self._guarded and self._position == position:
            return []
        table = self._keys.table
        chunks = range(0, len(fields), FIELDS_A_COMMAND) or (0,)
        reads: list[Command] = [(b"HMGET", table, POSITION, *fields[at : at + FIELDS_A_COMMAND]) for at in chunks]
        async with self._turn:
            self._guarded = False
            _, _, *replies = await self._connection.call(*self._new_watch(), *reads)
            values: list[bytes | None] = []
            for found, *some in replies:
                self._expect(position, found)
                values += some
            self._guarded, self._position = True, position
            return values

    async def apply(self, position: bytes, write: TableWrite) -> None:
        """Writes and moves `@pos` to `position`; TableDoubt if anybody touched the table since it was last read."""
        commands = write_commands(self._keys, write)
        commands.append((b"HSET", self._keys.table, POSITION, position))
        async with self._turn:
            self._need_guard()
            await self._commit(position, commands)

    async def due(self, until: int, limit: int) -> list[tuple[bytes, int]]:
        """At most `limit` (field, score in ms) with score <= `until`, lowest first."""
        return await self._index((b"ZRANGE", self._keys.due, b"-inf", until, b"BYSCORE", b"LIMIT", 0, limit, _SCORES))

    async def earliest(self) -> int | None:
        """The lowest score in the index, in ms."""
        lowest = await self._index((b"ZRANGE", self._keys.due, 0, 0, _SCORES))
        return lowest[0][1] if lowest else None

    async def scan(self, cursor: int, limit: int) -> tuple[int, list[bytes]]:
        """About `limit` fields from `cursor` on, and the cursor of the next; 0 begins and ends. Some may come twice."""
        table = self._keys.table
        async with self._turn:
            self._need_guard()
            (following, flat), found = await self._connection.call(
                (b"HSCAN", table, cursor, b"COUNT", limit), (b"HGET", table, POSITION)
            )
            self._expect(self._position, found)
            return int(following), list(flat[::2])

    async def rebuild(
        self, attempt: str, seen: bytes | None, position: bytes, content: AsyncIterator[TableWrite]
    ) -> None:
        """Fills keys of its own and renames them into place.

        Only over a table that is still at `seen`, and only if the keys hold what Redis said it added: a loss in
        mid-fill would leave half a table with a right position. Until then the old table stands, so Redis needs room
        for both. TableDoubt otherwise; what was filled is unlinked then, or by the next `open` or `rebuild`. At the
        position b"" there is no content: the table is emptied.
        """
        keys = self._keys.attempt(attempt)
        async with self._turn:
            self._guarded = False
            await self._remove_attempts({attempt, *await self._known_attempts()})
            try:
                fields, due = 0, 0
                async with aclosing(_gathered(content, position)) as pieces:
                    async for write in pieces:
                        more_fields, more_due = await self._fill(attempt, keys, write)
                        fields, due = fields + more_fields, due + more_due
                await self._check_filled(keys, seen, fields, due)
                await failpoints.reached(Failpoint.TAKE_RENAME_BEFORE)
                await self._put_in_place(attempt, keys, position, fields, due)
                await failpoints.reached(Failpoint.TAKE_RENAME_AFTER)
            except TableDoubt:
                with suppress(TableDoubt):
                    await self._remove_attempts({attempt})
                raise

    async def _fill(self, attempt: str, keys: Keys, write: TableWrite) -> tuple[int, int]:
        """How many fields, and entries of the index, Redis says there are more now."""
        commands = write_commands(keys, write)
        # Named in the same write, so that keys filled by a worker that is gone by now can still be found.
        _, *changed = await self._connection.call((b"SADD", keys.attempts, attempt), *commands)
        more: dict[object, int] = {b"HSET": 0, b"HDEL": 0, b"ZADD": 0, b"ZREM": 0}
        for command, count in zip(commands, changed, strict=True):
            more[command[0]] += count
        return more[b"HSET"] - more[b"HDEL"], more[b"ZADD"] - more[b"ZREM"]

    async def _check_filled(self, filled: Keys, seen: bytes | None, fields: int, due: int) -> None:
        """Watches both tables; TableDoubt if the live one moved or the other one is not whole."""
        *_, found, has_fields, has_due = await self._connection.call(
            (b"UNWATCH",),
            (b"WATCH", self._keys.table, filled.table, filled.due),
            (b"HGET", self._keys.table, POSITION),
            (b"HLEN", filled.table),
            (b"ZCARD", filled.due),
        )
        self._expect(seen, found)
        if (has_fields, has_due) != (fields, due):
            raise TableDoubt(
                f"redis: lost data during the rebuild of the {self._label}: "
                f"{has_fields} of {fields} fields and {has_due} of {due} timers are left",
                "lost",
            )

    async def _put_in_place(self, attempt: str, filled: Keys, position: bytes, fields: int, due: int) -> None:
        live = self._keys
        await self._commit(
            position,
            [
                (b"UNLINK", live.table, live.due),  # RENAME alone would free the old table in Redis' main thread
                *([(b"RENAME", filled.table, live.table)] if fields else []),
                *([(b"RENAME", filled.due, live.due)] if due else []),
                (b"SREM", live.attempts, attempt),
            ],
        )

    async def _commit(self, position: bytes, commands: Sequence[Command]) -> None:
        """Runs the commands if nothing watched was touched; watches again and sees that `@pos` is `position`."""
        self._guarded = False
        table = self._keys.table
        *_, done, _, found = await self._connection.call(
            (b"MULTI",), *commands, (b"EXEC",), (b"WATCH", table), (b"HGET", table, POSITION)
        )
        if done is None:
            raise TableDoubt(f"redis: somebody else wrote the {self._label}", "moved")
        for reply in done:
            if isinstance(reply, RedisError):
                raise TableDoubt(f"redis: {reply}", failure_of(reply, str(reply)))
        self._expect(position, found)
        self._guarded, self._position = True, position

    async def _index(self, query: Command) -> list[tuple[bytes, int]]:
        """Reads the index, then `@pos`: an index that was lost with its table must not look like an empty one."""
        async with self._turn:
            self._need_guard()
            flat, found = await self._connection.call(query, (b"HGET", self._keys.table, POSITION))
            self._expect(self._position, found)
            return [(field, int(float(score))) for field, score in zip(flat[::2], flat[1::2], strict=True)]

    async def _known_attempts(self) -> set[str]:
        (names,) = await self._connection.call((b"SMEMBERS", self._keys.attempts))
        return {name.decode() for name in names}

    async def _remove_attempts(self, names: Iterable[str]) -> None:
        """Unlinks their keys: a rebuild that still runs elsewhere finds them short and gives up."""
        for name in names:
            keys = self._keys.attempt(name)
            await self._connection.call((b"UNLINK", keys.table, keys.due), (b"SREM", keys.attempts, name))

    def _new_connection(self) -> OneLifeConnection:
        return OneLifeConnection(self._url, self._client_name, self._step_timeout)

    def _new_watch(self) -> tuple[Command, Command]:
        """Without UNWATCH, what an earlier watch saw would refuse the next EXEC."""
        return (b"UNWATCH",), (b"WATCH", self._keys.table)

    def _need_guard(self) -> None:
        if not self._guarded:
            raise TableDoubt(f"redis: the {self._label} is not watched; its position must be read first", "moved")

    def _expect(self, position: bytes | None, found: bytes | None) -> None:
        if (found or b"") != (position or b""):
            self._guarded = False
            raise TableDoubt(
                f"redis: the {self._label} is at {_shown(found)}, not at {_shown(position)}",
                "moved" if found else "lost",
            )


async def _gathered(content: AsyncIterator[TableWrite], position: bytes) -> AsyncGenerator[TableWrite]:
    """The same changes, the last one of a field winning, in pieces of `FILL_FIELDS` or more; then `@pos`, if any."""
    fields: dict[bytes, bytes | None] = {}
    due: dict[bytes, int | None] = {}
    async for write in content:
        fields.update(write.fields)
        due.update(write.due)
        if len(fields) + len(due) >= FILL_FIELDS:
            yield TableWrite(fields, due)
            fields, due = {}, {}
    yield TableWrite({**fields, POSITION: position or None}, due)


def _shown(position: bytes | None) -> str:
    return position.decode(errors="replace") if position else "no position"
