"""What is left of an erased identity, and what it says to whom. See docs/erasure.md.

A mark is all that is remembered: when, and by which order. Its key is a digest, so whoever finds it learns of nobody.
What was appended or happened up to that moment is of the life that was erased, and counts nowhere any more.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec

from pipeline.domain.encoding import decode_strand, encode_strand
from pipeline.domain.identity import Digest, keyed_digest
from pipeline.domain.messages import Disown, Forget, Post
from pipeline.domain.ownership import ERASED, is_customer
from pipeline.domain.packing import NO_NAMES, Names
from pipeline.domain.profile import Event, Profile, Strand, links_of, new_profile
from pipeline.domain.remembered import recent_of

Later = Literal["anew", "drop"]
"""What becomes of the events of an erased identity that come later: a new customer begins, or they are dropped."""

MARK: Final = "@erased:"
"""How the keys of marks begin, in the changelog and the table."""

DAY_MS: Final = 86_400_000


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """An identity was erased by an order appended at `at`; `epoch`: the largest that its transitions may have had.

    `until`: when this is forgotten, too. `order`: its id, empty for those that were erased along. All times in ms.
    """

    at: int
    epoch: int
    until: int
    order: str = ""


encode_mark = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Mark] = msgspec.msgpack.Decoder(Mark)


def decode_mark(data: bytes) -> Mark:
    """The mark; msgspec.DecodeError if the bytes are none."""
    return _decoder.decode(data)


@dataclass(frozen=True, slots=True)
class Erasure:
    """How identities are erased. `remembered_ms`: how long a mark is kept; `digest`: what stands for a key in it."""

    later: Later = "anew"
    remembered_ms: int = 30 * DAY_MS
    digest: Digest = field(default_factory=lambda: keyed_digest(b"nobody's"))

    def mark_key(self, key: str) -> str:
        """Where the mark of an identity is."""
        return MARK + self.digest(f"erased:{key}")

    def mark(self, at: int, epoch: int, order: str) -> Mark:
        """That of an identity whose profile had this epoch."""
        return Mark(at, max(at, epoch), at + self.remembered_ms, order)


def is_old(event: Event, life: int) -> bool:
    """Whether the event is of a life that was erased at `life`."""
    return event.at <= life or event.appended <= life


def holds_old(strand: Strand, life: int) -> bool:
    """Whether anything in it is."""
    return strand.first <= life or any(is_old(event, life) for event in recent_of(strand))


def reborn(key: str, mark: Mark, epoch: int, names: Names) -> Profile:
    """Somebody who was erased and comes back by a record appended at `epoch`: as new, and with a higher epoch."""
    profile = new_profile(key, max(epoch, mark.epoch + 1), names)
    profile.links = links_of({}, (), {}, mark.at, {})
    return profile


class Belonging(NamedTuple):
    """An identity that an owner loses, and what was there of it."""

    identity: str
    strand: Strand | None


def belongings(profile: Profile, mentioned: Iterable[str]) -> list[Belonging]:
    """All that a profile knows by name: whose strands it has, what its own strand claims, and who is `mentioned`."""
    guests = {each.identity: each for each in profile.strands if each.identity != profile.key}
    claimed = [name for each in profile.strands if each.identity == profile.key for name in each.claimed]
    names = dict.fromkeys((*sorted(guests), *claimed, *mentioned))
    return [Belonging(name, guests.get(name)) for name in names if name != profile.key]


def farewell(profile: Profile, at: int, mentioned: tuple[str, ...]) -> Iterator[Post]:
    """What the owner `profile` has to say as it is erased by an order of that moment."""
    customers = (profile.key,) if is_customer(profile.key) else ()
    for identity, strand in belongings(profile, mentioned):
        data = b"" if strand is None else encode_strand(strand)
        along = mentioned if is_customer(identity) else ()
        yield Post(identity, Forget(profile.key, customers, at, data, along))
    yield from disowned(profile, customers)


def followed(profile: Profile, message: Forget) -> Iterator[Post]:
    """What one of its identities says as it goes the same way: a customer has claimed others."""
    customers = message.customers
    if is_customer(profile.key):
        customers = (*customers, profile.key)
        others = dict.fromkeys((*claimed_by(profile, message.strand), *message.mentioned))
        yield from told((each for each in others if each != profile.key), Forget(message.owner, customers, message.at))
    yield from disowned(profile, (message.owner, *customers))


def told(whom: Iterable[str], message: Forget) -> Iterator[Post]:
    return (Post(each, message) for each in whom)


def claimed_by(profile: Profile, strand: bytes) -> list[str]:
    """Whom the identity of `profile` claims, by its strand there and by one that comes along."""
    strands = list(profile.strands)
    if strand:
        strands.append(decode_strand(strand, profile.frame))
    return list(dict.fromkeys(name for each in strands if each.identity == profile.key for name in each.claimed))


def claimed_in(strand: bytes) -> tuple[str, ...]:
    """Whom it claims."""
    return decode_strand(strand, new_profile("", 0, NO_NAMES).frame).claimed


def disowned(profile: Profile, but: Collection[str]) -> Iterator[Post]:
    """Everybody who claims it hears that it is gone, except those who are so themselves."""
    links = profile.links
    for customer in () if links is None else links.claims:
        if customer != ERASED and customer not in but:
            yield Post(customer, Disown(profile.key, customer))


def goes_along(profile: Profile, message: Forget) -> bool:
    """Whether the identity is the erased one's: it points there, or nobody else has claimed it."""
    gone = {message.owner, *message.customers}
    links = profile.links
    if links is None:
        return False
    if profile.to or is_customer(profile.key):
        return profile.to in gone and links.lives.get(profile.to, 0) < message.at
    claiming = links.claims.keys() - set(links.blocked)
    return bool(claiming) and claiming <= gone


def unlink(profile: Profile, message: Forget) -> None:
    """Takes the erased ones out of what a profile that stays knows; a shared one stays shared."""
    links = profile.links
    if links is None:
        return
    names = {message.owner, *message.customers}
    gone = {
        each: owner
        for each, owner in links.claims.items()
        if each in names and links.lives.get(owner, 0) < message.at  # else it has come back, and claims it anew
    }
    counted = any(owner and each not in links.blocked for each, owner in gone.items())
    links.claims = {each: owner for each, owner in links.claims.items() if each not in gone}
    if counted and links.life < message.at and not is_customer(profile.key):
        links.claims[ERASED] = ERASED
    if links.life < message.at:
        links.blocked = tuple([each for each in links.blocked if each not in names])
    links.lives = {owner: life for owner, life in links.lives.items() if owner in links.claims.values()}


def is_blank(profile: Profile) -> bool:
    """Whether the profile says nothing that would have to be kept."""
    if profile.to or profile.links is not None:
        return False
    return all(strand.newest < 0 and not strand.claimed and not strand.late for strand in profile.strands)
