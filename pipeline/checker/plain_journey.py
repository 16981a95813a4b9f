"""A journey and a touch table as plain values, read straight from their YAML: the checker's own reading.

It knows nothing of how the pipeline loads a journey, so that a slip there is seen. Files are taken to be right: whoever
wants to know what is wrong with one asks the linter. Durations are milliseconds.
"""

from dataclasses import dataclass

START = ""
"""The stage of a customer who has entered none yet."""

ANY = "any"
"""In `since: last any`: every act of the customer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An act moves the customer to `to`: one of `touches`, in one of the stages `froms`."""

    rule: str
    to: str
    touches: frozenset[str]
    froms: frozenset[str]
    count: int
    within: int | None
    at_least: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Silence:
    """A timer. With `to` it moves the customer, else it fires the signal `signal`.

    `since`: the touches whose last one it counts from, None for the entry of the stage. `froms`: the stages it counts
    in, None for all of them and the start.
    """

    rule: str
    signal: str
    to: str | None
    after: int
    since: frozenset[str] | None
    froms: frozenset[str] | None
    unless: frozenset[str]
    grace: int
    expires: int | None


@dataclass(frozen=True, slots=True)
class Journey:
    """Rules in the order of the file, which decides between rules that fit alike."""

    name: str
    stages: tuple[str, ...]
    entries: tuple[Entry, ...]
    silences: tuple[Silence, ...]
