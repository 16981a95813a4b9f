"""Where the parts of a worker come together: settings in, lanes and the tick beside them out."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

from pipeline import __version__
from pipeline.adapters.debug import DebugPages
from pipeline.adapters.http import HealthServer
from pipeline.adapters.identity_kinds import erasure_of, identities_of, key_fingerprint
from pipeline.adapters.journey_files import brought, load_texts, read_text
from pipeline.adapters.kafka.changelog import ChangelogReader
from pipeline.adapters.kafka.connection import connection
from pipeline.adapters.kafka.progress import ProgressTopic
from pipeline.adapters.kafka.sender import home_partition
from pipeline.adapters.kafka.topics import ensure_as_wanted
from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.adapters.redis.check import ensure_fit
from pipeline.adapters.redis.table import RedisTable
from pipeline.adapters.topic_files import topic_file
from pipeline.adapters.yaml_documents import hide_passwords
from pipeline.application.breaker import BreakerPolicy
from pipeline.application.intake import Intake, Limits, Source
from pipeline.application.keeper import Keeper
from pipeline.application.lane import Lane
from pipeline.application.ports import LaneHandle
from pipeline.application.progress import Watermark
from pipeline.application.rulebook import Rulebook, Rules
from pipeline.application.settings import LanePorts, LaneSettings, Topics
from pipeline.application.tracing import NoTraces
from pipeline.config import Settings
from pipeline.domain.carry import Carry
from pipeline.domain.compile import Journey
from pipeline.domain.fold import Fold
from pipeline.domain.spec import JourneySpec, TouchSpec
from pipeline.domain.stitching import MOST_HOPS
from pipeline.domain.touches import TouchTable
from pipeline.errors import UserError
from pipeline.worker.brokers import wait_for_brokers
from pipeline.worker.lanes import LaneSet
from pipeline.worker.main import Surroundings, Wiring
from pipeline.worker.system_clock import SystemClock

if TYPE_CHECKING:  # an extra: it may not be installed
    from pipeline.adapters.traces import OpenTelemetry

log = structlog.get_logger(__name__)

FOLD_AT_ONCE = 2
"""Lanes of a process that fold at once: while one waits for Redis another goes on."""

QUEUED_BATCHES = 4
"""Full batches that all inputs of a process together may have waiting in memory."""

LEAST_QUEUED = 1_000


def raw_sources(settings: Settings) -> list[Source]:
    """The topics of raw events."""
    return [
        Source(settings.topic(item.topic), "raw", item.channel, item.channel_field or "channel")
        for item in settings.inputs
    ]


def lane_settings(settings: Settings, owner: str) -> LaneSettings:
    """The settings as the lanes take them."""
    sources = raw_sources(settings)
    sources.append(Source(settings.topic("journey.events"), "events"))
    sources.append(Source(settings.topic("journey.commands"), "commands"))
    breaker = settings.breaker
    return LaneSettings(
        application=settings.application,
        owner=owner,
        code=__version__,
        partitions=settings.partitions,
        topics=Topics(
            transitions=settings.topic("journey.transitions"),
            signals=settings.topic("journey.signals"),
            customers=settings.topic("journey.customers"),
            profiles=settings.topic("journey.profiles"),
            events=settings.topic("journey.events"),
            commands=settings.topic("journey.commands"),
            dead_letters=settings.topic("journey.dlq"),
        ),
        sources=tuple(sources),
        event_clock=settings.clock == "event",
        oldest_ms=tombstones_stay_ms() // 2,
        most=settings.max_batch_events,
        merge_wait=settings.merge_wait_s,
        breaker=BreakerPolicy(breaker.customers, breaker.share, breaker.at_least),
        identity_key=key_fingerprint(settings),
        erasure=erasure_of(settings),
    )


def tombstones_stay_ms() -> int:
    """How long deletions stay in the changelog at least: a table that is further behind could miss one."""
    kept = topic_file("journey.profiles").config["delete.retention.ms"].at_least
    if kept is None:
        raise UserError("schemas/topics/journey.profiles.yaml must say how long delete.retention.ms is at least")
    return int(kept)


def rulebook_of(settings: Settings) -> Rulebook:
    """What the settings name, read and compiled; UserError that lists every mistake in the files."""
    shared, files = load_texts(settings)

    def read(text: str) -> JourneySpec:
        return read_text(text, shared, settings)

    def touches(specs: Sequence[JourneySpec]) -> tuple[TouchSpec, ...]:
        return (*shared, *brought(specs))

    def new_fold(journeys: Sequence[Journey], company: frozenset[str], carries: Mapping[str, Carry]) -> Fold:
        return Fold(journeys, company, settings.lateness, settings.recent_limit, carries)

    return Rulebook(files, read, touches, new_fold, __version__)


def compile_rules(settings: Settings) -> Rules:
    """The rules of the files that the settings name; UserError as with `rulebook_of`."""
    rulebook = rulebook_of(settings)
    return rulebook.rules(rulebook.files, {})


def limits(settings: Settings) -> Limits:
    """What an event may be. An event clock has no present, so nothing lies in its future."""
    live = settings.clock == "live"
    return Limits(
        max_bytes=settings.max_event_bytes,
        max_depth=settings.max_depth,
        future_ms=settings.future if live else None,
        old_ms=settings.lateness if live else None,
    )


def telemetry_of(settings: Settings, owner: str) -> "OpenTelemetry | None":
    """What makes and sends spans, if the settings name where to; UserError if it is not installed."""
    if not settings.traces_endpoint:
        return None
    try:
        from pipeline.adapters.traces import OpenTelemetry
    except ImportError as missing:
        raise UserError(
            f"traces_endpoint is set, and {missing.name} is not installed: pip install 'customer-journey[traces]'"
        ) from missing
    log.info("traces.on", endpoint=hide_passwords(settings.traces_endpoint), ratio=settings.traces_ratio)
    return OpenTelemetry(settings.traces_endpoint, settings.traces_ratio, settings.application, owner)


@asynccontextmanager
async def wire(around: Surroundings) -> AsyncIterator[Wiring]:
    """Checks what the worker stands on, then gives it lanes, the tick, and its pages for machines."""
    settings = around.settings
    identities = identities_of(settings)
    rulebook = rulebook_of(settings)
    metrics = PrometheusMetrics()
    metrics.set("lanes", settings.partitions, settings.clock)
    metrics.set("cache_limit_profiles", settings.cache_profiles)
    clock = SystemClock()
    owner = f"{socket.gethostname()}:{os.getpid()}"
    loop = asyncio.get_running_loop()

    def loops() -> Mapping[str, asyncio.AbstractEventLoop]:
        consumer = around.inputs.loop()
        return {"main": loop} | ({"consumer": consumer} if consumer is not None else {})

    token = settings.debug_token.get_secret_value()
    debug = DebugPages(token, loops) if token else None
    port = settings.http_port
    pages = HealthServer(settings.http_host, port, around.health, metrics, debug) if port else None
    with pages or nullcontext():
        around.health.waiting_for = "redis"
        await ensure_fit(settings)
        around.health.waiting_for = "kafka"
        await wait_for_brokers(settings.brokers, settings.application)
        await ensure_as_wanted(settings)
        shared = lane_settings(settings, owner)
        watermark = Watermark(settings.partitions, MOST_HOPS)
        changelog = ChangelogReader(connection(settings, "changelog"), shared.topics.profiles)
        progress = ProgressTopic(connection(settings, "progress"), settings.topic("journey.progress"), clock.now)
        lanes: dict[int, Lane] = {}
        turn = asyncio.Semaphore(FOLD_AT_ONCE)

        def home(key: bytes) -> int:
            return home_partition(key, settings.partitions)

        def cache_share() -> int:
            return max(1, settings.cache_profiles // max(1, len(lanes)))

        def queue_share() -> int:
            inputs = max(1, len(lanes)) * len(settings.inputs)
            return max(LEAST_QUEUED, QUEUED_BATCHES * settings.max_batch_events // inputs)

        def new_writer(partition: int) -> Callable[[], TransactionalWriter]:
            def make() -> TransactionalWriter:
                return TransactionalWriter(
                    connection(settings, f"writer-{partition}"),
                    settings.transactional_id(partition),
                    settings.transaction_timeout_ms,
                    clock.now,
                    partitions=shared.topics.written(partition, settings.partitions),
                )

            return make

        def make_lane(partition: int) -> LaneHandle:
            def new_intake(table: TouchTable) -> Intake:
                return Intake(partition, table, limits(settings), home, shared.event_clock, identities)

            ports = LanePorts(
                inputs=around.inputs,
                changelog=changelog,
                clock=clock,
                metrics=metrics,
                new_writer=new_writer(partition),
                new_table=lambda: RedisTable(
                    settings.application, partition, settings.redis_url, settings.step_timeout_s
                ),
                cache_share=cache_share,
                queue_share=queue_share,
                turn=turn,
                traces=NoTraces() if telemetry is None else telemetry.lane(partition),
            )
            lane = lanes[partition] = Lane(partition, shared, ports, rulebook, new_intake, watermark)
            return lane

        async def tick(here: LaneSet) -> None:
            await keeper(here).tick_on()

        async def read_progress(here: LaneSet) -> None:
            await keeper(here).read_on()

        def keeper(here: LaneSet) -> Keeper:
            def ours() -> list[Lane]:
                held = {report.partition for report in here.reports()}
                for partition in lanes.keys() - held:
                    del lanes[partition]
                return [lanes[partition] for partition in sorted(held)]

            inputs = [source.topic for source in shared.sources]
            return Keeper(progress, watermark, clock, metrics, ours, inputs, settings.tick_s, shared.event_clock)

        telemetry = telemetry_of(settings, owner)
        try:
            yield Wiring(make_lane, (tick, read_progress), metrics=metrics)
        finally:
            await progress.close()
            if telemetry is not None:
                await asyncio.to_thread(telemetry.close)
