"""A subscriber of the feed: what it knows after some records, and what it complains about."""

from typing import Any

import pytest

from pipeline.checker.net_history import Record, Subscriber


def transition(seq: int, kind: str, ends: str, entry: str, **other: Any) -> Record:
    """A record of customer `a:b` in journey `j`; `ends` is `from>to`, an empty name the start."""
    before, _, after = ends.partition(">")
    return {
        "id": f"a:b:j:7:{seq}",
        "customer_id": "a:b",
        "journey": "j",
        "seq": seq,
        "kind": kind,
        "from": before or None,
        "to": after or None,
        "entry": entry,
        "supersedes": [],
        "occurred_at": "2026-01-01T00:00:00.000Z",
        "cause": {"rule": "r"},
    } | other


def signal(occurrence: int, kind: str, **other: Any) -> Record:
    return {
        "id": f"a:b:j:bored:7:{occurrence}",
        "customer_id": "a:b",
        "journey": "j",
        "signal": "bored",
        "kind": kind,
        "occurrence": occurrence,
        "due_at": "2026-01-01T00:00:00.000Z",
    } | other


def read(*records: Record) -> Subscriber:
    subscriber = Subscriber()
    for record in records:
        if "signal" in record:
            subscriber.signal(record)
        else:
            subscriber.transition(record)
    return subscriber


ONE = transition(1, "entered", ">new", "e1")
JOINED = transition(2, "moved", "new>", "l", into="c")
LINK = {"link": {"change": "united", "identity": "x"}, "rule": "@linked"}
TWO = transition(2, "entered", "new>old", "e2", occurred_at="2026-01-02T00:00:00.000Z")


def test_entries_are_put_in() -> None:
    subscriber = read(ONE, TWO)
    assert subscriber.at_rest() == []
    track = subscriber.tracks["a:b", "j"]
    assert track.stage == "old"
    assert track.entries == {"e1": ("2026-01-01T00:00:00.000Z", "new"), "e2": ("2026-01-02T00:00:00.000Z", "old")}


def test_a_correction_takes_out_what_it_supersedes() -> None:
    subscriber = read(ONE, TWO, transition(3, "corrected", "old>gone", "e3", supersedes=["e1", "e2"]))
    assert subscriber.at_rest() == []
    assert list(subscriber.tracks["a:b", "j"].entries) == ["e3"]


def test_an_entry_may_supersede_itself() -> None:
    between = transition(3, "corrected", "old>mid", "e3", occurred_at="2026-01-01T12:00:00.000Z")
    again = transition(4, "corrected", "mid>old", "e2", supersedes=["e2"], occurred_at="2026-01-02T00:00:00.000Z")
    subscriber = read(ONE, TWO, between, again)
    assert subscriber.at_rest() == []
    assert set(subscriber.tracks["a:b", "j"].entries) == {"e1", "e2", "e3"}


def test_a_retraction_may_lead_back_to_the_start() -> None:
    subscriber = read(ONE, transition(2, "retracted", "new>", "e1"))
    assert subscriber.at_rest() == []
    assert subscriber.tracks["a:b", "j"].stage is None
    assert subscriber.tracks["a:b", "j"].entries == {}


def test_a_new_epoch_begins_with_nothing() -> None:
    subscriber = read(ONE, TWO, transition(1, "entered", ">new", "e9", id="a:b:j:8:1"))
    assert subscriber.at_rest() == []
    assert list(subscriber.tracks["a:b", "j"].entries) == ["e9"]


def test_a_customer_who_has_joined_another_has_no_history() -> None:
    subscriber = read(ONE, JOINED)
    assert subscriber.at_rest() == []
    assert subscriber.tracks["a:b", "j"].entries == {}
    subscriber.transition(transition(3, "entered", ">new", "e1"))
    assert subscriber.at_rest() == []
    assert list(subscriber.tracks["a:b", "j"].entries) == ["e1"]


