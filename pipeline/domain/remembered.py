"""The remembered events of a strand: in order, and packed as long as nothing but the newest joins them.

Most events find those before them long gone from the lateness, or only have to be none of them. Then a search through
the packed bytes is all, and no event is made of them.
"""

from sys import intern

import msgspec

from pipeline.domain.extremes import FAR
from pipeline.domain.profile import Event, Strand, before, event_of

_pack = msgspec.msgpack.Encoder().encode
_read_event = msgspec.msgpack.Decoder(tuple[str, int, int, int, int, str, str, str]).decode
_read_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_ARRAY_16 = b"\xdc"


def remembers(strand: Strand, identifier: str) -> bool:
    """Whether an event of that id is among them."""
    if strand.recent is None and identifier.encode() not in strand.packed:
        return False
    for event in recent_of(strand):  # noqa: SIM110  # a generator cannot be part of a C function
        if event.id == identifier:
            return True
    return False


def recent_of(strand: Strand) -> list[Event]:
    """The events themselves. From here on they stand in `strand.recent`."""
    recent = strand.recent
    if recent is None:
        parts = _read_parts(_ARRAY_16 + strand.count.to_bytes(2, "big") + strand.packed)
        recent = strand.recent = [unpack_event(bytes(part)) for part in parts]
    return recent


def append(strand: Strand, event: Event) -> None:
    """Adds the newest."""
    if strand.recent is None:
        strand.packed += pack_event(event)
    else:
        strand.recent.append(event)
    if strand.count == 0:
        strand.oldest = event.at
    strand.count += 1


def insert(strand: Strand, event: Event) -> None:
    """Adds one in its place, which nearly always is near the end."""
    recent = recent_of(strand)
    place = len(recent)
    while place:
        other: Event = recent[place - 1]
        if before(other, event):
            break
        place -= 1
    recent.insert(place, event)
    _count(strand, recent)


def older(strand: Strand, horizon: int) -> int:
    """How many of them are older than `horizon`."""
    if strand.oldest >= horizon:
        return 0
    found = 0
    for event in recent_of(strand):
        if event.at >= horizon:
            break
        found += 1
    return found


def forget(strand: Strand, number: int) -> None:
    """Drops the oldest `number`."""
    if number == strand.count:
        strand.recent = None
        strand.packed = b""
        strand.count = 0
        strand.oldest = FAR
    else:
        recent = recent_of(strand)
        del recent[:number]
        _count(strand, recent)


def packed_of(strand: Strand) -> bytes:
    """All of them, encoded one behind the other."""
    recent = strand.recent
    if recent is not None:
        strand.packed = b"".join([pack_event(event) for event in recent])
    return strand.packed


def pack_event(event: Event) -> bytes:
    packed = event.packed
    if packed is None:
        packed = event.packed = _pack(
            (
                event.id, event.at, event.appended, event.partition, event.offset, event.type, event.touch,
                event.channel,
            )
        )  # fmt: skip
    return packed


def unpack_event(packed: bytes) -> Event:
    """The event; msgspec.ValidationError if the bytes are none."""
    identifier, at, appended, partition, offset, kind, touch, channel = _read_event(packed)
    event = event_of(identifier, at, appended, partition, offset, intern(kind), intern(touch), intern(channel))
    event.packed = packed
    return event


def _count(strand: Strand, recent: list[Event]) -> None:
    first: Event = recent[0]
    strand.oldest = first.at
    strand.count = len(recent)
