"""Journeys and touch tables from YAML to the domain's specs: built-in ones by name, others by path."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pipeline.adapters.journey_language import JourneyFile
from pipeline.adapters.journey_translation import Translation
from pipeline.adapters.touch_files import load_touches
from pipeline.adapters.yaml_documents import closest, read
from pipeline.adapters.yaml_files import check
from pipeline.config import Settings, is_path
from pipeline.domain.event import CHANNELS
from pipeline.domain.spec import JourneySpec, TouchSpec
from pipeline.errors import UserError

__all__ = ["built_in_journeys", "find_journey", "find_touches", "load_journey", "load_models", "load_touches"]

MODELS: Final = Path(__file__).parent.parent / "models"
"""The built-in journeys, and the touch table that they share."""

_TABLE: Final = "touches"


def load_models(settings: Settings) -> tuple[tuple[TouchSpec, ...], tuple[JourneySpec, ...]]:
    """The touch table and the journeys that the settings name; UserError on a mistake in any of them."""
    touches = load_touches(find_touches(settings.touches))
    specs: dict[str, JourneySpec] = {}
    for name in settings.journeys:
        path = find_journey(name)
        spec = load_journey(path, touches, settings.grace, settings.clock == "event")
        if spec.name in specs:
            raise UserError(f"{path}: the journey '{spec.name}' is loaded already: give it another name")
        specs[spec.name] = spec
    return touches, tuple(specs.values())


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
    path: Path, touches: Iterable[TouchSpec], grace: Mapping[str, int], clock_is_event: bool
) -> JourneySpec:
    """The journey in a file; `grace` in ms by channel, on event time nothing waits. UserError with all mistakes."""
    document = read(path)
    file = check(document, JourneyFile)
    waits = dict.fromkeys(CHANNELS, 0) if clock_is_event else grace
    return Translation(document, file, tuple(touches), waits).spec()
