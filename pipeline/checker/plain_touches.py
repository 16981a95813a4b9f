"""Which touch an event is, by the checker's own reading of the touch table (rule 1 of docs/semantics.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHANNELS = ("web", "email", "social", "phone", "store")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table; None fits everything. `where`: path of a property -> the values that fit."""

    name: str
    types: frozenset[str] | None
    channels: frozenset[str] | None
    sources: frozenset[str] | None
    actor: str
    where: Mapping[str, Sequence[Any]]


def read_touches(document: Mapping[str, Any]) -> list[Row]:
    """The rows of a touch table, or those that a journey brings along, in file order."""
    return [
        Row(
            name=name,
            types=_set(row, "type"),
            channels=_set(row, "channel"),
            sources=_set(row, "source"),
            actor=row.get("actor", "customer"),
            where={path: _list(values) for path, values in row.get("where", {}).items()},
        )
        for name, row in document.get("touches", {}).items()
    ]


def touch_of(event: Mapping[str, Any], channel: str, rows: Sequence[Row]) -> str:
    """The touch of a raw event that came by this channel."""
    actor = event.get("actor", "customer")
    for row in rows:
        if (
            row.actor == actor
            and (row.types is None or event["type"] in row.types)
            and (row.channels is None or channel in row.channels)
            and (row.sources is None or event.get("source") in row.sources)
            and all(_holds(event, path, values) for path, values in row.where.items())
        ):
            return row.name
    return "unclassified" if actor == "customer" else "company_act"


def _holds(event: Mapping[str, Any], path: str, values: Sequence[Any]) -> bool:
    """Whether the property has one of the values; true is not 1, and what is missing is null."""
    found: Any = event.get("properties", {})
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return False
        found = found.get(name)
    return any(found == value and isinstance(found, bool) == isinstance(value, bool) for value in values)


def _set(row: Mapping[str, Any], key: str) -> frozenset[str] | None:
    return frozenset(_list(row[key])) if key in row else None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
