"""One customer through both folds side by side: after every step they must agree, and the feed keep its promises."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.adapters.journey_files import load_journey, load_touches
from pipeline.application.records import signal_record, transition_record
from pipeline.checker import plain_fold, plain_journey, plain_switch
from pipeline.checker.net_history import Subscriber
from pipeline.checker.plain_admission import Act, Admission, act_of, counters
from pipeline.checker.plain_switch import Life, Moved, Switch
from pipeline.checker.plain_touches import Row, read_touches
from pipeline.domain.carry import Carry
from pipeline.domain.compile import Journey, compile_journey
from pipeline.domain.encoding import decode as decode_profile
from pipeline.domain.encoding import encode as encode_profile
from pipeline.domain.event import CHANNELS, decode, moment
from pipeline.domain.extremes import NEVER
from pipeline.domain.feed import Feed
from pipeline.domain.fold import Fold
from pipeline.domain.moments import format_moment, parse_moment
from pipeline.domain.packing import Names
from pipeline.domain.profile import Event, event_of, new_profile
from pipeline.domain.touches import TouchTable

CUSTOMER = "4711"
EPOCH = 1_000
Raw = Mapping[str, Any]
"""A YAML document or a raw event, as plain values."""


@dataclass(frozen=True, slots=True)
class Models:
    """A touch table and journeys, each read twice: by the pipeline and by the checker."""

    table: TouchTable
    compiled: tuple[Journey, ...]
    rows: Sequence[Row]
    plain: tuple[plain_journey.Journey, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A raw event as it stands in a topic: `appended` is ms, `channel` that of the topic."""

    event: Raw
    channel: str
    appended: int
    partition: int
    offset: int


def read_models(touches: Raw, journeys: Sequence[Raw], grace: Mapping[str, int]) -> Models:
    """Both readings of the same documents, as texts and as plain values; UserError if the pipeline refuses them."""
    with TemporaryDirectory() as folder:
        table = Path(folder, "touches.yaml")
        table.write_text(json.dumps(touches), encoding="utf-8")
        files = [Path(folder, f"{number}.yaml") for number in range(len(journeys))]
        for file, journey in zip(files, journeys, strict=True):
            file.write_text(json.dumps(journey), encoding="utf-8")
        table_and_compiled = _compile(table, files, grace)
    rows = read_touches(touches)
    plain = tuple(plain_journey.read_journey(journey, rows, grace) for journey in journeys)
    return Models(*table_and_compiled, [*rows, *(row for one in journeys for row in read_touches(one))], plain)


def load_models(touches: Path, journeys: Sequence[Path], grace: Mapping[str, int]) -> Models:
    """Both readings of the same files; UserError if the pipeline refuses them."""
    rows = read_touches(plain_journey.read_file(touches))
    plain = (plain_journey.read_journey(plain_journey.read_file(path), rows, grace) for path in journeys)
    return Models(*_compile(touches, journeys, grace), rows, tuple(plain))


def _compile(
    touches: Path, journeys: Sequence[Path], grace: Mapping[str, int]
) -> tuple[TouchTable, tuple[Journey, ...]]:
    specs = load_touches(touches)
    # The journeys of cases and of chance show one thing each: they may have dead ends and rules that are never asked.
    loaded = [load_journey(path, specs, grace, clock_is_event=False, odd=True) for path in journeys]
    table = TouchTable((*specs, *(row for spec in loaded for row in spec.touches)))
    return table, tuple(compile_journey(spec, table.company) for spec in loaded)


def event_for(models: Models, sent: Sent) -> Event:
    """The event as the fast fold takes it."""
    raw = decode(json.dumps(sent.event).encode(), max_bytes=1 << 20, max_depth=32)
    touch = models.table.classify(raw, sent.channel)
    return event_of(raw.id, moment(raw), sent.appended, sent.partition, sent.offset, raw.type, touch, sent.channel)


