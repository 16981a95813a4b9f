"""A small world of identities, whose events must all end up with the right owner, each once.

Inboxes of wildly different speed; events with and without customer id, copies of them, links, merges, splits, blocks
and unblocks, some sent before anything is known of those they name. A step is one message for one identity, out of
stored bytes and into stored bytes; some are done, forgotten by a crash, and done again. `World.live` raises Wrong as
soon as something is not as it must be; at rest everything is compared with an oracle that sees all that was sent at
once.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from pipeline.domain.encoding import decode, encode
from pipeline.domain.feed import Feed
from pipeline.domain.messages import AnyMessage, Block, Post, Seen, Unblock, decode_message, encode_message
from pipeline.domain.packing import NO_NAMES
from pipeline.domain.profile import Profile, new_profile
from pipeline.domain.remembered import recent_of
from pipeline.domain.stitching import Folding, Step, Stitching, link
from tests.property.sets_fold import SetsFold


class AligningFold(Folding, Protocol):
    def align(self, profile: Profile) -> None: ...


MOST_STEPS: Final = 5_000
EPOCH: Final = 1_700_000_000_000


class Wrong(Exception):
    """What must always be true is not."""


@dataclass(frozen=True)
class Shape:
    """How many of each there are; `waves`: how often something is sent after the first time.

    `limited`: the limits of a profile are reached, so where things end up depends on which came first.
    """

    customers: int = 4
    weak: int = 4
    events: int = 30
    commands: int = 10
    waves: int = 2
    limited: bool = False


SMALL: Final = Shape()
CHAINS: Final = Shape(customers=8, weak=3, events=30, commands=20)
CROWDED: Final = Shape(customers=12, weak=44, events=200, commands=24, waves=1, limited=True)


@dataclass
class Sent:
    """All that was sent, as the oracle sees it. `blocks`: by identity, in order."""

    events: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    links: set[tuple[str, str]] = field(default_factory=set)
    blocks: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


class World:
    def __init__(self, seed: int, shape: Shape | None = None, fold: AligningFold | None = None) -> None:
        self.chance = Random(seed)
        self.shape = shape or self.chance.choices((SMALL, CHAINS, CROWDED), (20, 8, 1))[0]
        self.fold: AligningFold = fold or SetsFold()
        self.stitching = Stitching(self.fold)
        self.customers = [f"c:{number:02}" for number in range(self.shape.customers)]
        self.weak = [f"anonymous:{number:02}" for number in range(self.shape.weak)]
        self.sent = Sent()
        self.records: dict[str, bytes] = {}
        self.inboxes: dict[str, deque[bytes]] = defaultdict(deque)
        self.lanes: dict[str, deque[Post]] = defaultdict(deque)
        self.speeds: dict[str, float] = defaultdict(lambda: 10 ** self.chance.uniform(-3, 0))
        self.folded: set[str] = set()
        self.dead: set[str] = set()
        self.refused: set[str] = set()
        self.hops = 0

    def live(self) -> None:
        self.send(self.shape.events, self.shape.commands)
        for _ in range(self.shape.waves):
            self.work(self.chance.choice((30, 100, 300, MOST_STEPS)))
            self.send(self.shape.events // 3, self.shape.commands // 2)
        self.rest()
        self.judge()
        self.hops = 0
        self.send(self.shape.events // 3, 0, news=False)
        self.rest()
        self.judge()
        if self.hops > 2:
            raise Wrong(f"an event took {self.hops} hops while nobody moved")

    # ---- what comes in

    def send(self, events: int, commands: int, news: bool = True) -> None:
        """`news`: events may name identities together that nobody has named together yet."""
        kinds = [True] * events + [False] * commands
        self.chance.shuffle(kinds)
        for is_event in kinds:
            for queue, post in self._event(news) if is_event else self._command():
                self.lanes[queue].append(post)

    def _event(self, news: bool) -> list[tuple[str, Post]]:
        number = f"e{len(self.sent.events)}"
        customer = self.chance.choice(self.customers) if self.chance.random() < 0.5 else None
        near = [each for each in self.weak if customer is None or self._near(customer, each)]
        named = [each for each in near if self.chance.random() < 1.2 / len(near)]
        if customer and not news:
            named = []
        everybody = ([customer] if customer else []) + named or [self.chance.choice(self.weak)]
        primary, *others = everybody
        self.sent.events[number] = (primary, tuple(others))
        at = EPOCH + self.chance.randrange(1_000_000)
        message = Seen(primary, tuple(others), 0, number, at, at + 5, 0, 1, "page", "saw_content", "web")
        copies = 2 if self.chance.random() < 0.1 else 1
        return [(f"raw {self.chance.randrange(4)}", Post(primary, message)) for _ in range(copies)]

    def _near(self, customer: str, weak: str) -> bool:
        """In a crowd one customer has many identities and the others few of their own; everybody has the first."""
        place = self.weak.index(weak)
        owner = self.customers[place % len(self.customers) if place % 2 else 1]
        return not self.shape.limited or place == 0 or owner == customer

    def _command(self) -> list[tuple[str, Post]]:
        """Links come from anywhere; what is said about the blocks of one identity is in one partition, in order."""
        identity = self.chance.choice(self.customers if self.chance.random() < 0.5 else self.weak)
        customer = self.chance.choice([each for each in self.customers if each != identity])
        act = self.chance.random()
        if act < 0.5:
            post = link(identity, customer)
            pair = (identity, customer)
            self.sent.links.add((max(pair), min(pair)) if _customer(identity) else pair)
            return [(f"raw {self.chance.randrange(4)}", post)]
        if _customer(identity) and identity < customer:
            identity, customer = customer, identity
        if act < 0.8:
            self.sent.blocks[identity].add(customer)
            return [(f"commands {identity}", Post(identity, Block(customer)))]
        self.sent.blocks[identity].discard(customer)
        return [(f"commands {identity}", Post(identity, Unblock(customer)))]

    # ---- what the lanes do

    def work(self, steps: int) -> bool:
        """Does so many steps, or until there is nothing to do; whether that is so."""
        for _ in range(steps):
            ready = [name for queues in (self.lanes, self.inboxes) for name, queue in queues.items() if queue]
            if not ready:
                return True
            name = self.chance.choices(ready, [self.speeds[each] for each in ready])[0]
            if self.inboxes.get(name):
                self.step(name, self.inboxes[name].popleft())
            else:
                self._first_lane(self.lanes[name].popleft())
        return False

    def rest(self) -> None:
        if not self.work(MOST_STEPS):
            raise Wrong(f"no rest after {MOST_STEPS} steps")

    def _first_lane(self, post: Post) -> None:
        """An input lane handles what is at home there itself, as commands always are, and sends on what is not."""
        if isinstance(post.message, Block | Unblock) or self.chance.random() < 0.3:
            self.step(post.to, encode_message(post.message))
        else:
            self.deliver(Post(post.to, _with_hop(post.message)))

    def deliver(self, post: Post) -> None:
        self.inboxes[post.to].append(encode_message(post.message))

    def step(self, key: str, message: bytes) -> None:
        before = self.records.get(key)
        step, after = self._handled(key, before, message)
        if self.chance.random() < 0.1:  # a crash: the transaction is gone, and done again
            again, after_again = self._handled(key, before, message)
            if (step, after) != (again, after_again):
                raise Wrong(f"{key} answers {decode_message(message)} once so and once otherwise")
        self.records[key] = after
        self.refused.update(step.refused)
        decoded = decode_message(message)
        if isinstance(decoded, Seen):
            self.hops = max(self.hops, decoded.hops)
            if step.outcome in {"folded", "duplicate", "late"}:
                self.folded.add(decoded.id)
            elif step.outcome == "dead":
                self.dead.add(decoded.id)
        for post in step.out:
            self.deliver(post)

    def _handled(self, key: str, before: bytes | None, message: bytes) -> tuple[Step, bytes]:
        profile = self.profile(key, before)
        step = self.stitching.handle(profile, decode_message(message), None, Feed())
        if profile.to and (profile.strands or (_customer(key) and profile.to >= key)):
            raise Wrong(f"{key} points to {profile.to} and has {[strand.identity for strand in profile.strands]}")
        if len(profile.strands) > 16:
            raise Wrong(f"{key} has {len(profile.strands)} strands")
        return step, encode(profile)

    def profile(self, key: str, data: bytes | None) -> Profile:
        profile = new_profile(key, EPOCH) if data is None else decode(data, NO_NAMES)
        self.fold.align(profile)
        return profile

    # ---- what must be so at rest

    def judge(self) -> None:
        profiles = {key: self.profile(key, data) for key, data in self.records.items()}
        owner = self._pointed(profiles) if self.shape.limited else self._expected()
        places: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for key, profile in profiles.items():
            for strand in profile.strands:
                if strand.identity != key and owner(strand.identity) != key:
                    raise Wrong(f"the strand of {strand.identity} is at {key}, expected {owner(strand.identity)}")
                for event in recent_of(strand):
                    places[event.id].append((key, strand.identity))
        for identifier, (primary, _) in self.sent.events.items():
            if identifier not in self.folded:
                if identifier not in self.dead:
                    raise Wrong(f"event {identifier} of {primary} is lost")
                continue
            expected = [(owner(primary), primary)]
            if places[identifier] != expected:
                raise Wrong(f"event {identifier} of {primary} is at {places[identifier]}, expected {expected}")
        for key, profile in profiles.items():
            if (profile.to or key) != owner(key):
                raise Wrong(f"{key} points to {profile.to or 'nobody'}, expected {owner(key)}")

    def _pointed(self, profiles: dict[str, Profile]) -> Callable[[str], str]:
        """Where everybody says to belong."""

        def owner(identity: str) -> str:
            profile = profiles.get(identity)
            return owner(profile.to) if profile is not None and profile.to else identity

        return owner

    def _expected(self) -> Callable[[str], str]:
        """Where everybody belongs by all that was said."""
        named = {(other, customer) for other, customer in self.sent.links}
        for identifier, (primary, others) in self.sent.events.items():
            if _customer(primary) and identifier in self.folded:
                named.update((other, primary) for other in others)
        targets = {
            identity: [c for other, c in sorted(named) if other == identity and c not in self.sent.blocks[identity]]
            for identity in self.customers + self.weak
        }

        def owner(identity: str) -> str:
            if _customer(identity):
                return owner(min(targets[identity])) if targets[identity] else identity
            owners = {owner(customer) for customer in targets[identity]}
            return owners.pop() if len(owners) == 1 else identity

        return owner


def _customer(key: str) -> bool:
    return key.startswith("c:")


def _with_hop(message: AnyMessage) -> AnyMessage:
    if not isinstance(message, Seen):
        return message
    fields = [getattr(message, name) for name in message.__struct_fields__]
    fields[2] += 1
    return Seen(*fields)
