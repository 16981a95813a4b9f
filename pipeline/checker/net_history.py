"""What a subscriber of the feed knows: the net history of each customer, and the signals that hold.

`Subscriber` takes the records of `journey.transitions` and `journey.signals` as published, in log order, and notes
every breach of what the feed promises: ids once, `seq` without a gap, `from` the `to` before, nothing withdrawn that
is not there. Made for millions of records: it keeps no record, only what is still true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]
"""One record of the feed, decoded from JSON."""


@dataclass(slots=True)
class Track:
    """One customer in one journey as the transitions so far tell it.

    `entries`: entry id -> (occurred_at, stage), both as published; times are RFC 3339 in one form, so they compare.
    `stage` is None at the start. `into`: the customer that this one has joined, if so. `whole`: known from seq 1 on.
    `closed`: entries from before the last other version was promoted, which nothing may withdraw any more; `moves`:
    (version, stage before, stage after) of each such switch. `linked`: a link has said since that the stage before all
    of `entries` is `behind`, as does the end of its own journey when it joins another.
    """

    epoch: int
    seq: int = 0
    stage: str | None = None
    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    into: str | None = None
    whole: bool = True
    closed: dict[str, tuple[str, str]] = field(default_factory=dict)
    moves: list[tuple[int, str | None, str | None]] = field(default_factory=list)
    linked: bool = False
    behind: str | None = None

    def unsettled(self) -> str | None:
        """Why the last record cannot be the last of its batch, if so: the stage must be that of the newest entry."""
        if not self.entries and self.linked:
            return self._unlike(self.behind)
        if not self.entries and self.moves:
            return self._unlike(self.moves[-1][2])
        newest = max((at for at, _ in self.entries.values()), default=None)
        ends = {to for at, to in self.entries.values() if at == newest}
        if (
            self.into is not None
            or (not self.whole and not ends)
            or (self.stage in ends if ends else self.stage is None)
        ):
            return None
        return f"the last record leaves the stage {self.stage}, the newest entry of the history {sorted(ends)}"

    def _unlike(self, stage: str | None) -> str | None:
        return None if self.stage == stage else f"the last record leaves the stage {self.stage}, the switch {stage}"


@dataclass(slots=True)
class Signals:
    """One signal of one customer: how often it fired, and the firings that are not withdrawn, id -> due_at."""

    epoch: int
    occurrence: int = 0
    whole: bool = True
    holding: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Subscriber:
    """Reads both feeds. `tracks` by (customer, journey), `signals` by (customer, journey, signal).

    `cut_transitions`, `cut_signals`: the log of that feed has lost its beginning, so a customer may first be met in the
    middle.
    """

    cut_transitions: bool = False
    cut_signals: bool = False
    tracks: dict[tuple[str, str], Track] = field(default_factory=dict)
    signals: dict[tuple[str, str, str], Signals] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def transition(self, record: Record) -> None:
        """Takes the next record of `journey.transitions`."""
        customer, journey = record["customer_id"], record["journey"]
        epoch = _epoch(record["id"], f"{customer}:{journey}:", record["seq"])
        if epoch is None:
            self._problem(record, f"the id does not name customer, journey, epoch and seq {record['seq']}")
            return
        track = self.tracks.get((customer, journey))
        if track is None or epoch > track.epoch:
            track = self.tracks[customer, journey] = Track(epoch)
            if self.cut_transitions and record["seq"] > 1:
                track.seq, track.stage, track.whole = record["seq"] - 1, record["from"], False
        if epoch < track.epoch:
            self._problem(record, f"epoch {track.epoch} has begun before")
        if record["seq"] != track.seq + 1:
            twice = "the id was there before" if record["seq"] <= track.seq else "records are missing"
            self._problem(record, f"seq {record['seq']} follows {track.seq}: {twice}")
        if record["from"] != track.stage:
            self._problem(record, f"from is {record['from']}, but the seq before led to {track.stage}")
        track.seq, track.stage = max(track.seq, record["seq"]), record["to"]
        self._change(track, record)

    def signal(self, record: Record) -> None:
        """Takes the next record of `journey.signals`."""
        customer, journey, name = record["customer_id"], record["journey"], record["signal"]
        epoch = _epoch(record["id"], f"{customer}:{journey}:{name}:", record["occurrence"])
        if epoch is None:
            self._problem(record, "the id does not name customer, journey, signal, epoch and occurrence")
            return
        known = self.signals.get((customer, journey, name))
        if known is None or epoch > known.epoch:
            known = self.signals[customer, journey, name] = Signals(epoch)
            if self.cut_signals and record["occurrence"] > 1:
                known.occurrence, known.whole = record["occurrence"] - 1, False
        if record["kind"] == "fired":
            if record["occurrence"] != known.occurrence + 1:
                self._problem(record, f"occurrence {record['occurrence']} follows {known.occurrence}")
            known.occurrence = max(known.occurrence, record["occurrence"])
            known.holding[record["id"]] = record["due_at"]
        elif record["kind"] == "retracted":
            if known.holding.pop(record["id"], None) != record["due_at"] and not self.cut_signals:
                self._problem(record, "withdraws a firing that does not hold")
        else:
            self._problem(record, f"unknown kind {record['kind']}")

    def at_rest(self) -> list[str]:
        """All problems, those included that show only when nothing more is to come."""
        unsettled = ((key, track.unsettled()) for key, track in self.tracks.items())
        return self.problems + [f"{customer}:{journey}: {why}" for (customer, journey), why in unsettled if why]

    def _change(self, track: Track, record: Record) -> None:
        kind, entry, superseded = record["kind"], record["entry"], record["supersedes"]
        if track.into is not None:
            track.into = None  # it is its own again
        if "link" in record["cause"] and kind == "corrected":
            self._withdraw(track, record, superseded)
            track.closed.update(track.entries)
            track.entries.clear()
            track.behind = record["to"]
            track.linked = True
            return
        if kind == "entered":
            if record["occurred_at"] < max((at for at, _ in track.entries.values()), default=""):
                self._problem(record, "entered before an entry that was there; that is a correction")
            if superseded:
                self._problem(record, "entered supersedes nothing")
        if kind in {"entered", "corrected"}:
            self._withdraw(track, record, superseded)
            if entry in track.entries or (entry in track.closed and not track.linked):
                self._problem(record, f"the entry {entry} is there already")
            track.entries[entry] = (record["occurred_at"], record["to"])
        elif kind == "retracted":
            self._withdraw(track, record, [entry])
        elif kind == "moved" and "into" not in record:
            track.moves.append((record["version"], record["from"], record["to"]))
            track.linked = False
            track.closed.update(track.entries)
            track.entries.clear()
        elif kind == "moved":
            if record["to"] is not None:
                self._problem(record, "who has joined another is in no stage")
            track.into = record["into"]
            track.entries.clear()
            track.closed.clear()
            track.linked, track.behind = True, None
        else:
            self._problem(record, f"unknown kind {kind}")

    def _withdraw(self, track: Track, record: Record, entries: Sequence[str]) -> None:
        for entry in entries:
            if track.entries.pop(entry, None) is None and track.whole:
                self._problem(record, f"withdraws {entry}, which is not there")

    def _problem(self, record: Record, what: str) -> None:
        self.problems.append(f"{record['id']} ({record['kind']}): {what}")


def _epoch(identifier: str, prefix: str, number: int) -> int | None:
    """The epoch in an id of the form prefix, epoch, colon, number; None if it has another."""
    suffix = f":{number}"
    epoch = identifier[len(prefix) : -len(suffix)]
    return int(epoch) if identifier == f"{prefix}{epoch}{suffix}" and epoch.isdecimal() else None
