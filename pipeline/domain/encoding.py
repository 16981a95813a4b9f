"""A profile as bytes, the same in the cache, the changelog and Redis: its fields in order, as packing.py writes them.

Names are numbers of the lane's list, which stands in its lane record; times are relative to the profile's epoch. What
an event in order does not need stays packed within: the remembered events and the trail. Of a base only what differs
from the newer track is written. A strand on its way to another profile brings its own list of names.
"""

import msgspec

from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.history import Entry, Firing
from pipeline.domain.packing import NO_NAMES, Frame, Names, Reader, Writer, numbers_out, times_out
from pipeline.domain.profile import (
    Base,
    Links,
    Pending,
    Position,
    Profile,
    Strand,
    Track,
    base_of,
    links_of,
    position_of,
    profile_of,
    strand_of,
    track_of,
)
from pipeline.domain.remembered import pack_event, packed_of, reframed, unpack_event, words_of

TRAIL = 2
"""How many entries of the history that can no longer change are kept for people."""

_START = Frame(NO_NAMES, 0)


def encode(profile: Profile) -> bytes:
    writer = Writer(_START)
    writer.text(profile.key)
    writer.time(profile.epoch)
    indexed = profile.indexed
    writer.time(-1 if indexed is None else indexed)
    writer.text(profile.parked)
    writer.text(profile.to)
    frame = profile.frame
    writer.number(len(profile.strands))
    for strand in profile.strands:
        _write_strand(writer, strand, profile.key)
    writer.number(len(profile.positions))
    for position in profile.positions:
        first = writer.begin(frame)
        _write_position(writer, position)
        writer.end(first)
    _write_links(writer, profile.links)
    return writer.written()


def decode(data: bytes, names: Names) -> Profile:
    """The profile; msgspec.ValidationError if the bytes are none. `names`: those of the lane record beside it."""
    reader = Reader(data, _START)
    key = reader.text()
    epoch = reader.time()
    indexed = reader.time()
    parked = reader.text()
    to = reader.text()
    frame = Frame(names, epoch)
    strands = [_read_strand(reader, key, frame) for _ in range(reader.number())]
    positions = [_read_position(reader.inside(frame), frame) for _ in range(reader.number())]
    links = _read_links(reader)
    return profile_of(key, frame, tuple(strands), tuple(positions), None if indexed < 0 else indexed, parked, to, links)


def encode_strand(strand: Strand) -> bytes:
    """A strand by itself: no list of names but its own is needed to read it."""
    names = Names([*words_of(strand), *_names_of(strand.bases)])
    writer = Writer(_START)
    writer.number(len(names.names))
    for name in names.names:
        writer.text(name)
    _write_strand(writer, reframed(strand, Frame(names, 0)), "")
    return writer.written()


def decode_strand(data: bytes, frame: Frame) -> Strand:
    """The strand for a profile of that frame; msgspec.ValidationError if the bytes are none."""
    reader = Reader(data, _START)
    names = Names([reader.text() for _ in range(reader.number())])
    strand = reframed(_read_strand(reader, "", Frame(names, 0)), frame)
    if not reader.ends():
        raise msgspec.ValidationError("something follows the strand")
    return strand


def indexed_of(data: bytes) -> int | None:
    """The score of an encoded profile in the index of timers; msgspec.ValidationError if the bytes are none."""
    reader = Reader(data, _START)
    reader.text()
    reader.time()
    indexed = reader.time()
    return None if indexed < 0 else indexed


def remember(position: Position, entry: Entry) -> None:
    """Puts `entry` at the end of the trail, which keeps only where the customer came, when, and by which rule."""
    entries = trail_of(position)
    entries.append(entry)
    writer = Writer(position.frame)
    for kept in entries[-TRAIL:]:
        writer.time(kept.at)
        writer.name(kept.rule)
        writer.name(kept.to)
        writer.time(kept.since)
    position.trail = writer.written()


def trail_of(position: Position) -> list[Entry]:
    """The entries of the trail, oldest first."""
    reader = Reader(position.trail, position.frame)
    entries: list[Entry] = []
    while not reader.ends():
        at = reader.time()
        rule = reader.name()
        to = reader.name()
        entries.append(Entry(at, rule, to, "", "", "", reader.time()))
    return entries


