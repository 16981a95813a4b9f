"""`journey touches`: what the newest raw events count as, and which of them no row of the touch table fits.

Exit status: 0 all are classified, 1 some are not (or Kafka does not answer), 2 a mistake in a file or in the call.
"""

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.application.touch_survey import Survey
    from pipeline.config import Settings


def touches(
    count: Annotated[
        int, typer.Option("-n", min=1, metavar="N", help="So many of the newest events of each raw topic.")
    ] = 10_000,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Count what the newest raw events are classified as, and list what is left unclassified."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = load_settings(config)
    survey, rows = asyncio.run(_survey(settings, count))
    if as_json:
        _print_json(survey, rows)
    else:
        _show(survey, rows)
    if survey.unknown:
        raise typer.Exit(1)


async def _survey(settings: "Settings", count: int) -> tuple["Survey", list[str]]:
    """The survey, and the names of the table's rows."""
    from pipeline.adapters.identity_kinds import identities_for_counting
    from pipeline.adapters.journey_files import load_models
    from pipeline.adapters.kafka.feed_reader import FeedReader
    from pipeline.application.touch_survey import Surveyor
    from pipeline.domain.touches import TouchTable
    from pipeline.worker.wiring import limits, raw_sources

    table, _ = load_models(settings)
    identities = identities_for_counting(settings)
    surveyor = Surveyor(TouchTable(table), limits(settings), settings.clock == "event", identities)
    for source in raw_sources(settings):
        async with FeedReader(settings.brokers, [source.topic]) as reader:
            surveyor.look(source, await reader.last(count))
    return surveyor.survey, [row.name for row in table]


def _show(survey: "Survey", rows: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    unknown = survey.unknown.total()
    share = unknown / survey.events if survey.events else 0.0
    console.print(f"{survey.events:,} events, {unknown:,} of them fit no row of the touch table ({share:.2%})")
    if survey.unknown:
        table = Table("count", "channel", "type", "source", "actor", "for example", box=box.SIMPLE)
        for act, count in survey.unknown.most_common():
            table.add_row(f"{count:,}", *act, survey.examples[act])
        console.print(table)
    found = {touch: survey.of(touch) for touch in dict.fromkeys(touch for touch, _ in survey.touches)}
    for touch in sorted((name for name in found if name in rows), key=lambda name: -found[name]):
        by_channel = ", ".join(
            f"{channel} {count:,}" for (name, channel), count in survey.touches.most_common() if name == touch
        )
        console.print(f"  {found[touch]:>9,}  {touch:<20} [dim]{by_channel}[/]")
    if unseen := [name for name in rows if name not in found]:
        console.print(f"  not seen: [dim]{', '.join(unseen)}[/]")
    if survey.dead:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in survey.dead.most_common())
        console.print(f"  [yellow]no events: {reasons}[/]")


def _print_json(survey: "Survey", rows: list[str]) -> None:
    import orjson

    channels = sorted({channel for _, channel in survey.touches})
    content = {
        "events": survey.events,
        "unclassified": [
            {**act._asdict(), "source": act.source or None, "count": count, "example": survey.examples[act]}
            for act, count in survey.unknown.most_common()
        ],
        "touches": {
            name: {channel: survey.touches[name, channel] for channel in channels if survey.touches[name, channel]}
            for name in rows
        },
        "no_events": dict(survey.dead),
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
