"""`journey check`: whether what is in Kafka and Redis is what the events make of it.

Exit status: 0 all is right, 1 something is wrong, 2 it could not be checked.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.checker.truth import Compared, Truth
    from pipeline.cli.check_run import Checked
    from pipeline.config import Settings

CHECKED = {
    "I1": ("customers", "history entries and signals", "routed records", "dead letters"),
    "I2": ("transitions", "signals", "routed records"),
    "I3": ("transitions",),
    "I4": ("Redis fields",),
    "I5": ("Redis fields", "index entries", "customers", "customer records"),
    "I7": ("events", "totals", "lane records"),
    "I8": ("linked identities", "events of linked identities", "histories of linked customers"),
    "I9": ("timers fired", "timers taken back"),
    "I10": ("erased identities",),
}
"""What the counts of each invariant are of."""


def check(
    examples: Annotated[int, typer.Option("--examples", min=1, help="Findings of each kind that are shown.")] = 5,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes (default: one a processor, at most one a lane).")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="FILE", help="Compare links with what this file says of the people."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare all topics and Redis with a slow fold of the input that shares no code with the workers."""
    from pipeline.errors import UserError

    settings = load_settings(config)
    began = time.monotonic()
    try:
        told = _read_truth(truth, settings)
        checked = _check(settings, jobs, examples)
    except UserError as error:
        raise UserError(error.message, 2) from None
    compared = None if told is None else _compare(told, checked, examples)
    seconds = time.monotonic() - began
    if as_json:
        _print_json(checked, compared, seconds)
    else:
        _show(checked, compared, seconds)
    if checked.findings.total or (compared is not None and compared.wrong):
        raise typer.Exit(1)


def _read_truth(path: Path | None, settings: "Settings") -> "Truth | None":
    import orjson

    from pipeline.checker.truth import read_truth
    from pipeline.cli.check_lane import rules_of
    from pipeline.errors import UserError

    if path is None:
        return None
    try:
        return read_truth(orjson.loads(path.read_bytes()), rules_of(settings).identities)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; docs/check.md says what belongs in there") from None


def _compare(truth: "Truth", checked: "Checked", examples: int) -> "Compared":
    from pipeline.checker.truth import compare_truth

    linked = checked.linked
    return compare_truth(truth, linked.links, linked.owners(), linked.unsettled(), examples)


def _check(settings: "Settings", jobs: int | None, examples: int) -> "Checked":
    from pipeline.cli import check_run
    from pipeline.cli.reading_progress import reading_progress

    with reading_progress(settings.application) as advance:
        return check_run.check(settings, jobs, examples, advance)


def _show(checked: "Checked", compared: "Compared | None", seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.checker.findings import INVARIANTS

    findings = checked.findings
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("invariant", "checked", "findings"):
        table.add_column(name, justify="right" if name == "findings" else "left")
    for invariant, names in CHECKED.items():
        counted = ", ".join(f"{findings.checked[name]:,} {name}" for name in names)
        found = sum(number for kind, number in findings.counts.items() if INVARIANTS[kind] == invariant)
        table.add_row(invariant, counted, f"[{'red' if found else 'green'}]{found:,}[/]")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    console.print(table)
    if compared is not None:
        _show_truth(console, compared)
    _show_findings(console, checked)
    verdict = f"[red]{findings.total:,} findings[/]" if findings.total else "[green]all right[/]"
    if compared is not None and compared.wrong:
        verdict += f", [red]{compared.wrong:,} identities wrongly linked or missed[/]"
    console.print(f"{checked.application}: {verdict} in {seconds:.1f} s", soft_wrap=True)


def _show_truth(console: "Console", compared: "Compared") -> None:
    from rich.markup import escape
    from rich.table import Table

    from pipeline.checker.truth import OUTCOMES, WRONG

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("identities", justify="right")
    table.add_column(f"of {compared.people:,} people, against the truth")
    for outcome, words in OUTCOMES.items():
        number = compared.outcomes[outcome]
        if number or outcome in WRONG:
            color = "red" if number and outcome in WRONG else "green" if outcome in WRONG else "none"
            table.add_row(f"[{color}]{number:,}[/]", words)
    if compared.unknown:
        table.add_row(f"{compared.unknown:,}", "linked, and of nobody in the file: not judged")
    console.print()
    console.print(table)
    for outcome, said in compared.examples:
        console.print(f"  [red]{outcome}[/] {escape(said)}", soft_wrap=True)


def _show_findings(console: "Console", checked: "Checked") -> None:
    from rich.markup import escape

    from pipeline.checker.findings import INVARIANTS, MEANINGS

    findings = checked.findings
    for kind, number in sorted(findings.counts.items()):
        console.print(f"\n[red]{INVARIANTS[kind]} {kind}[/]: {number:,}; {MEANINGS[kind]}")
        for finding in findings.examples:
            if finding.kind == kind:
                console.print(f"  {escape(str(finding))}", soft_wrap=True)
    if findings.unjudged:
        console.print("\n[yellow]not judged[/]")
        for what, number in findings.unjudged.items():
            console.print(f"  {number:,} {escape(what)}", soft_wrap=True)
    if findings.total or findings.unjudged:
        console.print()


def _print_json(checked: "Checked", compared: "Compared | None", seconds: float) -> None:
    import orjson

    from pipeline.checker.findings import INVARIANTS

    findings = checked.findings
    content: dict[str, object] = {
        "application": checked.application,
        "right": findings.total == 0 and (compared is None or compared.wrong == 0),
        "seconds": round(seconds, 3),
        "checked": dict(findings.checked),
        "findings": dict(findings.counts),
        "examples": [
            {"invariant": INVARIANTS[each.kind], "kind": each.kind, "where": each.where, "what": each.what}
            for each in findings.examples
        ],
        "unjudged": dict(findings.unjudged),
        "watermarks": {str(lane): record["watermark"] for lane, record in checked.records.items()},
    }
    if compared is not None:
        content["truth"] = {
            "people": compared.people,
            "outcomes": dict(compared.outcomes),
            "unknown": compared.unknown,
            "examples": [{"outcome": outcome, "what": said} for outcome, said in compared.examples],
        }
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
