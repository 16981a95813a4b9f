"""`journey show`: one customer as the tables have them.

Exit status: 0 shown, 1 nobody of that name is known (or Redis does not answer), 2 a mistake in the call.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.adapters.customer_view import CustomerView, JourneyView
    from pipeline.domain.history import Entry

_RECENT = 12


def show(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="A customer id, or another identity, such as anonymous:ab12.")
    ],
    language: Annotated[str, typer.Option("--language", help="For the stages' labels: en, tr, pl or fa.")] = "en",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show where a customer is, since when, how they got there, what they did, and which timers run."""
    from pipeline.adapters.customer_view import find

    view = find(load_settings(config), customer)
    if as_json:
        _print_json(view)
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    _show(console, view, language)


def _show(console: "Console", view: "CustomerView", language: str) -> None:
    from rich.markup import escape

    from pipeline.cli.lines import minute, others_of, seen_of

    console.print(
        f"[bold]{view.customer}[/]  {seen_of(view)}  [dim]lane {view.lane}, as of {minute(view.watermark)}[/]"
    )
    if view.joined:
        console.print(f"  has joined [bold]{view.joined}[/]: look there")
    if others := others_of(view):
        console.print(f"  with {escape(others)}", soft_wrap=True)
    if view.parked:
        console.print(f"  [red]timers are parked: {view.parked}[/]")
    for journey in view.journeys:
        _show_journey(console, journey, language)
    touches = "   ".join(f"{channel} {count}" for channel, count in view.touches.items())
    console.print(f"\n[bold]touches[/]   {touches}   [dim]by the company {view.company_acts}[/]")
    for count, what in (
        (view.late, "came too late to count"),
        (view.unclassified, "fit no row of the touch table"),
        (view.truncated, "were pushed out by the limit of recent events"),
    ):
        if count:
            console.print(f"  [yellow]{count} {what}[/]")
    if view.recent:
        console.print("\n[bold]recent events[/]")
        for event in view.recent[-_RECENT:]:
            by = view.done_by.get(event.id)
            touch = f"{event.touch:<14}  {escape(by)}" if by else event.touch
            line = f"  [dim]{minute(event.at)}[/]  {event.channel:<7} {event.type:<18} [dim]{touch}[/]"
            console.print(line, soft_wrap=True)


def _show_journey(console: "Console", journey: "JourneyView", language: str) -> None:
    from pipeline.cli.lines import caused, minute, stage

    here = stage(journey.stage)
    label = journey.label(journey.stage, language)
    if label != journey.stage:
        here.append(f"  {label}", "bold")
    console.print(
        f"\n[bold]{journey.name}[/] [dim]version {journey.version}[/]   ", here, f"  since {minute(journey.since)}"
    )
    before = ""
    for entry in journey.history:
        console.print(
            f"  [dim]{minute(entry.at)}[/]  ",
            stage(before),
            " → ",
            stage(entry.to),
            f"  [dim]{caused(entry)}[/]",
            sep="",
        )
        before = entry.to
    for timer in journey.timers:
        then = f"to {timer.to}" if timer.to else f"signal {timer.rule.partition(':')[0]}"
        console.print(
            f"  [dim]{minute(timer.due)}[/]  [yellow]{then}[/]"
            f" [dim]unless something happens; silent since {minute(timer.since)}[/]"
        )
    for name, count in journey.signals.items():
        console.print(f"  signal {name} fired {count} {'time' if count == 1 else 'times'}")


def _print_json(view: "CustomerView") -> None:
    from dataclasses import asdict

    import orjson

    content = {
        "customer_id": view.customer,
        "lane": view.lane,
        "position": view.position,
        "watermark": view.watermark,
        "epoch": view.epoch,
        "first_seen": view.first_seen if view.first_seen >= 0 else None,
        "last_seen": view.last_seen if view.last_seen >= 0 else None,
        "touches": view.touches,
        "company_acts": view.company_acts,
        "late": view.late,
        "unclassified": view.unclassified,
        "truncated": view.truncated,
        "parked": view.parked or None,
        "joined": view.joined or None,
        "strands": [asdict(strand) for strand in view.strands],
        "journeys": [
            {
                "journey": journey.name,
                "version": journey.version,
                "stage": journey.stage or None,
                "label": journey.labels.get(journey.stage, {}),
                "since": journey.since,
                "seq": journey.seq,
                "history": [_described(entry) for entry in journey.history],
                "timers": [
                    {"rule": timer.rule, "since": timer.since, "due": timer.due, "to": timer.to}
                    for timer in journey.timers
                ],
                "signals": journey.signals,
            }
            for journey in view.journeys
        ],
        "recent": [
            {
                "id": event.id,
                "at": event.at,
                "type": event.type,
                "touch": event.touch,
                "channel": event.channel,
                "identity": view.done_by.get(event.id, view.customer),
            }
            for event in view.recent
        ],
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def _described(entry: "Entry") -> dict[str, object]:
    described: dict[str, object] = {"at": entry.at, "to": entry.to, "rule": entry.rule}
    if entry.event:
        return described | {"event": {"id": entry.event, "type": entry.type, "channel": entry.channel}}
    return described | ({"since": entry.since} if entry.since >= 0 else {})
