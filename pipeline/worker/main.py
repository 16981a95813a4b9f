"""The run of one worker process, from its first wait for Kafka to its exit code.

    code = run_worker(settings, wire)

`wire` is where the parts come together: an async context manager that gets a `Surroundings` and gives a `Wiring`.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import structlog

from pipeline._compiled import compiled
from pipeline.application.metrics import Metrics, NoMetrics
from pipeline.application.ports import LaneHandle
from pipeline.config import Settings
from pipeline.errors import UserError
from pipeline.log import flush
from pipeline.worker.app import WorkerApp, create_app
from pipeline.worker.brokers import wait_for_brokers
from pipeline.worker.consumer_thread import BEAT_S
from pipeline.worker.event_loop import measure_delays, new_event_loop
from pipeline.worker.every import every
from pipeline.worker.gc_pauses import measure_pauses
from pipeline.worker.health import Health, patience
from pipeline.worker.inputs import ConsumerInputs
from pipeline.worker.lag import Lag
from pipeline.worker.lanes import LaneSet
from pipeline.worker.transport import consumer_of
from pipeline.worker.watchdog import Watchdog

log = structlog.get_logger(__name__)

STOP_S = 9.0
"""Between a signal or a failure and the end of the process, in good order or not."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 32 << 20
"""What glibc may keep for the next buffer; 32 MiB is the most that it takes for the second."""
GC_THRESHOLDS = (1_000_000, 20, 50)
"""The collector stays on, for cycles that libraries make, but looks at a batch's objects once, not a hundred times."""

Background = Callable[[LaneSet], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the parts of a worker may use. `inputs` answers once a lane runs."""

    settings: Settings
    inputs: ConsumerInputs
    health: Health


@dataclass(frozen=True, slots=True)
class Wiring:
    """What makes a worker out of the loop around it.

    `background` runs beside the lanes from the moment the worker has its place in the group; one that ends, or raises,
    ends the process. `on_started` is called once at that moment.
    """

    make_lane: Callable[[int], LaneHandle]
    background: Sequence[Background] = field(default=())
    on_started: Callable[[], None] | None = None
    metrics: Metrics = field(default_factory=NoMetrics)


Wire = Callable[[Surroundings], AbstractAsyncContextManager[Wiring]]


class Deadline:
    """Ends the process when stopping takes too long: Python would wait for ever for a consumer's thread that hangs."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, code: int) -> None:
        """From now on there are `STOP_S` seconds; only the first call counts."""
        if self._timer is None:
            self._timer = threading.Timer(STOP_S, self._over, [code])
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """The end was reached in time."""
        if self._timer is not None:
            self._timer.cancel()

    @staticmethod
    def _over(code: int) -> None:
        log.warning("worker.stop", why=f"not in good order within {STOP_S:g} s; nothing is lost", exit_code=code)
        _leave(code)


def run_worker(settings: Settings, wire: Wire) -> int:
    """Runs until a signal or a failure; returns the exit code: 0 after SIGTERM or SIGINT, 1 after a failure.

    A second signal ends the process at once. UserError for what only a person can mend.
    """
    end = Deadline()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_run(settings, wire, end))
    finally:
        end.cancel()


async def _run(settings: Settings, wire: Wire, end: Deadline) -> int:
    asked_to_stop = _stop_on_signals(end)
    health = Health(settings.ready_lag)
    surroundings = Surroundings(settings, ConsumerInputs(settings.step_timeout_s), health)
    beating = asyncio.create_task(every(BEAT_S, _beat(health)), name="beat")
    giving_up = asyncio.create_task(_cancel_at(asked_to_stop, asyncio.current_task()), name="signals before the start")
    try:
        async with wire(surroundings) as wiring:
            health.waiting_for = "kafka"
            await wait_for_brokers(settings.brokers, settings.application)
            giving_up.cancel()
            with tempfile.TemporaryDirectory(prefix="journey-") as datadir:
                return await _work(surroundings, wiring, datadir, asked_to_stop, end)
    except asyncio.CancelledError:
        if not asked_to_stop.is_set():
            raise
        log.info("worker.stopped", why="asked to, before it had started")
        return 0
    finally:
        beating.cancel()
        giving_up.cancel()


