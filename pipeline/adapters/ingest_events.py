"""From the rows of one file to raw records that a worker will accept, or the reason why not."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pipeline.adapters.identity_kinds import identities_for_people
from pipeline.adapters.ingest_files import Row
from pipeline.adapters.ingest_mapping import EventMapping, time_parser
from pipeline.adapters.ingest_templates import Refused, Value, compile_template
from pipeline.config import Settings
from pipeline.domain.event import Invalid, decode, moment, named
from pipeline.domain.identity import public_key
from pipeline.domain.moments import format_moment

_encode = msgspec.json.Encoder().encode


class RawRecord(NamedTuple):
    """One event, ready to be sent; `at` is its time in ms, `line` where it stood in the file."""

    topic: str
    key: bytes
    value: bytes
    at: int
    line: int


class Place(NamedTuple):
    """Where the events of a channel go: the topic, and the field that names the channel if the topic has several."""

    topic: str
    channel_field: str | None


def places(settings: Settings) -> Mapping[str, Place]:
    """Channel -> the input topic for it; a topic of one channel goes before one that carries several."""
    found: dict[str, Place] = {}
    for given in settings.inputs:
        if given.channel is not None:
            found.setdefault(given.channel, Place(settings.topic(given.topic), None))
    for given in settings.inputs:
        if given.channel_field is not None:
            for channel in settings.grace:
                found.setdefault(channel, Place(settings.topic(given.topic), given.channel_field))
    return found


class EventMaker:
    """Makes the events of one file. `columns` as the mapping found them, `file` is the name that templates may use."""

    def __init__(self, mapping: EventMapping, settings: Settings, columns: Sequence[str] | None, file: str) -> None:
        fields = mapping.file.event
        self._settings = settings
        self._identities = identities_for_people(settings)
        self._places = places(settings)
        self._parse_time: Callable[[object], int] = time_parser(mapping.file.time)

        def value_of(template: str) -> Value:
            return compile_template(template, columns, file)

        self._texts = {
            name: value_of(template)
            for name in ("id", "type", "customer_id", "source", "actor")
            if isinstance(template := getattr(fields, name), str)
        }
        self._at = value_of(fields.occurred_at)
        self._channel = value_of(fields.channel)
        self._objects: dict[str, Value] = {}
        self._parts: dict[str, dict[str, Value]] = {}
        self._constants: dict[str, dict[str, object]] = {}
        for name in ("identities", "properties"):
            given = getattr(fields, name)
            if isinstance(given, str):
                self._objects[name] = value_of(given)
            elif given:
                self._parts[name] = {key: value_of(item) for key, item in given.items() if isinstance(item, str)}
                self._constants[name] = {key: item for key, item in given.items() if not isinstance(item, str)}

    def make(self, row: Row) -> RawRecord:
        """The record of a row; raises Refused."""
        if row.problem:
            raise Refused("not readable", row.problem)
        event: dict[str, object] = {}
        for name, value in self._texts.items():
            found = value(row)
            if found is not None:
                event[name] = found if isinstance(found, str) else str(found)
        at = self._time(row)
        event["occurred_at"] = format_moment(at)
        for name, value in self._objects.items():
            found = value(row)
            if found is not None:
                event[name] = found
        for name, values in self._parts.items():
            cells = {key: found for key, value in values.items() if (found := value(row)) is not None}
            event[name] = self._constants[name] | cells
        place = self._place(row, event)
        return self._checked(place, event, at, row.line)

    def _time(self, row: Row) -> int:
        try:
            at = self._parse_time(self._at(row))
            format_moment(at)
        except (ValueError, OverflowError) as error:
            raise Refused("bad time", f"occurred_at: {error}") from None
        if at < 0:
            raise Refused("bad time", "occurred_at: before 1970")
        return at

    def _place(self, row: Row, event: dict[str, object]) -> Place:
        channel = self._channel(row)
        place = self._places.get(str(channel))
        if place is None:
            known = ", ".join(self._places)
            raise Refused("unknown channel", f"no input for the channel {str(channel)[:40]!r}; there are {known}")
        if place.channel_field is not None:
            event[place.channel_field] = channel
        return place

    def _checked(self, place: Place, event: dict[str, object], at: int, line: int) -> RawRecord:
        """The same checks that a worker makes, so that nothing is sent to end among the dead letters."""
        try:
            value = _encode(event)
        except UnicodeEncodeError:
            raise Refused("not UTF-8", "the row holds bytes that are not in the file's encoding") from None
        try:
            decoded = decode(value, self._settings.max_event_bytes, self._settings.max_depth)
            key = public_key(named(decoded, self._identities).primary)
            moment(decoded)
        except Invalid as error:
            raise Refused(error.reason.replace("_", " "), str(error)) from None
        return RawRecord(place.topic, key.encode(), value, at, line)
