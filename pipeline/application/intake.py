"""From fetched records to events of this lane: decode, check, classify; what is not at home here is sent on.

Nothing is refused silently: every record becomes an arrival, a routed record or a dead letter, and is counted.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pipeline.application.lane_record import UNKNOWN_CHANNEL, CommandTally, Tally
from pipeline.application.ports import Entry, Headers, Record
from pipeline.domain.event import CHANNELS, Invalid, RawEvent, Reason, decode, moment, named
from pipeline.domain.identity import ANONYMOUS_ONLY, Identities, Ignored, Key, Named, customer_key, public_key
from pipeline.domain.moments import format_moment
from pipeline.domain.profile import Event, event_of
from pipeline.domain.touches import TouchTable

CHANNEL = "journey.channel"
APPENDED = "journey.appended"
ORIGIN = "journey.origin"
HOPS = "journey.hops"
REASON = "journey.reason"
TRUNCATED = "journey.truncated"
PUNCTUATION = "journey.punctuation"
ERRORS = "__connect.errors."

HEAD = 64 * 1024
"""How much of a key or a value that is too big for the dead letters is kept there, in bytes."""

MOST_HEADERS = 256 * 1024
"""Bytes of a record's own headers that are carried along; a batch must fit into a topic's max.message.bytes."""

_HOMES = 200_000
_CHANNELS = {channel: channel for channel in CHANNELS}
_DIGITS = 18
_ROUTING = frozenset((CHANNEL, APPENDED, ORIGIN, HOPS))


@dataclass(frozen=True, slots=True)
class Source:
    """One input topic of the lanes. `kind` raw: `channel` or, where that is None, the event's own `channel_field`."""

    topic: str
    kind: Literal["raw", "events", "commands"]
    channel: str | None = None
    channel_field: str = "channel"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an event may be: bytes, nesting, ms ahead of its append time (None: not looked at), hops of a routed one.

    `old_ms`: on the live clock an event older than this at its append time is counted as old input.
    """

    max_bytes: int = 256 * 1024
    max_depth: int = 32
    future_ms: int | None = 5 * 60_000
    old_ms: int | None = 30 * 86_400_000
    max_hops: int = 1


class Arrival:
    """An event at its owner, with the record that it came in. `others`: what else it names its customer by."""

    __slots__ = ("channel", "event", "key", "others", "record", "source")

    def __init__(
        self, key: Key, others: tuple[Key, ...], event: Event, source: Source, record: Record, channel: str
    ) -> None:
        self.key = key
        self.others = others
        self.event = event
        self.source = source
        self.record = record
        self.channel = channel


@dataclass(slots=True)
class Batch:
    """What intake made of some records. `routed` by partition of `journey.events`; `counts` by channel.

    `ignored`: identities that were passed over in events that name somebody by another, by reason.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    routed: dict[int, list[Entry]] = field(default_factory=dict)
    dead: list[Entry] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    counts: dict[str, Tally] = field(default_factory=dict)
    commands: CommandTally = field(default_factory=CommandTally)
    orders: list["Command"] = field(default_factory=list)
    punctuation: dict[str, int] = field(default_factory=dict)
    old: int = 0
    ignored: dict[Ignored, int] = field(default_factory=dict)

    def tally(self, channel: str) -> Tally:
        found = self.counts.get(channel)
        if found is None:
            found = self.counts[channel] = Tally()
        return found


