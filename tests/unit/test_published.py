"""What subscribers read: the examples of the schemas as typed values, as lines for people, and their net history."""

import json
from pathlib import Path

import pytest

from pipeline.adapters.kafka.feed_reader import FeedRecord
from pipeline.adapters.published import dead_letter, signal, transition
from pipeline.adapters.told_history import net_history
from pipeline.cli.lines import dead_letter_line, line

SCHEMAS = Path(__file__).parents[2] / "schemas"
MONDAY, TUESDAY, WEDNESDAY = (f"2025-01-0{day}T09:00:00.000Z" for day in (6, 7, 8))


def record(value: bytes, key: bytes = b"c1", headers: list[tuple[str, bytes]] | None = None) -> FeedRecord:
    return FeedRecord("journey.transitions", 0, 0, 0, key, value, headers or [])


def change(seq: int, kind: str, to: str | None, entry: str, at: str, supersedes: list[str] | None = None) -> FeedRecord:
    content = {
        "id": f"c1:five-stage:1:{seq}",
        "customer_id": "c1",
        "journey": "five-stage",
        "version": 1,
        "seq": seq,
        "kind": kind,
        "from": None,
        "to": to,
        "entry": entry,
        "supersedes": supersedes or [],
        "occurred_at": at,
        "published_at": at,
        "cause": {"event": {"id": "e", "type": "t", "channel": "web"}, "rule": "r"},
    }
    return record(json.dumps(content).encode())


HISTORIES = {
    "one after the other": (
        [change(1, "entered", "a", "1", MONDAY), change(2, "entered", "b", "2", TUESDAY)],
        [(MONDAY, "a"), (TUESDAY, "b")],
    ),
    "a correction takes back what it supersedes": (
        [
            change(1, "entered", "a", "1", MONDAY),
            change(2, "entered", "lapsed", "2", WEDNESDAY),
            change(3, "corrected", "b", "3", TUESDAY, ["2"]),
        ],
        [(MONDAY, "a"), (TUESDAY, "b")],
    ),
    "an entry that is told once more stands behind the others of its moment": (
        [
            change(1, "entered", "a", "1", MONDAY),
            change(2, "corrected", "b", "2", MONDAY),
            change(3, "corrected", "a", "1", MONDAY, ["1"]),
        ],
        [(MONDAY, "b"), (MONDAY, "a")],
    ),
    "a retraction removes its entry": (
        [change(1, "entered", "a", "1", MONDAY), change(2, "retracted", None, "1", MONDAY)],
        [],
    ),
    "a move into another customer adds nothing": (
        [change(1, "entered", "a", "1", MONDAY), change(2, "moved", "a", "2", TUESDAY)],
        [(MONDAY, "a")],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_net_history(name: str) -> None:
    records, expected = HISTORIES[name]
    history = net_history(transition(each) for each in records)
    assert [(step.occurred_at, step.to) for step in history["c1", "five-stage"]] == expected


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("transition/examples/*.json")), ids=lambda path: path.stem)
def test_every_example_of_a_transition_is_a_line(path: Path) -> None:
    found = transition(record(path.read_bytes()))
    text = line(found).plain
    assert found.customer_id in text
    assert f"→ {found.to or '·'}" in text
    assert (found.kind in text) == (found.kind != "entered")


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("signal/examples/*.json")), ids=lambda path: path.stem)
def test_every_example_of_a_signal_is_a_line(path: Path) -> None:
    found = signal(record(path.read_bytes()))
    text = line(found).plain
    assert f"! {found.signal}" in text
    at_once = found.cause.timer is not None and not found.cause.timer.lasted
    assert ("an act at" if at_once else "of silence since") in text
    assert ("withdrawn" in text) == (found.kind == "retracted")


def test_a_line_says_when_who_what_and_why() -> None:
    text = line(transition(change(1, "entered", "awareness", "1", MONDAY))).plain
    assert (
        text == "2025-01-06 09:00  c1                  five-stage           · → awareness                     t on web"
    )


def test_a_dead_letter_says_what_was_wrong_and_where() -> None:
    letter = dead_letter(
        record(
            b'{"id": 7}',
            headers=[
                ("journey.reason", b"bad_id"),
                ("journey.appended", b"1736154000000"),
                ("__connect.errors.topic", b"raw.web"),
                ("__connect.errors.partition", b"3"),
                ("__connect.errors.offset", b"17"),
                ("__connect.errors.exception.message", b"id is int; a string is expected"),
            ],
        )
    )
    assert letter.origin == "raw.web-3@17"
    text = dead_letter_line(letter).plain
    for part in ("2025-01-06 09:00", "c1", "bad_id", "a string is expected", "raw.web-3@17", '{"id": 7}'):
        assert part in text


def test_a_dead_letter_without_anything_is_still_shown() -> None:
    bare = FeedRecord("journey.dlq", 0, 0, 0, None, None, [("journey.reason", b"\xff")])
    assert dead_letter_line(dead_letter(bare)).plain
