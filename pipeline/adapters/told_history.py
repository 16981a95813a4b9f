"""The history that published transitions add up to, and what of it was taken back on the way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.adapters.published import PublishedTransition


class TakenBack(NamedTuple):
    """An entry as it was told, and the record that took it back: a retraction, or what it was corrected to."""

    told: PublishedTransition
    by: PublishedTransition


@dataclass(slots=True)
class ToldHistory:
    """One customer in one journey. Take the transitions in the order of their log."""

    held: dict[str, PublishedTransition] = field(default_factory=dict)
    taken_back: list[TakenBack] = field(default_factory=list)

    def take(self, transition: PublishedTransition) -> None:
        """The next record."""
        for gone in transition.supersedes:
            if gone != transition.entry:
                self._take_back(gone, transition)
        if transition.kind == "retracted":
            self._take_back(transition.entry, transition)
        elif transition.kind == "moved" and transition.into is not None:
            self.held.clear()  # it counts in the owner's history now
        elif transition.kind != "moved" and transition.to is not None:
            # What is told once more goes behind the others of its moment, but it was told before.
            known = self.held.pop(transition.entry, None)
            self.held[transition.entry] = transition if known is None or _differ(known, transition) else known

    def net(self) -> Sequence[PublishedTransition]:
        """What holds, in order of event time; of one moment in the order of publication."""
        return sorted(self.held.values(), key=lambda entry: entry.occurred_at)

    def _take_back(self, entry: str, by: PublishedTransition) -> None:
        told = self.held.pop(entry, None)
        if told is not None:
            self.taken_back.append(TakenBack(told, by))


def _differ(one: PublishedTransition, other: PublishedTransition) -> bool:
    return (one.occurred_at, one.to, one.cause) != (other.occurred_at, other.to, other.cause)


def net_history(transitions: Iterable[PublishedTransition]) -> dict[tuple[str, str], Sequence[PublishedTransition]]:
    """By (customer, journey): what remains once corrections are followed, in order of event time."""
    histories: dict[tuple[str, str], ToldHistory] = {}
    for each in transitions:
        histories.setdefault((each.customer_id, each.journey), ToldHistory()).take(each)
    return {whose: history.net() for whose, history in histories.items()}
