"""Who is this customer: what a profile does about a message of another identity. See docs/stitching.md.

A step is pure: a profile and a message in; the changed profile and messages, in order, out. It rests on one promise of
whoever carries the messages: a target gets them in the order in which they were sent, and what was sent before a
message that caused another comes before that one.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Protocol, assert_never

from pipeline.domain import erasing
from pipeline.domain.encoding import decode_strand, encode_strand
from pipeline.domain.erasing import Later, Mark, is_old
from pipeline.domain.extremes import NEVER
from pipeline.domain.feed import Feed
from pipeline.domain.messages import (
    Adopt,
    AnyMessage,
    Block,
    Claim,
    Disown,
    Erase,
    Forget,
    GiveBack,
    Kept,
    Link,
    Post,
    Refuse,
    Release,
    Seen,
    Unblock,
    hop,
)
from pipeline.domain.ownership import MOST_BLOCKS, is_customer, owner_of, with_claim
from pipeline.domain.profile import Event, Links, Profile, Strand, life_of, links_of, new_strand

MOST_STRANDS: Final = 16
"""Of one profile; one of them is kept free for its own identity."""

MOST_CLAIMED: Final = MOST_STRANDS - 1
"""Identities that one customer may claim."""

MOST_HOPS: Final = 5
"""Times that an event may be on `journey.events`: what the watermark waits for."""

Outcome = Literal["folded", "duplicate", "late", "routed", "erased", "dead", "told", "gone"]
"""What became of a message: `dead` is an event with too many hops, `erased` one of a life that was erased; `told` is
anything that is no event, and `gone` what erases the identity: its record goes, and a mark stays."""

Refused = Literal[
    "too_many_strands", "too_many_claimed", "too_many_claims", "too_many_blocks", "no_customer", "erase_of_part"
]
"""Why something that was asked for is not done: the closed list that the metric uses."""


class Folding(Protocol):
    """What this asks of the fold; `pipeline.domain.fold.Fold` is one. All change `profile` in place."""

    def event(
        self, profile: Profile, identity: str, event: Event, watermark: int | None, feed: Feed
    ) -> Literal["folded", "duplicate", "late"]: ...

    def unite(self, profile: Profile, strand: Strand, watermark: int | None, feed: Feed) -> None: ...

    def cut(self, profile: Profile, identity: str, watermark: int | None, feed: Feed) -> Strand | None: ...

    def leave(self, profile: Profile, into: str, feed: Feed) -> tuple[Strand, ...]: ...


class Step(NamedTuple):
    """What came of a message: `out` is to be sent in this order, `refused` to be counted."""

    outcome: Outcome
    out: list[Post]
    refused: list[Refused]

    def refuse(self, profile: Profile, reason: Refused) -> None:
        """Counts it, here and where people see it."""
        self.refused.append(reason)
        links = _links(profile)
        links.refused = {**links.refused, reason: links.refused.get(reason, 0) + 1}


class Stitching:
    """Handles messages by a fold. Holds no state of any customer. `later`: what events of the erased come to."""

    def __init__(self, fold: Folding, later: Later = "anew") -> None:
        self._fold = fold
        self._later = later

    def handle(self, profile: Profile, message: AnyMessage, watermark: int | None, feed: Feed) -> Step:
        """One message for `profile`, which is that of its target; changes it in place and adds to `feed`."""
        step = Step("told", [], [])
        match message:
            case Seen():
                return step._replace(outcome=self._seen(profile, message, watermark, feed, step))
            case Claim():
                self._claim(profile, message, feed, step)
            case Adopt():
                self._adopt(profile, message, watermark, feed, step)
            case Release():
                self._release(profile, message, watermark, feed, step)
            case Kept():
                self._kept(profile, message, step)
            case GiveBack():
                self._give_back(profile, message.strand, watermark, feed, step)
            case Refuse():
                self._refuse(profile, message, feed, step)
            case Link():
                self._link(profile, message, watermark, feed, step)
            case Block():
                self._block(profile, message, feed, step)
            case Unblock():
                self._unblock(profile, message, feed, step)
            case Erase():
                return step._replace(outcome=self._erase(profile, message, step))
            case Forget():
                return step._replace(outcome=self._forget(profile, message, watermark, feed, step))
            case Disown():
                self._disown(profile, message, step)
            case _:
                assert_never(message)
        return step

    def handle_erased(self, key: str, mark: Mark, message: AnyMessage) -> Step | None:
        """One message for an identity that was erased and has no record; None if one begins anew by it."""
        step = Step("told", [], [])
        drop = self._later == "drop"
        match message:
            case Seen() if message.primary != key:
                return step._replace(outcome=_astray(key, mark.at, message, step))
            case Seen() if drop or is_old(message.event(), mark.at):
                return step._replace(outcome="erased")
            case Claim() if drop:
                step.out.append(Post(message.customer, Disown(key, message.customer)))
            case Adopt():
                step.out.append(Post(message.identity, _forget(key, mark.at, message.strand)))
            case GiveBack():
                step.out.extend(erasing.told(erasing.claimed_in(message.strand), _forget(key, mark.at)))
            case Kept():
                step.out.append(Post(message.owner, Release(key, "")))
            case Link() if message.customer != key:
                _say_again(key, mark.at, message, step)
            case Link() if drop or 0 < message.at <= mark.at:
                pass
            case Erase() if message.order != mark.order:
                step.out.extend(erasing.told(message.mentioned, _forget(key, message.at)))
                return step._replace(outcome="gone")
            case Forget():
                claimed = erasing.claimed_in(message.strand) if message.strand else ()
                step.out.extend(erasing.told(claimed, _forget(key, max(mark.at, message.at))))
            case Seen() | Claim() | Link():
                return None
            case Block() if not drop:
                return None
            case Block() | Unblock() | Release() | Refuse() | Erase() | Disown():
                pass
            case _:
                assert_never(message)
        return step

    def _seen(self, profile: Profile, message: Seen, watermark: int | None, feed: Feed, step: Step) -> Outcome:
        primary, event, life = message.primary, message.event(), life_of(profile)
        if life and primary == profile.key and is_old(event, life):
            return "erased"
        if primary != profile.key and message.life < life:
            return _astray(profile.key, life, message, step)
        if profile.to:
            if message.hops >= MOST_HOPS:
                return "dead"
            step.out.append(Post(profile.to, hop(message, _life_of_owner(profile))))
            return "routed"
        outcome = self._fold.event(profile, primary, event, watermark, feed)
        if is_customer(primary) and message.named:
            self._name(profile, primary, message.named, step)
        self._make_room(profile, primary, watermark, feed, step)
        return outcome

    def _link(self, profile: Profile, message: Link, watermark: int | None, feed: Feed, step: Step) -> None:
        identity, customer, life = message.identity, message.customer, life_of(profile)
        if customer != profile.key and message.life < life:
            _say_again(profile.key, life, message, step)
            return
        if customer == profile.key and 0 < message.at <= life:
            return
        if profile.to:
            step.out.append(Post(profile.to, Link(identity, customer, message.at, _life_of_owner(profile))))
            return
        if not is_customer(customer) or identity == customer or (is_customer(identity) and identity < customer):
            step.refuse(profile, "no_customer")
            return
        strand = find_strand(profile, customer)
        if strand is None:
            self._fold.unite(profile, new_strand(profile.frame, customer), watermark, feed)
            strand = find_strand(profile, customer)
            assert strand is not None, "unite adds the strand"
        if identity in strand.claimed:
            step.out.append(Post(identity, Claim(customer, profile.key, life)))  # it may have been refused since
        else:
            self._name(profile, customer, (identity,), step)
        self._make_room(profile, customer, watermark, feed, step)

    def _name(self, profile: Profile, customer: str, named: Iterable[str], step: Step) -> None:
        """`customer`, whose strand is here, was named together with these: claims those that it has not yet."""
        strand = find_strand(profile, customer)
        if strand is None:  # a copy of an event that another identity brought
            return
        for identity in named:
            if identity in strand.claimed:
                continue
            if len(strand.claimed) >= MOST_CLAIMED:
                step.refuse(profile, "too_many_claimed")
                return
            strand.claimed = (*strand.claimed, identity)
            step.out.append(Post(identity, Claim(customer, profile.key, life_of(profile))))

    def _claim(self, profile: Profile, message: Claim, feed: Feed, step: Step) -> None:
        links = _links(profile)
        claims = with_claim(profile.key, links.claims, message.customer, message.owner)
        if len(claims) <= len(links.claims) and message.customer not in links.claims:
            step.refuse(profile, "too_many_claims")
        links.claims = claims
        if message.life:
            links.lives[message.owner] = max(message.life, links.lives.get(message.owner, 0))
        self._settle(profile, feed, step)

    def _block(self, profile: Profile, message: Block, feed: Feed, step: Step) -> None:
        links = _links(profile)
        if message.customer in links.blocked:
            return
        if len(links.blocked) >= MOST_BLOCKS:
            step.refuse(profile, "too_many_blocks")
            return
        links.blocked = (*links.blocked, message.customer)
        self._settle(profile, feed, step)

    def _unblock(self, profile: Profile, message: Unblock, feed: Feed, step: Step) -> None:
        links = _links(profile)
        links.blocked = tuple([customer for customer in links.blocked if customer != message.customer])
        self._settle(profile, feed, step)

    def _refuse(self, profile: Profile, message: Refuse, feed: Feed, step: Step) -> None:
        links = _links(profile)
        links.claims = {each: "" if owner == message.owner else owner for each, owner in links.claims.items()}
        self._settle(profile, feed, step)

    def _settle(self, profile: Profile, feed: Feed, step: Step) -> None:
        """Points to the owner of now. What it did follows, behind a release that follows all it sent the old way."""
        links = _links(profile)
        if links.lives:
            links.lives = {owner: life for owner, life in links.lives.items() if owner in links.claims.values()}
        if not (links.claims or links.blocked or links.refused or links.life):
            profile.links = None
        old, new = profile.to, owner_of(profile.key, links.claims, links.blocked)
        if new == old:
            return
        if old:
            step.out.append(Post(old, Release(profile.key, new)))
        else:
            leaving = sorted(self._fold.leave(profile, new, feed), key=lambda each: each.identity)
            leaving.sort(key=lambda each: each.identity != profile.key)  # its own first, while there is room
            leaving = [each for each in leaving if not _bare(each)]
            life = links.lives.get(new, 0)
            step.out.extend(Post(new, Adopt(each.identity, encode_strand(each), life)) for each in leaving)
        profile.to = new

    def _adopt(self, profile: Profile, message: Adopt, watermark: int | None, feed: Feed, step: Step) -> None:
        identity = message.identity
        if message.life < life_of(profile):
            step.out.append(Post(identity, _forget(profile.key, life_of(profile), message.strand)))
        elif profile.to:
            step.out.append(Post(profile.to, Adopt(identity, message.strand, _life_of_owner(profile))))
        elif find_strand(profile, identity) is None and _guests(profile) >= MOST_STRANDS - 1:
            self._turn_away(profile, identity, message.strand, step)
        else:
            self._unite(profile, message.strand, watermark, feed, step)

    def _give_back(self, profile: Profile, strand: bytes, watermark: int | None, feed: Feed, step: Step) -> None:
        life = life_of(profile)
        if life and erasing.holds_old(decode_strand(strand, profile.frame), life):
            step.out.extend(erasing.told(erasing.claimed_in(strand), _forget(profile.key, life)))
        elif profile.to:
            step.out.append(Post(profile.to, Adopt(profile.key, strand, _life_of_owner(profile))))
        else:
            self._unite(profile, strand, watermark, feed, step)

    def _unite(self, profile: Profile, data: bytes, watermark: int | None, feed: Feed, step: Step) -> None:
        """Takes a strand in. What it claims hears where it is now, since only then do claims lead to it."""
        identity = decode_strand(data, profile.frame).identity
        self._fold.unite(profile, decode_strand(data, profile.frame), watermark, feed)
        strand = find_strand(profile, identity)
        assert strand is not None, "unite adds the strand"
        claim = Claim(identity, profile.key, life_of(profile))
        step.out.extend(Post(claimed, claim) for claimed in strand.claimed)

    def _make_room(self, profile: Profile, identity: str, watermark: int | None, feed: Feed, step: Step) -> None:
        """Sends the strand of `identity`, which has just got something, away if it is one too many."""
        if identity == profile.key or _guests(profile) < MOST_STRANDS:
            return
        strand = self._fold.cut(profile, identity, watermark, feed)
        assert strand is not None, "it has just got something"
        self._turn_away(profile, identity, encode_strand(strand), step)

    def _turn_away(self, profile: Profile, identity: str, strand: bytes, step: Step) -> None:
        step.refuse(profile, "too_many_strands")
        step.out.append(Post(identity, Refuse(profile.key)))
        step.out.append(Post(identity, GiveBack(strand)))

    def _release(self, profile: Profile, message: Release, watermark: int | None, feed: Feed, step: Step) -> None:
        """`identity` no longer comes this way. A customer may have been the way here for others: they are asked."""
        identity = message.identity
        if profile.to:
            step.out.append(Post(profile.to, message))
            return
        if message.into == profile.key:  # it only comes another way now
            step.out.append(Post(identity, Kept(profile.key)))
        elif (strand := self._fold.cut(profile, identity, watermark, feed)) is not None:
            step.out.append(Post(identity, GiveBack(encode_strand(strand))))
        if is_customer(identity):
            others = [each.identity for each in profile.strands if each.identity not in {profile.key, identity}]
            step.out.extend(Post(each, Kept(profile.key)) for each in sorted(others))

    def _kept(self, profile: Profile, message: Kept, step: Step) -> None:
        if profile.to != message.owner:
            step.out.append(Post(message.owner, Release(profile.key, profile.to)))

    def _erase(self, profile: Profile, message: Erase, step: Step) -> Outcome:
        """Everybody whom it knows hears of it; who belongs to another goes only with that one."""
        if profile.to:
            step.refuse(profile, "erase_of_part")
            return "told"
        step.out.extend(erasing.farewell(profile, message.at, message.mentioned))
        return "gone"

    def _forget(self, profile: Profile, message: Forget, watermark: int | None, feed: Feed, step: Step) -> Outcome:
        if life_of(profile) < message.at and erasing.goes_along(profile, message):
            step.out.extend(erasing.followed(profile, message))
            return "gone"
        if profile.links is not None:
            erasing.unlink(profile, message)
            self._settle(profile, feed, step)
        if message.strand:
            self._give_back(profile, message.strand, watermark, feed, step)
        return "told"

    def _disown(self, profile: Profile, message: Disown, step: Step) -> None:
        if profile.to:
            step.out.append(Post(profile.to, message))
        elif (strand := find_strand(profile, message.customer)) is not None:
            strand.claimed = tuple([each for each in strand.claimed if each != message.identity])


def find_strand(profile: Profile, identity: str) -> Strand | None:
    """What `identity` did, as far as it is in this profile."""
    return next((strand for strand in profile.strands if strand.identity == identity), None)


def link(one: str, other: str, at: int = 0) -> Post:
    """Says that two identities are the same person; of two customers the larger key joins the smaller.

    `at`: append time of who says so, in ms; 0 if nobody knows.

    ValueError if neither is a customer, or both are the same.
    """
    if one == other or not (is_customer(one) or is_customer(other)):
        raise ValueError("a link needs a customer and another identity")
    customer = min(one, other) if is_customer(one) and is_customer(other) else one if is_customer(one) else other
    return Post(customer, Link(other if customer == one else one, customer, at))


def order_of(order: str, one: str, other: str, at: int = 0) -> Post:
    """What a person's order about two identities says to which of them: `link`, `block` or `unblock`.

    `at`: its append time, in ms.

    ValueError if neither is a customer, or both are the same.
    """
    linking = link(one, other, at)
    if order == "link":
        return linking
    message = linking.message
    assert isinstance(message, Link), "a link is one"
    if order == "block":
        return Post(message.identity, Block(message.customer))
    return Post(message.identity, Unblock(message.customer))


def _links(profile: Profile) -> Links:
    """What `profile` knows of others, made if there is nothing yet."""
    links: Links | None = profile.links
    if links is None:
        links = profile.links = links_of({}, (), {}, 0, {})
    return links


def _life_of_owner(profile: Profile) -> int:
    """The life that the profile's owner had when it claimed it."""
    return 0 if profile.links is None else profile.links.lives.get(profile.to, 0)


def _forget(key: str, at: int, strand: bytes = b"") -> Forget:
    """What somebody erased at `at` says to whoever still takes it for the owner."""
    return Forget(key, (key,) if is_customer(key) else (), at, strand)


def _astray(key: str, life: int, message: Seen, step: Step) -> Outcome:
    """Sends an event that came to an owner of before back to its identity, which belongs there no more."""
    if message.hops >= MOST_HOPS:
        return "dead"
    step.out.append(Post(message.primary, _forget(key, life)))
    step.out.append(Post(message.primary, hop(message)))
    return "routed"


def _say_again(key: str, life: int, message: Link, step: Step) -> None:
    """The same of a link."""
    step.out.append(Post(message.customer, _forget(key, life)))
    step.out.append(Post(message.customer, Link(message.identity, message.customer, message.at)))


def _guests(profile: Profile) -> int:
    """Strands of others."""
    return sum(strand.identity != profile.key for strand in profile.strands)


def _bare(strand: Strand) -> bool:
    """Whether the strand says nothing: it need not travel."""
    return strand.first == NEVER and not (strand.count or strand.late or strand.claimed)
