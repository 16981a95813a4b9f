"""One customer in a built-in journey as a state machine: led to a stage, shown every touch there, then living on.

Both folds must agree after every step (`TwoFolds`); the plain one shares no code with the pipeline.
"""

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pipeline.checker import plain_fold
from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_journey import ANY, START, Journey
from pipeline.checker.plain_touches import Row
from tests.property.built_in import BEGINNING, DAY, HOUR, MINUTE, built_in, event
from tests.property.random_journeys import Dice, thrown
from tests.property.two_folds import Sent, TwoFolds

SILENCE = 200 * DAY
"""Longer than any of the built-in journeys."""

UNCLASSIFIED = Row("unclassified", frozenset({"chatted"}), None, None, "customer", {})
COMPANY_ACT = Row("company_act", frozenset({"chatted"}), None, None, "company", {})

Step = str | None
"""A touch, or None for a long silence."""


def rows() -> Sequence[Row]:
    """One for everything that an event can be."""
    return (*built_in().rows, UNCLASSIFIED, COMPANY_ACT)


def targets() -> list[tuple[str, str]]:
    """Every stage of every built-in journey, the start among them."""
    return [(journey.name, stage) for journey in built_in().plain for stage in (START, *journey.stages)]


def route(journey: Journey, stage: str) -> Sequence[Step]:
    """What leads a new customer to the stage; LookupError if nothing is found that does."""
    known, ways = {START}, [list[Step]()]
    for steps in ways:
        position = _walk(journey, steps)
        if position.stage == stage:
            return steps
        for more in _on_from(journey, position):
            there = _walk(journey, [*steps, *more]).stage
            if there not in known:
                known.add(there)
                ways.append([*steps, *more])
    raise LookupError(f"{journey.name}: no way to {stage} was found")


def _walk(journey: Journey, steps: Sequence[Step]) -> plain_fold.Position:
    acts, now = list[Act](), BEGINNING
    for number, step in enumerate(steps):
        now += SILENCE if step is None else MINUTE
        if step is not None:
            acts.append(Act(now, now, 0, number, f"e{number}", step, "web", False))
    return plain_fold.fold(journey, acts, now)


def _on_from(journey: Journey, position: plain_fold.Position) -> Iterator[list[Step]]:
    """What each rule needs that applies in this stage."""
    for entry in journey.entries:
        if position.stage in entry.froms and entry.to != position.stage:
            missing = [[touch] * (n - position.shown.get(touch, 0)) for touch, n in entry.at_least]
            yield [*(touch for each in missing for touch in each), *[min(entry.touches)] * entry.count]
    for silence in journey.silences:
        if silence.to is not None and position.stage in (silence.froms or ()):
            begins = set(silence.since or ()) - {ANY}
            yield [*([min(begins)] if begins and not begins & position.last.keys() else ()), None]


TOUCHES = st.sampled_from([row.name for row in rows()])


class LedCustomer(RuleBasedStateMachine):
    """`seen` takes the touches that were shown in the stage; what stands there already is not tried once more."""

    def __init__(self, journey: str, stage: str, seen: set[str]) -> None:
        super().__init__()
        self._stage, self._seen = stage, seen
        self._rows = {row.name: row for row in rows()}
        self._folds = TwoFolds(built_in(journey), DAY, 64)
        self._now = BEGINNING
        self._sent: list[Sent] = []
        self._by_index = False

    @initialize(chance=thrown(60), by_index=st.booleans())
    def is_led_to_the_stage(self, chance: bytes, by_index: bool) -> None:
        dice, self._by_index = Dice(chance), by_index
        (journey,) = self._folds.models.plain
        for step in route(journey, self._stage):
            if step is None:
                self._pass(SILENCE)
            else:
                self._show(step, dice, MINUTE)
        assert self._position.stage == self._stage
        for touch in [touch for touch in self._rows if touch not in self._seen]:
            self._try(touch, dice)
            self._seen.add(touch)

    @rule(touch=TOUCHES, gap=st.sampled_from((0, MINUTE, HOUR, DAY, 8 * DAY)), chance=thrown(4))
    def acts(self, touch: str, gap: int, chance: bytes) -> None:
        self._show(touch, Dice(chance), gap)

    @precondition(lambda self: self._position.pending)
    @rule(touch=TOUCHES, edge=st.sampled_from((-1, 0, 1)), chance=thrown(5))
    def acts_as_a_silence_ends(self, touch: str, edge: int, chance: bytes) -> None:
        dice = Dice(chance)
        due = dice.one(sorted(timer.due for timer in self._position.pending))
        self._show(touch, dice, max(0, due + edge - self._now))

    @rule(touch=TOUCHES, age=st.sampled_from((1, HOUR, DAY, DAY + 1)), chance=thrown(4))
    def is_heard_of_late(self, touch: str, age: int, chance: bytes) -> None:
        self._show(touch, Dice(chance), 0, age)

    @precondition(lambda self: self._sent)
    @rule(data=st.data())
    def is_heard_of_twice(self, data: st.DataObject) -> None:
        self._folds.arrive(data.draw(st.sampled_from(self._sent)))

    @rule(span=st.sampled_from((10 * MINUTE, 2 * HOUR, 2 * DAY, 35 * DAY, SILENCE)))
    def says_nothing(self, span: int) -> None:
        self._pass(span)

    @rule()
    def leaves_the_cache(self) -> None:
        self._folds.reload()

    @property
    def _position(self) -> plain_fold.Position:
        return next(self._folds.positions())

    def _show(self, touch: str, dice: Dice, gap: int, age: int = 0) -> None:
        self._now += gap
        sent = event(dice, self._rows[touch], len(self._sent), max(BEGINNING, self._now - age))
        self._sent.append(sent)
        self._folds.arrive(sent)

    def _pass(self, span: int) -> None:
        self._now += span
        self._folds.rise(self._now, self._by_index)

    def _try(self, touch: str, dice: Dice) -> None:
        """What would come of the touch now, and of the long silence after it; tried on a copy out of the table."""
        folds = self._folds.copy()
        sent = event(dice, self._rows[touch], len(self._sent), self._now + MINUTE)
        assert folds.event(sent).touch == touch
        folds.arrive(sent)
        folds.rise(self._now + SILENCE, self._by_index)
