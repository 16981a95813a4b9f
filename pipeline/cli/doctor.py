"""`journey doctor`: everything that a pipeline stands on, looked at once, and for each thing what mends it.

Exit status: 0 nothing is an error, 1 something is (settings that cannot be read among it), 2 a mistake in the call.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.doctor.finding import Finding, Severity

_COLOURS: "Final[Mapping[Severity, str]]" = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}


def doctor(config: Config = None, as_json: Json = False) -> None:
    """Look at settings, topics, rights, Redis, clocks, versions and lanes; say of each how it is and what mends it."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found = _examined(config)
    if as_json:
        _print_json(found)
    else:
        _show(found)
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(1)


def _examined(config: Path | None) -> "list[Finding]":
    from pipeline.adapters.doctor.examination import examine
    from pipeline.adapters.doctor.finding import Finding
    from pipeline.errors import UserError

    try:
        settings = load_settings(config)
    except UserError as error:
        return [Finding("settings", "error", error.message, "mend that; nothing else was looked at")]
    where = f"{settings.application}: Kafka {settings.brokers}, Redis {settings.redis_shown}"
    return [Finding("settings", "ok", f"{where}, {settings.partitions} lanes"), *asyncio.run(examine(settings))]


def _show(found: "Sequence[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.adapters.doctor.finding import SEVERITIES

    table = Table.grid(padding=(0, 2))
    for finding in found:
        said = Text(finding.what)
        if finding.mend:
            said.append(f"\n→ {finding.mend}", "bold")
        table.add_row(Text(finding.severity, _COLOURS[finding.severity]), finding.about, said)
    # Cut to nobody's screen: a file or a pipe gets whole lines.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    console.print(table)
    counts = Counter(finding.severity for finding in found)
    console.print(", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity]))


def _print_json(found: "Sequence[Finding]") -> None:
    from dataclasses import asdict

    import orjson

    typer.echo(orjson.dumps({"findings": [asdict(each) for each in found]}, option=orjson.OPT_INDENT_2).decode())
