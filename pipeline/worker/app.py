"""The Faust app of a worker: one agent that hands whole fetches to the lanes."""

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables import TableManager
from faust.types import AppT, EventT, Message, StreamT

from pipeline.config import Settings
from pipeline.worker.lanes import LaneSet
from pipeline.worker.transport import LaneTransport, lane_topics

NEVER_S = 7 * 86_400.0
REQUEST_TIMEOUT_S = 30.0


class AsFetched(faust.Schema):  # type: ignore[misc]  # faust and aiokafka have no types
    """Takes a message's value as it is: the transport has put `Fetched` objects there, not bytes."""

    def compile(self, app: AppT, **_: Any) -> Callable[..., Awaitable[EventT]]:
        """What Faust calls for every message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT:
            del propagate  # nothing here can fail
            return create_event(None, message.value, None, message)

        return decode


class ConsumerOnly(BootStrategy):  # type: ignore[misc]  # faust and aiokafka have no types
    """Starts no producer: every lane has its own, and Faust has nothing to send."""

    enable_kafka_producer = False
    enable_web = False


class NoTables(TableManager):  # type: ignore[misc]  # faust and aiokafka have no types
    """Starts at once: Faust waits a second for tables that agents may still declare."""

    async def on_start(self) -> None:
        """Goes straight on to what a rebalance needs."""
        await self._update_channels()
        await self.recovery.start()


class WorkerApp(faust.App):  # type: ignore[misc]  # faust and aiokafka have no types
    """A Faust app whose lanes stop before its consumer leaves the group."""

    BootStrategy = ConsumerOnly
    lanes: LaneSet

    async def _on_agent_error(self, agent: object, error: BaseException) -> None:
        # Faust would start the agent again and lose what it held; a lane's `offer` never raises unless it is broken.
        del agent
        self.lanes.fail(error)

    async def on_stop(self) -> None:
        await self.lanes.stop("shutdown", final=True)
        await super().on_stop()


def create_app(settings: Settings, lanes: LaneSet, datadir: str) -> WorkerApp:
    """An app that is not started yet. `datadir` may be empty and is never needed again: no state is on disk."""
    app = WorkerApp(
        settings.application,
        broker=[f"kafka://{broker}" for broker in settings.brokers.split(",")],
        broker_client_id=settings.application,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=min(3.0, settings.session_timeout_s / 3),
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_request_timeout=max(REQUEST_TIMEOUT_S, settings.session_timeout_s),
        # aiokafka stops to rejoin once nothing was fetched for this long, and an outage of Kafka looks the same to it.
        broker_max_poll_interval=NEVER_S,
        # No offset is ever acknowledged, so Faust has nothing to commit and nothing to worry about.
        broker_commit_interval=NEVER_S,
        # An offset that the log no longer has is for the lane to decide: aiokafka must not jump over it.
        consumer_auto_offset_reset="none",
        # With none and no tables, Faust would hand out partitions topic by topic and tear the inputs of a lane apart.
        table_standby_replicas=1,
        TableManager=NoTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        autodiscover=False,
        datadir=datadir,
        # Faust reads its settings from variables as common as DEBUG unless it is given a prefix for them.
        env_prefix="JOURNEY_FAUST",
    )
    app.lanes = lanes
    app.transport = LaneTransport(app.conf.broker_consumer, app, settings, lanes)
    inputs = app.topic(*lane_topics(settings), schema=AsFetched(), acks=False)

    async def stitch(stream: StreamT[Any]) -> None:
        async for event in stream.noack().events():
            for fetched in event.value:
                lane = lanes.get(fetched.partition)
                if lane is not None:
                    lane.offer(fetched)

    app.agent(inputs, name="stitch")(stitch)
    return app