class Intake:
    """Reads records for lane `partition`. `home` maps the bytes of a public key to its home lane."""

    def __init__(
        self,
        partition: int,
        table: TouchTable,
        limits: Limits,
        home: Callable[[bytes], int],
        event_clock: bool,
        identities: Identities = ANONYMOUS_ONLY,
    ) -> None:
        self._partition = partition
        self._identities = identities
        self.table = table
        self._limits = limits
        self._home = home
        self._event_clock = event_clock
        self._homes: dict[Key, int] = {}
        self._residents: dict[str, Key] = {}
        self._strangers: dict[str, Key] = {}

    def take(self, source: Source, records: Sequence[Record], batch: Batch) -> None:
        """Adds what `records` of one input hold to `batch`."""
        if source.kind == "commands":
            self._commands(source, records, batch)
        elif source.kind == "events":
            for record in records:
                self._routed(source, record, batch)
        else:
            self._raw(source, records, batch)

    def _raw(self, source: Source, records: Sequence[Record], batch: Batch) -> None:
        limits, table, residents, strangers = self._limits, self.table, self._residents, self._strangers
        max_bytes, max_depth, future = limits.max_bytes, limits.max_depth, limits.future_ms
        old = limits.old_ms
        here, arrivals = self._partition, batch.arrivals
        tallies = {channel: batch.tally(channel) for channel in CHANNELS}
        for record in records:
            if self._event_clock and record.headers and self._punctuated(source, record, batch):
                continue
            channel = source.channel
            try:
                raw = decode(record.value, max_bytes, max_depth)
                if channel is None:
                    channel = self._own_channel(source, raw, record)
                elif raw.channel is not None and raw.channel != channel:
                    raise Invalid("channel_mismatch", f"channel {raw.channel[:40]!r} on a topic of {channel}")
                customer = raw.customer_id or ""
                resident = residents.get(customer)
                known = resident or strangers.get(customer)
                who: Named | None = None
                if known is not None and not raw.identities:
                    key = known
                else:
                    who = named(raw, self._identities, known)
                    key = who.primary
                at = moment(raw)
                appended = record.timestamp
                if future is not None and at > appended + future:
                    raise Invalid("future", f"occurred_at {format_moment(at)}, appended {format_moment(appended)}")
                home = here if resident is not None else self._find_home(key)
                touch, forwarded = "", None
                if home == here:
                    touch = table.classify(raw, channel)
                else:
                    origin = f"{source.topic}-{here}@{record.offset}"
                    forwarded = _forwarded(key, record, channel, appended, origin, 1)
            except Invalid as invalid:
                tally = batch.tally(channel or UNKNOWN_CHANNEL)
                tally.read += 1
                tally.dead += 1
                self.bury(source, record, invalid.reason, invalid, batch)
                continue
            tally = tallies[channel]
            tally.read += 1
            if old is not None and at < appended - old:
                batch.old += 1
            others: tuple[Key, ...] = ()
            if who is not None:
                others = who.others
                if who.ignored:
                    _count_ignored(who, batch)
            if known is None and key == customer_key(customer):
                (residents if home == here else strangers)[customer] = key
            if forwarded is not None:
                tally.routed += 1
                batch.routed.setdefault(home, []).append(forwarded)
                continue
            event = event_of(raw.id, at, appended, here, record.offset, table.shared(raw.type), touch, channel)
            arrivals.append(Arrival(key, others, event, source, record, channel))

    def _routed(self, source: Source, record: Record, batch: Batch) -> None:
        headers = dict(record.headers)
        channel = (headers.get(CHANNEL) or b"").decode("utf-8", "replace")
        if channel not in CHANNELS:
            channel = UNKNOWN_CHANNEL
        tally = batch.tally(channel)
        tally.read += 1
        try:
            appended, origin, hops = _journey_so_far(headers)
            raw = decode(record.value, self._limits.max_bytes, self._limits.max_depth)
            if channel == UNKNOWN_CHANNEL:
                raise Invalid("unknown_channel", "the routed record does not say its channel")
            who = named(raw, self._identities)
            key = who.primary
            at = moment(raw)
            home = self._find_home(key)
            if home != self._partition and hops >= self._limits.max_hops:
                raise Invalid("too_many_hops", f"{hops} hops, and lane {home} is its home")
            touch, forwarded = "", None
            if home == self._partition:
                touch = self.table.classify(raw, channel)
            else:
                forwarded = _forwarded(key, record, channel, appended, origin, hops + 1)
        except Invalid as invalid:
            tally.dead += 1
            self.bury(source, record, invalid.reason, invalid, batch)
            return
        if forwarded is not None:
            tally.routed += 1
            batch.routed.setdefault(home, []).append(forwarded)
            return
        partition, offset = _first_appearance(origin)
        event = event_of(raw.id, at, appended, partition, offset, raw.type, touch, channel)
        batch.arrivals.append(Arrival(key, who.others, event, source, record, channel))

    def _commands(self, source: Source, records: Sequence[Record], batch: Batch) -> None:
        for record in records:
            if self._event_clock and record.headers and self._punctuated(source, record, batch):
                continue
            batch.commands.read += 1
            try:
                command = decode_command(record.value)
                if command.lane != self._partition:
                    raise Invalid("bad_command", f"for lane {command.lane}, but written to {self._partition}")
            except Invalid as invalid:
                batch.commands.dead += 1
                self.bury(source, record, invalid.reason, invalid, batch)
                continue
            batch.commands.obeyed += 1
            if command.command in VERSION_ORDERS:
                batch.orders.append(command)

    def _punctuated(self, source: Source, record: Record, batch: Batch) -> bool:
        """Whether the record only says up to where everything is sent."""
        for name, text in record.headers:
            if name == PUNCTUATION:
                with suppress(ValueError):
                    batch.punctuation[source.topic] = max(batch.punctuation.get(source.topic, 0), _number(text))
                    return True
        return False

    def _own_channel(self, source: Source, raw: RawEvent, record: Record) -> str:
        found: object = raw.channel
        if source.channel_field != "channel":
            try:
                found = msgspec.json.decode(record.value or b"{}").get(source.channel_field)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Invalid("not_json", f"not JSON: {error}") from None
        channel = _CHANNELS.get(found) if isinstance(found, str) else None
        if channel is None:
            raise Invalid("unknown_channel", f"{source.channel_field} is none of {', '.join(CHANNELS)}")
        return channel

    def _find_home(self, key: Key) -> int:
        found = self._homes.get(key)
        if found is not None:
            return found
        if len(self._homes) >= _HOMES:
            self._homes.clear()
            self._residents.clear()
            self._strangers.clear()
        home = self._homes[key] = self._home(public_key(key).encode())
        return home

    def bury(
        self, source: Source, record: Record, reason: Reason, error: BaseException, batch: Batch, trace: str = ""
    ) -> None:
        """Adds a dead letter: the original record with why and from where, in Kafka Connect's headers.

        Of a value larger than an event may be, and of a key that large, the head is kept; headers that large are not.
        """
        key, value = record.key, record.value
        headers = list(record.headers)
        if (size := _size(headers)) > MOST_HEADERS:
            headers = [(TRUNCATED + ".headers", str(size).encode())]
        if key is not None and len(key) > HEAD:
            headers.append((TRUNCATED + ".key", str(len(key)).encode()))
            key = key[:HEAD]
        if value is not None and len(value) > self._limits.max_bytes:
            headers.append((TRUNCATED, str(len(value)).encode()))
            value = value[:HEAD]
        headers += [
            (ERRORS + "topic", source.topic.encode()),
            (ERRORS + "partition", str(self._partition).encode()),
            (ERRORS + "offset", str(record.offset).encode()),
            (ERRORS + "stage", b"FOLD" if reason == "fold_error" else b"INTAKE"),
            (ERRORS + "exception.class.name", type(error).__name__.encode()),
            (ERRORS + "exception.message", str(error)[:1000].encode()),
            (REASON, reason.encode()),
        ]
        if trace:
            headers.append((ERRORS + "exception.stacktrace", trace[-8000:].encode()))
        if not any(name == APPENDED for name, _ in headers):
            headers.append((APPENDED, str(record.timestamp).encode()))
        batch.dead.append((key, value, headers))
        batch.reasons.append(reason)


