"""A Redis in memory and ports.Table on it, with the same promises as the real one (tests/contract/test_table.py).

    server = FakeRedis()
    table = FakeTable(server, "journey", lane=3)

Everything happens at once, between two awaits of `server.step`: a simulation puts its own coroutine there and flushes,
restores or drops connections in it, or asks for one fault by `server.fail_next`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar
from zlib import crc32

from pipeline.application.ports import TableDoubt, TableWrite

Operation = Literal["open", "position", "load", "apply", "due", "earliest", "scan", "fill", "rename"]
Moment = Literal["sent", "answered"]
Fault = Literal["lost", "unanswered", "late", "doubled", "forgotten"]
"""What a client sees as a doubt: the call never arrived; it was done and its answer was lost; it arrives later, at
`FakeRedis.deliver_late`, and is done then if its watch still holds. One that is doubled is done, and arrives again;
one that is forgotten is done, and then the server loses all that it has."""

Answer = TypeVar("Answer")

POSITION = b"@pos"


@dataclass
class Stored:
    """A lane's hash and its index of timers, or those of a rebuild."""

    fields: dict[bytes, bytes] = field(default_factory=dict)
    due: dict[bytes, int] = field(default_factory=dict)

    def write(self, write: TableWrite) -> tuple[int, int]:
        """How many fields, and entries of the index, there are more now."""
        before = len(self.fields), len(self.due)
        for key, value in write.fields.items():
            if value is None:
                self.fields.pop(key, None)
            else:
                self.fields[key] = value
        for key, score in write.due.items():
            if score is None:
                self.due.pop(key, None)
            else:
                self.due[key] = score
        return len(self.fields) - before[0], len(self.due) - before[1]


@dataclass
class Connection:
    """What the server knows of a client. `seen` is the version that each watched key had."""

    alive: bool = True
    seen: dict[str, int] = field(default_factory=dict)


async def _at_once(operation: Operation, moment: Moment) -> None:
    await asyncio.sleep(0)


class FakeRedis:
    """One server. `tables` is its data by key; `step` is awaited before and after whatever a table does."""

    def __init__(self) -> None:
        self.tables: dict[str, Stored] = {}
        self.step: Callable[[Operation, Moment], Awaitable[None]] = _at_once
        self.refusal: str | None = None
        self._versions: Counter[str] = Counter()
        self._connections: list[Connection] = []
        self._faults: list[tuple[Operation, Fault]] = []
        self._late: list[Callable[[], object]] = []

    def flush(self) -> None:
        """FLUSHALL: everything is gone, connections and their watches stay."""
        for key in self.tables:
            self.touch(key)
        self.tables.clear()

    def snapshot(self) -> dict[str, Stored]:
        """What a restart would find, for `restore`."""
        return deepcopy(self.tables)

    def restore(self, snapshot: dict[str, Stored]) -> None:
        """Restarts on an older file; every connection is lost."""
        self.drop_connections()
        self._late.clear()
        self.tables = deepcopy(snapshot)

    def drop_connections(self) -> None:
        for connection in self._connections:
            connection.alive = False
        self._connections.clear()

    def refuse(self, word: str | None) -> None:
        """Answers everything with this error, `OOM command not allowed`, say; None ends it."""
        self.refusal = word

    def fail_next(self, operation: Operation, fault: Fault) -> None:
        """The next such operation ends as a doubt, several ones in turn.

        Only `apply`, `fill` and `rename` can be late, and only `apply` doubled.
        """
        self._faults.append((operation, fault))

    def deliver_late(self) -> None:
        """What `late` calls were sent arrives now."""
        late, self._late = self._late, []
        for act in late:
            with suppress(TableDoubt):
                act()

    def connect(self) -> Connection:
        connection = Connection()
        self._connections.append(connection)
        return connection

    def version(self, key: str) -> int:
        return self._versions[key]

    def touch(self, key: str) -> None:
        """Breaks every watch of the key."""
        self._versions[key] += 1

    def fault_of(self, operation: Operation) -> Fault | None:
        for at, (name, fault) in enumerate(self._faults):
            if name == operation:
                del self._faults[at]
                return fault
        return None

    def later(self, act: Callable[[], object]) -> None:
        self._late.append(act)


