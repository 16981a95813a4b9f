"""The changelog's record `@models`: the journeys of a lane that were promoted, as texts, and how they came about.

It is there from the first `journey promote` on, and says together with the lane record what the lane runs, whatever
files a worker has.
"""

from typing import Literal

import msgspec

KEY = b"@models"

KEPT = 6
"""How many switches of a journey are kept, with the rules before them: `journey check` can judge one less."""

Kind = Literal["promote", "rollback"]


class Switch(msgspec.Struct, frozen=True):
    """A switch to `version` from `former`, whose rules are `text`.

    `stages`: where customers went, null to be folded again. `at`: when it was decided (ms). Effective behind the
    transaction that read up to `next` of each input and let time pass up to `watermark`.
    """

    id: str
    kind: Kind
    version: int
    former: int
    text: str
    stages: dict[str, str | None]
    at: int
    watermark: int | None
    next: dict[str, int]
    reason: str


class Promoted(msgspec.Struct):
    """A journey as the lane runs it. `highest`: of all versions it has run; none of those comes back by a file."""

    version: int
    fingerprint: str
    text: str
    highest: int
    switches: list[Switch] = []


class Candidate(msgspec.Struct, frozen=True):
    """A version that was prepared and not decided on. `former`: the version that it is to follow."""

    id: str
    kind: Kind
    journey: str
    version: int
    former: int
    fingerprint: str
    text: str
    stages: dict[str, str | None]
    at: int
    reason: str


class LaneModels(msgspec.Struct):
    """`journeys` by name; one that is not there runs by its file."""

    v: int = 1
    journeys: dict[str, Promoted] = {}
    candidate: Candidate | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LaneModels).decode


def encode_models(models: LaneModels) -> bytes:
    return _encode(models)


def decode_models(data: bytes | None) -> LaneModels:
    """The record, an empty one without bytes; msgspec.ValidationError if they are none."""
    return LaneModels() if data is None else _decode(data)
