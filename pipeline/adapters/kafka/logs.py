"""Reading whole logs, for those who look on: no group, no offset committed, nothing written."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self

from pipeline.adapters.kafka.connection import Cluster, connection, step
from pipeline.adapters.kafka.metadata import log_offsets
from pipeline.adapters.kafka.reader import committed_records
from pipeline.application.ports import Record
from pipeline.config import Settings
from pipeline.errors import UserError

PATIENCE_S: Final = 30.0
"""How long an open transaction is waited for: Kafka aborts it by then, unless a producer asked for longer."""


class Logs:
    """Reads logs over one connection. An async context manager; raises Doubt, and UserError for what is not there."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.cluster = Cluster(connection(settings, role))
        self._limit = settings.step_timeout_s
        self._brokers = settings.brokers

    async def __aenter__(self) -> Self:
        async with step(f"Kafka at {self._brokers}", self._limit):
            await self.cluster.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cluster.close()

    async def bounds(self, places: Sequence[tuple[str, int]], at: int) -> dict[tuple[str, int], int]:
        """The first (EARLIEST) or the next (LATEST, open transactions included) offset of each log, or of the first
        record that was appended at a time (ms) or later, -1 if there is none."""
        async with step("where the logs begin and end", self._limit):
            answers = await log_offsets(self.cluster, places, at)
        found: dict[tuple[str, int], int] = {}
        for (topic, lane), offset in answers.items():
            if not isinstance(offset, int):
                raise UserError(f"{topic}-{lane} cannot be read: {offset!r}; `journey topics check` says what is there")
            found[topic, lane] = offset
        return found

    def read(
        self, topic: str, lane: int, start: int, end: int, patience: float = PATIENCE_S
    ) -> AsyncIterator[Sequence[Record]]:
        """Everything committed in [start, end); OpenTransaction where one stays open for `patience` seconds."""
        return committed_records(self.cluster, topic, lane, start, end, self._limit, patience)
