"""Journey files and touch tables judged like code: all that is wrong with all of them, in one run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pipeline.adapters.git_files import committed
from pipeline.adapters.journey_files import MODELS, read_journey, read_touches
from pipeline.adapters.journey_versions import carry_problems
from pipeline.adapters.yaml_documents import Document, Mark, Problem, Refused, Source, parse, read
from pipeline.domain.spec import JourneySpec, TouchSpec
from pipeline.errors import UserError

TABLE: Final = "touches.yaml"
"""What a touch table is called that lies beside the journeys it is for."""

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something at a place; line and column from 1, 0 where none is known. `excerpt` has a caret under the place."""

    level: Level
    path: str
    line: int
    column: int
    message: str
    suggestion: str | None
    excerpt: str

    def __str__(self) -> str:
        """As people read it."""
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        kind = "warning: " if self.level == "warning" else ""
        excerpt = f"\n{self.excerpt}" if self.excerpt else ""
        return f"{place}: {kind}{self.text}{excerpt}"

    @property
    def text(self) -> str:
        return f"{self.message}; did you mean '{self.suggestion}'?" if self.suggestion else self.message


def journey_files(paths: Iterable[Path]) -> list[Path]:
    """The YAML files that are named, and those in the folders that are named, cases left out; UserError if
    there is none."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
        inside = [file for file in inside if file == path or "." not in file.stem]
        if not inside:
            raise UserError(f"{path}: there is no YAML file in this folder")
        found += inside
    return list(dict.fromkeys(found))


class Linter:
    """Judges files one after the other; `grace` in ms by channel.

    `touches`: the table for all journeys; without, it is the `touches.yaml` beside a journey, else the built-in one.
    `against`: an older file, or a revision of git, whose rules must be another version if they are other rules.
    """

    def __init__(self, grace: Mapping[str, int], touches: Path | None, against: str | None) -> None:
        self._grace = grace
        self._touches = touches
        self._against = against
        self._tables: dict[Path, tuple[TouchSpec, ...] | None] = {}
        self._places: dict[str, Mark] = {}
        self.findings: list[Finding] = []

    def judge(self, paths: Sequence[Path]) -> None:
        """Adds to `findings` what is wrong with the files."""
        for path in paths:
            try:
                document = read(path)
            except UserError as error:
                self._refused(path, error)
                continue
            root = document.value
            if isinstance(root, dict) and "touches" in root and not {"journey", "stages"} & root.keys():
                self._table(path)
            else:
                self._journey(path, document)
        files = {one.path: place for place, one in reversed(list(enumerate(self.findings)))}
        self.findings = sorted(dict.fromkeys(self.findings), key=lambda one: (files[one.path], one.line, one.column))

    def _journey(self, path: Path, document: Document) -> None:
        table = self._touches or (path.with_name(TABLE) if path.with_name(TABLE).is_file() else MODELS / TABLE)
        rows = self._table(table)
        if rows is None:
            self._note("error", document.problem((), f"not judged: its touch table, {table}, has mistakes of its own"))
            return
        try:
            spec, warnings, *_ = read_journey(document, rows, self._grace)
        except UserError as error:
            self._refused(path, error)
            return
        for warning in warnings:
            self._note("warning", warning)
        first = self._places.setdefault(spec.name, document.mark(("journey",)))
        if first != document.mark(("journey",)):
            message = f"the journey '{spec.name}' is in {first} already: give one of them another name"
            self._note("error", document.problem(("journey",), message))
        self._compare(path, table, document, spec)

    def _table(self, path: Path) -> tuple[TouchSpec, ...] | None:
        """The rows, or None if they are refused, which is noted once."""
        if path not in self._tables:
            self._tables[path] = None
            try:
                self._tables[path] = read_touches(read(path))
            except UserError as error:
                self._refused(path, error)
        return self._tables[path]

    def _compare(self, path: Path, table: Path, document: Document, spec: JourneySpec) -> None:
        """Other rules need another version than those that are committed, or that stand in the older file."""
        old_path = Path(self._against) if self._against is not None and Path(self._against).is_file() else None
        what = str(old_path) if old_path else self._against or "HEAD"
        old_text = old_path.read_text(encoding="utf-8") if old_path else committed(path, what)
        if old_text is None:
            if self._against is not None:
                self._note("warning", document.problem((), f"not compared: git knows no such file in '{what}'"))
            return
        old_table = committed(table, what) if old_path is None else None
        try:
            rows = (
                read_touches(parse(Source(f"{table} of {what}", old_table)))
                if old_table is not None
                else self._table(table) or ()
            )
            old = read_journey(parse(Source(f"{path} of {what}", old_text)), rows, self._grace).spec
        except UserError as error:
            why = error.message.splitlines()[0]
            self._note("warning", document.problem((), f"not compared: what it was in {what} is refused: {why}"))
            return
        if old.name == spec.name and old.fingerprint != spec.fingerprint and old.version >= spec.version:
            message = (
                f"the rules are not those of version {old.version} in {what}: make this version {old.version + 1}, "
                "or customers would be led by two sets of rules under one number"
            )
            self._note("error", document.problem(("version",), message))
        if old.name == spec.name and old.version < spec.version:
            for problem in carry_problems(document, spec, old):
                self._note("error", problem)

    def _refused(self, path: Path, error: UserError) -> None:
        if isinstance(error, Refused):
            for problem in error.problems:
                self._note("error", problem)
        else:
            self.findings.append(Finding("error", str(path), 0, 0, error.message.removeprefix(f"{path}: "), None, ""))

    def _note(self, level: Level, problem: Problem) -> None:
        mark = problem.mark
        self.findings.append(
            Finding(
                level, mark.source.name, mark.line, mark.column, problem.message, problem.suggestion, mark.excerpt()
            )
        )
