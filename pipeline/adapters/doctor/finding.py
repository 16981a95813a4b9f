"""What one look has found: how bad it is, and what mends it."""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["ok", "note", "warning", "error"]
SEVERITIES: Final[tuple[Severity, ...]] = ("ok", "note", "warning", "error")
"""A note is for information, what could not be looked at included; a warning can wait for the day; an error cannot."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`about`: what was looked at, such as `redis memory`; `what`: how it is; `mend`: a command or a sentence."""

    about: str
    severity: Severity
    what: str
    mend: str = ""


def not_checked(about: str, why: str) -> Finding:
    """For what could not be looked at: neither good nor bad is known of it."""
    return Finding(about, "note", f"not checked: {why}")
