"""What a case expected beside what happened: every difference, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.application.rehearsal import BEGINNING, Happened, Rehearsal
from pipeline.domain.duration import format_span


@dataclass(frozen=True, slots=True)
class Expected:
    """What must happen at `at` (ms): a stage that is entered, or a signal; what is None is not looked at.

    `within` is where the customer is when the signal is published. `line` is where this stands in its file.
    """

    at: int
    enters: str | None
    signal: str | None
    came_from: str | None
    by: str | None
    rule: str | None
    within: str | None
    withdrawn: int | None
    line: int


@dataclass(frozen=True, slots=True)
class Look:
    """The stage at a moment, events of that moment included."""

    at: int
    stage: str
    line: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Something expected that did not happen, something unexpected that did, or both where they belong together."""

    at: int
    expected: Expected | Look | None
    happened: Happened | None
    says: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`met` by expectation: what it was met by. The case has passed if there are no differences."""

    differences: tuple[Difference, ...]
    met: tuple[tuple[Expected, Happened], ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def judge(expected: Sequence[Expected], looks: Sequence[Look], rehearsal: Rehearsal) -> Verdict:
    """Everything that happened must be expected, and the other way round; several things at once have no order."""
    met: list[tuple[Expected, Happened]] = []
    missing, unexpected = [], list(rehearsal.happened)
    for one in expected:
        found = next((happened for happened in unexpected if not _amiss(one, happened)), None)
        if found is None:
            missing.append(one)
        else:
            unexpected.remove(found)
            met.append((one, found))
    differences = []
    for one in missing:
        near = min(
            (happened for happened in unexpected if _same_thing(one, happened)),
            key=lambda happened: (len(_amiss(one, happened)), abs(happened.at - one.at)),  # used at once
            default=None,
        )
        if near is None:
            differences.append(Difference(one.at, one, None, "did not happen"))
        else:
            unexpected.remove(near)
            differences.append(Difference(one.at, one, near, "; ".join(_amiss(one, near))))
    differences += [Difference(happened.at, None, happened, "not expected") for happened in unexpected]
    for look in looks:
        stage = rehearsal.stages[look.at]
        if stage != look.stage:
            differences.append(
                Difference(look.at, look, None, f"in {stage or 'start'}, not in {look.stage or 'start'}")
            )
    return Verdict(tuple(sorted(differences, key=lambda one: one.at)), tuple(met))


def when(moment: int) -> str:
    """A moment as cases write it: the time since they began."""
    return format_span(moment - BEGINNING)


def _same_thing(expected: Expected, happened: Happened) -> bool:
    if expected.signal is not None:
        return expected.signal == happened.signal
    return not happened.signal and expected.enters == happened.stage


def _amiss(expected: Expected, happened: Happened) -> list[str]:
    """What of the expectation this is not."""
    if not _same_thing(expected, happened):
        return [f"not {expected.signal or expected.enters}"]
    found = []
    if happened.at != expected.at:
        found.append(f"at {when(happened.at)}, not at {when(expected.at)}")
    for wanted, had, word in (
        (expected.came_from, happened.came_from, "from"),
        (expected.within, happened.stage, "in"),
        (expected.by, happened.cause, "by"),
        (expected.rule, happened.rule, "by rule"),
    ):
        if wanted is not None and wanted != had:
            empty = "silence" if word == "by" else "start"
            found.append(f"{word} {had or empty}, not {word} {wanted or empty}")
    if happened.withdrawn != expected.withdrawn:
        had_end = "holds" if happened.withdrawn is None else f"withdrawn at {when(happened.withdrawn)}"
        end = "holds" if expected.withdrawn is None else f"withdrawn at {when(expected.withdrawn)}"
        found.append(f"it {had_end}, expected: {end}")
    return found
