"""Orders that a lane which stands still looks for among its commands."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from pipeline.application.control import find_order
from pipeline.application.ports import Headers

LANE = 3


@dataclass(frozen=True)
class Read:
    offset: int
    value: bytes | None
    timestamp: int = 0
    key: bytes | None = None
    headers: Headers = ()


def order(offset: int, command: str = "resume", lane: int = LANE, **more: Any) -> Read:
    said = {"id": f"o{offset}", "command": command, "lane": lane, "reason": f"reason {offset}", **more}
    return Read(offset, json.dumps(said).encode())


FOUND: dict[str, tuple[Sequence[Read], Literal["resume", "skip"], int, int | None]] = {
    "nothing there": ([], "resume", 0, None),
    "one": ([order(7)], "resume", 0, 7),
    "exactly from there on": ([order(7)], "resume", 7, 7),
    "one from before": ([order(7)], "resume", 8, None),
    "the newest of several": ([order(7), order(8), order(9)], "resume", 8, 9),
    "the newest of its kind": ([order(7), order(8), order(9, "skip")], "resume", 0, 8),
    "the other kind": ([order(7), order(9, "skip"), order(10)], "skip", 0, 9),
    "for another lane": ([order(7), order(8, lane=4)], "resume", 0, 7),
    "for another lane only": ([order(8, lane=4)], "resume", 0, None),
    "among what is no command": (
        [order(7), Read(8, None), Read(9, b"{"), Read(10, b"[" * 100_000), Read(11, b"\xff"), order(12, "dance")],
        "resume",
        0,
        7,
    ),
    "behind a gap": ([order(3), order(70, "skip")], "resume", 3, 3),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_newest_order_counts(name: str) -> None:
    records, kind, start, expected = FOUND[name]
    found = find_order(records, kind, LANE, start)
    assert (found and found[0]) == expected
    if found is not None:
        offset, command = found
        assert (command.command, command.lane, command.reason) == (kind, LANE, f"reason {offset}")


def test_a_skip_may_name_its_topic() -> None:
    found = find_order([order(1, "skip", topic="raw.web")], "skip", LANE, 0)
    assert found is not None
    assert found[1].topic == "raw.web"