def _write_strand(writer: Writer, strand: Strand, key: str) -> None:
    """A strand of the profile's own identity does not repeat its key."""
    first = writer.begin(strand.frame)
    writer.text("" if strand.identity == key else strand.identity)
    writer.time(strand.first)
    writer.time(strand.newest)
    numbers_out(writer, strand.touches)
    writer.number(strand.company)
    writer.number(strand.late)
    writer.number(strand.unclassified)
    writer.number(strand.truncated)
    writer.blob(b"" if strand.floor is None else pack_event(strand.floor, strand.frame))
    writer.number(strand.count)
    if strand.count:
        writer.time(strand.oldest)
    writer.blob(packed_of(strand))
    writer.number(len(strand.claimed))
    for identity in strand.claimed:
        writer.text(identity)
    writer.number(len(strand.bases))
    for base in strand.bases:
        writer.name(base.journey)
        writer.number(base.version)
        _write_track(writer, base.track)
    writer.end(first)


def _read_strand(outer: Reader, key: str, frame: Frame) -> Strand:
    reader = outer.inside(frame)
    identity = reader.text() or key
    first = reader.time()
    newest = reader.time()
    touches = reader.numbers()
    company = reader.number()
    late = reader.number()
    unclassified = reader.number()
    truncated = reader.number()
    floor = reader.blob()
    count = reader.number()
    oldest = reader.time() if count else FAR
    packed = reader.blob()
    claimed = tuple([reader.text() for _ in range(reader.number())])
    bases = tuple([_read_own_base(reader) for _ in range(reader.number())])
    return strand_of(
        frame, identity, first, newest, touches, company, late, unclassified, truncated,
        unpack_event(floor, frame) if floor else None, count, oldest, packed, claimed, bases,
    )  # fmt: skip


def _read_own_base(reader: Reader) -> Base:
    journey = reader.name()
    version = reader.number()
    return base_of(journey, version, _read_track(reader))


def _names_of(bases: tuple[Base, ...]) -> list[str]:
    """All that are written as names."""
    names: list[str] = []
    for base in bases:
        track: Track = base.track
        names.append(base.journey)
        names.append(track.stage)
        for _, rule, _ in track.pending:
            names.append(rule)
    return names


def _write_links(writer: Writer, links: Links | None) -> None:
    """0 for none, 1 for links, 2 for links with lives behind them."""
    if links is None:
        writer.number(0)
        return
    lives = links.life != 0 or bool(links.lives)
    writer.number(2 if lives else 1)
    writer.number(len(links.claims))
    for customer, owner in links.claims.items():
        writer.text(customer)
        writer.text(owner)
    writer.number(len(links.blocked))
    for customer in links.blocked:
        writer.text(customer)
    writer.number(len(links.refused))
    for reason, often in links.refused.items():
        writer.text(reason)
        writer.number(often)
    if lives:
        writer.number(links.life)
        writer.number(len(links.lives))
        for owner, life in links.lives.items():
            writer.text(owner)
            writer.number(life)


def _read_links(reader: Reader) -> Links | None:
    form = reader.number()
    if form == 0:
        return None
    claims: dict[str, str] = {}
    for _ in range(reader.number()):
        customer = reader.text()
        claims[customer] = reader.text()
    blocked = tuple([reader.text() for _ in range(reader.number())])
    refused: dict[str, int] = {}
    for _ in range(reader.number()):
        reason = reader.text()
        refused[reason] = reader.number()
    life = 0
    lives: dict[str, int] = {}
    if form == 2:
        life = reader.number()
        for _ in range(reader.number()):
            owner = reader.text()
            lives[owner] = reader.number()
    return links_of(claims, blocked, refused, life, lives)


def _write_position(writer: Writer, position: Position) -> None:
    """That it is unverified stands in the last bit of `ahead`."""
    writer.name(position.journey)
    writer.number(position.version)
    writer.number(position.seq)
    writer.name(position.stage)
    writer.time(position.since)
    _write_track(writer, position.track)
    _write_base(writer, position.base, position.track)
    writer.time(NEVER if position.closed is None else position.closed)
    writer.number(2 * position.ahead + (1 if position.unverified else 0))
    history: tuple[Entry, ...] = position.history
    writer.number(len(history))
    for entry in history:
        writer.time(entry.at)
        writer.name(entry.rule)
        writer.name(entry.to)
        writer.time(entry.since)
        writer.text(entry.event)
        if entry.event:
            writer.name(entry.type)
            writer.name(entry.channel)
    writer.blob(position.trail)
    fired: tuple[Firing, ...] = position.fired
    writer.number(len(fired))
    for firing in fired:
        writer.name(firing.rule)
        writer.time(firing.since)
        writer.time(firing.due)
        writer.number(firing.occurrence)
    for signal, often in (position.occurrences or {}).items():
        writer.name(signal)
        writer.number(often)


