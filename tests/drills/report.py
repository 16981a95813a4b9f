"""The table of the drills, for a terminal and for docs/drills.md."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from tests.drills.drill import Outcome
from tests.drills.faults import DRILLS
from tests.drills.scene import PARTITIONS, RATE, WORKERS

PAGE: Final = Path(__file__).parents[2] / "docs" / "drills.md"
_HEADINGS: Final = (
    "fault",
    "alert",
    "told to",
    "to alert",
    "to clear",
    "told beside it",
    "kept quiet",
    "runbook's commands",
)


def show(outcomes: Sequence[Outcome], factor: float, console: Console) -> None:
    """The table, what failed, and a last line that says how it went."""
    table = Table(*_HEADINGS, title=_setting(factor), box=box.SIMPLE_HEAD, title_justify="left")
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    console.print(table, markup=False)
    for outcome in outcomes:
        if outcome.failure:
            console.print(f"{outcome.drill.name}: {outcome.failure}", style="red", markup=False, soft_wrap=True)
    wrong = sum(not outcome.right for outcome in outcomes)
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    held = len(outcomes) - skipped
    verdict = f"{wrong} of {held} drills went WRONG" if wrong else f"all {held} drills went as they should"
    console.print(verdict + (f"; {skipped} could not be held here" if skipped else ""), markup=False)


def page(outcomes: Sequence[Outcome], factor: float, day: str, before: str = "") -> str:
    """docs/drills.md with these drills in it; of others what it said `before`. The commands of runbooks stand below."""
    rows = dict(_ROW.findall(before)) | {
        outcome.drill.name: "| " + " | ".join((*_row(outcome), f"{day}, 1/{factor:g}")) + " |" for outcome in outcomes
    }
    typed = dict(_TYPED.findall(before)) | {
        outcome.drill.name: f"- **{outcome.drill.name}**: {outcome.drill.what}. Typed: "
        + ", ".join(f"`{said.line}` ({said.status})" for said in outcome.said)
        for outcome in outcomes
        if outcome.said
    }
    names = [name for name in DRILLS if name in rows]
    table = ["| " + " | ".join((*_HEADINGS, "held")) + " |", "|" + " --- |" * (len(_HEADINGS) + 1)]
    table += [rows[name] for name in names]
    return "\n".join([*_PREFACE, "", *table, "", *_BELOW, "", *(typed[name] for name in names if name in typed), ""])


_ROW: Final = re.compile(r"^(?=\| ([a-z-]+) \| Journey)(.*)$", re.MULTILINE)
_TYPED: Final = re.compile(r"^(?=- \*\*([a-z-]+)\*\*: )(.*)$", re.MULTILINE)

_PREFACE: Final = (
    "# Drills",
    "",
    "`make drill` starts Kafka, Redis, two workers under steady traffic, Prometheus and Alertmanager with the files of",
    "[deploy/prometheus](../deploy/prometheus/README.md), causes each fault in turn, waits until its alert reaches",
    "whom it is for, types what the alert's [runbook](../deploy/runbooks/README.md) says, mends it as written there,",
    "and waits until the alert is taken back.",
    '`make drill ARGS="--only redis-stopped"` holds one, `--list` names them, `--write` writes this page.',
)
_BELOW: Final = (
    "Times run from the fault until the receiver is told, and from the mend until it is told that it is over. What a",
    "rule waits is so many times longer in production; what does not depend on rules (a session timeout, a rebuild, a",
    "threshold of 60 s) is not. In brackets: the exit status of what was typed; 1 is an answer while something is",
    "wrong. The last column is the day, and by what the durations of rules and routes were divided.",
)


def _setting(factor: float) -> str:
    return (
        f"durations of rules and routes divided by {factor:g}, {len(WORKERS)} workers, {RATE:g} events/s, "
        f"{PARTITIONS} lanes"
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    drill = outcome.drill
    if outcome.skipped:
        return drill.name, drill.alert, drill.receiver, "not held", "", "", "", outcome.skipped
    commands = f"{len(outcome.said)} typed, all worked" if outcome.right else f"{len(outcome.said)} typed; WRONG"
    return (
        drill.name,
        drill.alert,
        drill.receiver,
        _seconds(outcome.to_alert),
        _seconds(outcome.to_clear),
        ", ".join(outcome.beside),
        ", ".join(outcome.suppressed),
        commands,
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"
