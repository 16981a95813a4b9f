"""The Redis: what a worker checks at its start, and how much room is left in it."""

from collections.abc import Iterator, Mapping
from typing import Final

from pipeline.adapters.doctor.finding import Finding, not_checked
from pipeline.adapters.redis.check import About, check
from pipeline.adapters.redis.server import Server
from pipeline.config import Settings

FULL: Final = (0.8, 0.95)
"""Shares of its memory from which on a Redis is a warning, and an error."""


async def look(settings: Settings) -> list[Finding]:
    """TableDoubt if Redis does not answer."""
    problems = await check(settings.application, settings.redis_url, settings.step_timeout_s)
    found = [
        Finding(f"redis {each.about}", "error" if each.fatal else "warning", each.what, each.mend) for each in problems
    ]
    if any(each.about == "access" for each in problems):
        return found
    info = await Server(settings.redis_url, f"{settings.application}-doctor", settings.step_timeout_s).info()
    if not info:
        return [*found, not_checked("redis memory", "INFO is forbidden to us")]
    troubled = {each.about for each in problems}
    found += [Finding(f"redis {about}", "ok", what) for about, what in _fine(info).items() if about not in troubled]
    return [*found, _memory(info), *_written(info)]


def _fine(info: Mapping[str, str]) -> dict[About, str]:
    """What is said of each thing that no problem was found with."""
    kind = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "")
    return {
        "policy": "maxmemory-policy is noeviction",
        "version": f"{kind} {version}",
        "role": "a primary, without cluster mode",
        "persistence": "an append-only file is kept",
        "rights": "everything that a table needs is allowed",
    }


def _memory(info: Mapping[str, str]) -> Finding:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    room = limit or int(info.get("total_system_memory", 0))
    if not room:
        return not_checked("redis memory", "Redis says neither maxmemory nor what its machine has")
    share = used / room
    of = f"of {_mb(room)} ({'maxmemory' if limit else 'its machine has; no maxmemory is set'})"
    warning, error = FULL
    return Finding(
        "redis memory",
        "error" if share >= error else "warning" if share >= warning else "ok",
        f"{_mb(used)} used {of}, {_mb(max(0, room - used))} left",
        "give it more memory: when it is full, lanes stand still until it takes writes again"
        if share >= warning
        else "",
    )


def _written(info: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the last attempts to write to its disk went well."""
    for name, what in (
        ("aof_last_write_status", "the last write to the append-only file"),
        ("aof_last_bgrewrite_status", "the last rewriting of the append-only file"),
        ("rdb_last_bgsave_status", "the last snapshot"),
    ):
        if info.get(name, "ok") != "ok":
            yield Finding("redis persistence", "error", f"{what} failed", "look at Redis' log, and at its disk")


def _mb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 10_000_000_000 else f"{size / 1e6:,.0f} MB"
