"""Files of cases found, loaded with the journeys they lie beside, and played."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.adapters.case_files import SUFFIX, Case, cases_beside, journey_beside, load_cases
from pipeline.adapters.journey_files import find_journey, find_touches, load_journey
from pipeline.adapters.touch_files import load_touches
from pipeline.application.rehearsal import Rehearsal, rehearse
from pipeline.application.verdict import Verdict, judge
from pipeline.config import Settings
from pipeline.domain.compile import compile_journey
from pipeline.domain.touches import TouchTable
from pipeline.errors import UserError

_GLOB: Final = f"*{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Played:
    """A case with what came of it."""

    case: Case
    rehearsal: Rehearsal
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """The cases of one file, in its order."""

    path: Path
    journey: str
    version: int
    played: tuple[Played, ...]

    @property
    def failed(self) -> int:
        return sum(not one.verdict.passed for one in self.played)


def find_cases(settings: Settings, names: Sequence[str]) -> list[Path]:
    """The files of cases that are meant by files, folders or journeys; of the settings' journeys if nothing is named.

    UserError where something that is named has no cases, or nothing has.
    """
    found = [path for name in names or settings.journeys for path in _cases_of(name, required=bool(names))]
    if not found:
        raise UserError(f"no cases beside {', '.join(names or settings.journeys)}: write them into NAME{SUFFIX}")
    return list(dict.fromkeys(found))


def _cases_of(name: str, required: bool) -> Iterable[Path]:
    path = Path(name)
    if name.endswith(SUFFIX):
        return [path]
    if path.is_dir():
        inside = sorted(path.rglob(_GLOB))
        if not inside and required:
            raise UserError(f"{path}: no file in this folder ends in {SUFFIX}")
        return inside
    journey = find_journey(name)
    cases = cases_beside(journey)
    if cases.exists():
        return [cases]
    if required:
        raise UserError(f"{journey}: there are no cases of it; write them into {cases}")
    return []


@dataclass(frozen=True, slots=True)
class Watched:
    """The files that the outcome hangs on, there already or not, and the folders in which all YAML counts."""

    files: frozenset[Path]
    folders: frozenset[Path]

    def __contains__(self, path: Path) -> bool:
        return path in self.files or (path.suffix == ".yaml" and not self.folders.isdisjoint(path.parents))


def watched(settings: Settings, names: Sequence[str]) -> Watched:
    """What to look at for changes, for the same names as `find_cases`; UserError where one is of no journey."""
    files, folders = {find_touches(settings.touches)}, set[Path]()
    for name in names or settings.journeys:
        path = Path(name)
        if name.endswith(SUFFIX):
            files |= {path, journey_beside(path)}
        elif path.is_dir():
            folders.add(path)
        else:
            journey = find_journey(name)
            files |= {journey, cases_beside(journey)}
    return Watched(frozenset(path.resolve() for path in files), frozenset(path.resolve() for path in folders))


def run_cases(settings: Settings, path: Path) -> Report:
    """Plays every case of a file; UserError on a mistake in it, in its journey or in the touch table."""
    cases = load_cases(path)
    journey_path = journey_beside(path)
    if not journey_path.exists():
        raise UserError(f"{path}: the journey that these cases are about is missing: {journey_path}")
    touches = load_touches(find_touches(settings.touches))
    spec = load_journey(journey_path, touches, cases.grace, clock_is_event=False)
    table = TouchTable((*touches, *spec.touches))
    journey = compile_journey(spec, table.company)
    played = []
    for case in cases.of(spec):
        looks = [look.at for look in case.looks]
        rehearsal = rehearse(journey, table, case.given, looks, case.until, settings.lateness, settings.recent_limit)
        played.append(Played(case, rehearsal, judge(case.expected, case.looks, rehearsal)))
    return Report(path, spec.name, spec.version, tuple(played))
