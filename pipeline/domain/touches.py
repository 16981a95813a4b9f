"""The touch table, compiled: which of the shared names an event gets."""

from collections.abc import Iterator

import msgspec

from pipeline.domain.event import Invalid, RawEvent
from pipeline.domain.spec import Condition, TouchSpec

UNCLASSIFIED = "unclassified"
"""The touch of a customer's act that no row fits: counted, moves no stage."""

COMPANY_ACT = "company_act"
"""The touch of a company's act that no row fits."""

_REMEMBERED = 10_000

_decode_properties = msgspec.json.Decoder().decode


class TouchTable:
    """Classifies events by the first row that fits. What depends on the envelope alone is looked up, not searched."""

    def __init__(self, rows: tuple[TouchSpec, ...]) -> None:
        self._rows = rows
        self._known: dict[tuple[str, str, str | None, str], str | tuple[TouchSpec, ...]] = {}
        self._types: dict[str, str] = {}
        self.company = frozenset({row.name for row in rows if row.actor == "company"} | {COMPANY_ACT})

    @property
    def names(self) -> Iterator[str]:
        """All touches and the types of event that the rows name."""
        yield from (UNCLASSIFIED, COMPANY_ACT)
        for row in self._rows:
            yield row.name
            yield from sorted(row.types or ())

    def shared(self, kind: str) -> str:
        """The one copy of an event type that all remembered events share: most of memory is what customers hold."""
        found = self._types.get(kind)
        if found is None:
            if len(self._types) >= _REMEMBERED:
                self._types.clear()
            found = self._types[kind] = kind
        return found

    def classify(self, event: RawEvent, channel: str) -> str:
        """The touch of `event`, which came by `channel`; raises Invalid if it hangs on properties nobody can read."""
        envelope = (event.type, channel, event.source, event.actor)
        found = self._known.get(envelope)
        if found is None:
            found = self._search(envelope)
        if isinstance(found, str):
            return found
        return self._by_properties(found, event)

    def _search(self, envelope: tuple[str, str, str | None, str]) -> str | tuple[TouchSpec, ...]:
        kind, channel, source, actor = envelope
        fitting: list[TouchSpec] = []
        for row in self._rows:
            if (
                row.actor == actor
                and (row.types is None or kind in row.types)
                and (row.channels is None or channel in row.channels)
                and (row.sources is None or source in row.sources)
            ):
                fitting.append(row)
                if not row.where:
                    break
        found: str | tuple[TouchSpec, ...] = tuple(fitting)
        if not fitting:
            found = UNCLASSIFIED if actor == "customer" else COMPANY_ACT
        elif not fitting[0].where:
            found = fitting[0].name
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[envelope] = found
        return found

    def _by_properties(self, rows: tuple[TouchSpec, ...], event: RawEvent) -> str:
        try:
            properties = _decode_properties(event.properties)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid("invalid", f"properties: {error}") from None
        for row in rows:
            if all(_holds(condition, properties) for condition in row.where):
                return row.name
        return UNCLASSIFIED if event.actor == "customer" else COMPANY_ACT


def _holds(condition: Condition, properties: object) -> bool:
    found = properties
    for name in condition.path:
        if not isinstance(found, dict):
            return False
        found = found.get(name)
    return any(found == value and isinstance(found, bool) == isinstance(value, bool) for value in condition.values)
