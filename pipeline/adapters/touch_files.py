"""The touch table as people write it: which event counts as which touch, the first row that fits."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from pipeline.adapters.yaml_documents import Document, Problem, read, refuse
from pipeline.adapters.yaml_files import LONE_OR_MANY, NOT_EMPTY, Section, check, closed_set, matching, one_of
from pipeline.domain.event import CHANNELS
from pipeline.domain.spec import ANY, Actor, Condition, Scalar, TouchSpec
from pipeline.domain.touches import COMPANY_ACT, UNCLASSIFIED

RESERVED: Final = frozenset({ANY, UNCLASSIFIED, COMPANY_ACT})
"""Touches with a meaning of their own, which no row may define."""

MOST_ROWS: Final = 1_000
"""Of one table, which are asked one after the other."""

Identifier = Annotated[
    str, matching(r"[a-z][a-z0-9_-]{0,63}", "lower-case letters, digits, '_' and '-', with a letter first")
]
Channels = Annotated[tuple[Annotated[str, closed_set("channel", CHANNELS)], ...], LONE_OR_MANY, NOT_EMPTY]
Names = Annotated[tuple[str, ...], LONE_OR_MANY, NOT_EMPTY]


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | int | float):
        return value
    raise PydanticCustomError(
        "scalar", "must be text, a number, true, false or null; a property inside another is written 'outer.inner'"
    )


Values = Annotated[tuple[Annotated[Scalar, PlainValidator(_scalar)], ...], LONE_OR_MANY, NOT_EMPTY]
PropertyPath = Annotated[str, matching(r"[^.]+(\.[^.]+)*", "the names of properties with a dot between")]


class TouchRow(Section):
    """One row; what is left out fits everything."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "unless": "a row says what fits, not what does not: a narrower row above this one takes those events",
        "value": "the value of a property is a condition: write `where: {property: value}`",
    }
    type: Names = ()
    channel: Channels = ()
    source: Names = ()
    actor: Actor = "customer"
    where: dict[PropertyPath, Values] = Field(default={})

    def spec(self, name: str) -> TouchSpec:
        return TouchSpec(
            name=name,
            types=frozenset(self.type) or None,
            channels=frozenset(self.channel) or None,
            sources=frozenset(self.source) or None,
            actor=self.actor,
            where=tuple(Condition(tuple(path.split(".")), values) for path, values in self.where.items()),
        )


class TouchFile(Section):
    """The file. `properties`: those that events have; a condition on another is a slip. Without, any may be named."""

    properties: Annotated[tuple[PropertyPath, ...], LONE_OR_MANY, NOT_EMPTY] | None = None
    touches: dict[Identifier, TouchRow]


def load_touches(path: Path) -> tuple[TouchSpec, ...]:
    """The rows in file order; UserError that lists every mistake with its place."""
    return read_touches(read(path))


def read_touches(document: Document) -> tuple[TouchSpec, ...]:
    """As `load_touches`, of a document."""
    file = check(document, TouchFile)
    rows = tuple(row.spec(name) for name, row in file.touches.items())
    refuse([*wrong_rows(document, (), rows), *_unknown_properties(document, file)])
    return rows


def _unknown_properties(document: Document, file: TouchFile) -> Iterator[Problem]:
    for name, row in file.touches.items() if file.properties is not None else ():
        for path in row.where:
            if file.properties is not None and path not in file.properties:
                loc = ("touches", name, "where", path)
                yield document.problem(loc, *one_of("property", path, file.properties), at_key=True)


def wrong_rows(document: Document, shared: Sequence[TouchSpec], rows: Sequence[TouchSpec]) -> Iterator[Problem]:
    """What is wrong with the rows of a document, which are asked after those of the `shared` table."""
    if len(rows) > MOST_ROWS:
        yield document.problem(("touches",), f"{len(rows):,} touches: a table has at most {MOST_ROWS:,}", at_key=True)
        return
    for place, row in enumerate(rows):
        loc = ("touches", row.name)
        if row.name in RESERVED:
            yield document.problem(
                loc, f"'{row.name}' is a touch with a meaning of its own: choose another", at_key=True
            )
        if any(row.name == other.name for other in shared):
            yield document.problem(loc, f"the shared table has a touch '{row.name}' already", at_key=True)
        if row.types is row.channels is row.sources is None and not row.where:
            yield document.problem(loc, f"'{row.name}' fits every event: give a type, channel, source or where")
        if above := next((other for other in (*shared, *rows[:place]) if _takes_all(other, row)), None):
            where = "of the shared table" if above in shared else "above"
            yield document.problem(
                loc, f"'{row.name}' is never chosen: '{above.name}' {where} takes all of it", at_key=True
            )


def _takes_all(above: TouchSpec, below: TouchSpec) -> bool:
    """Whether every event that fits `below` fits `above`, as far as can be told without looking into conditions."""
    return (
        above.actor == below.actor
        and all(condition in below.where for condition in above.where)
        and all(
            wide is None or (narrow is not None and narrow <= wide)
            for wide, narrow in (
                (above.types, below.types),
                (above.channels, below.channels),
                (above.sources, below.sources),
            )
        )
    )


def may_take(above: TouchSpec, below: TouchSpec) -> bool:
    """Whether some event that fits `below` may be taken by `above`, if that stands before it."""
    return above.actor == below.actor and all(
        one is None or other is None or bool(one & other)
        for one, other in (
            (above.types, below.types),
            (above.channels, below.channels),
            (above.sources, below.sources),
        )
    )
