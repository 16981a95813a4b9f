"""`journey tail`: what has been published, as subscribers read it.

Exit status: 0 something was shown (or followed), 1 there was nothing or Kafka does not answer, 2 a mistake in the call.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.kafka.feed_reader import FeedReader, FeedRecord

Feed = Literal["transitions", "signals", "dlq"]


def tail(
    feed: Annotated[Feed, typer.Argument(help="transitions, signals or dlq (the dead letters)")] = "transitions",
    customer: Annotated[str | None, typer.Option("--customer", "-c", metavar="ID", help="Only of this one.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")] = False,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Everything that the topic holds.")] = False,
    count: Annotated[int, typer.Option("-n", min=0, metavar="N", help="So many of the newest.")] = 10,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the newest stage changes, signals or dead letters; only what is committed."""
    from pipeline.adapters.identity_kinds import typed_key
    from pipeline.adapters.kafka.feed_reader import FeedReader
    from pipeline.domain.identity import public_key

    settings = load_settings(config)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    topic = settings.topic(f"journey.{feed}")
    key = public_key(typed_key(settings, customer)).encode() if customer else None
    show = _printer(feed, as_json)

    async def run() -> int:
        # Dead letters keep the partition of the lane that wrote them, whatever their key is.
        async with FeedReader(settings.brokers, [topic], None if feed == "dlq" else key) as reader:
            shown = 0
            async for record in _records(reader, key, from_beginning, count, follow):
                show(record)
                shown += 1
            return shown

    with contextlib.suppress(KeyboardInterrupt):
        if not asyncio.run(run()):
            of = f" of {customer}" if customer else ""
            typer.echo(f"journey: nothing{of} in {topic} yet", err=True)
            raise typer.Exit(1)


async def _records(
    reader: "FeedReader", key: bytes | None, from_beginning: bool, count: int, follow: bool
) -> "AsyncIterator[FeedRecord]":
    if from_beginning or key is not None:
        # Records of one customer may lie anywhere in their partition.
        found = await (reader.everything() if key is None else reader.everything_of(key))
        newest = found if from_beginning or count >= len(found) else found[len(found) - count :]
    else:
        newest = await reader.last(count)
    for record in newest:
        yield record
    while follow:
        for record in await reader.read(1.0):
            if key is None or record.key == key:
                yield record


def _printer(feed: Feed, as_json: bool) -> "Callable[[FeedRecord], None]":
    import msgspec
    from rich.console import Console

    from pipeline.adapters.published import dead_letter, signal, transition
    from pipeline.cli.lines import dead_letter_line, line

    console = Console(highlight=False, soft_wrap=True)

    def show(record: "FeedRecord") -> None:
        if as_json:
            value = record.value or b""
            text = msgspec.json.encode(dead_letter(record)._asdict()) if feed == "dlq" else value
            sys.stdout.write(text.decode(errors="replace") + "\n")
            sys.stdout.flush()
        elif feed == "dlq":
            console.print(dead_letter_line(dead_letter(record)))
        else:
            console.print(line(transition(record) if feed == "transitions" else signal(record)))

    return show
