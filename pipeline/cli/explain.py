"""`journey explain`: why a customer is where they are, and what could come next.

Exit status: 0 explained, 1 nobody of that name is known (or Kafka or Redis does not answer), 2 a mistake in the call.
"""

import asyncio
import logging
import re
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.customer_explained import Change, Explanation, JourneyExplained
    from pipeline.application.outlook import Outlook

_IN_UTC: Final = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)([T ](?P<minute>\d\d:\d\d)(:(?P<second>\d\d))?)?")


def explain(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="A customer id, or another identity, such as anonymous:ab12.")
    ],
    journey: Annotated[
        str | None, typer.Option("--journey", metavar="NAME", help="Only in this one (default: in all).")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As it was then: 2026-01-31, 2026-01-31 09:30 (UTC), or RFC 3339."),
    ] = None,
    language: Annotated[str, typer.Option("--language", help="For the stages' labels: en, tr, pl or fa.")] = "en",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Explain each stage change: what caused it, the line of its rule, what was corrected; and what could come next."""
    from pipeline.adapters.customer_explained import explain, read_told
    from pipeline.adapters.customer_view import find_stored

    settings = load_settings(config)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    moment = None if at is None else _moment(at)
    stored = find_stored(settings, customer)
    # The profile first: what the feed has beyond it is then left out, so that both tell of one moment.
    told = asyncio.run(read_told(settings, stored))
    explanation = explain(settings, stored, told, journey, moment)
    if as_json:
        _print_json(explanation)
        return
    from rich.console import Console

    from pipeline.cli.explain_lines import show

    show(Console(highlight=False, width=None if sys.stdout.isatty() else 140), explanation, language)


def _moment(text: str) -> int:
    """Milliseconds; a time without an offset is UTC, and a day without a time ends."""
    from pipeline.domain.duration import UNITS
    from pipeline.domain.moments import parse_moment
    from pipeline.errors import UserError

    form = _IN_UTC.fullmatch(text.strip())
    try:
        if form is None:
            return parse_moment(text.strip())
        moment = parse_moment(f"{form['day']}T{form['minute'] or '00:00'}:{form['second'] or '00'}Z")
    except ValueError:
        wanted = "2026-01-31, 2026-01-31 09:30 or 2026-01-31T09:30:00Z"
        raise UserError(f"--at: '{text}' is no time: write {wanted}") from None
    return moment if form["minute"] else moment + UNITS["d"] - 1


def _print_json(explanation: "Explanation") -> None:
    from dataclasses import asdict

    import orjson

    customer = explanation.customer
    content = {
        "customer_id": customer.customer,
        "lane": customer.lane,
        "position": customer.position,
        "watermark": customer.watermark,
        "at": explanation.at,
        "first_seen": customer.first_seen if customer.first_seen >= 0 else None,
        "last_seen": customer.last_seen if customer.last_seen >= 0 else None,
        "parked": customer.parked or None,
        "joined": customer.joined or None,
        "strands": [asdict(strand) for strand in customer.strands],
        "journeys": [_journey(journey) for journey in explanation.journeys],
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def _journey(journey: "JourneyExplained") -> dict[str, object]:
    return {
        "journey": journey.view.name,
        "version": journey.view.version,
        "file": None if journey.path is None else str(journey.path),
        "stage": journey.stage or None,
        "label": journey.view.labels.get(journey.stage, {}),
        "since": journey.since if journey.since >= 0 else None,
        "known": journey.known,
        "history": [_change(change) for change in journey.history],
        "next": _change(journey.next) if journey.next else None,
        "outlook": _outlook(journey.outlook, journey) if journey.outlook else None,
        "why_no_outlook": journey.why_not or None,
    }


def _change(change: "Change") -> dict[str, object]:
    import msgspec

    told, gone = change.told, change.taken_back
    return {
        "at": change.at,
        "from": change.came_from or None,
        "to": change.to,
        "cause": msgspec.to_builtins(change.cause),
        "touch": change.touch,
        "identity": change.done_by,
        "line": change.line,
        "told": None
        if told is None
        else {"seq": told.seq, "kind": told.kind, "version": told.version, "published_at": told.published_at},
        "taken_back": None
        if gone is None
        else {
            "seq": gone.seq,
            "kind": gone.kind,
            "published_at": gone.published_at,
            "instead": None if gone.kind == "retracted" else gone.entry,
        },
    }


def _outlook(outlook: "Outlook", journey: "JourneyExplained") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "ways": [{**asdict(way), "line": journey.lines.get(way.rule)} for way in outlook.ways],
        "timers": [{**asdict(timer), "line": journey.lines.get(timer.rule)} for timer in outlook.timers],
    }
