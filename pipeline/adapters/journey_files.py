"""Journeys and touch tables from YAML to the domain's specs: built-in ones by name, others by path."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.adapters.journey_language import JourneyFile
from pipeline.adapters.journey_parts import without
from pipeline.adapters.journey_translation import Translation
from pipeline.adapters.touch_files import load_touches, may_take, read_touches, wrong_rows
from pipeline.adapters.yaml_documents import Document, Problem, Source, closest, parse, read, refuse
from pipeline.adapters.yaml_files import examine
from pipeline.application.lane_models import LaneModels
from pipeline.config import Settings, is_path
from pipeline.domain.event import CHANNELS
from pipeline.domain.spec import JourneySpec, TouchSpec
from pipeline.errors import UserError

__all__ = [
    "brought",
    "built_in_journeys",
    "find_journey",
    "find_touches",
    "load_files",
    "load_journey",
    "load_models",
    "load_texts",
    "load_touches",
    "read_journey",
    "read_text",
    "read_touches",
    "running_files",
    "waits",
]

MODELS: Final = Path(__file__).parent.parent / "models"
"""The built-in journeys, and the touch table that they share."""

_TABLE: Final = "touches"


class ReadJourney(NamedTuple):
    """A journey as read: its rules, what may not be meant in them, the line in which each rule begins, and the text."""

    spec: JourneySpec
    warnings: list[Problem]
    lines: Mapping[str, int]
    text: str


def load_models(settings: Settings) -> tuple[tuple[TouchSpec, ...], tuple[JourneySpec, ...]]:
    """The touch table, with the rows that the journeys bring along behind it, and the journeys that the settings name.

    UserError on a mistake in any of them.
    """
    touches, found = load_files(settings)
    return touches, tuple(journey.spec for journey in found.values())


def load_files(settings: Settings) -> tuple[tuple[TouchSpec, ...], dict[Path, ReadJourney]]:
    """As `load_models`, but with the file of each journey and the lines of its rules."""
    touches = load_touches(find_touches(settings.touches))
    found: dict[Path, ReadJourney] = {}
    for name in settings.journeys:
        path = find_journey(name)
        journey = read_journey(read(path), touches, waits(settings))
        if any(journey.spec.name == other.spec.name for other in found.values()):
            raise UserError(f"{path}: the journey '{journey.spec.name}' is loaded already: give it another name")
        found[path] = journey
    return (*touches, *brought(journey.spec for journey in found.values())), found


def running_files(settings: Settings, models: LaneModels) -> tuple[tuple[TouchSpec, ...], dict[Path, ReadJourney]]:
    """As `load_files`, with what was promoted in a lane in place of the files that say something else."""
    shared = load_touches(find_touches(settings.touches))
    found: dict[Path, ReadJourney] = {}
    for path, journey in load_files(settings)[1].items():
        own = models.journeys.get(journey.spec.name)
        if own is None or (own.version, own.fingerprint) == (journey.spec.version, journey.spec.fingerprint):
            found[path] = journey
        else:
            name = f"{journey.spec.name}, version {own.version} as promoted"
            found[Path(name)] = read_journey(parse(Source(name, own.text)), shared, waits(settings))
    return (*shared, *brought(journey.spec for journey in found.values())), found


def load_texts(settings: Settings) -> tuple[tuple[TouchSpec, ...], list[tuple[str, JourneySpec]]]:
    """The shared touch table alone, and the journeys that the settings name with their texts; UserError likewise."""
    _, found = load_files(settings)
    return load_touches(find_touches(settings.touches)), [(journey.text, journey.spec) for journey in found.values()]


def read_text(
    text: str, touches: tuple[TouchSpec, ...], settings: Settings, name: str = "the promoted file"
) -> JourneySpec:
    """The journey in a text that came from somewhere else than a file; UserError with all mistakes."""
    return read_journey(parse(Source(name, text)), touches, waits(settings)).spec


def waits(settings: Settings) -> Mapping[str, int]:
    """The grace of each channel in ms; on event time nothing waits."""
    return _waits(settings.grace, settings.clock == "event")


def brought(specs: Iterable[JourneySpec]) -> tuple[TouchSpec, ...]:
    """The rows that journeys bring along; UserError if it would matter which journey's are asked first."""
    rows: dict[str, tuple[str, TouchSpec]] = {}
    for spec in specs:
        for row in spec.touches:
            for other, theirs in rows.values():
                if row != theirs and (row.name == theirs.name or may_take(theirs, row)):
                    raise UserError(
                        f"the journeys '{other}' and '{spec.name}' bring touches along that one event may be: "
                        f"'{theirs.name}' and '{row.name}'; move both to the shared table, in the order that is meant"
                    )
        rows |= {row.name: (spec.name, row) for row in spec.touches}
    return tuple(row for _, row in rows.values())


def built_in_journeys() -> tuple[Path, ...]:
    """The journeys that come with the program, by name; their cases (`NAME.cases.yaml`) lie beside them."""
    return tuple(sorted(path for path in MODELS.glob("*.yaml") if path.stem != _TABLE and "." not in path.stem))


def find_journey(name: str) -> Path:
    """The file of a journey given by its path or built-in name; UserError if no such one is built in."""
    return _locate("journeys", "journey", name, [path.stem for path in built_in_journeys()])


def find_touches(name: str) -> Path:
    """The file of a touch table given by its path or built-in name; UserError if no such one is built in."""
    return _locate("touches", "touch table", name, [_TABLE])


def _locate(setting: str, what: str, name: str, built_in: list[str]) -> Path:
    if is_path(name):
        return Path(name)
    if name in built_in:
        return MODELS / f"{name}.yaml"
    near = closest(name, built_in)
    hint = f"did you mean '{near}'?" if near else f"built in: {', '.join(built_in)}"
    raise UserError(f"setting {setting}: there is no {what} '{name}' built in, and a path ends in .yaml; {hint}")


def load_journey(
    path: Path, touches: Iterable[TouchSpec], grace: Mapping[str, int], clock_is_event: bool, odd: bool = False
) -> JourneySpec:
    """The journey in a file; `grace` in ms by channel, on event time nothing waits. UserError with all mistakes.

    `odd` leaves out to look for what can be followed but hardly meant: for journeys that chance has made.
    """
    return read_journey(read(path), tuple(touches), _waits(grace, clock_is_event), odd).spec


def _waits(grace: Mapping[str, int], clock_is_event: bool) -> Mapping[str, int]:
    return dict.fromkeys(CHANNELS, 0) if clock_is_event else grace


def read_journey(
    document: Document, touches: tuple[TouchSpec, ...], grace: Mapping[str, int], odd: bool = False
) -> ReadJourney:
    """The journey in a document; UserError with all mistakes."""
    file, mistakes = examine(document, JourneyFile)
    problems = [problem for _, problem in mistakes]
    readable: Document | None = document
    while file is None and readable is not None:
        readable = without(readable, [loc for loc, _ in mistakes])
        if readable is not None:
            file, mistakes = examine(readable, JourneyFile)
    if file is None or readable is None:
        refuse(problems)
        raise AssertionError("a file that cannot be read has no mistakes")
    own = tuple(row.spec(name) for name, row in file.touches.items())
    problems += wrong_rows(readable, touches, own)
    translation = Translation(readable, file, (*touches, *own), grace)
    if problems:
        refuse([*problems, *translation.mistakes()])
    return ReadJourney(translation.spec(odd), translation.warnings, translation.lines, document.root.mark.source.text)
