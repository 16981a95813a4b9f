"""A shadow at the prompt: a table that lives while somebody looks on, lines where nobody does, JSON for programs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pipeline.cli import comparison_shown as shown
from pipeline.cli.lines import minute
from pipeline.cli.shadow_run import Look

PLAIN_EVERY_S: Final = 10.0

Show = Callable[[Look], None]


@contextmanager
def watching(as_json: bool) -> Iterator[Show]:
    """What is to be told of each look."""
    console = Console(highlight=False)
    if as_json:
        yield _Changes(_print_json, every_s=None)
    elif not console.is_terminal:
        yield _Changes(lambda look: console.print(_line(look), soft_wrap=True), PLAIN_EVERY_S)
    else:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda look: live.update(_screen(look), refresh=True)


class _Changes:
    """Passes on the looks at which something has changed; others once in a while, or never (None)."""

    def __init__(self, show: Show, every_s: float | None) -> None:
        self._show = show
        self._every_s = every_s
        self._last: object = None
        self._at = time.monotonic()

    def __call__(self, look: Look) -> None:
        now = time.monotonic()
        told = shown.told(look.live.told, look.candidate.told)
        state = (look.comparison.moves, look.comparison.unsettled, told, look.caught_up is None, look.trouble)
        if state != self._last or (self._every_s is not None and now - self._at >= self._every_s):
            self._show(look)
            self._last, self._at = state, now


def sum_up(look: Look, as_json: bool) -> None:
    """How it ended."""
    if as_json:
        _print_json(look, ended=True)
        return
    old, new = look.live_model, look.candidate.model
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(_counted(look))
    for each in _tables(look):
        console.print(each)
    if look.comparison.customers:
        for line in shown.changed_stages(look.comparison, old, new):
            console.print(f"  {line}", style="yellow")
        for example in shown.examples(look.comparison, look.candidate):
            console.print(example, soft_wrap=True)
    for what, count in look.candidate.raised.items():
        console.print(f"the program failed {count:,} times by {new.title} ({what}): those are left out", style="red")
    console.print(f"\n[bold]{shown.verdict(look.comparison, new)}[/]")


def _screen(look: Look) -> RenderableType:
    hint = Text("Ctrl-C ends it and sums up; nothing is published", "dim")
    return Group(_counted(look), *_tables(look), Text(""), Text(_state(look), "reverse"), hint)


def _tables(look: Look) -> Iterator[RenderableType]:
    old, new = look.live_model, look.candidate.model
    if look.caught_up is None:
        return
    yield Text("")
    yield shown.matrix(look.comparison, old, new)
    rows = shown.told(look.live.told, look.candidate.told)
    if rows:
        yield Text("")
        yield Text(f"told since {minute(look.caught_up)}", "dim")
        yield shown.told_table(old, new, rows)


def _counted(look: Look) -> Text:
    candidate = look.candidate
    until = "" if candidate.watermark is None else f", time has passed until {minute(candidate.watermark)}"
    text = Text(f"{candidate.model.title}: {candidate.events:,} events of {len(candidate.profiles):,} customers{until}")
    text.append(f"\nthe lanes last told something at {minute(look.live.newest)}", "dim")
    if look.begins_late:
        text.append("\nwhat came before is not replayed: customers from then may differ for that alone", "yellow")
    return text


def _state(look: Look) -> str:
    verdict = shown.verdict(look.comparison, look.candidate.model)
    if look.trouble:
        return f" waits: {look.trouble} "
    return f" {look.left:,} records to catch up " if look.caught_up is None else f" {verdict} "


def _line(look: Look) -> str:
    return f"{minute(look.candidate.watermark)}  {look.candidate.events:,} events {_state(look)}"


def _print_json(look: Look, ended: bool = False) -> None:
    old, new = look.live_model, look.candidate
    content = {
        "ended": ended,
        "caught_up": look.caught_up,
        "left": look.left,
        "trouble": look.trouble or None,
        "begins_late": look.begins_late,
        "events": new.events,
        "watermark": new.watermark,
        "live_newest": look.live.newest,
        "live_versions": sorted(look.live.versions),
        **shown.as_json(look.comparison, old, new.model, look.live.told, new.told),
    }
    sys.stdout.write(orjson.dumps(content).decode() + "\n")
    sys.stdout.flush()
