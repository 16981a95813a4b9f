"""A profile as bytes, the same in the cache, the changelog and Redis: a msgpack array in the order of the fields.

What an event in order does not need stays packed within it: the remembered events, the base, the trail.
"""

import msgspec

from pipeline.domain.history import Entry, Firing
from pipeline.domain.profile import (
    Pending,
    Position,
    Profile,
    Strand,
    Track,
    position_of,
    profile_of,
    strand_of,
    track_of,
)
from pipeline.domain.remembered import pack_event, packed_of, unpack_event

TRAIL = 5
"""How many entries of the history that can no longer change are kept for people."""


# In the order of the classes' fields. Tuples, because compiled code takes what is in them at no cost.
_Track = tuple[
    str, int, int, tuple[Pending, ...], tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]
]  # fmt: skip
_Position = tuple[
    str, int, int, str, int, bytes, bytes, tuple[Entry, ...], int, bytes, tuple[Firing, ...], dict[str, int] | None,
    int | None
]  # fmt: skip
_Strand = tuple[
    str, int, int, tuple[int, int, int, int, int], int, int, int, int, bytes | None, int, int, bytes, tuple[str, ...]
]  # fmt: skip
_Profile = tuple[str, int, tuple[_Strand, ...], tuple[_Position, ...], int | None, str, str]

_pack = msgspec.msgpack.Encoder().encode
_read_profile = msgspec.msgpack.Decoder(_Profile).decode
_read_track = msgspec.msgpack.Decoder(_Track).decode
_read_entries = msgspec.msgpack.Decoder(list[Entry]).decode


def encode(profile: Profile) -> bytes:
    strands = [_strand(strand) for strand in profile.strands]
    positions = [_position(position) for position in profile.positions]
    return _pack((profile.key, profile.epoch, strands, positions, profile.indexed, profile.parked, profile.to))


def decode(data: bytes) -> Profile:
    """The profile; msgspec.ValidationError if the bytes are none."""
    key, epoch, strands, positions, indexed, parked, to = _read_profile(data)
    return profile_of(
        key,
        epoch,
        tuple([_unpack_strand(fields) for fields in strands]),
        tuple([_unpack_position(fields) for fields in positions]),
        indexed,
        parked,
        to,
    )


def base_of(position: Position) -> Track:
    """The journey before the remembered events."""
    base = position.base
    if base is None:
        base = position.base = _unpack_track(position.packed_base)
    return base


def remember(trail: bytes, entry: Entry) -> bytes:
    """The trail with `entry` at its end; it keeps only where the customer came, when, and by which rule."""
    entries = _read_entries(trail)
    entries.append(Entry(entry.at, entry.rule, entry.to, "", "", "", entry.since))
    return _pack(entries[-TRAIL:])


def read_trail(trail: bytes) -> list[Entry]:
    """The entries of a trail, oldest first."""
    return _read_entries(trail)


def _pack_track(track: Track) -> bytes:
    packed = track.packed
    if packed is None:
        packed = track.packed = _pack(
            (track.stage, track.since, track.settle_at, track.pending, track.last, track.counts, track.windows)
        )
    return packed


def _strand(strand: Strand) -> tuple[object, ...]:
    floor = None if strand.floor is None else pack_event(strand.floor)
    return (
        strand.identity, strand.first, strand.newest, strand.touches, strand.company, strand.late, strand.unclassified,
        strand.truncated, floor, strand.count, strand.oldest, packed_of(strand), strand.claimed,
    )  # fmt: skip


def _position(position: Position) -> tuple[object, ...]:
    base = position.packed_base if position.base is None else _pack_track(position.base)
    return (
        position.journey, position.version, position.seq, position.stage, position.since, base,
        _pack_track(position.track), position.history, position.ahead, position.trail, position.fired,
        position.occurrences, position.closed,
    )  # fmt: skip


def _unpack_strand(fields: _Strand) -> Strand:
    (
        identity, first, newest, touches, company, late, unclassified, truncated, floor, count, oldest, recent, claimed,
    ) = fields  # fmt: skip
    return strand_of(
        identity, first, newest, touches, company, late, unclassified, truncated,
        None if floor is None else unpack_event(floor), count, oldest, recent, claimed,
    )  # fmt: skip


def _unpack_position(fields: _Position) -> Position:
    journey, version, seq, stage, since, base, track, history, ahead, trail, fired, occurrences, closed = fields
    return position_of(
        journey, version, seq, stage, since, None, base, _unpack_track(track), history, ahead, trail, fired,
        occurrences, closed,
    )  # fmt: skip


def _unpack_track(packed: bytes) -> Track:
    stage, since, settle_at, pending, last, counts, windows = _read_track(packed)
    track = track_of(stage, since, settle_at, pending, last, counts, windows)
    track.packed = packed
    return track
