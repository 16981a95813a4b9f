"""A case is a seed, and if it was shrunk, the actions that are left of its plan.

Case.parse("4711")            the whole plan of this seed
Case.parse("4711:3,9,12:2")   only these actions of it, under the schedule 2 in place of 0
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Self

SECOND = 1_000
ORDER = "lane_paused"


@dataclass(frozen=True, slots=True)
class Action:
    """At `at` (virtual ms) something happens to the world; `seed` decides the details, `number` is its place."""

    number: int
    at: int
    kind: str
    seed: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What a world is made with. Times in ms.

    `disorder`: how often a step of the event loop is taken out of turn. `latency`: most of an ordinary answer; `slow`:
    the share of answers that take seconds, or for ever. `skew`: how far the brokers' clocks are apart. `tick`: between
    two ticks of a worker. `session`: silence after which the group gives a member up. `behind`: how long events come in
    before the first worker starts. `queue`, `cache`, `most`, `oldest`, `fences`, `fetch`: what the lanes are set to.
    """

    partitions: int
    workers: int
    people: int
    disorder: float
    latency: int
    slow: float
    skew: int
    tick: int
    session: int
    behind: int
    queue: int
    cache: int
    most: int
    oldest: int
    fences: int
    fetch: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will happen from the outside, in the order of time, and when it ends (ms)."""

    shape: Shape
    actions: tuple[Action, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Case:
    """`kept`: numbers of actions, None for all. `schedule` chooses the delays and orders."""

    seed: int
    kept: tuple[int, ...] | None = None
    schedule: int = 0

    def __str__(self) -> str:
        if self.kept is None and not self.schedule:
            return str(self.seed)
        kept = "*" if self.kept is None else ",".join(map(str, self.kept))
        return f"{self.seed}:{kept}:{self.schedule}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The case of that name; ValueError if it is none."""
        seed, kept, schedule = [*text.strip().split(":"), "*", "0"][:3]
        numbers = None if kept == "*" else tuple(int(number) for number in kept.split(",") if number)
        return cls(int(seed), numbers, int(schedule))

    def plan(self, kinds: Sequence[tuple[str, float]]) -> Plan:
        """What happens in it; `kinds` are the kinds of actions there are, with their weights, `sent` among them."""
        plan = _draw(Random(self.seed), kinds)
        if self.kept is None:
            return plan
        kept = set(self.kept)
        return replace(plan, actions=tuple(action for action in plan.actions if action.number in kept))

    def chance(self) -> Random:
        """What decides everything that the plan does not."""
        return Random(f"{self.seed}:{self.schedule}")


def _draw(chance: Random, kinds: Sequence[tuple[str, float]]) -> Plan:
    """Each plan has only some kinds of faults, and more of some than of others: rare things must meet as well."""
    choice = chance.choice
    behind = choice((0, 0, 0, 0, 60, 7_200)) * SECOND
    shape = Shape(
        partitions=choice((1, 2, 2, 3)),
        workers=choice((1, 1, 2, 3)),
        people=choice((2, 4, 8)),
        disorder=choice((0.0, 0.1, 0.5)),
        latency=choice((2, 20, 100)),
        slow=choice((0.0, 0.0, 0.002, 0.02)),
        skew=choice((0, 0, 300)),
        tick=choice((1, 1, 3)) * SECOND,
        session=choice((3, 6)) * SECOND,
        behind=behind,
        queue=choice((3, 10, 1000)),
        cache=choice((0, 2, 1000)),
        most=choice((1, 4, 16_000)),
        oldest=choice((12 * 3600, 5)) * SECOND,
        fences=choice((5, 1 << 30)),
        fetch=choice((2, 7, 500)),
    )
    weights = [(kind, weight * 2 ** chance.gauss(0, 1)) for kind, weight in kinds if chance.random() < 0.6]
    faults, share = chance.randint(0, 30), [weight for _, weight in weights]
    times = [("sent", chance.randint(0, behind)) for _ in range(12 if behind else 0)]
    length = choice((10, 30, 60)) * SECOND
    times += [("sent", behind + chance.randint(0, length)) for _ in range(chance.randint(5, 40))]
    if weights:
        drawn = chance.choices([kind for kind, _ in weights], share, k=faults)
        times += [(kind, behind + chance.randint(0, length)) for kind in drawn]
    times.sort(key=lambda each: each[1])
    actions = [Action(n, at, kind, chance.getrandbits(32)) for n, (kind, at) in enumerate(times)]
    return Plan(shape, tuple(_with_orders(chance, actions, behind, length)), behind + length)


def _with_orders(chance: Random, actions: list[Action], behind: int, length: int) -> list[Action]:
    """Now and then people's orders to stand still join in. They are drawn last, so that a seed which draws none is the
    world that it was before there were any."""
    if chance.random() < 0.75:
        return actions
    first = len(actions)
    orders = [
        Action(first + n, behind + chance.randint(0, length), ORDER, chance.getrandbits(32))
        for n in range(chance.randint(1, 4))
    ]
    return sorted([*actions, *orders], key=lambda action: action.at)