class FakeTable:
    """ports.Table of one lane on a FakeRedis."""

    def __init__(self, server: FakeRedis, application: str, lane: int) -> None:
        self._server = server
        self._key = f"{application}:{{{lane}}}"
        self._connection = Connection(alive=False)
        self._turn = asyncio.Lock()
        self._guarded = False
        self._position = b""

    async def open(self) -> None:
        await self.close()
        async with self._turn:
            self._connection = self._server.connect()
            await self._do("open", lambda: self._remove(self._attempts()))

    async def close(self) -> None:
        self._guarded = False
        self._connection.alive = False

    async def position(self) -> bytes | None:
        async with self._turn:
            self._guarded = False
            connection = self._connection
            found = await self._do("position", lambda: self._watch(connection))
            self._guarded, self._position = True, found or b""
            return found

    async def load(self, fields: Sequence[bytes], position: bytes) -> list[bytes | None]:
        if not fields and self._guarded and self._position == position:
            return []

        def read() -> tuple[bytes | None, list[bytes | None]]:
            stored = self._stored(self._key)
            return self._watch(connection), [stored.fields.get(name) for name in fields]

        async with self._turn:
            self._guarded = False
            connection = self._connection
            found, values = await self._do("load", read)
            self._expect(position, found)
            self._guarded, self._position = True, position
            return values

    async def apply(self, position: bytes, write: TableWrite) -> None:
        def put() -> None:
            stored = self._server.tables.setdefault(self._key, Stored())
            stored.write(TableWrite({**write.fields, POSITION: position}, write.due))

        async with self._turn:
            self._need_guard()
            self._guarded = False
            connection = self._connection
            twin = replace(connection, seen=dict(connection.seen))
            await self._do("apply", lambda: self._execute(connection, put), lambda: self._execute(twin, put))
            self._guarded, self._position = True, position

    async def due(self, until: int, limit: int) -> list[tuple[bytes, int]]:
        index = await self._index("due")
        return sorted(((name, at) for name, at in index if at <= until), key=lambda entry: (entry[1], entry[0]))[:limit]

    async def earliest(self) -> int | None:
        return min((at for _, at in await self._index("earliest")), default=None)

    async def scan(self, cursor: int, limit: int) -> tuple[int, list[bytes]]:
        """In the order of a checksum, which no field that comes or goes changes for the others."""

        def read() -> tuple[bytes | None, list[tuple[int, bytes]]]:
            stored = self._stored(self._key)
            return stored.fields.get(POSITION), sorted((crc32(field) + 1, field) for field in stored.fields)

        async with self._turn:
            self._need_guard()
            found, fields = await self._do("scan", read)
            self._expect(self._position, found)
            rest = [(place, field) for place, field in fields if place > cursor]
            page = rest[:limit]
            page += [each for each in rest[limit:] if each[0] == page[-1][0]]
            return page[-1][0] if len(page) < len(rest) else 0, [field for _, field in page]

    async def rebuild(
        self, attempt: str, seen: bytes | None, position: bytes, content: AsyncIterator[TableWrite]
    ) -> None:
        if not attempt or attempt == "attempts" or attempt.rpartition(":")[2] == "due":
            raise ValueError(f"{attempt!r} cannot name a rebuild")
        key = f"{self._key}:{attempt}"
        async with self._turn:
            self._guarded = False
            await self._do("open", lambda: self._remove({key, *self._attempts()}))
            try:
                fields, due = 0, 0
                async for write in content:
                    more_fields, more_due = await self._fill(key, write)
                    fields, due = fields + more_fields, due + more_due
                more_fields, _ = await self._fill(key, TableWrite({POSITION: position or None}, {}))
                filled = fields + more_fields, due
                await self._do("rename", lambda: self._put_in_place(key, seen, filled))
            except TableDoubt:
                if self._connection.alive and self._server.refusal is None:
                    self._remove([key])
                raise
            self._guarded, self._position = True, position

    async def _fill(self, key: str, write: TableWrite) -> tuple[int, int]:
        return await self._do("fill", lambda: self._server.tables.setdefault(key, Stored()).write(write))

    def _put_in_place(self, key: str, seen: bytes | None, filled: tuple[int, int]) -> None:
        tables = self._server.tables
        self._expect(seen, self._watch(self._connection))
        stored = self._stored(key)
        if (len(stored.fields), len(stored.due)) != filled:
            raise TableDoubt(
                f"redis: lost data during the rebuild: {len(stored.fields)} of {filled[0]} fields are left"
            )
        tables.pop(self._key, None)
        if stored.fields:
            tables[self._key] = tables.pop(key)
        else:
            self._remove([key])
        self._server.touch(self._key)
        self._watch(self._connection)

    async def _index(self, operation: Literal["due", "earliest"]) -> list[tuple[bytes, int]]:
        def read() -> tuple[bytes | None, list[tuple[bytes, int]]]:
            stored = self._stored(self._key)
            return stored.fields.get(POSITION), list(stored.due.items())

        async with self._turn:
            self._need_guard()
            found, index = await self._do(operation, read)
            self._expect(self._position, found)
            return index

    async def _do(
        self, operation: Operation, act: Callable[[], Answer], again: Callable[[], object] | None = None
    ) -> Answer:
        """One exchange with the server: `act` happens between the two steps, unless a fault has it otherwise.

        `again`: what a second copy of the call would do.
        """
        server, connection = self._server, self._connection
        fault = server.fault_of(operation)
        with _lost_on_error(connection):
            await server.step(operation, "sent")
            if server.refusal:
                raise TableDoubt(f"redis: {server.refusal}", "oom" if server.refusal.startswith("OOM") else "refused")
            if fault == "late":
                server.later(act)
            if fault in {"lost", "late"}:
                raise TableDoubt(f"redis: no answer ({fault})", "timeout")
        answer = act()
        if fault == "forgotten":
            server.flush()
        if fault == "doubled" and again is not None:
            server.later(again)
        with _lost_on_error(connection):
            if fault == "unanswered":
                raise TableDoubt("redis: no answer (unanswered)", "timeout")
            await server.step(operation, "answered")
        return answer

    def _execute(self, connection: Connection, act: Callable[[], None]) -> None:
        """MULTI … EXEC: only if nothing that the connection watches was touched; it watches the table afterwards."""
        seen, connection.seen = connection.seen, {}
        if any(self._server.version(key) != version for key, version in seen.items()):
            raise TableDoubt(f"redis: somebody else wrote {self._key}", "moved")
        act()
        self._server.touch(self._key)
        self._watch(connection)

    def _watch(self, connection: Connection) -> bytes | None:
        connection.seen = {self._key: self._server.version(self._key)}
        return self._stored(self._key).fields.get(POSITION)

    def _stored(self, key: str) -> Stored:
        return self._server.tables.get(key) or Stored()

    def _attempts(self) -> set[str]:
        return {key for key in self._server.tables if key.startswith(f"{self._key}:")}

    def _remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._server.tables.pop(key, None)

    def _need_guard(self) -> None:
        if not self._guarded:
            raise TableDoubt(f"redis: {self._key} is not watched; its position must be read first", "moved")

    def _expect(self, position: bytes | None, found: bytes | None) -> None:
        if (found or b"") != (position or b""):
            self._guarded = False
            raise TableDoubt(f"redis: {self._key} is at {found!r}, not at {position!r}", "moved" if found else "lost")


@contextmanager
def _lost_on_error(connection: Connection) -> Iterator[None]:
    """Raises TableDoubt if the connection is lost before or meanwhile; whatever goes wrong, it is lost."""
    try:
        if not connection.alive:
            raise TableDoubt("redis: the connection is not open, or was lost")
        yield
        if not connection.alive:
            raise TableDoubt("redis: the connection was lost")
    except BaseException:
        connection.alive = False
        raise
