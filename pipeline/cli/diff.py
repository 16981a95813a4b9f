"""`journey diff`: where customers would be by another journey, or another version of one.

Exit status: 0 all would be where they are, 1 some would be elsewhere, 2 it could not be compared.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.cli.diff_run import Compared

_FORMS = (".svg", ".html", ".htm")


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A journey file, or the name of one that runs.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="A journey file, or the name of one that runs.")],
    sample: Annotated[
        str, typer.Option("--sample", metavar="SHARE", help="So many of the customers: 10% or 0.1, always the same.")
    ] = "100%",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only what was appended since: 7d, or 2026-01-31T09:30:00Z."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="So many records at most, the oldest first.")
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, metavar="N", help="Customers shown of each move.")] = 3,
    output: Annotated[
        Path | None,
        typer.Option("--out", "--output", "-o", metavar="FILE", help="A picture (.svg), or a page (.html)."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Replay the retained events through two journeys, and show who would be in another stage. Changes nothing."""
    from pipeline.cli import diff_run
    from pipeline.cli.replaying import moment_of, share_of
    from pipeline.errors import UserError

    if output is not None and output.suffix not in _FORMS:
        raise typer.BadParameter(f"{output}: a picture ends in .svg, a page in .html")
    settings = load_settings(config)
    wanted = diff_run.Wanted(share_of(sample), None if since is None else moment_of(since), limit, examples)
    began = time.monotonic()
    try:
        compared = diff_run.run(settings, old, new, wanted)
    except UserError as error:
        raise UserError(error.message, 2) from None
    seconds = time.monotonic() - began
    if as_json:
        _print_json(compared, seconds)
    else:
        _show(compared, seconds)
    if output is not None:
        _write(output, compared)
    if compared.comparison.elsewhere:
        raise typer.Exit(1)


def _show(compared: "Compared", seconds: float) -> None:
    from rich.console import Console

    from pipeline.cli import comparison_shown as shown

    old, new, comparison = compared.old.model, compared.new.model, compared.comparison
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(f"{compared.replayed} [dim]({seconds:.1f} s)[/]", soft_wrap=True)
    for caveat in compared.caveats:
        console.print(f"[yellow]{caveat}[/]", soft_wrap=True)
    if not comparison.customers:
        return
    console.print()
    console.print(shown.matrix(comparison, old, new))
    for line in shown.changed_stages(comparison, old, new):
        console.print(f"  {line}", style="yellow")
    console.print()
    console.print(shown.told_table(old, new, shown.told(compared.old.told, compared.new.told)))
    if comparison.examples:
        console.print()
        for example in shown.examples(comparison, compared.old, compared.new):
            console.print(example, soft_wrap=True)
    console.print(f"\n[bold]{shown.verdict(comparison, new)}[/]")


def _print_json(compared: "Compared", seconds: float) -> None:
    import orjson

    from pipeline.cli import comparison_shown as shown

    old, new = compared.old, compared.new
    content = {
        **shown.as_json(compared.comparison, old.model, new.model, old.told, new.told),
        "events": old.events,
        "watermark": old.watermark,
        "caveats": compared.caveats,
        "seconds": round(seconds, 3),
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def _write(output: Path, compared: "Compared") -> None:
    from pipeline.adapters.drawing.comparison_page import comparison_page
    from pipeline.adapters.drawing.sankey import sankey
    from pipeline.cli import comparison_shown as shown
    from pipeline.errors import UserError

    old, new = compared.old, compared.new
    if output.suffix == ".svg":
        text = sankey(compared.comparison, old.model, new.model)
    else:
        told = shown.told(old.told, new.told)
        text = comparison_page(compared.comparison, old.model, new.model, told, compared.replayed)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{output}: {error.strerror}") from None
