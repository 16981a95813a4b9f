"""One identity as the tables have it: to whom it belongs, why, and what it did. See docs/stitching.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from pipeline.adapters.identity_kinds import refuse_other_key, typed_key
from pipeline.adapters.kafka.sender import home_partition
from pipeline.adapters.redis.reader import TableReader
from pipeline.adapters.yaml_documents import closest
from pipeline.application.lane_record import decode_lane
from pipeline.config import Settings
from pipeline.domain.encoding import decode
from pipeline.domain.event import CHANNELS
from pipeline.domain.extremes import NEVER
from pipeline.domain.identity import Key, public_key
from pipeline.domain.ownership import ERASED, MOST_CLAIMS, is_customer
from pipeline.domain.packing import Names
from pipeline.domain.profile import Links, Profile, Strand
from pipeline.domain.stitching import find_strand
from pipeline.errors import UserError

Status = Literal["own", "linked", "shared", "merged"]
"""`own`: belongs to itself; `linked`: a weak identity that belongs to a customer; `merged`: a customer who does."""

SOMEBODY: Final = "somebody who was erased"
"""What the claim that stands for erased customers is called in front of people."""

_NO_LINKS: Final[tuple[Mapping[str, str], tuple[str, ...], Mapping[str, int]]] = ({}, (), {})


@dataclass(frozen=True, slots=True)
class StrandView:
    """What one identity did. `acts` of the customer by channel, `claims`: whom it names; times ms, None if never."""

    identity: str
    acts: Mapping[str, int]
    company_acts: int
    late: int
    remembered: int
    first_seen: int | None
    last_seen: int | None
    claims: Sequence[str]

    @property
    def count(self) -> int:
        """All acts, the company's too."""
        return sum(self.acts.values()) + self.company_acts


@dataclass(frozen=True, slots=True)
class ClaimView:
    """`customer` claims the identity, for the owner `leads_to`; that does not count if it is blocked or refused."""

    customer: str
    leads_to: str | None
    blocked: bool

    @property
    def counts(self) -> bool:
        return self.leads_to is not None and not self.blocked


@dataclass(frozen=True, slots=True)
class IdentityView:
    """All that is known of one identity, by public keys. `owner`: itself if it is nobody else's.

    `strands`: what this record holds; `away`: what the identity itself did, if another record holds it.
    """

    identity: str
    lane: int
    position: str
    status: Status
    owner: str
    why: Sequence[str]
    claims: Sequence[ClaimView]
    blocked: Sequence[str]
    refused: Mapping[str, int]
    strands: Sequence[StrandView]
    away: StrandView | None


def see(settings: Settings, key: Key) -> IdentityView | None:
    """The identity, None if nobody is known by it. Blocks; UserError if Redis does not answer."""
    with TableReader(settings.application, settings.redis_url) as reader:
        lane, position, profile = _read(settings, reader, key)
        if profile is None:
            return None
        owner = _read(settings, reader, Key(profile.to))[2] if profile.to else None
    away = find_strand(owner, key) if owner else None
    claims, blocked, refused = _links_of(profile.links)
    views = [ClaimView(_public(each), _public(to) or None, each in blocked) for each, to in sorted(claims.items())]
    return IdentityView(
        identity=_public(key),
        lane=lane,
        position=position,
        status=(status := _status(profile, views)),
        owner=_public(profile.to or key),
        why=list(_why(key, status, _public(profile.to), views)),
        claims=views,
        blocked=sorted(map(_public, blocked)),
        refused=dict(refused),
        strands=strand_views(profile),
        away=strand_view(away) if away else None,
    )


def typed_identity(settings: Settings, text: str) -> tuple[Key, IdentityView | None]:
    """Whom a person calls so, and what is known of them.

    UserError if it can be nobody, or if nobody is known by it and it looks like a mistake.
    """
    key = typed_key(settings, text)
    seen = see(settings, key)
    if seen is None and is_customer(key):
        _refuse_mistakes(settings, text)
    return key, seen


def strand_views(profile: Profile) -> list[StrandView]:
    """The strands of a profile: its own, then the others in the order in which they were first seen."""
    key = profile.key
    return [strand_view(one) for one in sorted(profile.strands, key=lambda one: (one.identity != key, one.first))]


