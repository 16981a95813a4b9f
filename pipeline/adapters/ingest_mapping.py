"""The mapping file of `journey ingest`: how the rows of somebody else's file become raw events."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.adapters.ingest_files import Layout, delimited, fixed, json_lines, whitespace
from pipeline.adapters.ingest_templates import OF_ROW, names_in, well_formed
from pipeline.adapters.yaml_documents import Document, Loc, Problem, Source, parse, read, refuse
from pipeline.adapters.yaml_files import Section, check, one_of, unknown

Template = Annotated[str, Field(min_length=1), AfterValidator(well_formed)]

_SPAN: Final = re.compile(r"(\d+)-(\d+)")

EVENTS_AS_THEY_ARE: Final = """
format: jsonl
event:
  id: "{id}"
  type: "{type}"
  occurred_at: "{occurred_at}"
  customer_id: "{customer_id}"
  identities: "{identities}"
  channel: "{channel}"
  source: "{source}"
  actor: "{actor}"
  properties: "{properties}"
"""
"""The mapping for JSON lines that are raw events already."""


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise unknown("time zone", name, tuple(sorted(available_timezones())))
    return name


def _delimiter(given: str) -> str:
    if given == "whitespace" or (len(given) == 1 and given not in '\r\n"'):
        return given
    raise PydanticCustomError("delimiter", "must be one character, or the word whitespace")


def _span(given: str) -> str:
    found = _SPAN.fullmatch(given)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise PydanticCustomError("span", "must be first-last, counted from 1, such as 7-14")
    return given


class TimeFormat(Section):
    """How times are written: `rfc3339`, `iso` (without offset, too), `epoch_s`, `epoch_ms`, or a pattern of strptime.

    `zone`: where a time without an offset was.
    """

    format: Annotated[str, Field(min_length=1)] = "rfc3339"
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class EventFields(Section):
    """A template for each field of the event."""

    id: Template
    type: Template
    occurred_at: Template
    channel: Template
    customer_id: Template | None = None
    identities: Template | dict[str, Template] | None = None
    source: Template | None = None
    actor: Template | None = None
    properties: Template | dict[str, Template | int | float | bool] | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if self.customer_id is None and self.identities is None:
            raise PydanticCustomError("nobody", "the event needs customer_id or identities")
        return self


class MappingFile(Section):
    """The whole file. `sort`: rows are put in the order of their time first, those of one time stay as they are."""

    format: Literal["csv", "jsonl"] = "csv"
    delimiter: Annotated[str, AfterValidator(_delimiter)] = ","
    header: bool = True
    columns: tuple[str, ...] | dict[str, Annotated[str, AfterValidator(_span)]] | None = None
    encoding: Literal["utf-8", "latin-1", "windows-1252", "windows-1254", "windows-1250"] = "utf-8"
    sort: Literal["occurred_at"] | None = None
    time: TimeFormat = TimeFormat()
    event: EventFields

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if self.format == "csv" and not self.header and not self.columns:
            raise PydanticCustomError("columns", "with `header: false` the file must say its `columns`")
        if self.format == "jsonl" and self.columns:
            raise PydanticCustomError("columns", "`columns` have no meaning for JSON lines")
        return self


@dataclass(frozen=True, slots=True)
class EventMapping:
    """A mapping that was read and checked, with the places of its lines for what shows up only at the data."""

    file: MappingFile
    document: Document

    @property
    def layout(self) -> Layout:
        if self.file.format == "jsonl":
            return json_lines
        if isinstance(self.file.columns, dict):
            return fixed(
                [(int(first), int(last)) for first, last in (span.split("-") for span in self.file.columns.values())]
            )
        return whitespace if self.file.delimiter == "whitespace" else delimited(self.file.delimiter)

    @property
    def has_header(self) -> bool:
        return self.file.format == "csv" and self.file.header

    def columns(self, headings: Sequence[str] | None) -> Sequence[str] | None:
        """The columns of a file with these headings, None for JSON lines; UserError if a template names another."""
        if self.file.format == "jsonl":
            return None
        names = tuple(self.file.columns or headings or ())
        known = (*names, *OF_ROW)
        refuse(
            self.document.problem(loc, *one_of("column", name, known))
            for loc, template in self.templates()
            for name in names_in(template)
            if name not in known
        )
        return names

    def templates(self) -> list[tuple[Loc, str]]:
        """Every template, with its place in the file."""
        found: list[tuple[Loc, str]] = []
        for name, value in self.file.event:
            if isinstance(value, str):
                found.append((("event", name), value))
            elif isinstance(value, dict):
                found += [(("event", name, key), item) for key, item in value.items() if isinstance(item, str)]
        return found

    def refuse_kinds_but(self, kinds: tuple[str, ...]) -> None:
        """UserError if the mapping makes a kind of identity that does not count."""
        made = self.file.event.identities
        refuse(
            self.document.problem(("event", "identities", kind), *one_of("kind of identity", kind, kinds), at_key=True)
            for kind in (made if isinstance(made, dict) else ())
            if kind not in kinds
        )

    def problem_for_several_files(self) -> Problem | None:
        """An id made of the row's number stands for one event only if it says which file."""
        names = names_in(self.file.event.id)
        if {"row", "line"} & set(names) and "file" not in names and set(names) <= set(OF_ROW):
            return self.document.problem(
                ("event", "id"), "several files have rows of the same number: put {file} into the id, too"
            )
        return None


def load_mapping(path: Path | None) -> EventMapping:
    """The mapping in a file, or the one for raw events as JSON lines; UserError that lists every mistake."""
    document = read(path) if path else parse(Source("raw events", EVENTS_AS_THEY_ARE))
    mapping = EventMapping(check(document, MappingFile), document)
    if mapping.file.columns:
        mapping.columns(None)
    return mapping


def time_parser(time: TimeFormat) -> Callable[[object], int]:
    """From a cell to ms since the epoch; ValueError if it cannot be read so."""
    zone = ZoneInfo(time.zone)
    epoch = datetime.fromtimestamp(0, ZoneInfo("UTC"))
    remembered: dict[object, int] = {}

    def parsed(given: object) -> int:
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError("no time is given" if given is None else f"{str(given)[:40]!r} is no time")
        if time.format in ("epoch_s", "epoch_ms") or not isinstance(given, str):
            return round(float(given) * (1000 if time.format == "epoch_s" else 1))
        if time.format in ("rfc3339", "iso"):
            moment = datetime.fromisoformat(given)
            if time.format == "rfc3339" and moment.tzinfo is None:
                raise ValueError(
                    f"{given[:40]!r} has no offset from UTC; `time: {{format: iso, zone: …}}` takes such times"
                )
        else:
            moment = datetime.strptime(given, time.format)  # noqa: DTZ007  # its zone is added below
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return (moment - epoch) // timedelta(milliseconds=1)

    def cached(given: object) -> int:
        found = remembered.get(given)
        if found is None:
            if len(remembered) > 50_000:
                remembered.clear()
            found = remembered[given] = parsed(given)
        return found

    return cached
