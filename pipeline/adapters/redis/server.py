"""A Redis as it is asked about itself: a connection a question, and what no waiting would mend told apart."""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.adapters.redis.connection import Command, OneLifeConnection
from pipeline.application.ports import TableDoubt

_FOR_GOOD = re.compile(r"NOAUTH|WRONGPASS|NOPERM|\bAUTH\b|DB index|unknown command")
"""Answers that no waiting mends, unlike LOADING or OOM."""


class Refusal(Exception):
    """Redis will not do that, however often it is asked."""


class Server:
    """Asks one question a connection, since an error ends it."""

    def __init__(self, url: str, name: str, timeout: float) -> None:
        self._url, self._name, self._timeout = url, name, timeout

    async def ask(self, *commands: Command, then: Sequence[Command] = ()) -> list[Any]:
        """The replies to `commands`; `then` is sent when they are all there."""
        connection = OneLifeConnection(self._url, self._name, self._timeout)
        try:
            await connection.open()
            replies = await connection.call(*commands)
            if then:
                await connection.call(*then)
        except TableDoubt as doubt:
            if _FOR_GOOD.search(str(doubt)):
                raise Refusal(str(doubt).removeprefix("redis: ")) from doubt
            raise
        finally:
            connection.close()
        return replies

    async def info(self) -> dict[str, str]:
        """INFO by name; empty if it is forbidden."""
        try:
            (text,) = await self.ask((b"INFO",))
        except Refusal:
            return {}
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)

    async def setting(self, name: str) -> str | None:
        """A setting by CONFIG GET; None if that is forbidden, or there is none."""
        try:
            (pair,) = await self.ask((b"CONFIG", b"GET", name))
        except Refusal:
            return None
        return pair[1].decode() if pair else None
