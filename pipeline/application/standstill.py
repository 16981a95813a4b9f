"""Standing still until a person says otherwise: after the breaker, on lost input, or paused by an order.

A lane that stands takes nothing; it reads its commands without taking them, and looks among them for the order that
lets it go on. docs/decisions/0005-standing-lanes.md says why.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from pipeline.application.control import find_order
from pipeline.application.hold import Hold
from pipeline.application.lane_record import Breaker, LaneRecord, ModelMark, Pause, Skip
from pipeline.application.merge import Merge
from pipeline.application.ports import KafkaDoubt
from pipeline.application.settings import LanePorts, LaneSettings

log = structlog.get_logger(__name__)

PAUSED: Final = "paused"


@dataclass(frozen=True, slots=True)
class Steps:
    """What of its lane one needs to stand still. `say`: the reason and its detail; `sleep`: until something came in;
    `silence`: nothing that still comes in is taken; `seek_inputs`: all of them, from where the lane is."""

    say: Callable[[str, str], None]
    stopping: Callable[[], bool]
    sleep: Callable[[], Awaitable[None]]
    silence: Callable[[], None]
    pause_all: Callable[[], Awaitable[None]]
    seek: Callable[[str, int], Awaitable[None]]
    seek_again: Callable[[], Awaitable[None]]
    seek_inputs: Callable[[Hold], Awaitable[None]]


class Standstill:
    """Of lane `partition`. What it remembers is in the lane record: it outlives restarts, and goes with the lane."""

    def __init__(self, partition: int, settings: LaneSettings, ports: LanePorts, merge: Merge, steps: Steps) -> None:
        self._partition = partition
        self._settings = settings
        self._ports = ports
        self._merge = merge
        self._steps = steps
        self._commands = settings.topics.commands

    async def open_breaker(self, hold: Hold, why: str, models: dict[str, ModelMark]) -> None:
        commands = self._merge.queues[self._commands]
        after = max(hold.record.control, commands.reached or 0)
        breaker = Breaker(why, self._ports.clock.now(), self._settings.code, models, after)
        log.error(
            "lane.breaker_open", lane=self._partition, why=why, mend=f"journey lane resume --lane {self._partition}"
        )

        def remember(record: LaneRecord) -> None:
            record.breaker = breaker

        await hold.note(remember)
        self._ports.metrics.publish(self._partition, hold.record)

    async def paused_by_order(self, hold: Hold) -> bool:
        """Pauses if a person has ordered so: as soon as the order is fetched, whatever is to be read before it."""
        queue = self._merge.queues[self._commands]
        if not queue.queued:
            return False
        order = find_order(queue.records(), "pause", self._partition, hold.record.control)
        if order is None:
            return False
        offset, command = order
        pause = Pause(command.reason, self._ports.clock.now(), offset + 1)
        log.warning(
            "lane.paused",
            lane=self._partition,
            position=self._place(offset),
            mend=f"journey lane resume --lane {self._partition}",
        )

        def remember(record: LaneRecord) -> None:
            record.paused = pause
            record.control = pause.after

        await hold.note(remember)
        self._ports.metrics.publish(self._partition, hold.record)
        return True

    async def wait_for_resume(self, hold: Hold, why: str, detail: str, after: int) -> None:
        """Until a resume that stands at or behind `after` on the commands, or the lane is to stop."""
        self._steps.say(why, detail)
        await self._look_at_commands(hold, after)
        while not self._steps.stopping():
            await self._steps.seek_again()
            order = find_order(self._merge.queues[self._commands].records(), "resume", self._partition, after)
            if order is not None:
                offset, _ = order
                log.info("lane.resumed", lane=self._partition, position=self._place(offset))

                def forget(record: LaneRecord, behind: int = offset + 1) -> None:
                    record.breaker = record.paused = None
                    record.control = behind

                await hold.note(forget)
                self._ports.metrics.publish(self._partition, hold.record)
                await self._steps.seek_inputs(hold)
                return
            if not await self._looked_further():
                await self._steps.sleep()

    async def wait_for_skip(self, hold: Hold, topic: str, position: int) -> int:
        """The position to go on at, once a person has given up what retention took.

        Others may have read it while this process stood still, so that only who is not fenced may ask.
        """
        lane = self._partition
        await hold.note(lambda _: None)
        await self._look_at_commands(hold, hold.record.control)
        while not self._steps.stopping():
            await self._steps.seek_again()
            start = (await self._ports.inputs.log_starts([topic], lane))[topic]
            self._steps.say(
                "retention",
                f"{topic}-{lane}: positions {position} to {start} were deleted before they were read; "
                f"give them up with: journey lane skip --lane {lane} --topic {topic} --reason ...",
            )
            order = find_order(self._merge.queues[self._commands].records(), "skip", lane, hold.record.control)
            if order is not None and order[1].topic in (None, topic):
                offset, command = order
                skip = Skip(topic, position, start, command.reason, self._ports.clock.now())
                place = self._place(offset)
                log.warning("lane.skipped", lane=lane, position=place, topic=topic, start=position, end=start)

                spent = offset + 1 if command.topic else hold.record.control

                def give_up(record: LaneRecord, skip: Skip = skip, spent: int = spent) -> None:
                    record.skipped = [*record.skipped, skip][-20:]
                    record.next[skip.topic] = skip.end
                    record.control = spent

                await hold.note(give_up)
                return start
            if not await self._looked_further():
                await self._steps.sleep()
        raise KafkaDoubt("asked to stop while waiting for a person")

    def _place(self, offset: int) -> str:
        """Where a command stands; its words are a person's, and belong there."""
        return f"{self._commands}-{self._partition}@{offset}"

    async def _look_at_commands(self, hold: Hold, after: int) -> None:
        """Reads only the commands, those at or behind `after`, from here on, without taking them."""
        topic = self._commands
        start = (await self._ports.inputs.log_starts([topic], self._partition))[topic]
        self._steps.silence()
        await self._steps.pause_all()
        await self._look_from(max(hold.record.next.get(topic, start), start, after))

    async def _looked_further(self) -> bool:
        """Whether what was looked at in vain filled the queue, and made room for what comes behind it."""
        queue = self._merge.queues[self._commands]
        position = queue.reached
        if position is None or queue.queued < self._ports.queue_share():
            return False
        self._steps.silence()
        await self._look_from(position)
        return True

    async def _look_from(self, position: int) -> None:
        self._merge.queues[self._commands].restart(position)
        await self._steps.seek(self._commands, position)
