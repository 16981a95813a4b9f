"""Who belongs to whom, by the checker's own reading of docs/stitching.md: all that was ever said, in no order.

Names are public keys; a customer id is a name that is no `kind:value`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MOST_CLAIMS = 8
MOST_CLAIMED = 15
MOST_GUESTS = 15
MOST_BLOCKS = 64


class Order(NamedTuple):
    """What a person decided. `link` and `block`, or what takes one back, of an `identity` and a `customer`; of two
    customer ids the identity is the larger. `at`: append time of who says so, ms.
    """

    what: Literal["link", "block", "unblock"]
    identity: str
    customer: str
    at: int = 0


class Erase(NamedTuple):
    """A person decided that `name` be erased; appended at `at` (ms). `order`: the id of the order."""

    name: str
    at: int
    order: str


def is_customer(name: str, kinds: Collection[str]) -> bool:
    """Whether a public key is a customer id where these kinds count beside it."""
    kind, colon, _ = name.partition(":")
    return not (colon and kind in kinds)


@dataclass(slots=True)
class Links:
    """`kinds`: those beside the customer id. `named`: identity -> the customers that it was named together with."""

    kinds: Collection[str]
    named: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    blocked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    claimed: Counter[str] = field(default_factory=Counter)
    blocks: Counter[str] = field(default_factory=Counter)
    _leaders: dict[str, str] = field(default_factory=dict)

    def name(self, customer: str, identity: str) -> None:
        """An event or an order names both."""
        if customer in self.named[identity]:
            return
        self.named[identity].add(customer)
        self.claimed[customer] += 1
        one, other = self._leader(customer), self._leader(identity)
        self._leaders[max(one, other)] = min(one, other)

    def obey(self, orders: Iterable[Order]) -> None:
        """Orders about one identity must come in the order in which they were given."""
        for order in orders:
            if order.what == "link":
                self.name(order.customer, order.identity)
            elif order.what == "block":
                self.blocked[order.identity].add(order.customer)
                self.blocks[order.identity] += 1
            else:
                self.blocked[order.identity].discard(order.customer)

    def is_customer(self, name: str) -> bool:
        return is_customer(name, self.kinds)

    def owner(self, name: str) -> str:
        """Who has all that this identity did."""
        counting = self.named.get(name, set()) - self.blocked.get(name, set())
        if not counting:
            return name
        if self.is_customer(name):
            return self.owner(min(counting))
        owners = {self.owner(customer) for customer in counting}
        return owners.pop() if len(owners) == 1 and len(self.named[name]) <= MOST_CLAIMS else name

    def shared(self, name: str) -> bool:
        """Whether several claim it, so that it belongs to nobody."""
        counting = self.named.get(name, set()) - self.blocked.get(name, set())
        return bool(counting) and self.owner(name) == name

    def groups(self) -> Mapping[str, Sequence[str]]:
        """All that was ever named together, over any number of others: leader -> its names, in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in sorted({*self.named, *self.claimed}):
            found[self._leader(name)].append(name)
        return found

    def over_limit(self, group: Sequence[str]) -> bool:
        """Whether so much was said that part of it is refused: what then counts depends on what came first."""
        # Whoever could have been a guest for a while counts, also one that is shared or taken back by now.
        guests = Counter(owner for name in group for owner in self._ever(name) if owner != name)
        crowded = max(guests.values(), default=0) > MOST_GUESTS
        return crowded or any(
            self.claimed[name] > MOST_CLAIMED
            or self.blocks[name] > MOST_BLOCKS
            or (self.is_customer(name) and len(self.named.get(name, ())) > MOST_CLAIMS)
            for name in group
        )

    def companions(self, names: Iterable[str], group: Sequence[str]) -> set[str]:
        """All of the group that may have been in one profile with one of these at some time."""
        owners = {owner for name in names for owner in self._ever(name)}
        return {name for name in group if self._ever(name) & owners}

    def _ever(self, name: str) -> set[str]:
        """All who may have had it at some time."""
        found, ahead = set[str](), {name}
        while ahead:
            found |= ahead
            ahead = {customer for each in ahead for customer in self.named.get(each, ())} - found
        return found

    def _leader(self, name: str) -> str:
        path = []
        while (above := self._leaders.get(name, name)) != name:
            path.append(name)
            name = above
        for passed in path:
            self._leaders[passed] = name
        return name
