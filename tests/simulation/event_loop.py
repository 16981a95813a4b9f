"""An event loop whose time is virtual and whose order is drawn by chance: the same draws, the same run.

    loop = SimulatedLoop(Random(7), disorder=0.3)
    loop.run_until_complete(main())

There are no sockets, threads or clocks in it. When nothing can run, time leaps to the next timer. Tasks belong to the
`Process` in whose context they were started: one that is frozen runs no step until it is thawed, one that is dead none
any more, as if the system had stopped or killed it at whichever await it stood.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

Result = TypeVar("Result")
Ts = TypeVarTuple("Ts")


class Restless(Exception):
    """The loop ran more steps than any sound run needs."""


class Process:
    """What is stopped and killed as one. `held` are the steps that wait for it to be thawed.

    `hindered`: when it last had to wait for something longer than a sound answer takes, in seconds of virtual time.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.dead = False
        self.hindered = -100.0
        self.held: list[asyncio.Handle] = []


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class NumberedTask(asyncio.Task[Result]):
    """Hashed by its number: asyncio keeps tasks in sets, whose order would follow their addresses otherwise."""

    def __init__(self, coroutine: Coroutine[Any, Any, Result], number: int, **more: Any) -> None:
        self._number = number
        super().__init__(coroutine, **more)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """`disorder`: how often a step is taken out of turn, 0 to 1. `most`: steps until it is Restless."""

    def __init__(self, chance: Random, disorder: float, most: int = 1_000_000) -> None:
        super().__init__()
        self.steps = 0
        self._chance = chance
        self._disorder = disorder
        self._most = most
        self._now = 0.0
        self._ready_now: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._own = copy_context()
        self._own.run(PROCESS.set, None)
        self.set_exception_handler(lambda loop, context: None)  # a task that nobody asks for its end is no finding

    # ---- what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready_now.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = NumberedTask(
            coro, next(self._numbers), loop=self, name=None if name is None else str(name), context=context
        )
        self._tasks.append(task)
        return task

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Nothing: the moment would be the garbage collector's."""

    def _run_once(self) -> None:
        ready = self._ready_now
        if not ready:
            self._leap()
        if len(ready) > 1 and self._chance.random() < self._disorder:
            handle = ready.pop(int(self._chance.random() * len(ready)))
        else:
            handle = ready.pop(0)
        if handle.cancelled():
            return
        process: Process | None = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is not None and (process.frozen or process.dead):
            process.held.append(handle)
            return
        self.steps += 1
        if self.steps > self._most:
            raise Restless(f"{self._most} steps, and no end")
        handle._run()

    def _leap(self) -> None:
        """To the time of the next timer, of which there is always one; those of the same moment are ready together."""
        timers, ready = self._timers, self._ready_now
        while not ready:
            if not timers:
                raise Restless("nothing waits for anything any more")
            when = timers[0][0]
            while timers and timers[0][0] <= when:
                _, _, handle = heapq.heappop(timers)
                if not handle.cancelled():
                    ready.append(handle)
            if ready:
                self._now = max(self._now, when)

    # ---- processes

    def start(self, process: Process, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Runs it, and whatever it starts, as part of this process."""
        context = self._own.copy()
        context.run(PROCESS.set, process)
        return self.create_task(coroutine, context=context)

    def outside(self, delay: float, callback: Callable[[], object]) -> None:
        """Calls it in `delay` seconds whatever has become of the process that asks."""
        self.call_later(delay, callback, context=self._own)

    def thaw(self, process: Process) -> None:
        """All that a frozen process has to do is ready at once."""
        process.frozen = False
        process.hindered = self._now
        self._ready_now += process.held
        process.held.clear()

    # ---- the end

    def dispose(self, processes: list[Process]) -> None:
        """Ends all tasks properly, those of dead processes too, so that nothing is left to the garbage collector."""
        for process in processes:
            process.dead = False
            self.thaw(process)
        self._disorder, self._most = 0.0, self.steps + 1_000_000
        for _ in range(50):
            pending = [task for task in self._tasks if not task.done()]
            if not pending:
                break
            for task in pending:
                task.cancel()
            self.run_until_complete(self._turns())
        self.close()

    async def _turns(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
