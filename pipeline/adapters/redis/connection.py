"""A connection to Redis that lives once: lost means lost.

WATCH dies with its connection. redis-py connects again by itself and would send the next MULTI/EXEC without the guard,
over what a newer owner wrote. Here redis-py does the URL, TLS, AUTH and SELECT, and is kept from ever connecting twice.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final

import hiredis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from pipeline.application.ports import Failure, TableDoubt
from pipeline.errors import UserError

SPOKEN: Final[tuple[Failure, ...]] = ("oom", "readonly", "loading")
"""Words that an answer of Redis begins with and that say what to do."""

Command = tuple[bytes | str | int, ...]

READ_SIZE = 1 << 20
"""Bytes taken from the socket at once; a batch's HMGET answers with some megabytes."""

PACKED_LIMIT = 1 << 16
"""Bytes from which a packed command is written as a piece of its own instead of being joined with its neighbours."""


class _OneLife(AbstractConnection):
    """redis-py's connection, which refuses a second connect and never flushes what a failed call left unsent."""

    _spent = False

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        if self.is_connected:
            return
        if self._spent:
            raise TableDoubt("redis: the connection was lost")
        self._spent = True
        await super().connect_check_health(check_health=check_health, retry_socket_connect=False)

    async def disconnect(self, *_: Any, **__: Any) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Drops the socket at once: bytes of a call that failed must not reach the server later."""
        self._parser.on_disconnect()  # type: ignore[no-untyped-call]  # redis-py types its API only in part
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.transport.abort()


class _Tcp(_OneLife, Connection):
    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "limit": READ_SIZE}


class _Tls(_OneLife, SSLConnection):
    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "limit": READ_SIZE}


class _Unix(_OneLife, UnixDomainSocketConnection):
    pass


_CLASSES: dict[type[AbstractConnection], type[_OneLife]] = {SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}

_OURS = {
    "protocol": 2,  # RESP2: nothing is pushed between two replies
    "health_check_interval": 0,
    "retry_on_timeout": False,
    "socket_timeout": None,  # every call as a whole has its own limit
    "socket_connect_timeout": None,
    "socket_read_size": READ_SIZE,
}


def _connection(url: str, name: str) -> _OneLife:
    """The connection that `url` describes, not yet connected; UserError if redis-py cannot read the URL."""
    try:
        options: dict[str, Any] = dict(parse_url(url))
        kind = _CLASSES.get(options.pop("connection_class", Connection), _Tcp)
        options.pop("max_connections", None)
        return kind(**{**options, **_OURS, "client_name": name})
    except TypeError as error:
        raise UserError(f"redis_url has an option that redis-py does not know: {error}") from None
    except (ValueError, RedisError):  # its text may hold a part of the password
        raise UserError(
            "redis_url cannot be read. Expected redis://[user:password@]host:port/database, rediss://… for TLS, or "
            "unix:///path; special characters in a password are percent-encoded"
        ) from None


def _doubt(error: BaseException) -> TableDoubt:
    """The error as a doubt, in the server's own words where it spoke (`OOM …`, `READONLY …`)."""
    word = getattr(error, "status_code", None)
    text = str(error) or type(error).__name__
    said = f"{word} {text}" if word and not text.startswith(word) else text
    return TableDoubt(f"redis: {said}", failure_of(error, said))


def failure_of(error: BaseException, said: str) -> Failure:
    """What kind of failure an error is; `said`: its text, which begins with the server's own word if it spoke."""
    for word in SPOKEN:
        if said.startswith(word.upper()):
            return word
    return "refused" if isinstance(error, ResponseError | AuthenticationError) else "away"


class OneLifeConnection:
    """One connection, from `open` to the first error, time-out or cancellation; then every call is a TableDoubt.

    `name` shows up in CLIENT LIST. A call has `step_timeout` seconds; only one may run at a time.
    """

    def __init__(self, url: str, name: str, step_timeout: float) -> None:
        self._connection = _connection(url, name)
        self._step_timeout = step_timeout

    @property
    def alive(self) -> bool:
        """Whether nothing has gone wrong so far; the server may be gone all the same."""
        return bool(self._connection.is_connected)

    async def open(self) -> None:
        """Connects, authenticates and selects the database; once."""
        await self._bounded(self._connection.connect_check_health(check_health=False))

    async def call(self, *commands: Command) -> list[Any]:
        """Sends the commands in one write and returns their replies, undecoded; TableDoubt on the first error reply."""
        if not self.alive:
            raise TableDoubt("redis: the connection is not open, or was lost")
        replies: list[Any] = await self._bounded(self._exchange(_packed(commands), len(commands)))
        return replies

    def close(self) -> None:
        """Drops the connection; the server ends its WATCH."""
        self._connection.abandon()

    async def _exchange(self, packed: Sequence[bytes], replies: int) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command(packed, check_health=False)
        return [await connection.read_response(disable_decoding=True) for _ in range(replies)]

    async def _bounded(self, step: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._step_timeout):
                return await step
        except TimeoutError as error:
            self.close()
            raise TableDoubt(f"redis: no answer within {self._step_timeout:g} s", "timeout") from error
        except (RedisError, OSError) as error:
            self.close()
            raise _doubt(error) from error
        except BaseException:
            self.close()
            raise


def _packed(commands: Sequence[Command]) -> list[bytes]:
    """The commands as RESP, small ones joined, so that a call is few pieces and large ones are not copied again."""
    pieces: list[bytes] = []
    small: list[bytes] = []
    for command in commands:
        packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub allows a tuple of one
        if len(packed) < PACKED_LIMIT:
            small.append(packed)
            continue
        if small:
            pieces.append(b"".join(small))
            small = []
        pieces.append(packed)
    if small:
        pieces.append(b"".join(small))
    return pieces
