"""`journey lint`: whether journeys and touch tables can be followed, and say what their authors mean.

Exit status: 0 nothing is wrong (there may be warnings), 1 something is, 2 a mistake in the call.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES|FOLDERS]...", help="What to judge [default: the built-in journeys]."),
    ] = None,
    touches: Annotated[
        Path | None,
        typer.Option(help="The touch table [default: touches.yaml beside the journey, else the built-in one]."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|REVISION", help="What the rules were before, an older file or a revision [default: HEAD]."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The settings, for the graces of the channels [default: none].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")] = False,
    format_: Annotated[
        Literal["text", "github", "sarif"], typer.Option("--format", help="How findings are written, for CI.")
    ] = "text",
) -> None:
    """Judge journeys and touch tables: every mistake with its place, and what was probably meant."""
    from pipeline.adapters.journey_files import MODELS
    from pipeline.adapters.journey_lint import Linter, journey_files
    from pipeline.adapters.lint_formats import as_github, as_sarif
    from pipeline.adapters.lint_formats import as_json as to_json
    from pipeline.config import GRACE, load

    settings = load(config) if config is not None else None
    waits = GRACE if settings is None else dict.fromkeys(GRACE, 0) if settings.clock == "event" else settings.grace
    files = journey_files(paths or [MODELS])
    linter = Linter(waits, touches, against)
    linter.judge(files)
    findings = linter.findings
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        typer.echo(to_json(findings))
    elif format_ == "sarif":
        typer.echo(as_sarif(findings))
    elif format_ == "github":
        if findings:
            typer.echo(as_github(findings))
    else:
        for finding in findings:
            typer.echo(str(finding))
        warnings = len(findings) - errors
        typer.echo(f"{len(files)} files: {errors} mistakes, {warnings} warnings", err=bool(errors))
    raise typer.Exit(1 if errors else 0)
