"""The cases of the semantics: what happens to one customer, step by step, and what must be published.

A file has `about`, `journey` (labels, name and version are filled in), `settings` and `cases`. Times are counted from
the beginning of the case: `+0s`, `+3d`, `+90d1ms`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.application.rehearsal import BEGINNING
from pipeline.checker.plain_journey import duration, read_file
from pipeline.checker.plain_touches import CHANNELS
from pipeline.domain.duration import format_span, parse_span
from tests.property.two_folds import CUSTOMER, Raw, Sent

FOLDER = Path(__file__).parent
TOUCHES: Raw = read_file(FOLDER / "touches.yaml")


@dataclass(frozen=True, slots=True)
class Step:
    """An event that arrives (`sent`) or the watermark rising (`watermark`), and what is published then, as text."""

    told: str
    sent: Sent | None
    watermark: int
    outcome: str
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `history` is the net history after the last step, in order; `holds` are the signals that hold then."""

    name: str
    about: str
    rules: tuple[int, ...]
    journey: Raw
    grace: Mapping[str, int]
    lateness: int
    limit: int
    steps: tuple[Step, ...]
    history: tuple[str, ...]
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """Cases of one journey. `written`: the journey and the settings as they stand in the file."""

    name: str
    about: str
    written: str
    cases: tuple[Case, ...]


def read_cases() -> list[CaseFile]:
    """All files with cases, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.yaml")) if path.name != "touches.yaml"]


def at(text: str) -> int:
    """The moment in ms that `+3d` names."""
    return BEGINNING + parse_span(text.removeprefix("+"))


def written(moment: int) -> str:
    """The moment as a case writes it."""
    return f"+{format_span(moment - BEGINNING)}"


def _read(path: Path) -> CaseFile:
    document = read_file(path)
    text = path.read_text(encoding="utf-8")
    settings = document.get("settings", {})
    journey = _filled_in(document["journey"])
    cases = tuple(_case(case, journey, settings) for case in document["cases"])
    return CaseFile(path.stem, document["about"], text[text.index("journey:") : text.index("cases:")].rstrip(), cases)


def _filled_in(journey: Raw) -> Raw:
    stages = [stage | {"labels": dict.fromkeys(("en", "tr", "pl", "fa"), stage["id"])} for stage in journey["stages"]]
    return {"journey": "case", "version": 1, **journey, "stages": stages}


def _case(case: Raw, journey: Raw, file_settings: Raw) -> Case:
    settings = {**file_settings, **case.get("settings", {})}
    return Case(
        name=case["case"],
        about=" ".join(case["about"].split()),
        rules=tuple(case["rules"]),
        journey=journey,
        grace={channel: duration(settings.get("grace", {}).get(channel, "0s")) for channel in CHANNELS},
        lateness=duration(settings.get("lateness", "1000d")),
        limit=settings.get("recent_limit", 64),
        steps=_steps(case["steps"]),
        history=tuple(case["history"]),
        holds=tuple(case.get("holds", ())),
    )


def _steps(steps: Sequence[Raw]) -> tuple[Step, ...]:
    made: list[Step] = []
    for offset, step in enumerate(steps):
        says = tuple(step.get("says", ()))
        if "watermark" in step:
            made.append(Step(f"watermark {step['watermark']}", None, at(step["watermark"]), "", says))
            continue
        event: dict[str, Any] = {
            "id": step["event"],
            "type": step["type"],
            "occurred_at": at(step["at"]),
            "customer_id": CUSTOMER,
        }
        if "actor" in step:
            event["actor"] = step["actor"]
        appended = at(step.get("appended", step["at"]))
        notes = "".join(f", {key} {step[key]}" for key in ("actor", "channel", "appended") if key in step)
        told = f"`{step['event']}` {step['type']} {step['at']}{notes}"
        sent = Sent(event, step.get("channel", "web"), appended, 0, offset)
        made.append(Step(told, sent, 0, step.get("outcome", "accepted"), says))
    return tuple(made)
