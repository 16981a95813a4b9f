"""`journey worker`: one worker, until a signal.

Exit status: 0 after SIGTERM or SIGINT, 1 after a failure (start another), 2 a mistake in the settings or around them.
"""

import os
import sys
from typing import Annotated

import typer

from pipeline.cli.settings import Config, load_settings


def worker(
    config: Config = None,
    hold: Annotated[
        bool, typer.Option("--hold", hidden=True, help="Get ready, and begin when a line comes on standard input.")
    ] = False,
) -> None:
    """Fold events and publish stage changes, for as many lanes as Kafka gives to this process."""
    from pipeline.log import configure
    from pipeline.worker import failpoints
    from pipeline.worker.main import run_worker
    from pipeline.worker.wiring import wire

    if hold and not sys.stdin.readline():
        return  # whoever was to say so is gone
    settings = load_settings(config)
    configure(settings.log_format, settings.log_level)
    failpoints.install(os.environ)
    raise typer.Exit(run_worker(settings, wire))