class Command(msgspec.Struct, frozen=True):
    """An order of a person to a lane, on `journey.commands`.

    From `journey` on only with `prepare`: the version of a journey as `text`, the version that it follows, and where
    customers go by stage (null: folded again).
    """

    id: str
    command: Literal["pause", "resume", "skip", "prepare", "switch", "abandon"]
    lane: int
    reason: str
    at: int | str = 0
    topic: str | None = None
    kind: Literal["promote", "rollback"] | None = None
    journey: str = ""
    version: int = 0
    former: int = 0
    fingerprint: str = ""
    text: str = ""
    stages: dict[str, str | None] = {}


VERSION_ORDERS = frozenset(("prepare", "switch", "abandon"))
"""What concerns the versions of journeys; it is obeyed in its turn, as part of the transaction that reads it."""

_decode_command = msgspec.json.Decoder(Command).decode


def decode_command(value: bytes | None) -> Command:
    """The command; raises Invalid with reason bad_command."""
    try:
        return _decode_command(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("bad_command", f"no command: {error}") from None


def _forwarded(key: Key, record: Record, channel: str, appended: int, origin: str, hops: int) -> Entry:
    """The record as it goes to its home lane; raises Invalid if its headers are too much to be carried along."""
    headers = [header for header in record.headers if header[0] not in _ROUTING]
    if headers and (size := _size(headers)) > MOST_HEADERS:
        raise Invalid("too_large", f"{size} bytes of headers; {MOST_HEADERS} are allowed")
    headers += [
        (CHANNEL, channel.encode()),
        (APPENDED, str(appended).encode()),
        (ORIGIN, origin.encode()),
        (HOPS, str(hops).encode()),
    ]
    return (public_key(key).encode(), record.value, headers)


def _count_ignored(who: Named, batch: Batch) -> None:
    for _, why in who.ignored:
        batch.ignored[why] = batch.ignored.get(why, 0) + 1


def _size(headers: Headers) -> int:
    """Bytes of all names and values."""
    return sum(len(name) + len(text or b"") for name, text in headers)


def _journey_so_far(headers: Mapping[str, bytes | None]) -> tuple[int, str, int]:
    """First append time, origin and hops of a routed record; raises Invalid."""
    try:
        origin = (headers.get(ORIGIN) or b"").decode()
        _first_appearance(origin)
        return _number(headers.get(APPENDED)), origin, _number(headers.get(HOPS))
    except ValueError:
        raise Invalid("invalid", "a routed record without its append time, origin and hops") from None


def _first_appearance(origin: str) -> tuple[int, int]:
    """Partition and offset out of `topic-partition@offset`; ValueError if it is none."""
    place, _, offset = origin.rpartition("@")
    return _number(place.rpartition("-")[2].encode()), _number(offset.encode())


def _number(text: bytes | None) -> int:
    """A count or a time in ms, of a size that every format here can hold; ValueError if it is none."""
    if text is None or not text.isdigit() or len(text) > _DIGITS:
        raise ValueError("not a whole number")
    return int(text)