def strand_view(strand: Strand) -> StrandView:
    """A strand for people."""
    return StrandView(
        identity=_public(strand.identity),
        acts=dict(zip(CHANNELS, strand.touches, strict=True)),
        company_acts=strand.company,
        late=strand.late,
        remembered=strand.count,
        first_seen=None if strand.first == NEVER else strand.first,
        last_seen=None if strand.newest == NEVER else strand.newest,
        claims=[_public(each) for each in strand.claimed],
    )


def _read(settings: Settings, reader: TableReader, key: Key) -> tuple[int, str, Profile | None]:
    """Its home lane, the position of that, and its record."""
    lane = home_partition(public_key(key).encode(), settings.partitions)
    position, (data, record) = reader.profiles(lane, [key.encode(), b"@lane"])
    at = (position or b"").decode(errors="replace")
    try:
        of_lane = decode_lane(record) if record else None
        refuse_other_key(settings, of_lane.identity_key if of_lane else "")
        return lane, at, None if data is None else decode(data, Names(of_lane.names if of_lane else ()))
    except msgspec.MsgspecError as error:
        raise UserError(f"{settings.table_key(lane)} {key}: cannot be read by this version: {error}", 1) from None


def _refuse_mistakes(settings: Settings, text: str) -> None:
    """A customer's id may be anything: only one that nobody is known by is looked at for what it looks like."""
    kind, colon, value = text.partition(":")
    kinds = [item.kind for item in settings.identities]
    address = next((item.kind for item in settings.identities if item.normalise == "email"), None)
    near = closest(kind.strip().casefold(), kinds) if colon else None
    if near is not None:
        meant = f"{near}:{value}"
    elif "@" in text and address is not None:
        meant = f"{address}:{value or text}"
    else:
        return
    raise UserError(
        f"{text}: nobody is known by that customer id, and '{kind if colon else text}' is no kind of identity; did you "
        f"mean '{meant}'? Kinds are {', '.join(kinds)}"
    )


def _status(profile: Profile, claims: Sequence[ClaimView]) -> Status:
    if is_customer(profile.key):
        return "merged" if profile.to else "own"
    if profile.to:
        return "linked"
    return "shared" if any(claim.counts for claim in claims) else "own"


def _why(key: Key, status: Status, owner: str, claims: Sequence[ClaimView]) -> Iterator[str]:
    """The rules of `owner_of` in words, one sentence each."""
    counting = [claim for claim in claims if claim.counts]
    names = " and ".join(claim.customer for claim in counting)
    if status == "merged":
        first = counting[0].customer
        least = ", the smallest of " + names if len(counting) > 1 else ""
        yield f"it was merged into {first}{least}" + (f", who belongs to {owner}" if first != owner else "")
    elif status == "linked":
        alone = "claim" if len(counting) > 1 else "claims"
        led = f", now at {owner}" if names != owner else ""
        yield f"{names} {alone} it{led}, and nobody else does"
    elif status == "shared" and len(claims) > MOST_CLAIMS:
        yield f"more than {MOST_CLAIMS} customers have claimed it: it is shared for good"
    elif status == "shared" and any(claim.customer == ERASED for claim in counting):
        others = [claim.customer for claim in counting if claim.customer != ERASED]
        have = "have" if others else "has"
        yield f"{' and '.join((SOMEBODY, *others))} {have} claimed it: it stays shared, and belongs to nobody"
    elif status == "shared":
        yield f"{names} claim it, and they are not the same customer: it is shared, and belongs to nobody"
    elif is_customer(key):
        yield "no merge of it counts" if claims else "it was merged into nobody"
    else:
        yield "no claim of it counts" if claims else "nobody claims it"
    for claim in claims:
        if claim.blocked:
            yield f"the claim of {claim.customer} does not count: it is blocked"
        elif claim.leads_to is None:
            yield f"the claim of {claim.customer} does not count: its owner had no room (16 strands)"


def _links_of(links: Links | None) -> tuple[Mapping[str, str], tuple[str, ...], Mapping[str, int]]:
    return (links.claims, links.blocked, links.refused) if links else _NO_LINKS


def _public(key: str) -> str:
    return public_key(Key(key))
