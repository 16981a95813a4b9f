"""Sending the rows of files as raw events: what is wrong is refused and counted, the rest goes on."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pipeline.adapters.identity_kinds import kinds_of
from pipeline.adapters.ingest_events import EventMaker, RawRecord
from pipeline.adapters.ingest_files import Opened, Row, read_rows, stem
from pipeline.adapters.ingest_mapping import EventMapping
from pipeline.adapters.ingest_templates import Refused
from pipeline.adapters.yaml_documents import refuse
from pipeline.config import Settings
from pipeline.domain.duration import format_duration
from pipeline.domain.moments import format_moment
from pipeline.errors import UserError

EXAMPLES: Final = 5
"""Refused rows that are shown."""
_FLUSH_BYTES: Final = 2_000_000
_TELL_ROWS: Final = 1_000


class Sink(Protocol):
    """Where the records go; see `RawSender`."""

    pending: int

    def add(self, topic: str, key: bytes, value: bytes) -> None: ...
    async def flush(self) -> None: ...
    async def punctuate(self, at: int, *, end: bool = False) -> None: ...


@dataclass(slots=True)
class Report:
    """What became of the rows. `first` and `last` are the times of the events sent, in ms; `end`: the end mark sent."""

    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    end: int | None = None


class Ingest:
    """Sends files by one mapping. `end_mark`: event time (ms) up to which everything is complete with these files, or
    "last" for the time of the last event. `now` (ms) is looked at on the live clock only. `told` is called with the
    file's name, bytes read and bytes in all, once in a while.
    """

    def __init__(
        self,
        settings: Settings,
        mapping: EventMapping,
        sink: Sink,
        *,
        end_mark: int | str | None = None,
        now: int = 0,
        told: Callable[[str, int, int], None] = lambda name, done, size: None,
    ) -> None:
        self.report = Report()
        mapping.refuse_kinds_but(kinds_of(settings))
        self._settings = settings
        self._mapping = mapping
        self._sink = sink
        self._end_mark = end_mark
        self._told = told
        live = settings.clock == "live"
        self._oldest = now - settings.lateness if live else None
        self._newest = now + settings.future if live else None

    async def run(self, files: Sequence[str]) -> Report:
        """Sends all files, one after the other. UserError for what concerns a whole file."""
        if len(files) > 1 and (problem := self._mapping.problem_for_several_files()):
            refuse([problem])
        if self._end_mark is not None and not self._mapping.file.sort:
            self._check_order(files)
        if self._mapping.file.sort:
            # Python's sort is stable: rows of one time keep the order of the file.
            records: Iterator[RawRecord] = iter(sorted(self._records(files), key=lambda record: record.at))
        else:
            records = self._records(files)
        for record in records:
            self._sink.add(record.topic, record.key, record.value)
            self._note(record)
            if self._sink.pending > _FLUSH_BYTES:
                await self._send_on()
        await self._sink.flush()
        await self._finish()
        return self.report

    def _note(self, record: RawRecord) -> None:
        report = self.report
        report.sent[record.topic] += 1
        report.first = record.at if report.first is None else min(report.first, record.at)
        report.last = record.at if report.last is None else max(report.last, record.at)

    async def _send_on(self) -> None:
        if self._end_mark is None or not self.report.last:
            await self._sink.flush()
        else:
            # More rows of this very moment may follow.
            await self._sink.punctuate(self.report.last - 1)

    async def _finish(self) -> None:
        end = self.report.last if self._end_mark == "last" else self._end_mark
        if isinstance(end, int):
            await self._sink.punctuate(end, end=True)
            self.report.end = end

    def _records(self, files: Sequence[str], quietly: bool = False) -> Iterator[RawRecord]:
        """The records of all good rows; the others are noted as refused, unless `quietly`."""
        for file in files:
            with Opened(file, self._mapping.file.encoding) as opened:
                for row, made in self._made(opened):
                    if row.number % _TELL_ROWS == 0:
                        self._told(file, opened.done, opened.size)
                    if isinstance(made, RawRecord):
                        yield made
                    elif not quietly:
                        self._refuse(file, row, made)
                self._told(file, opened.size, opened.size)

    def _made(self, opened: Opened) -> Iterator[tuple[Row, RawRecord | Refused]]:
        """Every row of a file with what became of it."""
        maker: EventMaker | None = None

        def columns(headings: Sequence[str] | None) -> int:
            nonlocal maker
            names = self._mapping.columns(headings)
            maker = EventMaker(self._mapping, self._settings, names, stem(opened.name))
            return len(names or ())

        for row in read_rows(opened, self._mapping.layout, columns, self._mapping.has_header):
            assert maker is not None, "the columns are known before the first row"
            try:
                record = maker.make(row)
                self._check_time(record)
            except Refused as refused:
                yield row, refused
            else:
                yield row, record

    def _check_time(self, record: RawRecord) -> None:
        if self._oldest is not None and record.at < self._oldest:
            limit = format_duration(self._settings.lateness)
            raise Refused(
                "too old for the live clock",
                f"{format_moment(record.at)} is longer ago than the lateness ({limit}): its timers would all be due at "
                "once; a history belongs in a run with `clock: event`",
            )
        if self._newest is not None and record.at > self._newest:
            raise Refused("in the future", f"{format_moment(record.at)} has not come yet")
        if isinstance(self._end_mark, int) and record.at > self._end_mark:
            raise Refused(
                "after the end mark", f"{format_moment(record.at)} lies after {format_moment(self._end_mark)}"
            )

    def _check_order(self, files: Sequence[str]) -> None:
        """With an end mark silence is believed as the sending goes on, so nothing may come out of order."""
        last, where = 0, ""
        for file in files:
            for record in self._records([file], quietly=True):
                if record.at < last:
                    raise UserError(
                        f"{file}:{record.line}: {format_moment(record.at)} comes after {format_moment(last)} "
                        f"({where}); with an end mark everything is sent in order of time: put `sort: occurred_at` "
                        "into the mapping. Nothing was sent"
                    )
                last, where = record.at, f"{file}:{record.line}"

    def _refuse(self, file: str, row: Row, refused: Refused) -> None:
        self.report.refused[refused.reason] += 1
        if len(self.report.examples) < EXAMPLES:
            self.report.examples.append(f"{file}:{row.line}: {refused}")
