"""A bar for commands that read whole topics, where somebody looks on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[int, int], None]
"""Is told how many more positions have been read, and how many there are in all."""


@contextmanager
def reading_progress(what: str) -> Iterator[Advance]:
    """Shows on stderr what is told; nothing if that is no terminal."""
    read_of = TextColumn("{task.completed:,.0f} records")
    columns = (BarColumn(), TaskProgressColumn(), read_of, TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def advance(more: int, of: int) -> None:
            progress.update(task, advance=more, total=of)

        yield advance
