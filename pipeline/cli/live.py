"""What `journey run` shows: a feed at reading speed above a line of totals; plain lines where nobody reads along."""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from pipeline.adapters.published import Published, PublishedTransition
from pipeline.cli.lines import line, minute
from pipeline.dev.audience import Totals

LINES_A_SECOND: Final = 6
_WAITING: Final = 200
"""Changes that wait to be shown at most; the oldest of them are then not shown."""
_PLAIN_TOTALS_S: Final = 10.0


class Thinner:
    """Lets so many changes a second through, rare kinds before common ones, and counts the others.

    `monotonic` is seconds.
    """

    def __init__(self, a_second: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.hidden = 0
        self._pause = 1 / a_second
        self._monotonic = monotonic
        self._next = monotonic()
        self._shown: Counter[tuple[str, ...]] = Counter()
        self._waiting: deque[Published] = deque()

    def offer(self, change: Published) -> None:
        """Takes a change that may be shown."""
        self._waiting.append(change)
        if len(self._waiting) > _WAITING:
            self._waiting.popleft()
            self.hidden += 1

    def take(self) -> Published | None:
        """The change to show now, if it is time for one; what waited beside it is not shown any more."""
        now = self._monotonic()
        if now < self._next or not self._waiting:
            return None
        # Idle time is not saved up: after it comes one line, not a burst.
        self._next = max(self._next + self._pause, now)
        chosen = min(self._waiting, key=lambda change: self._shown[_kind(change)])
        self._shown[_kind(chosen)] += 1
        self.hidden += len(self._waiting) - 1
        self._waiting.clear()
        return chosen


def _kind(change: Published) -> tuple[str, ...]:
    if isinstance(change, PublishedTransition):
        return (change.kind, change.from_ or "", change.to or "")
    return (change.kind, change.signal)


class Screen:
    """An audience at a terminal. Use it as a context manager."""

    def __init__(self, console: Console, hint: str) -> None:
        self._console = console
        self._hint = hint
        self._thinner = Thinner(LINES_A_SECOND)
        self._spinner = Spinner("dots", "")
        self._live = Live(self._spinner, console=console, refresh_per_second=8, transient=True)
        self._begun = False
        self._ending = False

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, what: str) -> None:
        self._ending = self._begun
        self._spinner.update(text=Text(f"{what} …", "dim"))
        self._live.update(self._spinner, refresh=True)

    def trouble(self, what: str) -> None:
        self._console.print(Text(what, "red"))

    def published(self, change: Published) -> None:
        self._thinner.offer(change)
        self._show_next()

    def totals(self, totals: Totals) -> None:
        self._begun = True
        self._show_next()
        if self._ending:
            return
        rows = [Text(totals_line(totals, self._thinner.hidden), "reverse")]
        if totals.worth_a_look:
            rows.append(Text.assemble(("worth a look: ", "dim"), (f"{self._hint} {totals.worth_a_look}", "bold")))
        rows.append(Text("Ctrl-C ends it; the next run goes on from there", "dim"))
        self._live.update(Group(*rows))

    def _show_next(self) -> None:
        change = self._thinner.take()
        if change is not None:
            self._console.print(line(change), no_wrap=True, overflow="ellipsis", crop=True)


class Lines:
    """An audience that reads a file or a pipe: the same feed as plain lines, and totals once in a while."""

    def __init__(self, console: Console, hint: str) -> None:
        self._console = console
        self._hint = hint
        self._thinner = Thinner(LINES_A_SECOND)
        self._totals_at = time.monotonic() + _PLAIN_TOTALS_S
        self._hinted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, what: str) -> None:
        self._console.print(f"{what} …")

    def trouble(self, what: str) -> None:
        self._console.print(Text(what))

    def published(self, change: Published) -> None:
        self._thinner.offer(change)
        self._show_next()

    def totals(self, totals: Totals) -> None:
        self._show_next()
        if totals.worth_a_look and not self._hinted:
            self._hinted = True
            self._console.print(f"worth a look: {self._hint} {totals.worth_a_look}")
        if time.monotonic() >= self._totals_at:
            self._totals_at += _PLAIN_TOTALS_S
            self._console.print(totals_line(totals, self._thinner.hidden))

    def _show_next(self) -> None:
        change = self._thinner.take()
        if change is not None:
            self._console.print(line(change))


def totals_line(totals: Totals, hidden: int) -> str:
    """The running totals in one line."""
    rate = totals.sent.events / totals.seconds if totals.seconds else 0.0
    return (
        f" {minute(totals.sent.reached)}  events {totals.sent.events:,} sent {totals.folded:,} folded ({rate:,.0f}/s)  "
        f"stage changes {totals.stages.total():,}  signals {totals.signals.total():,}  not shown {hidden:,}  "
        f"timers at {minute(totals.watermark)} "
    )
