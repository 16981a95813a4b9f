"""This machine's clock against those of the brokers and of Redis.

A broker's clock shows in what it appends. Nothing is sent to find out: a worker reports each tick, and the moment when
such a record gets here is that of its append time, but for the way.
"""

import time
from typing import Final

from pipeline.adapters.doctor.finding import Finding, Severity, not_checked
from pipeline.adapters.kafka.feed_reader import FeedReader
from pipeline.adapters.redis.server import Refusal, Server
from pipeline.config import Settings

TOLERATED_MS: Final = 1_000
"""A live clock's timers are as exact as the brokers agree."""
BAD_MS: Final = 60_000
_TICKS: Final = 5
"""So many ticks long a report is waited for."""


async def look_at_redis(settings: Settings) -> list[Finding]:
    """TableDoubt if it does not answer."""
    server = Server(settings.redis_url, f"{settings.application}-doctor", settings.step_timeout_s)
    asked = _now()
    try:
        ((seconds, micros),) = await server.ask((b"TIME",))
    except Refusal as refused:
        return [not_checked("redis clock", f"TIME is forbidden to us ({refused})")]
    answered = _now()
    theirs = int(seconds) * 1000 + int(micros) // 1000
    # Anything between question and answer is no difference.
    return [_judged("redis clock", theirs - min(max(theirs, asked), answered))]


async def look_at_brokers(settings: Settings) -> list[Finding]:
    """UserError if Kafka does not answer."""
    async with FeedReader(settings.brokers, [settings.topic("journey.progress")]) as reader:
        records = await reader.read(max(1.0, _TICKS * settings.tick_s))
        if records:
            return [_judged("kafka clock", records[-1].timestamp - _now())]
    return [not_checked("kafka clock", "no worker reported just now, so nothing fresh has the brokers' time")]


def _judged(about: str, ahead_ms: int) -> Finding:
    off = abs(ahead_ms)
    if off < TOLERATED_MS:
        return Finding(about, "ok", f"at most {max(off, 1)} ms off this machine's")
    severity: Severity = "error" if off >= BAD_MS else "warning"
    which = "ahead of" if ahead_ms > 0 else "behind"
    mend = "have all machines follow one NTP server (`chronyc tracking`, `timedatectl`)"
    return Finding(about, severity, f"{off / 1000:.1f} s {which} this machine's", mend)


def _now() -> int:
    return time.time_ns() // 1_000_000
