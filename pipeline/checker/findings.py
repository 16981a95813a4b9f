"""What a check has found, what it has looked at, and what it could not judge; small enough to go between processes."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "lost",
    "wrong",
    "doubled",
    "gap",
    "ahead",
    "table",
    "profile",
    "customer",
    "totals",
    "torn",
    "silence",
    "owner",
    "erased",
]

INVARIANTS: dict[Kind, str] = {
    "lost": "I1",
    "wrong": "I1",
    "doubled": "I2",
    "gap": "I3",
    "ahead": "I4",
    "table": "I5",
    "profile": "I5",
    "customer": "I5",
    "totals": "I7",
    "torn": "I7",
    "silence": "I9",
    "owner": "I8",
    "erased": "I10",
}
"""The invariant of docs/guarantees.md that each kind of finding breaks."""

MEANINGS: dict[Kind, str] = {
    "lost": "should be known to a subscriber, or in its topic, and is not",
    "wrong": "is known to a subscriber, or in its topic, and should not be",
    "doubled": "was published or routed twice",
    "gap": "breaks what the feed promises: seq, from, order",
    "ahead": "Redis shows what is not committed",
    "table": "Redis is not the changelog up to @pos",
    "profile": "the stored profile is not what the events make of it",
    "customer": "journey.customers is not the last transition",
    "totals": "the lane record does not count what is there",
    "torn": "one transaction's records are there in part",
    "silence": "a timer fired although an event acknowledged in time breaks it",
    "owner": "an identity is not with whom events and orders make it belong to",
    "erased": "is left of somebody who was erased, or was lost by an erasure that nobody ordered",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `where`: topic-partition@offset, or the Redis key and field."""

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Findings:
    """Counts all findings and keeps the first `kept` of each kind.

    `checked`: how many of what were compared. `unjudged`: what could not be judged -> how many.
    """

    kept: int = 20
    counts: Counter[Kind] = field(default_factory=Counter)
    examples: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Notes one finding."""
        self.counts[kind] += 1
        if self.counts[kind] <= self.kept:
            self.examples.append(Finding(kind, where, what))

    def merge(self, other: "Findings") -> None:
        """Adds those of another part of the check."""
        self.counts.update(other.counts)
        self.checked.update(other.checked)
        self.unjudged.update(other.unjudged)
        have = Counter(finding.kind for finding in self.examples)
        for finding in other.examples:
            have[finding.kind] += 1
            if have[finding.kind] <= self.kept:
                self.examples.append(finding)

    def of(self, *kinds: Kind) -> list[str]:
        """The examples of these kinds, as lines."""
        return [str(finding) for finding in self.examples if finding.kind in kinds]

    @property
    def total(self) -> int:
        """All findings, kept or not."""
        return sum(self.counts.values())
