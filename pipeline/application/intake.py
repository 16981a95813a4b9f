"""From fetched records to events of this lane: decode, check, classify; what is not at home here is sent on.

Nothing is refused silently: every record becomes an arrival, a routed record or a dead letter, and is counted.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pipeline.application.lane_record import UNKNOWN_CHANNEL, CommandTally, Tally
from pipeline.application.ports import Entry, Headers, Record
from pipeline.application.routing import APPENDED, MOST_HEADERS, sent_on, size_of, with_origin
from pipeline.domain.event import CHANNELS, Invalid, RawEvent, Reason, decode, moment, named
from pipeline.domain.identity import (
    ANONYMOUS_ONLY,
    CUSTOMER,
    SAID,
    Identities,
    Ignored,
    Key,
    Named,
    customer_key,
    key_of,
    public_key,
)
from pipeline.domain.messages import AnyMessage, Erase, Post, Seen, decode_message, hop
from pipeline.domain.moments import format_moment
from pipeline.domain.ownership import is_customer
from pipeline.domain.profile import Event, event_of
from pipeline.domain.stitching import MOST_HOPS, link, order_of
from pipeline.domain.touches import TouchTable

REASON = "journey.reason"
TRUNCATED = "journey.truncated"
PUNCTUATION = "journey.punctuation"
ERRORS = "__connect.errors."

MERGED = "customer_merged"
"""The type of an event by which a source system says that its `customer_id` is the same person as `properties.into`."""

HEAD = 64 * 1024
"""How much of a key or a value that is too big for the dead letters is kept there, in bytes."""

_HOMES = 200_000
_CHANNELS = {channel: channel for channel in CHANNELS}
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Source:
    """One input topic of the lanes. `kind` raw: `channel` or, where that is None, the event's own `channel_field`."""

    topic: str
    kind: Literal["raw", "events", "commands"]
    channel: str | None = None
    channel_field: str = "channel"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an event may be: bytes, nesting, ms ahead of its append time (None: not looked at).

    `old_ms`: on the live clock an event older than this at its append time is counted as old input.
    """

    max_bytes: int = 256 * 1024
    max_depth: int = 32
    future_ms: int | None = 5 * 60_000
    old_ms: int | None = 30 * 86_400_000


class Arrival:
    """What reached the identity `key`, which is at home here, with the record that it came in.

    An event of a raw topic has no `message`; `others` is what else it names its customer by. One that was sent on has
    both. Any other message has NO_EVENT and no `channel`.
    """

    __slots__ = ("channel", "event", "key", "message", "others", "record", "source")

    def __init__(
        self,
        key: Key,
        others: tuple[str, ...],
        event: Event,
        message: AnyMessage | None,
        source: Source,
        record: Record,
        channel: str,
    ) -> None:
        self.key = key
        self.others = others
        self.event = event
        self.message = message
        self.source = source
        self.record = record
        self.channel = channel

    @property
    def appended(self) -> int:
        """First append time of what arrived, in ms."""
        return self.event.appended if self.channel else self.record.timestamp


NO_EVENT = event_of("", 0, 0, 0, 0, "", "", "")


@dataclass(slots=True)
class Batch:
    """What intake made of some records. `routed` by partition of `journey.events`; `counts` by channel.

    `ignored`: identities that were passed over in events that name somebody by another, by reason. `posts`: messages
    that raw events ask for. `told`: messages that were read, by kind.
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
    posts: list[Post] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)

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
        self.partition = partition
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
        old, of_topic, event_clock = limits.old_ms, source.channel, self._event_clock
        here, arrivals = self.partition, batch.arrivals
        tallies = {channel: batch.tally(channel) for channel in CHANNELS}
        for record in records:
            if event_clock and record.headers and self._punctuated(source, record, batch):
                continue
            channel = of_topic
            try:
                raw = decode(record.value, max_bytes, max_depth)
                own = raw.channel
                if channel is None:
                    channel = self._own_channel(source, own, record)
                elif own is not None and own != channel:
                    raise Invalid("channel_mismatch", f"channel {own[:40]!r} on a topic of {channel}")
                customer = raw.customer_id or ""
                resident = residents.get(customer)
                known = resident if resident is not None else strangers.get(customer)
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
                home = here if resident is not None else self.find_home(key)
                touch = table.classify(raw, channel)
                kind = raw.type
                merge = self._merge(raw, key, appended) if kind == MERGED else None
                others = () if who is None else who.others
                forwarded: Entry | None = None
                if home != here:
                    seen = Seen(key, others, 1, raw.id, at, appended, here, record.offset, kind, touch, channel)
                    forwarded = sent_on(key, seen, with_origin(source.topic, here, record))
            except Invalid as invalid:
                tally = batch.tally(channel or UNKNOWN_CHANNEL)
                tally.read += 1
                tally.dead += 1
                self.bury(source, record, invalid.reason, invalid, batch)
                continue
            if merge is not None:
                batch.posts.append(merge)
            tally = tallies[channel]
            tally.read += 1
            if old is not None and at < appended - old:
                batch.old += 1
            if who is not None and who.ignored:
                _count_ignored(who, batch)
            if known is None and key == customer_key(customer):
                (residents if home == here else strangers)[customer] = key
            if forwarded is not None:
                tally.routed += 1
                batch.routed.setdefault(home, []).append(forwarded)
                continue
            event = event_of(raw.id, at, appended, here, record.offset, table.shared(kind), touch, channel)
            arrivals.append(Arrival(key, others, event, None, source, record, channel))

    def _routed(self, source: Source, record: Record, batch: Batch) -> None:
        try:
            message = decode_message(record.value or b"")
            key = key_of((record.key or b"").decode(), self._identities.kinds)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            tally = batch.tally(UNKNOWN_CHANNEL)
            tally.read += 1
            tally.dead += 1
            self.bury(source, record, "invalid", Invalid("invalid", f"no message of a lane: {error}"), batch)
            return
        if type(message) is Seen:
            self._sent_on(source, record, key, message, batch)
            return
        kind = str(message.__struct_config__.tag)
        batch.told[kind] = batch.told.get(kind, 0) + 1
        batch.arrivals.append(Arrival(key, (), NO_EVENT, message, source, record, ""))

    def _sent_on(self, source: Source, record: Record, key: Key, message: Seen, batch: Batch) -> None:
        channel = _CHANNELS.get(message.channel, UNKNOWN_CHANNEL)
        tally = batch.tally(channel)
        tally.read += 1
        home = self.find_home(key)
        forwarded: Entry | None = None
        try:
            if channel == UNKNOWN_CHANNEL:
                raise Invalid("unknown_channel", "the routed event does not say its channel")
            if home != self.partition:
                if message.hops >= MOST_HOPS:
                    raise Invalid("too_many_hops", f"{message.hops} hops, and lane {home} is its home")
                forwarded = sent_on(key, hop(message), record.headers)
        except Invalid as invalid:
            tally.dead += 1
            self.bury(source, record, invalid.reason, invalid, batch)
            return
        if forwarded is not None:
            tally.routed += 1
            batch.routed.setdefault(home, []).append(forwarded)
            return
        batch.arrivals.append(Arrival(key, message.named, message.event(), message, source, record, channel))

    def _commands(self, source: Source, records: Sequence[Record], batch: Batch) -> None:
        for record in records:
            if self._event_clock and record.headers and self._punctuated(source, record, batch):
                continue
            batch.commands.read += 1
            try:
                command = decode_command(record.value)
                if command.lane != self.partition:
                    raise Invalid("bad_command", f"for lane {command.lane}, but written to {self.partition}")
                if command.command in IDENTITY_ORDERS:
                    to, message = self._of_identities(command, record.timestamp)
                    batch.arrivals.append(Arrival(Key(to), (), NO_EVENT, message, source, record, ""))
            except Invalid as invalid:
                batch.commands.dead += 1
                self.bury(source, record, invalid.reason, invalid, batch)
                continue
            batch.commands.obeyed += 1
            if command.command in VERSION_ORDERS:
                batch.orders.append(command)

    def _merge(self, raw: RawEvent, key: Key, appended: int) -> Post:
        """What the event of a merge in another system says to the two customers; raises Invalid."""
        try:
            into = msgspec.json.decode(raw.properties, type=_Merged).into
        except msgspec.DecodeError as error:
            raise Invalid("invalid", f"{MERGED}: {error}") from None
        other, why = self._identities.look_up(CUSTOMER, into)
        if why is not None:
            raise Invalid("bad_identity", f"properties.into {SAID[why]}")
        if not is_customer(key):
            raise Invalid("bad_identity", f"{MERGED} without a customer_id")
        if key == other:
            raise Invalid("bad_identity", f"{MERGED} of a customer into itself")
        return link(key, other, appended)

    def _of_identities(self, command: "Command", appended: int) -> Post:
        """What an order about identities says to which of them; raises Invalid."""
        kinds = self._identities.kinds
        if command.command == "erase":
            return self._erase(command, appended)
        if not command.identity or not command.customer:
            raise Invalid("bad_command", f"{command.command} needs an identity and a customer")
        try:
            post = order_of(command.command, key_of(command.identity, kinds), key_of(command.customer, kinds), appended)
        except ValueError as error:
            raise Invalid("bad_command", str(error)) from None
        if self.find_home(Key(post.to)) != self.partition:
            raise Invalid("bad_command", f"for an identity of lane {self.find_home(Key(post.to))}")
        return post

    def _erase(self, command: "Command", appended: int) -> Post:
        """The order to erase somebody; raises Invalid."""
        kinds = self._identities.kinds
        if not command.identity:
            raise Invalid("bad_command", "erase needs an identity")
        key = key_of(command.identity, kinds)
        if self.find_home(key) != self.partition:
            raise Invalid("bad_command", f"for an identity of lane {self.find_home(key)}")
        mentioned = tuple([key_of(each, kinds) for each in command.mentioned])
        return Post(key, Erase(appended, command.id, mentioned))

    def _punctuated(self, source: Source, record: Record, batch: Batch) -> bool:
        """Whether the record only says up to where everything is sent."""
        for name, text in record.headers:
            if name == PUNCTUATION:
                with suppress(ValueError):
                    batch.punctuation[source.topic] = max(batch.punctuation.get(source.topic, 0), _number(text))
                    return True
        return False

    def _own_channel(self, source: Source, own: str | None, record: Record) -> str:
        found: object = own
        if source.channel_field != "channel":
            try:
                found = msgspec.json.decode(record.value or b"{}").get(source.channel_field)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Invalid("not_json", f"not JSON: {error}") from None
        channel = _CHANNELS.get(found) if isinstance(found, str) else None
        if channel is None:
            raise Invalid("unknown_channel", f"{source.channel_field} is none of {', '.join(CHANNELS)}")
        return channel

    def find_home(self, key: Key) -> int:
        """The home lane of an identity."""
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
        if (size := size_of(headers)) > MOST_HEADERS:
            headers = [(TRUNCATED + ".headers", str(size).encode())]
        if key is not None and len(key) > HEAD:
            headers.append((TRUNCATED + ".key", str(len(key)).encode()))
            key = key[:HEAD]
        if value is not None and len(value) > self._limits.max_bytes:
            headers.append((TRUNCATED, str(len(value)).encode()))
            value = value[:HEAD]
        headers += [
            (ERRORS + "topic", source.topic.encode()),
            (ERRORS + "partition", str(self.partition).encode()),
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


def buried_at(headers: Headers) -> str:
    """Where a dead letter stood, `topic-partition@offset`, out of its headers."""
    told = {name: text.decode() for name, text in headers if text is not None and name.startswith(ERRORS)}
    return f"{told[ERRORS + 'topic']}-{told[ERRORS + 'partition']}@{told[ERRORS + 'offset']}"


class _Merged(msgspec.Struct):
    into: str


class Command(msgspec.Struct, frozen=True):
    """An order of a person to a lane, on `journey.commands`.

    `journey` to `stages` only with `prepare`: the version of a journey as `text`, the version that it follows, and
    where customers go by stage (null: folded again). `identity` and `customer`: public keys, of an order about both;
    an `erase` has an identity only, and in `mentioned` those whose records name it.
    """

    id: str
    command: Literal["pause", "resume", "skip", "prepare", "switch", "abandon", "link", "block", "unblock", "erase"]
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
    identity: str = ""
    customer: str = ""
    mentioned: list[str] = []


VERSION_ORDERS = frozenset(("prepare", "switch", "abandon"))
"""What concerns the versions of journeys; it is obeyed in its turn, as part of the transaction that reads it."""

IDENTITY_ORDERS = frozenset(("link", "block", "unblock", "erase"))
"""What concerns identities: a message for one of them."""

_decode_command = msgspec.json.Decoder(Command).decode


def decode_command(value: bytes | None) -> Command:
    """The command; raises Invalid with reason bad_command."""
    try:
        return _decode_command(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("bad_command", f"no command: {error}") from None


def _count_ignored(who: Named, batch: Batch) -> None:
    for _, why in who.ignored:
        batch.ignored[why] = batch.ignored.get(why, 0) + 1


def _number(text: bytes | None) -> int:
    """A count or a time in ms, of a size that every format here can hold; ValueError if it is none."""
    if text is None or not text.isdigit() or len(text) > _DIGITS:
        raise ValueError("not a whole number")
    return int(text)
