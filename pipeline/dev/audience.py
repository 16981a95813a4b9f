"""What a local run tells whoever looks on."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.adapters.published import Published


@dataclass(slots=True)
class Sent:
    """What has been sent so far in this run. `reached` and `promised` (the last punctuation) are simulated ms."""

    events: int = 0
    reached: int = 0
    promised: int | None = None


@dataclass(slots=True)
class Totals:
    """What happened in this run. `watermark`: simulated ms. `seconds`: since the simulator began."""

    sent: Sent = field(default_factory=Sent)
    folded: int = 0
    late: int = 0
    dead: int = 0
    watermark: int | None = None
    stages: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Transitions by journey and the stage that was entered."""
    signals: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Transitions and signals by kind."""
    seconds: float = 0.0
    worth_a_look: str = ""


class Audience(Protocol):
    """Whoever looks on."""

    def step(self, what: str) -> None:
        """What is being done now."""

    def trouble(self, what: str) -> None: ...
    def published(self, change: "Published") -> None: ...
    def totals(self, totals: Totals) -> None: ...