async def _work(around: Surroundings, wiring: Wiring, datadir: str, asked_to_stop: asyncio.Event, end: Deadline) -> int:
    lanes = LaneSet(wiring.make_lane, wiring.metrics)
    app = create_app(around.settings, lanes, datadir)
    consumer = consumer_of(app)
    around.inputs.attach(consumer)
    lag = Lag(around.inputs, lanes, wiring.metrics)
    watchdog = Watchdog(around.health.look, patience(around.settings.stuck_after_s))
    around.health.attach(consumer, lanes, lag, watchdog)
    around.health.waiting_for = "a place in the consumer group"

    async def work() -> None:
        watchdog.start()
        await app.start()
        _settle_memory()
        around.health.started, around.health.waiting_for = True, ""
        log.info("worker.started", application=around.settings.application, compiled=compiled())
        if not compiled():
            log.warning("worker.uncompiled", then="it folds half as fast", mend="make setup, with a C compiler")
        if wiring.on_started is not None:
            wiring.on_started()
        async with asyncio.TaskGroup() as group:
            group.create_task(lag.look_on(), name="lag")
            group.create_task(measure_delays(wiring.metrics), name="delays")
            group.create_task(measure_pauses(wiring.metrics), name="pauses")
            for part in wiring.background:
                group.create_task(_endless(part, lanes), name=getattr(part, "__name__", "background"))

    working = asyncio.create_task(work(), name="work")
    crashed = asyncio.create_task(app.wait_until_stopped(), name="faust")
    stopping = asyncio.create_task(asked_to_stop.wait(), name="signals")
    try:
        await asyncio.wait((working, crashed, stopping, lanes.failure), return_when=asyncio.FIRST_COMPLETED)
        reason = None if asked_to_stop.is_set() else _reason(app, lanes, working)
    finally:
        end.begin(0 if asked_to_stop.is_set() else 1)
        watchdog.stop()
        await _stop(app, lanes, [working, crashed, stopping])
    if reason is None:
        log.info("worker.stopped")
        return 0
    if isinstance(reason, UserError):
        raise reason
    log.error("worker.failed", why=str(reason) or type(reason).__name__, exc_info=reason)
    return 1


async def _stop(app: WorkerApp, lanes: LaneSet, tasks: list[asyncio.Task[Any]]) -> None:
    """Lanes first, while the worker is still a member; then the group, then everything else."""
    await lanes.stop("shutdown", final=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await app.stop()


def _reason(app: WorkerApp, lanes: LaneSet, working: asyncio.Task[None]) -> BaseException:
    """Why the worker ends, the most telling first: Faust wraps or follows what lanes and transport have said."""
    if lanes.failure.done():
        return lanes.failure.result()
    if working.done() and not working.cancelled() and (error := working.exception()) is not None:
        return error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
    return app.crash_reason or RuntimeError("Faust stopped without being asked")


async def _endless(part: Background, lanes: LaneSet) -> None:
    await part(lanes)
    raise RuntimeError(f"{getattr(part, '__name__', part)!r} ended, and should run as long as the worker")


async def _cancel_at(event: asyncio.Event, task: asyncio.Task[Any] | None) -> None:
    """Waiting for Kafka or Redis at the start has no other end than a signal."""
    await event.wait()
    if task is not None:
        task.cancel()


def _beat(health: Health) -> Callable[[], Coroutine[Any, Any, None]]:
    async def beat() -> None:
        health.loop_beat.touch()

    return beat


def _settle_memory() -> None:
    """Takes everything that lives as long as the process out of the collector's sight, and keeps freed buffers.

    Fetches and batches are of megabytes; given back to the system after each use, they cost a page fault every 4 KB.
    """
    with contextlib.suppress(OSError, AttributeError):  # glibc's own; elsewhere memory works as it is
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _stop_on_signals(end: Deadline) -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process where it stands."""
    asked = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if asked.is_set():
            log.warning("worker.signal", signal=number.name, then="ends at once")
            _leave(128 + number)
        log.info("worker.signal", signal=number.name, then="stops")
        end.begin(0)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return asked


def _leave(code: int) -> None:
    flush()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
