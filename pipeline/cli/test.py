"""`journey test`: the cases that lie beside journeys, played through the fold that lanes use.

Exit status: 0 every case passed, 1 one did not, 2 a mistake in a file or in the call.
"""

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.adapters.case_runs import Report
    from pipeline.application.rehearsal import Happened
    from pipeline.config import Settings


def test(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILES]",
            help="Files of cases, folders, or journeys that have cases beside them (default: those that run).",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again whenever a file changes, until Ctrl-C.")] = False,
    timelines: Annotated[bool, typer.Option("--timelines", "-t", help="Also of the cases that pass.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Play the cases of journeys: what is given, what must come of it, and the difference if it does not."""
    from pipeline.errors import UserError

    settings = load_settings(config)
    names = files or []
    if watch and as_json:
        raise UserError("--watch shows pages for people: leave --json out")
    if watch:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background would have it ignored
        with contextlib.suppress(KeyboardInterrupt):
            _watch(settings, names, timelines)
        return
    reports = _run(settings, names)
    if as_json:
        _print_json(reports)
    else:
        _show(_console(), reports, timelines)
    if any(report.failed for report in reports):
        raise typer.Exit(1)


def _run(settings: "Settings", names: list[str]) -> list["Report"]:
    """UserError with the mistakes of all files, not only of the first."""
    from pipeline.adapters.case_runs import find_cases, run_cases
    from pipeline.errors import UserError

    reports, mistakes = [], []
    for path in find_cases(settings, names):
        try:
            reports.append(run_cases(settings, path))
        except UserError as error:
            mistakes.append(error.message)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return reports


def _watch(settings: "Settings", names: list[str], timelines: bool) -> None:
    from watchfiles import watch

    from pipeline.adapters.case_runs import watched
    from pipeline.errors import UserError

    console = _console()
    ours = watched(settings, names)

    def counts(_: object, path: str) -> bool:
        return Path(path) in ours

    def run() -> None:
        console.clear()
        try:
            _show(console, _run(settings, names), timelines)
        except UserError as error:
            console.print(error.message, style="red", markup=False, highlight=False)
        console.print("[dim]waiting for a change; Ctrl-C ends it[/]")

    run()
    # Folders, not files: an editor that saves by renaming would take a watched file away.
    places = {path.parent for path in ours.files} | ours.folders
    for _ in watch(*places, watch_filter=counts, recursive=bool(ours.folders), raise_interrupt=True):
        run()


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def _show(console: "Console", reports: list["Report"], timelines: bool) -> None:
    from pipeline.cli.case_lines import show

    for report in reports:
        show(console, report, timelines)
    cases, failed = sum(len(report.played) for report in reports), sum(report.failed for report in reports)
    of = f"{cases} {'case' if cases == 1 else 'cases'}"
    console.print(f"[red]{failed} of {of} failed[/]" if failed else f"[green]{of} passed[/]")


def _print_json(reports: list["Report"]) -> None:
    import orjson

    content = {
        "cases": sum(len(report.played) for report in reports),
        "failed": sum(report.failed for report in reports),
        "files": [
            {
                "file": str(report.path),
                "journey": report.journey,
                "version": report.version,
                "cases": [
                    {
                        "case": played.case.name,
                        "place": played.case.place,
                        "passed": played.verdict.passed,
                        "differences": [
                            {"line": one.expected.line if one.expected else None, "says": one.says}
                            for one in played.verdict.differences
                        ],
                        "happened": [_described(one) for one in played.rehearsal.happened],
                        "outcomes": played.rehearsal.outcomes,
                    }
                    for played in report.played
                ],
            }
            for report in reports
        ],
    }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def _described(happened: "Happened") -> dict[str, object]:
    from pipeline.application.verdict import when

    return {
        "at": when(happened.at),
        "signal": happened.signal or None,
        "from": happened.came_from or None,
        "stage": happened.stage or None,
        "rule": happened.rule,
        "by": happened.cause or None,
        "withdrawn": None if happened.withdrawn is None else when(happened.withdrawn),
    }