class TwoFolds:
    """The fast fold with its profile, the plain one with all that was accepted, and a subscriber of the feed.

    `lateness` in ms, `limit` in events. Every step raises AssertionError where the two differ.
    """

    def __init__(self, models: Models, lateness: int, limit: int) -> None:
        self.models = models
        self.fold = Fold(models.compiled, models.table.company, lateness, limit)
        # Some names are of the list, some not: the rules may have changed since.
        self.names = Names([name for journey in models.compiled for name in journey.names][::2])
        self.profile = new_profile(f"c:{CUSTOMER}", EPOCH, self.names)
        self.fold.align(self.profile)
        self.admission = Admission(lateness, limit)
        self.first = models.plain
        self.parts: list[list[Act]] = [[]]
        self.switches: dict[str, list[Switch]] = {journey.name: [] for journey in models.plain}
        self.carried = True
        self.late = 0
        self.watermark: int | None = None
        self.index: int | None = None
        self.subscriber = Subscriber()
        self.published: list[Raw] = []

    def arrive(self, sent: Sent) -> str:
        """One event arrives. The outcome, on which both agree; `published` is what went out."""
        self.sweep()
        act = act_of(sent.event, sent.channel, self.models.rows, sent.appended, sent.partition, sent.offset)
        expected = self.admission.arrive(act)
        if expected == "accepted":
            self.parts[-1].append(act)
        self.late += expected == "late"
        feed = Feed()
        outcome = self.fold.event(self.profile, self.profile.key, self.event(sent), self.watermark, feed)
        assert outcome == ("folded" if expected == "accepted" else expected)
        assert outcome == "folded" or not (feed.transitions or feed.signals)
        self._publish(feed)
        return expected

    def rise(self, watermark: int, by_index: bool = False) -> None:
        """The watermark rises. `by_index`: the customer is looked at only if the lane's index of timers says so."""
        self.sweep()
        self.watermark = watermark
        feed = Feed()
        if not by_index or (self.index is not None and self.index <= watermark):
            self.fold.time(self.profile, watermark, feed)
        self._publish(feed)

    def reload(self) -> None:
        """The profile leaves the cache and comes back from the table."""
        self.profile = decode_profile(encode_profile(self.profile), self.names)
        self.fold.align(self.profile)

    def copy(self) -> "TwoFolds":
        """The same customer once more; the profile comes from the table."""
        other = TwoFolds(self.models, self.admission.lateness, self.admission.limit)
        other.profile = self.profile
        other.reload()
        other.admission, other.subscriber = deepcopy(self.admission), deepcopy(self.subscriber)
        other.parts, other.late = deepcopy(self.parts), self.late
        other.first, other.switches, other.carried = self.first, deepcopy(self.switches), self.carried
        other.watermark, other.index = self.watermark, self.index
        return other

    def switch(self, models: Models, stages: Mapping[str, str | None], at: int, swept: bool) -> None:
        """Other versions of the journeys hold from here on; `stages`, of all of them: where customers go.

        `swept`: the customer is carried over now, else when they are touched next.
        """
        self.sweep()
        time = NEVER if self.watermark is None else self.watermark
        pairs = zip(self.models.compiled, models.compiled, strict=True)
        carries = {new.name: Carry(old, new, stages, at, time) for old, new in pairs}
        lateness, limit = self.admission.lateness, self.admission.limit
        self.fold = Fold(models.compiled, models.table.company, lateness, limit, carries)
        for old, new in zip(self.models.plain, models.plain, strict=True):
            version = next(journey.version for journey in models.compiled if journey.name == new.name)
            self.switches[new.name].append(Switch(old, new, version, stages, self.watermark, {}))
        self.models = models
        self.parts.append([])
        self.carried = self.profile.strands[0].newest == NEVER
        self.fold.align(self.profile)
        if self.carried:
            self.profile = new_profile(f"c:{CUSTOMER}", EPOCH)
            self.fold.align(self.profile)
        if swept:
            self.sweep()

    def sweep(self) -> None:
        """Carries the customer over, if that is still to be done, and lets time pass as the lane does then."""
        if self.carried:
            return
        self.carried = True
        feed = Feed()
        assert self.fold.carry_over(self.profile, feed)
        assert not self.fold.carry_over(self.profile, Feed())
        if self.watermark is not None:
            self.fold.time(self.profile, self.watermark, feed)
        self._publish(feed)

    @property
    def acts(self) -> list[Act]:
        return sorted(act for part in self.parts for act in part)

    def event(self, sent: Sent) -> Event:
        """The event as the fast fold takes it."""
        return event_for(self.models, sent)

    def _publish(self, feed: Feed) -> None:
        self.index = feed.due.get(self.profile.key, self.index)
        assert self.profile.indexed == self.index
        transitions = [json.loads(transition_record(record, "2026-01-01T00:00:00.000Z")) for record in feed.transitions]
        signals = [json.loads(signal_record(record, "2026-01-01T00:00:00.000Z")) for record in feed.signals]
        for record in transitions:
            self.subscriber.transition(record)
        for record in signals:
            self.subscriber.signal(record)
        self.published = [*transitions, *signals]
        assert self.subscriber.at_rest() == []
        self._compare_counters()
        for journey, compiled, life in zip(self.models.plain, self.models.compiled, self.lives(), strict=True):
            self._compare(journey, life)
            for record in transitions:
                self._check_cause(journey, life.position, record)
            for record in signals:
                if record["version"] == compiled.version:
                    self._check_signal(journey, life.position, record)

    def lives(self) -> Iterator[Life]:
        """The customer in each journey, from scratch."""
        for journey in self.first:
            yield plain_switch.live(
                journey, self.switches[journey.name], self.parts, self.watermark, self.admission.lateness
            )

    def positions(self) -> Iterator[plain_fold.Position]:
        """Where the customer is in each journey, from scratch."""
        return (life.position for life in self.lives())

    def _compare(self, journey: plain_journey.Journey, life: Life) -> None:
        plain = life.position
        fast = next(position for position in self.profile.positions if position.journey == journey.name)
        assert (fast.stage, fast.since) == (plain.stage, NEVER if plain.since is None else plain.since)
        track = self.subscriber.tracks.get((CUSTOMER, journey.name))
        told = {**track.closed, **track.entries} if track else {}
        moves = track.moves if track else []
        assert [Moved(to, before or "", after or "") for to, before, after in moves if before or after] == [
            move for move in life.moves if move.origin or move.to
        ]
        history = plain_fold.net_history(CUSTOMER, journey, plain)
        assert told == {entry: (format_moment(at), to) for entry, (at, to) in history.items()}
        assert (track.stage if track else None) == (plain.stage or None)
        holding = sorted(
            (name, due)
            for (_, of, name), known in self.subscriber.signals.items()
            for due in known.holding.values()
            if of == journey.name
        )
        versions = (*self.first, *self.models.plain, *(s.former for ss in self.switches.values() for s in ss))
        public = {rule.rule: rule.signal for one in versions if one.name == journey.name for rule in one.waiting}
        assert holding == sorted((public[firing.rule], format_moment(firing.due)) for firing in plain.signals)

    def _compare_counters(self) -> None:
        strand, plain = self.profile.strands[0], counters(self.acts)
        touches = {channel: n for channel, n in zip(CHANNELS, strand.touches, strict=True) if n}
        assert (touches, strand.company, strand.late) == (plain.touches, plain.company, self.late)
        if self.acts:
            assert (strand.first, strand.newest) == (plain.first_seen, plain.last_seen)
        assert bool(strand.truncated) == self.admission.truncated

    def _check_cause(self, journey: plain_journey.Journey, plain: plain_fold.Position, record: Raw) -> None:
        """A record of an entry that is true says what the plain history says of it."""
        step = next((step for step in plain.history if step.id(CUSTOMER, journey.name) == record["entry"]), None)
        if record["journey"] != journey.name or step is None:
            return
        assert record["occurred_at"] == format_moment(step.at)
        assert record["kind"] == "retracted" or record["to"] == step.to
        assert record["cause"]["rule"] == step.rule
        if step.event is not None:
            assert record["cause"]["event"]["id"] == step.event
        else:
            assert step.since is not None
            timer = {"rule": step.rule, "since": format_moment(step.since), "due": format_moment(step.at)}
            assert record["cause"]["timer"] == timer

    def _check_signal(self, journey: plain_journey.Journey, plain: plain_fold.Position, record: Raw) -> None:
        """Rule 19: what a signal says of the moment in which it was published."""
        if record["journey"] != journey.name:
            return
        rule = next(found for found in journey.waiting if found.rule == record["cause"]["timer"]["rule"])
        due = parse_moment(record["due_at"])
        assert record["stage"] == (plain.stage or None)
        assert record["overtaken"] == (max(act.at for act in self.acts) > due)
        assert self.watermark is not None
        expires = None if rule.expires is None else due + rule.expires
        assert record["expires_at"] == (None if expires is None else format_moment(expires))
        assert record["expired"] == (expires is not None and self.watermark >= expires)
        if record["kind"] == "fired":
            assert self.watermark >= due + rule.grace
