"""Which identities take most of what a lane does now, told in bounded memory, whoever and however many they are.

The algorithm of Misra and Gries (1982), weighted: no count is above the true one, and none is more than a
`COUNTERS + 1`-th of everything below it, so whoever has a larger share than that is always among those counted.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.application.intake import Arrival

COUNTERS: Final = 64
"""Identities that are counted at a time, in each of two windows."""

WINDOW_S: Final = 60.0

SAMPLED_FROM: Final = 256
EVERY: Final = 31
"""Of a batch of `SAMPLED_FROM` arrivals or more only each 31st is counted, as 31: a prime, so that hardly any sender is
in step with it."""

LEAST_SHARE: Final = 0.05
LEAST_ARRIVALS: Final = 200
NAMED: Final = 5
"""Named are those with such a share of a window of so many arrivals, and no more of them than this."""


class FrequentKeys:
    """Counts keys. `total`: of everybody, counted or not."""

    def __init__(self, counters: int = COUNTERS) -> None:
        self._counters = counters
        self.counts: dict[str, int] = {}
        self.total = 0

    def add(self, key: str, weight: int) -> None:
        counts = self.counts
        self.total += weight
        if key in counts:
            counts[key] += weight
        elif len(counts) < self._counters:
            counts[key] = weight
        else:
            off = min(weight, *counts.values())
            self.counts = {each: count - off for each, count in counts.items() if count > off}
            if weight > off:
                self.counts[key] = weight - off


class HeavyHitters:
    """Those of one lane, over the last full window; over the present one until there is a full one.

    Arrivals are events and the messages of other identities, at the home of whom they are for. `now`: monotonic
    seconds.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._present = FrequentKeys()
        self._full: FrequentKeys | None = None
        self._skip = 0

    def saw(self, arrivals: Sequence[Arrival], now: float) -> None:
        """Counts one batch, or a sample of it."""
        if now - self._began >= WINDOW_S:
            self._turn(now)
        present = self._present
        if len(arrivals) < SAMPLED_FROM:
            for arrival in arrivals:
                present.add(arrival.key, 1)
            return
        for arrival in arrivals[self._skip :: EVERY]:
            present.add(arrival.key, EVERY)
        self._skip = (self._skip - len(arrivals)) % EVERY

    def named(self, now: float) -> Mapping[str, float]:
        """By key, the share of the lane's arrivals (0 to 1) that each has at least; the hottest first."""
        if now - self._began >= WINDOW_S:
            self._turn(now)
        window = self._full or self._present
        if window.total < LEAST_ARRIVALS:
            return {}
        hottest = sorted(window.counts.items(), key=lambda one: (-one[1], one[0]))[:NAMED]
        least = LEAST_SHARE * window.total
        return {key: count / window.total for key, count in hottest if count >= least}

    def _turn(self, now: float) -> None:
        """The present window is full; if it has been for long, nothing came since, and nobody is hot."""
        self._full = self._present if now - self._began < 2 * WINDOW_S else None
        self._present, self._began = FrequentKeys(), now
