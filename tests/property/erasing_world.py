"""Worlds of identities in which customers are erased, at rest or while everything else is going on, and come back.

A calm world erases at rest only: then it is known who belongs to whom, and everything is compared with an oracle. A
stormy one erases at any time, so only what must hold in any order is looked at: nothing of a life that was erased is
left anywhere, nobody else loses anything, and everything is where it points. Raises Wrong like its base.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from pipeline.domain import erasing
from pipeline.domain.encoding import encode
from pipeline.domain.erasing import Erasure, Later, Mark, is_blank
from pipeline.domain.extremes import NEVER
from pipeline.domain.feed import Feed
from pipeline.domain.messages import Erase, Forget, Link, Post, Seen, decode_message
from pipeline.domain.ownership import ERASED, is_customer
from pipeline.domain.packing import NO_NAMES
from pipeline.domain.profile import Profile
from pipeline.domain.remembered import recent_of
from pipeline.domain.stitching import Step, Stitching, link
from tests.property.stitching_world import EPOCH, SMALL, World, Wrong

BORN = replace(SMALL, events=20, commands=8)


class ErasingWorld(World):
    def __init__(self, seed: int, later: Later = "anew", calm: bool = True) -> None:
        super().__init__(seed, BORN)
        self.later: Later = later
        self.calm = calm
        self.stitching = Stitching(self.fold, later)
        self.erasure = Erasure(later)
        self.marks: dict[str, Mark] = {}
        self.epochs: dict[str, int] = defaultdict(int)
        self.now = EPOCH
        self.times: dict[str, tuple[int, int]] = {}
        self.pairs: set[tuple[str, str]] = set()
        self.kiosks: set[str] = set()
        self.dropped: set[str] = set()
        self.erased_events: set[str] = set()
        self.orders: list[Post] = []

    def live(self) -> None:
        self.send(self.shape.events, self.shape.commands)
        for _ in range(3):
            if self.calm:
                self.rest()
            else:
                self.work(self.chance.choice((10, 30, 100)))
            self._erase(self.chance.choice(self.customers if self.chance.random() < 0.8 else self.weak))
            if self.calm:
                self.rest()
                self.judge()
            self.send(self.shape.events // 2, self.shape.commands // 2)
        self.rest()
        last = len(self.sent.events)
        self.send(self.shape.events // 2, 0, news=False)
        self.rest()
        self.judge()
        if not self.calm:
            self._judge_any({f"e{number}" for number in range(last, len(self.sent.events))})

    # ---- what comes in

    def _tick(self) -> int:
        self.now += 10
        return self.now

    def _event(self, news: bool) -> list[tuple[str, Post]]:
        sent = super()._event(news)
        appended = self._tick()
        found = []
        for queue, post in sent:
            seen = post.message
            assert isinstance(seen, Seen)
            at = appended - self.chance.choice((0, 1, 9))
            self.times[seen.id] = at, appended
            if is_customer(seen.primary):
                self._say({(other, seen.primary) for other in seen.named})
            if seen.primary in self.dropped:
                self.erased_events.add(seen.id)
            fields = (seen.primary, seen.named, 0, seen.id, at, appended, 0, 1, "page", "saw_content", "web")
            found.append((queue, Post(post.to, Seen(*fields))))
        return found

    def _command(self) -> list[tuple[str, Post]]:
        ((queue, post),) = super()._command()
        at = self._tick()
        if isinstance(post.message, Link):
            identity, customer = post.message.identity, post.message.customer
            self._say({(identity, customer)})
            return [(queue, link(identity, customer, at))]
        return [(queue, post)]

    def _say(self, pairs: set[tuple[str, str]]) -> None:
        self.pairs |= {pair for pair in pairs if not self.dropped & set(pair)}

    def _erase(self, whom: str) -> None:
        """Orders it, and once more now and then, as a producer does that hears no answer."""
        owner = self._pointed({key: self.profile(key, data) for key, data in self.records.items()})
        theirs = {each for each in self.customers if owner(each) == whom}
        mentioned = tuple(sorted(each for each, customers in self.sent.blocks.items() if theirs & customers))
        order = Post(whom, Erase(self._tick(), f"o{self.now}", mentioned))
        self.orders.append(order)
        if self.calm:
            self._expect_erasure(whom)
        for _ in range(1 + (self.chance.random() < 0.3)):
            self.lanes[f"commands {whom}"].append(order)

    def _expect_erasure(self, whom: str) -> None:
        owner = self._expected()
        if owner(whom) != whom:
            return
        gone = {each for each in self.customers + self.weak if owner(each) == whom}
        for identity, customer in self.pairs:
            kept = identity not in gone and not is_customer(identity)
            if kept and customer in gone and customer not in self.sent.blocks[identity]:
                self.kiosks.add(identity)
        self.kiosks -= gone
        if self.later == "drop":
            self.dropped |= gone
        self.pairs = {pair for pair in self.pairs if not gone & set(pair)}
        for each in list(self.sent.blocks):
            self.sent.blocks[each] = set() if each in gone else self.sent.blocks[each] - gone
        self.erased_events |= {number for number, (primary, _) in self.sent.events.items() if primary in gone}

    def _expected(self) -> Callable[[str], str]:
        targets = {
            identity: [
                c for other, c in sorted(self.pairs) if other == identity and c not in self.sent.blocks[identity]
            ]
            for identity in self.customers + self.weak
        }

        def owner(identity: str) -> str:
            if is_customer(identity):
                return owner(min(targets[identity])) if targets[identity] else identity
            owners = {owner(customer) for customer in targets[identity]}
            return owners.pop() if len(owners) == 1 and identity not in self.kiosks else identity

        return owner

    # ---- what the lanes do

    def _first_lane(self, post: Post) -> None:
        if isinstance(post.message, Erase):
            self.step(post.to, b"", post)
        else:
            super()._first_lane(post)

    def step(self, key: str, message: bytes, post: Post | None = None) -> None:
        said = post.message if post else decode_message(message)
        known = self.records.get(key), self.marks.get(key)
        done = self._done(key, *known, said)
        if self.chance.random() < 0.1 and done != self._done(key, *known, said):
            raise Wrong(f"{key} answers {said} once so and once otherwise")
        step, record, mark = done
        if record is None:
            self.records.pop(key, None)
        else:
            self.records[key] = record
        if mark is not None:
            self.marks[key] = mark
        self.refused.update(step.refused)
        if isinstance(said, Seen):
            self.hops = max(self.hops, said.hops)
            {"erased": self.erased_events, "dead": self.dead}.get(step.outcome, self.folded).add(said.id)
            if step.outcome == "routed":
                self.folded.discard(said.id)
        for each in step.out:
            self.deliver(each)

    def _done(
        self, key: str, before: bytes | None, mark: Mark | None, said: object
    ) -> tuple[Step, bytes | None, Mark | None]:
        """As pipeline.application.stitch does it."""
        nothing = Step("told", [], [])
        profile: Profile
        if before is not None:
            if isinstance(said, Erase) and mark is not None and said.order == mark.order:
                return nothing, before, mark
            profile = self.profile(key, before)
        elif mark is not None:
            step = self.stitching.handle_erased(key, mark, said)  # type: ignore[arg-type]
            if step is not None:
                if step.outcome == "gone":
                    assert isinstance(said, Erase)
                    mark = self.erasure.mark(said.at, mark.epoch, said.order)
                return step, None, mark
            profile = erasing.reborn(key, mark, self.now, NO_NAMES)
        else:
            profile = self.profile(key, None)
        step = self.stitching.handle(profile, said, None, Feed())  # type: ignore[arg-type]
        if step.outcome == "gone":
            assert isinstance(said, Erase | Forget)
            order = said.order if isinstance(said, Erase) else ""
            self.epochs[key] = max(self.epochs[key], profile.epoch)
            return step, None, self.erasure.mark(said.at, profile.epoch, order)
        if before is None and profile.epoch <= self.epochs[key] and mark is not None:
            raise Wrong(f"{key} comes back with epoch {profile.epoch}, and had {self.epochs[key]}")
        if before is None and is_blank(profile):
            return step, None, mark
        return step, encode(profile), mark

    # ---- what must be so at rest

    def judge(self) -> None:
        profiles = {key: self.profile(key, data) for key, data in self.records.items()}
        owner = self._expected() if self.calm else self._pointed(profiles)
        places: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for key, profile in profiles.items():
            for strand in profile.strands:
                for event in recent_of(strand):
                    places[event.id].append((key, strand.identity))
                if (strand.newest != NEVER or strand.claimed) and owner(strand.identity) != key:
                    raise Wrong(f"the strand of {strand.identity} is at {key}, expected {owner(strand.identity)}")
            if self.calm and (profile.to or key) != owner(key):
                raise Wrong(f"{key} points to {profile.to or 'nobody'}, expected {owner(key)}")
        for identifier, (primary, _) in self.sent.events.items():
            found, mark = places[identifier], self.marks.get(primary)
            at, appended = self.times[identifier]
            old = mark is not None and (at <= mark.at or appended <= mark.at)
            if old and found:
                raise Wrong(f"event {identifier} of {primary}, who was erased, is at {found}")
            if len(found) > 1 or (found and found != [(owner(primary), primary)]):
                raise Wrong(f"event {identifier} of {primary} is at {found}, expected {owner(primary)}")
            if mark is None and not found and identifier not in self.dead:
                raise Wrong(f"event {identifier} of {primary}, who was never erased, is lost")
            if self.calm and (not found) != (identifier in self.erased_events):
                raise Wrong(f"event {identifier} of {primary} is {'nowhere' if not found else 'still there'}")
        self._judge_names(profiles)

    def _judge_names(self, profiles: dict[str, Profile]) -> None:
        """Who is erased, and not back, is named nowhere."""
        gone = {key for key in self.marks if key not in self.records}
        said = {each for pair in self.pairs for each in pair} | {
            c for names in self.sent.blocks.values() for c in names
        }
        for key, profile in profiles.items():
            links = profile.links
            names = {profile.to, *(name for strand in profile.strands for name in (strand.identity, *strand.claimed))}
            if links is not None:
                names |= {*links.claims, *links.claims.values(), *links.blocked, *links.lives}
            named = sorted(gone & names - said)
            if self.calm and named:
                raise Wrong(f"{key} still names {named}, who were erased")
        if self.calm and ERASED in self.marks:
            raise Wrong("somebody was erased who is nobody")

    def _judge_any(self, last: set[str]) -> None:
        """What came when all was said and done is where it belongs."""
        lost = last - self.folded - self.dead
        if self.later == "anew" and lost:
            raise Wrong(f"{sorted(lost)} came after everything, and are lost")
