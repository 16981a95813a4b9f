"""The versions of its journeys that one lane has run, as its changelog keeps them under `@models`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from pipeline.checker.plain_journey import Journey, parse_text, read_journey
from pipeline.checker.plain_switch import Switch
from pipeline.checker.plain_touches import Row, read_touches
from pipeline.checker.rules import Rules

MODELS = b"@models"

KEPT = 6
"""A lane keeps so many switches of a journey; with as many there may have been others before."""


@dataclass(frozen=True, slots=True)
class Versions:
    """A journey over time: `journeys` by version, in the order of `switches`, which lead from `first` to the last.

    `whole`: whether the first switch that ever was is among them.
    """

    first: Journey
    switches: Sequence[Switch] = ()
    journeys: Mapping[int, Journey] = field(default_factory=dict)
    whole: bool = True

    @property
    def now(self) -> Journey:
        return self.switches[-1].journey if self.switches else self.first

    @property
    def folds_again(self) -> bool:
        """Whether any customer was folded again, so that it matters what was remembered of them."""
        return any(
            switch.folds_again(stage) for switch in self.switches for stage in (*switch.former.stages, *switch.stages)
        )


def lane_rules(rules: Rules, stored: bytes | None) -> tuple[Rules, Mapping[str, Versions]]:
    """The rules as one lane has them, and the versions of each of its journeys; `stored` is its `@models`."""
    promoted: Mapping[str, Any] = {} if stored is None else orjson.loads(stored)["journeys"]
    rows: dict[str, Row] = {row.name: row for row in rules.rows}
    found: dict[str, Versions] = {}
    versions = dict(rules.versions)
    for journey in rules.journeys:
        own = promoted.get(journey.name)
        if own is None or not own["switches"]:
            found[journey.name] = Versions(journey, journeys={rules.versions.get(journey.name, 0): journey})
            continue
        texts = [*(switch["text"] for switch in own["switches"]), own["text"]]
        documents = [parse_text(text) for text in texts]
        for document in documents:
            rows.update({row.name: row for row in read_touches(document)})
        read = [read_journey(document, list(rows.values()), rules.grace) for document in documents]
        switches = [
            Switch(former, later, said["version"], said["stages"], said["watermark"], said["next"])
            for said, former, later in zip(own["switches"], read, read[1:], strict=False)
        ]
        numbers = [own["switches"][0]["former"], *(said["version"] for said in own["switches"])]
        whole = len(switches) < KEPT
        found[journey.name] = Versions(read[0], switches, dict(zip(numbers, read, strict=True)), whole)
        versions[journey.name] = own["version"]
    journeys = [found[journey.name].now for journey in rules.journeys]
    return replace(rules, rows=list(rows.values()), journeys=journeys, versions=versions), found
