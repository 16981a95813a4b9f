"""Which settings a command uses: `--config`, else JOURNEY_CONFIG, else those of `journey run` here, else defaults."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pipeline.config import Settings

DEV: Final = Path(".dev")
"""Where `journey run` keeps everything of its own."""
DEV_SETTINGS: Final = DEV / "settings.yaml"

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help=f"The settings (default: JOURNEY_CONFIG, else {DEV_SETTINGS})."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]


def load_settings(config: Path | None) -> "Settings":
    """The settings for a command; UserError that lists every mistake."""
    from pipeline.config import load

    if config is None and not os.environ.get("JOURNEY_CONFIG") and DEV_SETTINGS.is_file():
        config = DEV_SETTINGS
    return load(config)
