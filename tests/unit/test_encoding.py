"""Profiles as bytes: nothing is lost on the way, the checker reads the same, and what is no profile is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice

import msgspec
import pytest

from pipeline.adapters.identity_kinds import identities_for_counting
from pipeline.adapters.journey_files import load_models
from pipeline.application.intake import Batch, Intake, Limits, Source
from pipeline.application.ports import Headers
from pipeline.application.stitch import Effects, Stitch
from pipeline.checker import plain_profile
from pipeline.config import Settings
from pipeline.dev.simulator import BEGINNING
from pipeline.dev.traffic import traffic
from pipeline.domain.compile import compile_journey
from pipeline.domain.encoding import decode, decode_strand, encode, encode_strand, indexed_of, trail_of
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.fold import Fold
from pipeline.domain.packing import NO_NAMES, Frame, Names, Reader, Writer
from pipeline.domain.profile import Profile, Strand, Track, base_of, links_of, new_profile
from pipeline.domain.remembered import recent_of
from pipeline.domain.touches import TouchTable

DAY = 86_400_000
PACKED = {"bases", "floor", "frame", "packed", "recent"}
"""What of a strand is not plain."""


@dataclass(frozen=True, slots=True)
class Read:
    """A record as a fetch hands it out."""

    offset: int
    value: bytes | None
    timestamp: int
    key: bytes | None = None
    headers: Headers = ()


@cache
def lived(*, named: bool = True) -> tuple[Names, dict[str, bytes]]:
    """Simulated customers in all built-in journeys, in the middle of their lives."""
    settings = Settings()
    touches, specs = load_models(settings)
    table = TouchTable(touches)
    fold = Fold([compile_journey(spec, table.company) for spec in specs], table.company, settings.lateness, 64)
    intake = Intake(0, table, Limits(future_ms=None), lambda _: 0, True, identities_for_counting(settings))
    stitch = Stitch(fold, intake, "1")
    stitch.names = Names(stitch.vocabulary() if named else ())
    stored: dict[str, bytes] = {}
    for number, sent in enumerate(islice(traffic(1, BEGINNING, 40), 1_500)):
        batch, effects = Batch(), Effects("")
        record = Read(number, sent.value, sent.at)
        stitch.intake.take(Source(f"raw.{sent.channel}", "raw", sent.channel), [record], batch)
        (arrival,) = batch.arrivals
        for _ in stitch.fold([arrival], {arrival.key: stored.get(arrival.key)}, sent.complete, batch, effects):
            pass
        stored |= {key: data for key, data in effects.profiles.items() if data}
    return stitch.names, stored


def test_what_is_decoded_is_encoded_alike() -> None:
    names, stored = lived()
    assert len(stored) > 30
    for data in stored.values():
        profile = decode(data, names)
        assert encode(profile) == data
        assert all(recent_of(strand) for strand in profile.strands)
        assert encode(profile) == data
        assert indexed_of(data) == profile.indexed


def test_the_checker_reads_the_same() -> None:
    names, stored = lived()
    for data in stored.values():
        ours, plain = decode(data, names), plain_profile.decode(data, names.names)
        assert (plain.key, plain.epoch, plain.parked) == (ours.key, ours.epoch, ours.parked)
        assert plain.indexed == plain_profile.indexed(data) == ours.indexed
        (strand,), (own,) = plain.strands, ours.strands
        assert (strand.first, strand.newest, strand.company, strand.late) == (
            own.first, own.newest, own.company, own.late,
        )  # fmt: skip
        assert tuple(strand.touches) == own.touches
        assert [(event.id, event.at) for event in strand.recent] == [(event.id, event.at) for event in recent_of(own)]
        assert [(each.journey, each.version, each.seq, each.stage) for each in plain.positions] == [
            (each.journey, each.version, each.seq, each.stage) for each in ours.positions
        ]


def test_a_longer_list_of_names_reads_the_same() -> None:
    names, stored = lived()
    more = names.with_more(["another", *names.names, "one more"])
    assert more.names == [*names.names, "another", "one more"]
    for data in stored.values():
        assert encode(decode(data, more)) == data


def test_names_that_the_list_lacks_stand_in_the_profile() -> None:
    names, stored = lived()
    _, nameless = lived(named=False)
    for key, data in stored.items():
        known, told = decode(data, names), decode(nameless[key], NO_NAMES)
        assert [[event.touch for event in recent_of(strand)] for strand in known.strands] == [
            [event.touch for event in recent_of(strand)] for strand in told.strands
        ]
        for one, other in zip(known.positions, told.positions, strict=True):
            assert (one.stage, one.track.stage, one.base.stage) == (other.stage, other.track.stage, other.base.stage)
            assert (one.history, trail_of(one), one.fired) == (other.history, trail_of(other), other.fired)
            assert (one.track.pending, one.base.pending) == (other.track.pending, other.base.pending)
            assert one.occurrences == other.occurrences


def test_half_a_profile_is_refused() -> None:
    names, stored = lived()
    data = max(stored.values(), key=len)
    for size in range(len(data)):
        with pytest.raises(msgspec.ValidationError):
            decode(data[:size], names)
        with pytest.raises(plain_profile.Unreadable):
            plain_profile.decode(data[:size], names.names)


def test_a_profile_of_longer_names_is_refused() -> None:
    _, stored = lived()
    for data in stored.values():
        with pytest.raises(msgspec.ValidationError, match="name"):
            decode(data, NO_NAMES)
        with pytest.raises(plain_profile.Unreadable, match="name"):
            plain_profile.decode(data, [])


def test_a_new_customer() -> None:
    profile = decode(encode(new_profile("c:anna", 17)), NO_NAMES)
    assert (profile.key, profile.epoch, profile.indexed, profile.positions) == ("c:anna", 17, None, ())
    (strand,) = profile.strands
    assert (strand.identity, strand.first, strand.newest, strand.oldest) == ("c:anna", NEVER, NEVER, FAR)


def linked(names: Names, data: bytes) -> Profile:
    """Somebody of several strands, of whom a lot is said."""
    profile, other = decode(data, names), decode(data, names)
    for number, one in enumerate((profile, other)):
        (strand,) = one.strands
        strand.bases = tuple(base_of(each.journey, each.version, each.base) for each in one.positions[number:])
        strand.claimed = ("anonymous:ab12", "email:5d41402abc4b2a76")
        strand.floor = recent_of(strand)[0]
        strand.identity = f"anonymous:{number}"
    profile.strands = (*profile.strands, *other.strands)
    claims, refused = {"c:anna": "c:ben", "c:zoe": ""}, {"too_many_claims": 300}
    profile.links = links_of(claims, ("c:carl",), refused, 7, {"c:ben": 1_700_000_000_000})
    profile.to = "c:ben"
    profile.positions[0].unverified = True
    return profile


def test_several_strands_and_links() -> None:
    names, stored = lived()
    for data in stored.values():
        profile = linked(names, data)
        written = encode(profile)
        again = decode(written, names)
        assert encode(again) == written
        assert [plain(strand) for strand in again.strands] == [plain(strand) for strand in profile.strands]
        assert again.to == "c:ben"
        assert again.links is not None
        assert again.links.claims == {"c:anna": "c:ben", "c:zoe": ""}
        assert (again.links.blocked, again.links.refused) == (("c:carl",), {"too_many_claims": 300})
        assert (again.links.life, again.links.lives) == (7, {"c:ben": 1_700_000_000_000})
        assert [each.unverified for each in again.positions] == [True, *[False] * (len(again.positions) - 1)]
        assert [each.ahead for each in again.positions] == [each.ahead for each in decode(data, names).positions]
        read = plain_profile.decode(written, names.names)
        assert (read.to, read.claims, read.blocked) == ("c:ben", again.links.claims, ["c:carl"])
        assert [(each.identity, tuple(each.claimed), each.pushed_out) for each in read.strands] == [
            (each.identity, each.claimed, each.truncated) for each in again.strands
        ]


def test_a_strand_on_its_way() -> None:
    names, stored = lived()
    for data in stored.values():
        strand = linked(names, data).strands[0]
        written = encode_strand(strand)
        for frame in (Frame(NO_NAMES, 17), Frame(names, BEGINNING), Frame(Names([*names.names][::-1]), 1 << 41)):
            there = decode_strand(written, frame)
            assert plain(there) == plain(strand)
            profile = new_profile("c:ben", frame.epoch, frame.names)
            profile.strands = (there,)
            (stored_there,) = decode(encode(profile), frame.names).strands
            assert plain(stored_there) == plain(strand)
            assert encode_strand(stored_there) == written


def test_half_a_strand_is_refused() -> None:
    names, stored = lived()
    written = encode_strand(linked(names, max(stored.values(), key=len)).strands[0])
    for size in range(len(written)):
        with pytest.raises(msgspec.ValidationError):
            decode_strand(written[:size], Frame(names, 0))
    with pytest.raises(msgspec.ValidationError, match="follows"):
        decode_strand(written + b"\0", Frame(names, 0))


def plain(strand: Strand) -> list[object]:
    """All that a strand says."""
    fields = [name for name in dir(Strand) if name[0] != "_" and name not in PACKED]
    events = recent_of(strand) if strand.floor is None else [strand.floor, *recent_of(strand)]
    return [
        *(getattr(strand, name) for name in fields),
        *((e.id, e.at, e.appended, e.partition, e.offset, e.type, e.touch, e.channel) for e in events),
        *((base.journey, base.version, values(base.track)) for base in strand.bases),
    ]


def values(track: Track) -> list[object]:
    return [getattr(track, name) for name in dir(Track) if name[0] != "_"]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 1 << 40, (1 << 62) - 1])
def test_numbers(number: int) -> None:
    writer = Writer(Frame(NO_NAMES, 0))
    writer.number(number)
    reader = Reader(writer.written(), Frame(NO_NAMES, 0))
    assert (reader.number(), reader.ends()) == (number, True)


@pytest.mark.parametrize("epoch", [0, 17, 1_750_000_000_000])
def test_times(epoch: int) -> None:
    times = [NEVER, 0, 1, 1_750_000_000_000, NEVER, 1_750_000_000_000 - DAY, 221_845_392_000_000 + 400 * DAY]
    writer = Writer(Frame(NO_NAMES, epoch))
    for at in times:
        writer.time(at)
    reader = Reader(writer.written(), Frame(NO_NAMES, epoch))
    assert [reader.time() for _ in times] == times
    assert reader.ends()


@pytest.mark.parametrize("text", ["", "ordered", "zażółć", "x" * 300])
def test_names(text: str) -> None:
    frame = Frame(Names(["", "ordered"]), 0)
    writer = Writer(frame)
    writer.name(text)
    reader = Reader(writer.written(), frame)
    assert (reader.name(), reader.ends()) == (text, True)


@pytest.mark.parametrize("text", ["", "ordered", "zażółć", "雪" * 700, "\0"])
def test_texts_and_blobs(text: str) -> None:
    frame = Frame(NO_NAMES, 0)
    writer = Writer(frame)
    for _ in range(3):
        writer.text(text)
        writer.blob(text.encode())
    reader = Reader(writer.written(), frame)
    assert [(reader.text(), reader.blob().decode()) for _ in range(3)] == [(text, text)] * 3
    assert reader.ends()


@pytest.mark.parametrize("size", [b"\4", b"\xff\xff\xff\xff\x0f", b"\x80" * 9 + b"\1"], ids=["4", "2^32", "2^63"])
def test_a_length_beyond_the_end_is_refused(size: bytes) -> None:
    frame = Frame(NO_NAMES, 0)
    reads: list[Callable[[Reader], object]] = [Reader.text, Reader.blob, lambda reader: reader.inside(frame)]
    for read in reads:
        with pytest.raises(msgspec.ValidationError):
            read(Reader(size + b"abc", frame))


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Reader(b"\2\xff\xff", Frame(NO_NAMES, 0)).text()
