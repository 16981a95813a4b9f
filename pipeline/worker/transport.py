"""Faust's transport with whole fetches for messages.

Faust's cost is per message, so one message carries everything that one drain of the consumer brought: a list of
`ports.Fetched`, one a partition. Positions are the lanes' own, so nothing here seeks, acknowledges or commits.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, cast

import structlog
from faust import App
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from mode import ServiceT
from yarl import URL

from pipeline.application.ports import Fetched
from pipeline.config import Settings
from pipeline.worker.beat import Beat
from pipeline.worker.consumer_thread import HeldAssignment, LaneConsumerThread
from pipeline.worker.event_loop import new_event_loop
from pipeline.worker.lanes import LaneSet

log = structlog.get_logger(__name__)

DRAIN_S = 1.0
LOST_AGAIN_S = 0.5
"""Between a partition that cannot be read and its lane's next try."""


class LaneConsumer(driver.Consumer):  # type: ignore[misc]  # faust and aiokafka have no types
    """Faust's consumer: it starts and stops the lanes with the assignment, and hands fetches to the agent."""

    RebalanceListener = HeldAssignment

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        self.lanes: LaneSet = transport.lanes
        self.settings: Settings = transport.settings
        self.thread_beat = Beat()
        self.split: dict[int, set[str]] = {}
        """Partitions of which only some inputs are assigned here, and the topics that are missing."""
        self.flowing = asyncio.Event()
        """Set while what is fetched reaches the lanes."""
        super().__init__(transport, *args, **kwargs)

    @property
    def thread(self) -> LaneConsumerThread:
        """The consumer's thread, for calls that must run there."""
        return cast(LaneConsumerThread, self._thread)

    def _new_consumer_thread(self) -> LaneConsumerThread:
        thread = LaneConsumerThread(self, loop=self.loop, beacon=self.beacon, thread_loop=new_event_loop())
        thread._close_thread_loop_on_stop = True  # a loop that was passed in stays open otherwise
        thread.settings, thread.lanes, thread.beat = self.settings, self.lanes, self.thread_beat
        return thread

    async def perform_seek(self) -> None:
        """Nothing: Faust would seek to the group's offsets here, after every rebalance."""

    def resume_flow(self) -> None:
        super().resume_flow()
        self.flowing.set()

    def stop_flow(self) -> None:
        self.flowing.clear()
        super().stop_flow()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self.lanes.stop("rebalance")
        if not self._app_stops():
            await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        if self._app_stops():
            return
        await super().on_partitions_assigned(assigned, generation_id)
        self.lanes.start(self._whole(assigned), generation_id)

    def _app_stops(self) -> bool:
        # Faust would close the consumer here, from the wrong thread; the app's own stop does it properly.
        return bool(self.app.should_stop)

    def _whole(self, assigned: Iterable[TP]) -> set[int]:
        """The partition numbers of which every input is assigned here; a lane cannot run on a part of its inputs."""
        topics: dict[int, set[str]] = {}
        for tp in assigned:
            topics.setdefault(tp.partition, set()).add(tp.topic)
        wanted = set(lane_topics(self.settings))
        self.split = {partition: wanted - here for partition, here in topics.items() if wanted - here}
        for partition, missing in sorted(self.split.items()):
            log.error(
                "lane.split",
                lane=partition,
                missing=sorted(missing),
                mend="every worker of an application must read the same inputs, and all of them must have as many "
                "partitions: stop the workers that have other settings, or run `journey topics check`",
            )
        return set(topics) - set(self.split)

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Faust's fetch loop: from the consumer's thread to the agent, as long as the fetcher lives."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                    continue
                haul = await self.thread.run(self.thread.fetch(DRAIN_S))
                for lost in haul.lost:
                    self.loop.call_later(LOST_AGAIN_S, self._lost, lost)
                if haul.fetched:
                    await self._hand_on(haul.fetched)
        except self.consumer_stopped_errors:
            if not self._app_stops():
                raise
        except asyncio.CancelledError:
            if not self._app_stops():
                raise
        except Exception as error:
            if self._app_stops():
                return
            self.lanes.fail(error)
            raise

    async def _hand_on(self, fetched: Sequence[Fetched]) -> None:
        if not self.flow_active:
            # Faust has begun a rebalance since; it would drop this without a sign, and a lane would wait for ever.
            for each in fetched:
                self._lost(each)
            return
        first, last = fetched[0], fetched[-1]
        tp = TP(first.topic, first.partition)
        await self.callback(
            ConsumerMessage(
                tp.topic,
                tp.partition,
                last.end,
                None,
                None,
                [],
                None,
                fetched,
                None,
                tp=tp,
                generation_id=self.app.consumer_generation_id,
            )
        )

    def _lost(self, fetched: Fetched) -> None:
        lane = self.lanes.get(fetched.partition)
        if lane is not None:
            lane.lost(fetched)


class LaneTransport(driver.Transport):  # type: ignore[misc]  # faust and aiokafka have no types
    """Faust's aiokafka transport, with consumers that feed lanes."""

    Consumer = LaneConsumer

    def __init__(self, url: list[URL], app: AppT, settings: Settings, lanes: LaneSet) -> None:
        self.settings = settings
        self.lanes = lanes
        super().__init__(url, app)


def lane_topics(settings: Settings) -> list[str]:
    """All inputs of a lane, prefix included: the raw topics, events that were routed to it, and commands."""
    return [*settings.input_topics, settings.topic("journey.events"), settings.topic("journey.commands")]


def consumer_of(app: App) -> LaneConsumer:
    """The consumer of an app that `create_app` made."""
    return cast(LaneConsumer, app.consumer)
