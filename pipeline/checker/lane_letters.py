"""One lane's dead letters: all that is no event is there, once, and nothing else but what the program failed on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.checker.findings import Findings
from pipeline.checker.rules import Record, Rules

REASON = "journey.reason"
ORIGIN = ("__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset")
FAILED = "fold_error"
"""The reason of an event that is valid: the program failed on it."""
TOO_OFTEN = "too_many_hops"
"""The reason of an event that followed somebody who kept moving."""


@dataclass(slots=True)
class LaneLetters:
    """Takes the records of the lane's partition of journey.dlq: those of `cut`, so many, in log order from `start`."""

    rules: Rules
    lane: int
    cut: int
    start: int
    findings: Findings
    taken: int = 0
    found: dict[tuple[str, int], str] = field(default_factory=dict)

    def take(self, records: Sequence[Record]) -> None:
        """The next records."""
        for record in records:
            self.taken += 1
            if self.start == 0 and self.taken > self.cut:
                continue
            self.findings.checked["dead letters"] += 1
            headers = dict(record.headers)
            topic, partition, offset = ((headers.get(name) or b"").decode(errors="replace") for name in ORIGIN)
            where = f"{self._topic}@{record.offset}"
            if partition != str(self.lane) or not offset.isdecimal():
                self.findings.add("wrong", where, f"says that it comes from {topic}-{partition}@{offset}")
                continue
            place = (topic, int(offset))
            if place in self.found:
                self.findings.add("doubled", where, f"{topic}-{partition}@{offset} is a dead letter already")
            self.found[place] = (headers.get(REASON) or b"").decode(errors="replace")

    def finish(self, newest: int) -> None:
        """Compares their number with the newest lane record, read after this topic."""
        if self.start == 0 and not self.cut <= self.taken <= newest:
            self.findings.add("torn", self._topic, f"{self.taken} records, the lane record counts {self.cut}")

    def compare(
        self,
        wanted: Mapping[tuple[str, int], str],
        astray: Collection[tuple[str, int]],
        cut_inputs: Collection[str],
    ) -> set[tuple[str, int]]:
        """What is no event by the checker's reading, against what is here; the places of events that failed.

        Those that are `astray` may be here.
        """
        commands = self.rules.topic("commands")
        for (topic, offset), reason in self.found.items():
            known = (topic, offset) in wanted or (reason == TOO_OFTEN and (topic, offset) in astray)
            if reason != FAILED and topic != commands and topic not in cut_inputs and not known:
                self.findings.add("wrong", f"{topic}-{self.lane}@{offset}", f"a dead letter ({reason}), but valid")
        if self.start > 0:
            self.findings.unjudged[f"dead letters: the log of {self._topic} has lost its beginning"] += 1
        else:
            for (topic, offset), why in wanted.items():
                if (topic, offset) not in self.found:
                    self.findings.add("lost", f"{topic}-{self.lane}@{offset}", f"no dead letter, but no event: {why}")
        return {place for place, reason in self.found.items() if reason == FAILED or place in astray}

    @property
    def _topic(self) -> str:
        return f"{self.rules.topic('dlq')}-{self.lane}"
