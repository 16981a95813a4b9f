"""Whether a Redis can hold the tables: asked at start, before a lane relies on it."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from pipeline.adapters.redis.commands import POSITION, Keys
from pipeline.adapters.redis.connection import Command
from pipeline.adapters.redis.server import Refusal, Server
from pipeline.application.ports import TableDoubt
from pipeline.config import Settings
from pipeline.errors import UserError

log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 2.0

OLDEST = (6, 2)
"""From here on WATCH sees FLUSHALL and expiry in every case, and ZRANGE takes BYSCORE."""

About = Literal["access", "policy", "version", "role", "persistence", "rights"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and how to mend it. With a `fatal` one tables would be lost or never written: do not start."""

    about: About
    fatal: bool
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


async def check(application: str, url: str, timeout: float) -> list[Problem]:
    """Looks at settings, version, role and rights, changing nothing; TableDoubt if Redis does not answer.

    INFO and CONFIG may be forbidden: what cannot be known is a problem that is not fatal. `timeout` in seconds
    bounds each question.
    """
    server = Server(url, f"{application}-check", timeout)
    try:
        await server.ask((b"UNWATCH",))
        info = await server.info()
        policy = info.get("maxmemory_policy") or await server.setting("maxmemory-policy")
    except Refusal as refused:
        return [
            Problem("access", True, f"Redis refuses us ({refused})", "mend user, password or database in redis_url")
        ]
    return [
        *_memory(policy),
        *_version(info),
        *_role(info),
        *_persistence(info),
        *await _rights(server, Keys.of(application, 0)),
    ]


def refuse(problems: Sequence[Problem]) -> None:
    """Raises UserError that names every fatal problem, if there is one."""
    if fatal := [str(problem) for problem in problems if problem.fatal]:
        raise UserError("\n".join(fatal))


async def ensure_fit(settings: Settings) -> None:
    """Waits until Redis answers, logs what it lacks; UserError if it cannot hold tables."""
    problems = await _once_it_answers(settings)
    refuse(problems)
    for problem in problems:
        log.warning("redis.check", redis=settings.redis_shown, why=problem.what, mend=problem.mend)


async def _once_it_answers(settings: Settings) -> list[Problem]:
    wait = 0.1
    while True:
        try:
            return await check(settings.application, settings.redis_url, settings.step_timeout_s)
        except TableDoubt as doubt:
            log.warning("redis.away", redis=settings.redis_shown, why=str(doubt), wait=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)


def _memory(policy: str | None) -> Iterator[Problem]:
    if policy is None:
        yield Problem(
            "policy",
            False,
            "Redis does not say its maxmemory-policy",
            "make sure that it is noeviction: anything else forgets",
        )
    elif policy != "noeviction":
        yield Problem(
            "policy",
            True,
            f"Redis evicts ({policy}): it would forget customers, or whole lanes, when it is full",
            "set maxmemory-policy to noeviction",
        )


def _version(info: Mapping[str, str]) -> Iterator[Problem]:
    version = info.get("redis_version", "")
    if version and tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        yield Problem("version", True, f"Redis {version} is too old", "use Redis 6.2 or later, or Valkey")


def _role(info: Mapping[str, str]) -> Iterator[Problem]:
    if info.get("role") == "slave":
        yield Problem("role", False, "this Redis is a replica and takes no writes", "point redis_url at the primary")
    if info.get("cluster_enabled") == "1":
        yield Problem(
            "role",
            False,
            "this Redis is a node of a cluster: lanes whose slots are elsewhere would wait for ever",
            "use a Redis without cluster mode, or a cluster of one primary",
        )


def _persistence(info: Mapping[str, str]) -> Iterator[Problem]:
    if info.get("aof_enabled") == "0":
        yield Problem(
            "persistence",
            False,
            "this Redis keeps no append-only file: after a restart it is empty or old, and every lane rebuilds",
            "set appendonly to yes if a rebuild takes longer than you can wait",
        )


async def _rights(server: "Server", keys: Keys) -> list[Problem]:
    """Queues every kind of write and discards them: the server judges a command when it is queued."""
    filled = keys.attempt("check")
    reads: list[Command] = [
        (b"UNWATCH",),
        (b"WATCH", keys.table, filled.table, filled.due),
        (b"HGET", keys.table, POSITION),
        (b"HMGET", keys.table, POSITION),
        (b"HLEN", filled.table),
        (b"ZCARD", filled.due),
        (b"ZRANGE", keys.due, b"-inf", 0, b"BYSCORE", b"LIMIT", 0, 1, b"WITHSCORES"),
        (b"SMEMBERS", keys.attempts),
    ]
    writes: list[Command] = [
        (b"HSET", filled.table, POSITION, b"check"),
        (b"HDEL", filled.table, POSITION),
        (b"ZADD", filled.due, 0, b"check"),
        (b"ZREM", filled.due, b"check"),
        (b"SADD", keys.attempts, b"check"),
        (b"SREM", keys.attempts, b"check"),
        (b"UNLINK", filled.table, filled.due),
        (b"RENAME", filled.table, keys.table),
    ]
    try:
        # MULTI alone first: if it is refused, what follows it would be done and not queued.
        await server.ask(*reads, (b"MULTI",), then=[*writes, (b"DISCARD",), (b"MULTI",), (b"EXEC",)])
    except Refusal as refused:
        mend = (
            "allow its user all commands of hashes, sets, sorted sets and transactions, UNLINK and RENAME on the keys"
        )
        return [
            Problem(
                "rights", True, f"Redis forbids what a table needs ({refused})", f"{mend} {keys.table.decode()[:-3]}*"
            )
        ]
    except TableDoubt as doubt:
        return [Problem("rights", False, f"Redis takes no writes now ({doubt})", "lanes wait until it does")]
    return []
