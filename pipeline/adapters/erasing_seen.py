"""Whom an erasure takes along, as the tables have it before, and what has become of each of them since."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import msgspec

from pipeline.adapters.identity_kinds import erasure_of, refuse_other_key
from pipeline.adapters.kafka.sender import home_partition
from pipeline.adapters.redis.reader import TableReader
from pipeline.application.lane_record import decode_lane
from pipeline.config import Settings
from pipeline.domain.encoding import decode
from pipeline.domain.erasing import Mark, decode_mark
from pipeline.domain.identity import Key, public_key
from pipeline.domain.ownership import ERASED, is_customer
from pipeline.domain.packing import Names
from pipeline.domain.profile import Profile, life_of
from pipeline.errors import UserError

Became = Literal["erased", "kept"]
"""An identity that somebody else has too is kept, and knows the erased one no more."""

LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """What a table says of an identity: its profile, and when it was erased, each None if there is none."""

    key: Key
    lane: int
    profile: Profile | None
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Taken:
    """One identity and what became of it. `acts`: how many its owner had counted of it; `lane`: its home."""

    key: Key
    lane: int
    became: Became
    acts: int


class Tables:
    """The tables as erasing needs them. A context manager; UserError if Redis does not answer."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reader = TableReader(settings.application, settings.redis_url)
        self._erasure = erasure_of(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def find(self, key: Key) -> Found:
        """What is known of an identity."""
        lane = home_partition(public_key(key).encode(), self.settings.partitions)
        fields = [key.encode(), b"@lane", self._erasure.mark_key(key).encode()]
        _, (data, record, mark) = self.reader.profiles(lane, fields)
        names = self._names(record)
        profile = None if data is None else self._decode(lane, data, names)
        return Found(key, lane, profile, None if mark is None else decode_mark(mark))

    def profiles(self) -> Iterator[tuple[int, Profile]]:
        """Everybody's profile, with the lane; what is written meanwhile may be missing."""
        for lane in range(self.settings.partitions):
            names = self._names(self.reader.lane_record(lane).value)
            for _, data in self.reader.scan(lane):
                yield lane, self._decode(lane, data, names)

    def mark_field(self, key: Key) -> bytes:
        """Where its mark is."""
        return self._erasure.mark_key(key).encode()

    def _names(self, record: bytes | None) -> Names:
        found = decode_lane(record) if record else None
        refuse_other_key(self.settings, found.identity_key if found else "")
        return Names(found.names if found else ())

    def _decode(self, lane: int, data: bytes, names: Names) -> Profile:
        try:
            return decode(data, names)
        except msgspec.MsgspecError as error:
            raise UserError(f"{self.settings.table_key(lane)}: cannot be read by this version: {error}", 1) from None


def names_in(profile: Profile) -> set[str]:
    """All keys that a profile names beside its own."""
    found = {profile.to, *(name for strand in profile.strands for name in (strand.identity, *strand.claimed))}
    if profile.links is not None:
        links = profile.links
        found |= {*links.claims, *links.claims.values(), *links.blocked, *links.lives}
    return found - {"", ERASED, profile.key}


def known_to(profile: Profile) -> list[Key]:
    """Whom the erasure of this profile will reach: it knows them by name."""
    guests = [strand.identity for strand in profile.strands]
    claimed = [name for strand in profile.strands for name in strand.claimed]
    return [Key(name) for name in dict.fromkeys((profile.key, *guests, *claimed))]


def mentioning(tables: Tables, customers: set[str]) -> list[Key]:
    """Whose records keep one of these customers from them; all profiles are looked at, since nothing leads there."""
    found: list[Key] = []
    for _, profile in tables.profiles():
        if profile.links is not None and customers & set(profile.links.blocked):
            found.append(Key(profile.key))
    return sorted(found)


def customers_of(profile: Profile) -> set[str]:
    """The customer ids that are erased with it."""
    return {name for name in (profile.key, *(strand.identity for strand in profile.strands)) if is_customer(name)}


def acts_of(profile: Profile) -> Mapping[str, int]:
    """By identity, how many acts the profile has counted."""
    return {strand.identity: sum(strand.touches) + strand.company for strand in profile.strands}


def wait_for(
    tables: Tables, key: Key, order: str, names: Sequence[Key], acts: Mapping[str, int], seconds: float
) -> tuple[int, list[Taken]] | None:
    """When the order was appended (ms) and what became of all of `names`; None if that is not done after `seconds`.

    UserError if `key` belongs to somebody else by now, and so is not erased.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = tables.find(key)
        if found.mark is not None and found.mark.order == order:
            at = found.mark.at
            gone = {name for name in names if _erased(tables.find(name), at)}
            became = [_became(tables.find(name), at, gone, acts) for name in names]
            if all(became):
                return at, [each for each in became if each is not None]
        elif found.profile is not None and found.profile.to:
            raise UserError(
                f"{public_key(key)} has joined {public_key(Key(found.profile.to))} meanwhile: not erased", 1
            )
        time.sleep(LOOK_S)
    return None


def _erased(found: Found, at: int) -> bool:
    return found.mark is not None and found.mark.at >= at


def _became(found: Found, at: int, gone: set[Key], acts: Mapping[str, int]) -> Taken | None:
    """None while it still has to hear of it."""
    if _erased(found, at) and (found.profile is None or life_of(found.profile) >= at):
        return Taken(found.key, found.lane, "erased", acts.get(found.key, 0))
    if found.profile is not None and names_in(found.profile) & gone:
        return None
    return Taken(found.key, found.lane, "kept", 0)