def _read_position(reader: Reader, frame: Frame) -> Position:
    journey = reader.name()
    version = reader.number()
    seq = reader.number()
    stage = reader.name()
    since = reader.time()
    track = _read_track(reader)
    base = _read_base(reader, track)
    closed = reader.time()
    ahead_and_flag = reader.number()
    history = tuple([_read_entry(reader) for _ in range(reader.number())])
    trail = reader.blob()
    fired = tuple([_read_firing(reader) for _ in range(reader.number())])
    occurrences: dict[str, int] | None = None
    if not reader.ends():
        occurrences = {}
        while not reader.ends():
            signal = reader.name()
            occurrences[signal] = reader.number()
    return position_of(
        frame, journey, version, seq, stage, since, base, track, history, ahead_and_flag >> 1, trail, fired,
        occurrences, None if closed == NEVER else closed, ahead_and_flag % 2 == 1,
    )  # fmt: skip


def _read_entry(reader: Reader) -> Entry:
    at = reader.time()
    rule = reader.name()
    to = reader.name()
    since = reader.time()
    event = reader.text()
    if not event:
        return Entry(at, rule, to, "", "", "", since)
    kind = reader.name()
    return Entry(at, rule, to, event, kind, reader.name(), since)


def _read_firing(reader: Reader) -> Firing:
    rule = reader.name()
    since = reader.time()
    due = reader.time()
    return Firing(due, rule, since, reader.number())


def _write_track(writer: Writer, track: Track) -> None:
    writer.name(track.stage)
    writer.time(track.since)
    _write_pending(writer, track)
    times_out(writer, track.last)
    numbers_out(writer, track.counts)
    writer.number(len(track.windows))
    for window in track.windows:
        times_out(writer, window)


def _read_track(reader: Reader) -> Track:
    stage = reader.name()
    since = reader.time()
    pending = _read_pending(reader)
    settle_at = _settle_at(pending, reader.number())
    last = reader.times()
    counts = reader.numbers()
    windows = tuple([reader.times() for _ in range(reader.number())])
    return track_of(stage, since, settle_at, pending, last, counts, windows)


def _write_base(writer: Writer, base: Track, track: Track) -> None:
    """0 for a base that is the track, 1 for one with the same timers, else 2 and those. Times relative to its times."""
    if base is track:
        writer.number(0)
        return
    alike = base.settle_at == track.settle_at and base.pending == track.pending
    writer.number(1 if alike else 2)
    writer.name(base.stage)
    writer.refer(track.since)
    writer.time(base.since)
    if not alike:
        _write_pending(writer, base)
    for place in range(len(track.last)):
        writer.refer(track.last[place])
        writer.time(base.last[place])
    for number in base.counts:
        writer.number(number)
    for place in range(len(track.windows)):
        window = base.windows[place]
        if window == track.windows[place]:
            writer.number(0)
        else:
            writer.number(len(window) + 1)
            for at in window:
                writer.time(at)


def _read_base(reader: Reader, track: Track) -> Track:
    how = reader.number()
    if how == 0:
        return track
    stage = reader.name()
    reader.refer(track.since)
    since = reader.time()
    pending, settle_at = track.pending, track.settle_at
    if how != 1:
        pending = _read_pending(reader)
        settle_at = _settle_at(pending, reader.number())
    last: list[int] = []
    for at in track.last:
        reader.refer(at)
        last.append(reader.time())
    counts = tuple([reader.number() for _ in track.counts])
    windows: list[tuple[int, ...]] = []
    for window in track.windows:
        size = reader.number()
        windows.append(tuple([reader.time() for _ in range(size - 1)]) if size else window)
    return track_of(stage, since, settle_at, pending, tuple(last), counts, tuple(windows))


def _write_pending(writer: Writer, track: Track) -> None:
    """The timers, and the place of the first stage timer among them: the first that is due when that one is."""
    writer.number(len(track.pending))
    settled = 0
    for place, (due, rule, since) in enumerate(track.pending, 1):
        writer.name(rule)
        writer.time(since)
        writer.time(due)
        if settled == 0 and due == track.settle_at:
            settled = place
    writer.number(settled)


def _read_pending(reader: Reader) -> tuple[Pending, ...]:
    pending: list[Pending] = []
    for _ in range(reader.number()):
        rule = reader.name()
        since = reader.time()
        pending.append((reader.time(), rule, since))
    return tuple(pending)


def _settle_at(pending: tuple[Pending, ...], place: int) -> int:
    """When the timer at `place`, counted from 1, is due."""
    if place == 0:
        return FAR
    if place > len(pending):
        raise msgspec.ValidationError(f"it settles with timer {place} of {len(pending)}")
    return pending[place - 1][0]
