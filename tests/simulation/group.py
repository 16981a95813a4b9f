"""The consumer group: who is a member, in which generation, and which partitions are whose."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.simulation.event_loop import SimulatedLoop

REBALANCE_S = 6.0
"""How long a round waits for members that do not join; then it goes on without them."""

AT_ONCE = 0.15
"""How often a round has hardly ended when somebody's word begins the next."""

Assignment = tuple[int, tuple[int, ...]]
"""Generation and partitions."""


@dataclass(slots=True)
class Member:
    """`heard`: when last, in seconds. `joining` is answered at the end of the round."""

    heard: float
    joining: asyncio.Future[Assignment] | None = None


class Group:
    """The coordinator. `session`: seconds of silence after which a member is given up; `away`: nobody can be heard."""

    def __init__(
        self, loop: SimulatedLoop, chance: Random, partitions: int, session: float, away: Callable[[], bool]
    ) -> None:
        self.members: dict[str, Member] = {}
        self.generation = 0
        self.rounds = 0
        self.expelled = 0
        self._loop = loop
        self._chance = chance
        self._partitions = partitions
        self._session = session
        self._away = away
        self._preparing = False

    def join(self, member: str) -> asyncio.Future[Assignment]:
        """Waits, within a round that this may begin, for what this member is given."""
        known = self.members.setdefault(member, Member(self._loop.time()))
        known.heard = self._loop.time()
        answer = known.joining = self._loop.create_future()
        self.rebalance()
        self._complete(self.rounds, at_last=False)
        return answer

    def leave(self, member: str) -> None:
        if self.members.pop(member, None) is not None:
            self.rebalance()
            self._complete(self.rounds, at_last=False)

    def heartbeat(self, member: str, generation: int) -> str | None:
        """None, or why this member must join again."""
        known = self.members.get(member)
        if known is None:
            return "the group does not know this member"
        known.heard = self._loop.time()
        if self._preparing:
            return "the group is rebalancing"
        if generation != self.generation:
            return f"the group is at generation {self.generation}, not {generation}"
        return None

    def rebalance(self) -> None:
        """Begins a round, if none is under way: all must join again."""
        if not self._preparing:
            self._preparing = True
            self.rounds += 1
            self._loop.outside(REBALANCE_S, lambda number=self.rounds: self._complete(number, at_last=True))  # type: ignore[misc]

    def watch(self) -> None:
        """To be called now and then: gives up who is not heard of any more."""
        now = self._loop.time()
        for name, member in list(self.members.items()):
            if self._away() or member.joining is not None:
                member.heard = now
            elif member.heard < now - self._session:
                self.expelled += 1
                self.leave(name)

    def _complete(self, number: int, *, at_last: bool) -> None:
        if not self._preparing or number != self.rounds:
            return
        if at_last:
            gone = [name for name, member in self.members.items() if member.joining is None]
            self.expelled += len(gone)
            for name in gone:
                del self.members[name]
        elif any(member.joining is None for member in self.members.values()):
            return
        self._preparing = False
        self.generation += 1
        names = list(self.members)
        self._chance.shuffle(names)
        for place, name in enumerate(names):
            member = self.members[name]
            assert member.joining is not None
            mine = tuple(range(place, self._partitions, len(names)))
            if not member.joining.done():
                member.joining.set_result((self.generation, mine))
            member.joining, member.heard = None, self._loop.time()
        if self._chance.random() < AT_ONCE:
            self.rebalance()