def test_a_customer_who_was_carried_over_may_join_another() -> None:
    carried = transition(2, "moved", "new>newer", "@moved:1", version=2)
    subscriber = read(ONE, carried, transition(3, "moved", "newer>", "l", into="c", cause=LINK))
    assert subscriber.at_rest() == []
    subscriber.transition(transition(4, "entered", ">new", "e1"))
    subscriber.transition(transition(5, "retracted", "new>", "e1"))
    assert subscriber.at_rest() == []


def test_a_link_closes_what_was_before() -> None:
    subscriber = read(ONE, TWO, transition(3, "corrected", "old>far", "l", supersedes=["e2"], cause=LINK))
    assert subscriber.at_rest() == []
    track = subscriber.tracks["a:b", "j"]
    assert (track.stage, track.entries, list(track.closed)) == ("far", {}, ["e1"])
    subscriber.transition(transition(4, "entered", "far>new", "e1", occurred_at="2025"))
    assert subscriber.at_rest() == []


def test_a_signal_holds_until_it_is_retracted() -> None:
    subscriber = read(signal(1, "fired"), signal(2, "fired"), signal(1, "retracted"))
    assert subscriber.at_rest() == []
    assert list(subscriber.signals["a:b", "j", "bored"].holding) == ["a:b:j:bored:7:2"]


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        pytest.param([TWO], "seq 2 follows 0: records are missing", id="begins with 2"),
        pytest.param([ONE, ONE], "seq 1 follows 1: the id was there before", id="twice"),
        pytest.param([ONE, transition(2, "entered", "old>new", "e2")], "from is old, but the seq before led to new"),
        pytest.param([ONE, transition(2, "entered", "new>old", "e1")], "the entry e1 is there already"),
        pytest.param([ONE, transition(2, "retracted", "new>", "e7")], "withdraws e7, which is not there"),
        pytest.param(
            [ONE, transition(2, "corrected", "new>old", "e2", supersedes=["e7"])], "withdraws e7, which is not there"
        ),
        pytest.param(
            [ONE, TWO, transition(3, "entered", "old>new", "e3")], "entered before an entry that was there", id="behind"
        ),
        pytest.param([transition(1, "entered", ">new", "e1", supersedes=["e1"])], "entered supersedes nothing"),
        pytest.param([ONE, transition(2, "corrected", "new>old", "e0", occurred_at="2025")], "leaves the stage old"),
        pytest.param([ONE, transition(2, "retracted", "new>new", "e1")], "leaves the stage new"),
        pytest.param([transition(1, "vanished", ">new", "e1")], "unknown kind vanished"),
        pytest.param([transition(1, "entered", ">new", "e1", id="a:b:j:1")], "the id does not name customer"),
        pytest.param([transition(1, "entered", ">new", "e1", id="c:j:7:1")], "the id does not name customer"),
        pytest.param(
            [ONE, transition(2, "entered", "new>old", "e2", id="a:b:j:6:2")], "epoch 7 has begun before", id="epoch"
        ),
        pytest.param(
            [ONE, transition(2, "moved", "new>new", "e1", into="c")],
            "who has joined another is in no stage",
        ),
        pytest.param([signal(2, "fired")], "occurrence 2 follows 0"),
        pytest.param([signal(1, "fired"), signal(1, "fired")], "occurrence 1 follows 1"),
        pytest.param([signal(1, "retracted")], "withdraws a firing that does not hold"),
        pytest.param(
            [signal(1, "fired"), signal(1, "retracted", due_at="2027")], "withdraws a firing that does not hold"
        ),
        pytest.param([signal(1, "entered")], "unknown kind entered"),
        pytest.param([signal(1, "fired", id="a:b:j:bored:1")], "the id does not name customer"),
    ],
)
def test_says_what_breaks_the_promises(records: list[Record], complaint: str) -> None:
    problems = read(*records).at_rest()
    assert any(complaint in problem for problem in problems), problems
