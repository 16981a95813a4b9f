"""A lane's keys and the commands that write them, as data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from pipeline.adapters.redis.connection import Command
from pipeline.application.ports import TableWrite

Value = TypeVar("Value")

POSITION = b"@pos"
"""The field that says up to which record of the changelog the table goes: `<topic id>:<offset>`."""

FIELDS_A_COMMAND = 500
"""Fields named in one command. Longer commands cost more to pack, and Redis serves nobody else while it runs one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one lane. The braces keep them in one slot of a cluster."""

    table: bytes
    due: bytes
    attempts: bytes

    @classmethod
    def of(cls, application: str, lane: int) -> "Keys":
        table = f"{application}:{{{lane}}}".encode()
        return cls(table, table + b":due", table + b":attempts")

    def attempt(self, name: str) -> "Keys":
        """The keys that the rebuild `name` fills; ValueError if the name would hide another key of the lane."""
        encoded = name.encode()
        if not encoded or encoded == b"attempts" or encoded.rpartition(b":")[2] == b"due":
            raise ValueError(
                f"{name!r} cannot name a rebuild: it must not be empty, 'attempts', 'due' or end in ':due'"
            )
        table = self.table + b":" + encoded
        return Keys(table, table + b":due", self.attempts)


def write_commands(keys: Keys, write: TableWrite) -> list[Command]:
    """HSET, HDEL, ZADD and ZREM for what `write` changes, none of them longer than `FIELDS_A_COMMAND`."""
    fields, gone = _split(write.fields)
    due, settled = _split(write.due)
    return [
        *((b"HSET", keys.table, *chunk) for chunk in _chunks(list(chain.from_iterable(fields.items())), 2)),
        *((b"HDEL", keys.table, *chunk) for chunk in _chunks(gone, 1)),
        *((b"ZADD", keys.due, *chunk) for chunk in _chunks([x for field, at in due.items() for x in (at, field)], 2)),
        *((b"ZREM", keys.due, *chunk) for chunk in _chunks(settled, 1)),
    ]


def _split(changes: Mapping[bytes, Value | None]) -> tuple[Mapping[bytes, Value], list[bytes]]:
    """What is set, and the fields that are deleted."""
    if None not in changes.values():
        return changes, []  # type: ignore[return-value]  # no value is None
    kept = {field: value for field, value in changes.items() if value is not None}
    return kept, [field for field, value in changes.items() if value is None]


def _chunks(arguments: Sequence[bytes | int], a_field: int) -> Iterator[Sequence[bytes | int]]:
    """The arguments in runs of `FIELDS_A_COMMAND` fields, each taking `a_field` of them."""
    step = FIELDS_A_COMMAND * a_field
    return (arguments[start : start + step] for start in range(0, len(arguments), step))
