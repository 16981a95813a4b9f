"""A journey as its author wrote it, checked and with defaults filled in: the input of the compiler.

Loaded from YAML by `pipeline.adapters.journey_files`; times are milliseconds, stages and touches are names.
"""

from dataclasses import dataclass
from typing import Literal

START = ""
"""The stage of a customer who has entered none yet."""

ANY = "any"
"""In `since: last any`: every act of the customer, classified or not."""

Scalar = str | int | float | bool | None
Actor = Literal["customer", "company"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A property of the event, reached by `path`, has one of `values`."""

    path: tuple[str, ...]
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class TouchSpec:
    """One row of the touch table; `None` means any. The first row that fits an event names its touch."""

    name: str
    types: frozenset[str] | None
    channels: frozenset[str] | None
    sources: frozenset[str] | None
    actor: Actor
    where: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class EntrySpec:
    """A rule by which an event moves a customer to the stage `to`.

    `froms` are the stages it applies in (START included if it does). With `count` > 1 the newest `count` touches
    must lie in a half-open span of `within_ms` (t_n - t_1 < within), or, without it, after the entry of the present
    stage. `at_least` are (touch, n): the customer has shown that touch n times or more, this event included.
    """

    rule: str
    to: str
    touches: tuple[str, ...]
    froms: tuple[str, ...]
    count: int
    within_ms: int | None
    at_least: tuple[tuple[str, int], ...]
    repeat: bool = False
    """Whether it also fits in the stage `to` itself, which it then enters once more."""


@dataclass(frozen=True, slots=True)
class SilenceSpec:
    """A timer: `after_ms` since the entry of the stage, or since the last of some touches, with nothing that breaks it.

    With `to` it moves the customer (a stage timer), else it fires the signal `rule`. `froms` are the stages it is
    pending in; `None` means it does not look at the stage. `since` is None for the entry of the stage, else the
    touches whose last one counts, `(ANY,)` for all. `unless` are the further touches that break the silence.
    It waits for the watermark to pass due + `grace_ms`. A signal is of use until due + `expires_ms`.
    """

    rule: str
    to: str | None
    after_ms: int
    since: tuple[str, ...] | None
    froms: tuple[str, ...] | None
    unless: tuple[str, ...]
    grace_ms: int
    expires_ms: int | None


Once = Literal["entry", "customer"] | int


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """A signal that a touch fires, at the time of the event, if the counts hold as with `EntrySpec`.

    `froms` are the stages it fires in, as the stage is after the event; `None` means it does not look at the stage.
    `unless` are (touch, ms): not if that touch was shown less than so long before; `None`: not if it ever was.
    `once` says how often: once in an entry of a stage, once for a customer, or once in so many ms; `None`: every time.
    It waits for the watermark to pass the event by `grace_ms`. It is of use for `expires_ms` from the event on.
    """

    rule: str
    touches: tuple[str, ...]
    froms: tuple[str, ...] | None
    count: int
    within_ms: int | None
    at_least: tuple[tuple[str, int], ...]
    unless: tuple[tuple[str, int | None], ...]
    once: Once | None
    grace_ms: int
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage: its id and its label by language. In a `terminal` one a journey may end."""

    id: str
    labels: tuple[tuple[str, str], ...]
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class CarryOver:
    """Where the customers of version `from_version` go: (stage, stage), None to have them folded again.

    Who is in a stage that is not named stays there.
    """

    from_version: int
    stages: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class JourneySpec:
    """A whole journey. `entries` and `silences` stand in file order, which decides between rules that fit alike."""

    name: str
    version: int
    stages: tuple[StageSpec, ...]
    entries: tuple[EntrySpec, ...]
    silences: tuple[SilenceSpec, ...]
    fingerprint: str
    """SHA-256 (first 16 hex digits) of everything that decides, labels left out: the same rules have the same one."""
    triggers: tuple[TriggerSpec, ...] = ()
    """In file order, like the others."""
    touches: tuple[TouchSpec, ...] = ()
    """The rows that the journey brings along: asked after those that all journeys share."""
    carry_over: CarryOver | None = None
    """For those who are under the version before; not among what the fingerprint is made of."""
