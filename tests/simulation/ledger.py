"""What was sent, and what must become of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

TopicPartition = tuple[str, int]


@dataclass(eq=False, slots=True)
class Sent:
    """An event as it was sent. `dead`: the reason why it is none.

    `acknowledged`: true virtual ms at which its sender was told that it is safe; None until then, and for good if its
    transaction was aborted. `late`: it comes after an event that makes it late.
    `alone`: not in a transaction.
    """

    event: dict[str, Any]
    topic: str
    partition: int
    offset: int
    appended: int
    channel: str
    dead: str | None = None
    late: bool = False
    alone: bool = True
    acknowledged: int | None = None

    @property
    def id(self) -> str:
        return str(self.event["id"])

    @property
    def customer(self) -> str:
        return str(self.event["customer_id"])


@dataclass(slots=True)
class Ledger:
    """`by_place` holds every event, `copies` those whose id was sent before; `unfolded` the ids that Kafka has
    acknowledged and nobody has folded, with when it did."""

    by_place: dict[TopicPartition, dict[int, Sent]] = field(default_factory=dict)
    acknowledged: list[Sent] = field(default_factory=list)
    unfolded: dict[str, int] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)
    dead: Counter[str] = field(default_factory=Counter)

    def add(self, sent: Sent) -> None:
        self.by_place.setdefault((sent.topic, sent.partition), {})[sent.offset] = sent

    def acknowledge(self, sent: Sent, at: int) -> None:
        """From now on it counts, at true time `at` (ms)."""
        sent.acknowledged = at
        self.acknowledged.append(sent)
        if sent.dead is not None:
            self.dead[sent.dead] += 1
        elif not sent.late and sent.id not in self.folded:
            self.unfolded.setdefault(sent.id, at)

    def fold(self, identifier: str) -> None:
        self.folded.add(identifier)
        self.unfolded.pop(identifier, None)
