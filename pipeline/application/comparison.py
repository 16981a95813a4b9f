"""Where customers are by one model and where by another, and what each of the two said on the way. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.domain.feed import Feed, SignalKind, TransitionKind
from pipeline.domain.spec import START


class Move(NamedTuple):
    """A stage by the one model and a stage by the other; START for a customer who has entered none."""

    old: str
    new: str


@dataclass(slots=True)
class Told:
    """What a model has told: the stage of each customer that entered one, transitions by kind, and signals by name and
    kind."""

    stages: dict[str, str] = field(default_factory=dict)
    transitions: Counter[TransitionKind] = field(default_factory=Counter)
    signals: Counter[tuple[str, SignalKind]] = field(default_factory=Counter)

    def read(self, feed: Feed) -> None:
        """Adds what a fold of this model alone has published."""
        for transition in feed.transitions:
            self.stages[transition.key] = transition.to
            self.transitions[transition.kind] += 1
        for signal in feed.signals:
            self.signals[signal.signal, signal.kind] += 1

    def count_anew(self) -> None:
        """Forgets what has been told so far, but not where customers are."""
        for counts in (self.transitions, self.signals):
            counts.clear()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models over the same customers. `moves`: how many are where by the one and by the other; `examples`: some of
    those who are elsewhere, by move. `unsettled`: customers left out, since one of the two may be ahead with them."""

    moves: Counter[Move]
    examples: Mapping[Move, Sequence[str]]
    unsettled: int = 0

    @property
    def customers(self) -> int:
        return self.moves.total()

    @property
    def elsewhere(self) -> int:
        """Customers who are in another stage by the other model."""
        return sum(count for move, count in self.moves.items() if move.old != move.new)

    def by_old(self, stage: str) -> int:
        return sum(count for move, count in self.moves.items() if move.old == stage)

    def by_new(self, stage: str) -> int:
        return sum(count for move, count in self.moves.items() if move.new == stage)

    def successor(self, stage: str) -> tuple[str, int] | None:
        """Where most of a stage's customers are by the other model, and how many; None if nobody is in the stage."""
        found = {move.new: count for move, count in self.moves.items() if move.old == stage and count}
        return max(found.items(), key=lambda each: each[1]) if found else None


def compare(
    old: Mapping[str, str],
    new: Mapping[str, str],
    customers: Iterable[str],
    kept: int,
    lasting: Mapping[str, Move] | None = None,
) -> Comparison:
    """`old` and `new` are stages by customer, of those who have entered one. `kept`: examples of each move.

    With `lasting`, what was `elsewhere` a while before, only a difference that is in there too is one.
    """
    moves: Counter[Move] = Counter()
    examples: dict[Move, list[str]] = {}
    unsettled = 0
    for customer in customers:
        move = Move(old.get(customer, START), new.get(customer, START))
        if move.old == move.new:
            moves[move] += 1
        elif lasting is not None and lasting.get(customer) != move:
            unsettled += 1
        else:
            moves[move] += 1
            if moves[move] <= kept:
                examples.setdefault(move, []).append(customer)
    return Comparison(moves, examples, unsettled)


def elsewhere(old: Mapping[str, str], new: Mapping[str, str], customers: Iterable[str]) -> dict[str, Move]:
    """The customers who are in another stage by `new`."""
    moves = ((customer, Move(old.get(customer, START), new.get(customer, START))) for customer in customers)
    return {customer: move for customer, move in moves if move.old != move.new}
