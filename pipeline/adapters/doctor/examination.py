"""The whole examination: each part bounded in time, and none kept from answering by another."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Final

from pipeline.adapters.doctor import clocks, kafka, lanes, program, redis, topics
from pipeline.adapters.doctor.finding import Finding, not_checked
from pipeline.adapters.kafka.topics import Unreachable
from pipeline.application.ports import KafkaDoubt, TableDoubt
from pipeline.config import Settings
from pipeline.errors import UserError

_TIMES: Final = 3
"""A part takes several steps, each of which may take `step_timeout_s`."""


async def examine(settings: Settings) -> list[Finding]:
    """All findings, in an order that a person reads from the ground up. Raises nothing about the world outside."""
    limit = _TIMES * settings.step_timeout_s
    on_kafka, on_redis = await asyncio.gather(_kafka(settings, limit), _redis(settings, limit))
    found = [*await asyncio.to_thread(program.look, settings), *on_kafka, *on_redis]
    if any(finding.about in ("kafka", "redis") and finding.severity == "error" for finding in found):
        return [*found, not_checked("lanes", "what they last said stands in Kafka, and where they are in Redis")]
    return [*found, *await _asked("lanes", lanes.look(settings, time.time_ns() // 1_000_000), limit)]


async def _kafka(settings: Settings, limit: float) -> list[Finding]:
    """Of a cluster that does not answer only that is said."""
    found = await _asked("kafka", kafka.look(settings, time.time_ns() // 1_000_000), limit)
    if any(finding.about == "kafka" and finding.severity == "error" for finding in found):
        why = "Kafka does not answer"
        return [*found, *(not_checked(about, why) for about in ("rights", "transactions", "topics", "kafka clock"))]
    rest = await asyncio.gather(
        _asked("topics", topics.look(settings), limit),
        _asked("kafka clock", clocks.look_at_brokers(settings), limit),
    )
    return [*found, *(finding for part in rest for finding in part)]


async def _redis(settings: Settings, limit: float) -> list[Finding]:
    found = await _asked("redis", redis.look(settings), limit)
    if any(finding.about in ("redis", "redis access") for finding in found):
        return [*found, not_checked("redis clock", "Redis does not answer")]
    return [*found, *await _asked("redis clock", clocks.look_at_redis(settings), limit)]


async def _asked(about: str, looking: Awaitable[Sequence[Finding]], limit: float) -> list[Finding]:
    """The findings, or one that says why there are none."""
    try:
        async with asyncio.timeout(limit):
            return list(await looking)
    except TimeoutError:
        return [Finding(about, "error", f"no answer within {limit:g} s", "look at that server and the way to it")]
    except Unreachable as error:
        return [Finding(about, "error", error.message, "start it, or mend `brokers` in the settings")]
    except KafkaDoubt as doubt:
        return [
            Finding(about, "error", f"Kafka does not answer ({doubt})", "start it, or mend `brokers` in the settings")
        ]
    except TableDoubt as doubt:
        return [Finding(about, "error", f"Redis does not answer ({doubt})", "start it, or mend `redis_url`")]
    except UserError as error:
        return [Finding(about, "error", error.message)]
