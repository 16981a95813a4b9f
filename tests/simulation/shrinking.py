"""From a case that fails to a small one that fails: fewer actions, and if need be another schedule."""

from collections.abc import Callable

from tests.simulation.cases import Case
from tests.simulation.faults import kinds
from tests.simulation.world import Outcome, run

SCHEDULES = 3
"""Schedules that are tried for each smaller plan: what is left out changes the delays of all the rest."""


def shrink(case: Case, most: int = 600, told: Callable[[Outcome, int], None] = lambda outcome, runs: None) -> Outcome:
    """The smallest failing outcome found in at most `most` runs; `told` hears of each smaller one.

    ValueError if the case does not fail.
    """
    best = run(case)
    if best.wrong is None:
        raise ValueError(f"case {case} does not fail")
    runs = 1
    kept = [action.number for action in case.plan(kinds()).actions]
    size = max(1, len(kept) // 2)
    while size and runs < most:
        start, smaller = 0, False
        while start < len(kept) and runs < most:
            fewer = kept[:start] + kept[start + size :]
            for schedule in range(SCHEDULES):
                outcome = run(Case(case.seed, tuple(fewer), schedule))
                runs += 1
                if outcome.wrong is not None:
                    best, kept, smaller = outcome, fewer, True
                    told(best, runs)
                    break
            else:
                start += size
        if not smaller or size > 1:
            size //= 2
    return best
