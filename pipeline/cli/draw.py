"""`journey draw`: a journey as a picture, a Mermaid diagram, or its map as a page.

Exit status: 0 drawn, 2 a mistake in the journey or in the call.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.settings import Config, load_settings


def draw(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A journey file, or the name of a built-in one.")],
    form: Annotated[
        Literal["svg", "mermaid", "html"] | None,
        typer.Option(
            "--format", "-f", help="svg, mermaid or html, the map with the picture (default: by FILE, else svg)."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not on stdout.")
    ] = None,
    language: Annotated[
        Literal["en", "tr", "pl", "fa"], typer.Option("--language", help="For the stages' labels: en, tr, pl or fa.")
    ] = "en",
    config: Config = None,
) -> None:
    """Draw a journey as it is compiled: its stages, the rules between them, the silences and the signals."""
    from pipeline.adapters.drawing.drawn import drawn
    from pipeline.adapters.journey_files import find_journey
    from pipeline.errors import UserError

    settings = load_settings(config)
    text = drawn(settings, find_journey(model), form or _by_name(output), language)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{output}: {error.strerror}") from None


def _by_name(output: Path | None) -> Literal["svg", "mermaid", "html"]:
    if output is None or output.suffix == ".svg":
        return "svg"
    return "html" if output.suffix in {".html", ".htm"} else "mermaid"
