"""The remembered events of a strand: in order, and packed as long as nothing but the newest joins them.

Most events find those before them long gone from the lateness, or only have to be none of them. Then a search through
the packed bytes is all, and no event is made of them.
"""

from pipeline.domain.extremes import FAR
from pipeline.domain.packing import Frame, Reader, Writer
from pipeline.domain.profile import Event, Strand, before, event_of, strand_of


def remembers(strand: Strand, identifier: str) -> bool:
    """Whether an event of that id is among them."""
    if strand.count == 0 or (strand.recent is None and identifier.encode() not in strand.packed):
        return False
    for event in recent_of(strand):  # noqa: SIM110  # a generator cannot be part of a C function
        if event.id == identifier:
            return True
    return False


def recent_of(strand: Strand) -> list[Event]:
    """The events themselves. From here on they stand in `strand.recent`."""
    recent = strand.recent
    if recent is None:
        packed, frame = strand.packed, strand.frame
        reader = Reader(packed, frame)
        recent = strand.recent = []
        while not reader.ends():
            first = reader.at
            event = _read_event(reader)
            event.packed = packed[first : reader.at]
            recent.append(event)
            reader.begin(frame)
    return recent


def append(strand: Strand, event: Event) -> None:
    """Adds the newest."""
    if strand.recent is None:
        strand.packed += pack_event(event, strand.frame)
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
        strand.packed = b"".join([pack_event(event, strand.frame) for event in recent])
    return strand.packed


def pack_event(event: Event, frame: Frame) -> bytes:
    packed = event.packed
    if packed is None:
        writer = Writer(frame)
        writer.text(event.id)
        writer.time(event.at)
        writer.time(event.appended)
        writer.number(event.partition)
        writer.number(event.offset)
        writer.name(event.type)
        writer.name(event.touch)
        writer.name(event.channel)
        packed = event.packed = writer.written()
    return packed


def unpack_event(packed: bytes, frame: Frame) -> Event:
    """The event; msgspec.ValidationError if the bytes are none."""
    event = _read_event(Reader(packed, frame))
    event.packed = packed
    return event


def reframed(strand: Strand, frame: Frame) -> Strand:
    """The same strand to be written by another frame."""
    made = strand_of(
        frame, strand.identity, strand.first, strand.newest, strand.touches, strand.company, strand.late,
        strand.unclassified, strand.truncated, None if strand.floor is None else _copy(strand.floor), strand.count,
        strand.oldest, b"", strand.claimed, strand.bases,
    )  # fmt: skip
    made.recent = [_copy(event) for event in recent_of(strand)]
    return made


def words_of(strand: Strand) -> list[str]:
    """All that its events are written with as names."""
    words: list[str] = []
    events = recent_of(strand) if strand.floor is None else [strand.floor, *recent_of(strand)]
    for event in events:
        words += [event.type, event.touch, event.channel]
    return words


def _copy(event: Event) -> Event:
    """Without its encoding, which is of one frame."""
    return event_of(
        event.id, event.at, event.appended, event.partition, event.offset, event.type, event.touch, event.channel
    )


def _read_event(reader: Reader) -> Event:
    identifier = reader.text()
    at = reader.time()
    appended = reader.time()
    partition = reader.number()
    offset = reader.number()
    kind = reader.name()
    touch = reader.name()
    return event_of(identifier, at, appended, partition, offset, kind, touch, reader.name())


def _count(strand: Strand, recent: list[Event]) -> None:
    first: Event = recent[0]
    strand.oldest = first.at
    strand.count = len(recent)
