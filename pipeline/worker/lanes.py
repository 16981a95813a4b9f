"""The lanes of one worker: which there are, and the one task that each runs in."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial

import structlog

from pipeline.application.metrics import Metrics, NoMetrics
from pipeline.application.ports import Abandoned, LaneHandle, LaneReport, Refused
from pipeline.errors import UserError

log = structlog.get_logger(__name__)

STOP_S = 3.0
"""How long a stop waits for transactions in flight; well below the rebalance timeout, which holds every worker."""
CANCEL_S = 1.0
RELEASE_S = 3.0


class LaneFailure(Exception):
    """A lane ended although nobody asked it to: the process cannot go on without it."""

    def __init__(self, partition: int, cause: BaseException | None) -> None:
        why = "it ended without being asked" if cause is None else f"{type(cause).__name__}: {cause}"
        super().__init__(f"lane {partition} gave up: {why}")
        self.partition = partition


class LaneSet:
    """The lanes assigned to this worker. Made inside the main loop; `get` and `reports` are safe from any thread.

    A partition that comes back finds its lane again, and the same LaneHandle is run once more. One that has left is
    released in the background.
    """

    def __init__(self, make_lane: Callable[[int], LaneHandle], metrics: Metrics | None = None) -> None:
        self._make_lane = make_lane
        self._metrics: Metrics = metrics or NoMetrics()
        self._lanes: dict[int, LaneHandle] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._asked: set[asyncio.Task[None]] = set()
        self._releases: set[asyncio.Task[None]] = set()
        self._closed = False
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done, with the reason as its result, once a lane or its transport has failed for good."""

    def get(self, partition: int) -> LaneHandle | None:
        """The lane of a partition number, if it is here."""
        return self._lanes.get(partition)

    def reports(self) -> list[LaneReport]:
        """What every lane here says of itself, by partition number."""
        return [lane.report() for _, lane in sorted(self._lanes.items())]

    def fail(self, reason: BaseException) -> None:
        """Says that the worker must leave; only the first reason counts."""
        if not self.failure.done():
            self.failure.set_result(reason)

    def start(self, partitions: Collection[int], generation: int) -> None:
        """Runs the lanes of exactly these partitions, as assigned in this generation of the group."""
        if self._closed:
            return
        self._metrics.increment("rebalances_total", 1)
        log.info("lanes.start", generation=generation, lanes=sorted(partitions))
        for partition in list(self._lanes):
            if partition not in partitions or self._still_runs(partition):
                self._retire(partition)
        for partition in sorted(partitions):
            lane = self._lanes.get(partition)
            if lane is None:
                lane = self._lanes[partition] = self._make_lane(partition)
            task = asyncio.create_task(lane.run(generation), name=f"lane {partition}")
            self._tasks[partition] = task
            task.add_done_callback(partial(self._ended, partition))

    async def stop(self, reason: str, *, final: bool = False) -> None:
        """Lets every lane finish its transaction in flight, at most `STOP_S`, then cancels what still runs.

        `final`: the lanes are released too, and no lane starts again.
        """
        began = asyncio.get_running_loop().time()
        self._closed = self._closed or final
        running = {task: partition for partition, task in self._tasks.items() if not task.done()}
        self._asked.update(running)
        for partition in running.values():
            self._lanes[partition].stop()
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_S)
            for task in late:
                log.warning("lane.cancelled", lane=running[task], why=f"did not stop within {STOP_S:g} s")
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CANCEL_S)
        if final:
            for partition in list(self._lanes):
                self._retire(partition)
            if self._releases:
                await asyncio.wait(self._releases, timeout=RELEASE_S)
        took = asyncio.get_running_loop().time() - began
        log.info("lanes.stop", reason=reason, stopped=len(running), seconds=round(took, 3))

    def _still_runs(self, partition: int) -> bool:
        task = self._tasks.get(partition)
        return task is not None and not task.done()

    def _retire(self, partition: int) -> None:
        lane, task = self._lanes.pop(partition), self._tasks.pop(partition, None)
        if task is not None and not task.done():
            self._asked.add(task)
            task.cancel()
        release = asyncio.create_task(_release(lane, task), name=f"release lane {partition}")
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)

    def _ended(self, partition: int, task: asyncio.Task[None]) -> None:
        asked = task in self._asked
        self._asked.discard(task)
        # A task may end as cancelled although nobody cancelled it: aiokafka lets such errors escape (`consumer.stop()`
        # right after `assign()`). Then the lane stands, and must not stand silently.
        cause = asyncio.CancelledError("nobody cancelled it") if task.cancelled() else task.exception()
        if asked and not isinstance(cause, Abandoned):
            if cause is not None and not task.cancelled():
                log.error("lane.failed_while_stopping", lane=partition, exc_info=cause)
            return
        if cause is not None and not isinstance(cause, Abandoned | asyncio.CancelledError):
            log.error("lane.failed", lane=partition, exc_info=cause)
        if isinstance(cause, Refused):
            self.fail(UserError(str(cause)))
            return
        failure = LaneFailure(partition, cause)
        failure.__cause__ = cause
        self.fail(failure)


async def _release(lane: LaneHandle, task: asyncio.Task[None] | None) -> None:
    if task is not None:
        await asyncio.wait([task])
    try:
        await lane.release()
    except Exception:
        log.exception("lane.release", lane=lane.partition)
