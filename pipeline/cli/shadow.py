"""`journey shadow`: a candidate led beside the lanes, on what comes in now, and compared with what they publish.

Exit status: 0 all are where they are, 1 some are elsewhere by the candidate, 2 it could not be run.
"""

from typing import Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings


def shadow(
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="A journey file, or the name of one.")],
    against: Annotated[
        str | None, typer.Option("--against", metavar="NAME", help="The journey that runs (default: of the same name).")
    ] = None,
    sample: Annotated[
        str, typer.Option("--sample", metavar="SHARE", help="So many of the customers: 10% or 0.1, always the same.")
    ] = "100%",
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Begin there: 7d, or 2026-01-31T09:30:00Z (default: all there is)."
        ),
    ] = None,
    every: Annotated[str, typer.Option("--every", metavar="DURATION", help="A look so often.")] = "1s",
    duration: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End after so long (default: with Ctrl-C).")
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, metavar="N", help="Customers of each move.")] = 3,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Lead customers by a candidate beside the live lanes; compare until Ctrl-C. Publishes and changes nothing."""
    from pipeline.cli import shadow_run
    from pipeline.cli.replaying import moment_of, seconds_of, share_of
    from pipeline.cli.shadow_shown import sum_up, watching
    from pipeline.errors import UserError

    settings = load_settings(config)
    wanted = shadow_run.Wanted(
        share=share_of(sample),
        since=None if since is None else moment_of(since),
        every_s=seconds_of(every),
        for_s=None if duration is None else seconds_of(duration),
        kept=examples,
    )
    try:
        with watching(as_json) as show:
            look = shadow_run.run(settings, candidate, against, wanted, show)
    except UserError as error:
        raise UserError(error.message, 2) from None
    sum_up(look, as_json)
    if look.comparison.elsewhere:
        raise typer.Exit(1)
