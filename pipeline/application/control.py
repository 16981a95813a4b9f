"""Orders that reach a lane before their turn: it looks at its commands without taking them."""

from collections.abc import Sequence
from typing import Literal

from pipeline.application.intake import Command, decode_command
from pipeline.application.ports import Record
from pipeline.domain.event import Invalid


def find_order(
    records: Sequence[Record], order: Literal["pause", "resume", "skip"], lane: int, start: int
) -> tuple[int, Command] | None:
    """The newest such order for this lane at or behind offset `start`: its offset and what it says."""
    for record in reversed(records):
        if record.offset < start:
            break
        try:
            command = decode_command(record.value)
        except Invalid:
            continue
        if command.command == order and command.lane == lane:
            return record.offset, command
    return None
