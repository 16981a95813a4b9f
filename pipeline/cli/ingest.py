"""`journey ingest`: somebody else's files as raw events.

Exit status: 0 every row was sent, 1 some were refused or Kafka failed, 2 a mistake in the call, the mapping or a file.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.ingest import Report


def ingest(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="CSV or JSON lines, also .gz; or in an archive: a.zip!path/in/it"),
    ],
    mapping: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="How rows become events (default: JSON lines that are events)."),
    ] = None,
    config: Config = None,
    end_mark: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With `clock: event`: all up to this time is complete with these files ('last': the last row's).",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send the rows of files to the raw topics. Rows that are no events are refused and counted; the rest goes on.

    Ids come from the rows, so sending a file twice changes nothing.
    """
    from pipeline.adapters.ingest import Ingest
    from pipeline.adapters.ingest_mapping import load_mapping
    from pipeline.adapters.kafka.sender import RawSender
    from pipeline.errors import UserError

    settings = load_settings(config)
    loaded = load_mapping(mapping)
    end = _end_mark(end_mark)
    if end is not None and settings.clock != "event":
        raise UserError("--end-mark means something with `clock: event` only; on the live clock time goes on by itself")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def send(told: Callable[[str, int, int], None]) -> "Report":
        async with RawSender(settings.brokers, settings.input_topics) as sender:
            sending = Ingest(settings, loaded, sender, end_mark=end, now=int(time.time() * 1000), told=told)
            return await sending.run(files)

    began = time.monotonic()
    with _progress() as told:
        report = asyncio.run(send(told))
    _show(report, time.monotonic() - began, as_json)
    if report.refused:
        raise typer.Exit(1)


def _end_mark(given: str | None) -> int | str | None:
    from pipeline.domain.moments import parse_moment
    from pipeline.errors import UserError

    if given is None or given == "last":
        return given
    try:
        return parse_moment(given)
    except ValueError as error:
        raise UserError(f"--end-mark: {error}; expected is 1998-06-30T23:59:59.999Z, say, or 'last'") from None


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a file on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda file, done, size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, int] = {}

        def told(file: str, done: int, size: int) -> None:
            if file not in bars:
                bars[file] = progress.add_task(file.rpartition("/")[2], total=size)
            progress.update(bars[file], completed=done)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield told


def _show(report: "Report", seconds: float, as_json: bool) -> None:
    from pipeline.domain.moments import format_moment

    if as_json:
        import orjson

        content = {
            "sent": dict(report.sent),
            "refused": dict(report.refused),
            "examples": report.examples,
            "first": format_moment(report.first) if report.first is not None else None,
            "last": format_moment(report.last) if report.last is not None else None,
            "end_mark": format_moment(report.end) if report.end is not None else None,
        }
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
        return
    total = sum(report.sent.values())
    span = ""
    if report.first is not None and report.last is not None:
        span = f", from {format_moment(report.first)} to {format_moment(report.last)}"
    typer.echo(f"{total:,} events sent in {seconds:.1f} s{span}")
    for topic, count in report.sent.most_common():
        typer.echo(f"  {topic}: {count:,}")
    if report.end is not None:
        typer.echo(f"end mark: everything up to {format_moment(report.end)} is sent")
    if report.refused:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.refused.most_common())
        typer.echo(f"{sum(report.refused.values()):,} rows refused: {reasons}", err=True)
        for example in report.examples:
            typer.echo(f"  {example}", err=True)
