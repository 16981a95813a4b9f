"""Several identities, their own records and one owner whom they join and leave, beside the plain fold of it all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.application.records import customer_record, signal_record, transition_record
from pipeline.checker import plain_fold
from pipeline.checker.net_history import Subscriber
from pipeline.checker.plain_admission import Act, act_of, counters
from pipeline.domain.encoding import decode, decode_strand, encode, encode_strand
from pipeline.domain.event import CHANNELS
from pipeline.domain.extremes import NEVER
from pipeline.domain.feed import Feed
from pipeline.domain.fold import Fold
from pipeline.domain.identity import Key, public_key
from pipeline.domain.moments import format_moment
from pipeline.domain.packing import Names
from pipeline.domain.profile import Profile, Strand, new_profile
from pipeline.domain.remembered import recent_of
from tests.property.two_folds import Models, Sent, event_for

OWNER = "c:4711"
PUBLISHED_AT = "2026-01-01T00:00:00.000Z"


@dataclass(slots=True)
class Record:
    """One record and, by identity, the acts that its strands should hold. `index`: its score in the index of timers."""

    profile: Profile
    acts: dict[str, list[Act]] = field(default_factory=dict)
    index: int | None = None

    @property
    def all(self) -> list[Act]:
        return sorted(act for acts in self.acts.values() for act in acts)


class Linked:
    """All records of a few identities, and one subscriber of the feed. Raises AssertionError where something is wrong.

    `exact`: nothing is ever late or pushed out, so all must be as if all events had always been one customer's.
    """

    def __init__(self, models: Models, identities: Sequence[str], lateness: int, limit: int, exact: bool) -> None:
        self.models, self.lateness, self.exact = models, lateness, exact
        self.fold = Fold(models.compiled, models.table.company, lateness, limit)
        self.names = Names([name for journey in models.compiled for name in journey.names][::2])
        self.records: dict[str, Record] = {}
        for number, key in enumerate((OWNER, *identities)):
            profile = new_profile(key, 1_000 + number, self.names)
            self.fold.align(profile)
            self.records[key] = Record(profile, {key: []})
        self.owned: set[str] = set()
        self.watermark: int | None = None
        self.subscriber = Subscriber()

    def arrive(self, identity: str, sent: Sent, astray: bool = False) -> str:
        """An event of the identity arrives where it belongs, or `astray` at its own record."""
        record = self.records[OWNER if identity in self.owned and not astray else identity]
        feed = Feed()
        outcome = self.fold.event(record.profile, identity, event_for(self.models, sent), self.watermark, feed)
        act = act_of(sent.event, sent.channel, self.models.rows, sent.appended, sent.partition, sent.offset)
        if self.exact:
            known = any(other.id == act.id for other in record.all)
            assert outcome == ("duplicate" if known else "folded")
        if outcome == "folded":
            record.acts.setdefault(identity, []).append(act)
        self._told(record, feed)
        return outcome

    def rise(self, by: int) -> None:
        self.watermark = (self.watermark or 0) + by
        for record in self.records.values():
            feed = Feed()
            self.fold.time(record.profile, self.watermark, feed)
            self._told(record, feed)

    def unite(self, identity: str) -> None:
        """The identity's own record gives all it has to the owner."""
        record, owner = self.records[identity], self.records[OWNER]
        feed = Feed()
        strands = self.fold.leave(record.profile, OWNER, feed)
        record.profile.to = OWNER
        moving, record.acts = record.acts, {}
        self._told(record, feed)
        assert {strand.identity for strand in strands} >= {name for name, acts in moving.items() if acts}
        for strand in strands:
            self._take_in(owner, strand, moving.get(strand.identity, []))
        self.owned.add(identity)

    def cut(self, identity: str) -> None:
        """The owner gives the identity's strand back."""
        record, owner = self.records[identity], self.records[OWNER]
        feed = Feed()
        strand = self.fold.cut(owner.profile, identity, self.watermark, feed)
        moving = owner.acts.pop(identity, [])
        self._told(owner, feed)
        self.owned.discard(identity)
        record.profile.to = ""
        assert strand is not None or not moving
        if strand is not None:
            self._take_in(record, strand, moving)

    def reload(self) -> None:
        for record in self.records.values():
            profile = decode(encode(record.profile), self.names)
            assert encode(profile) == encode(record.profile)
            self.fold.align(profile)
            record.profile = profile

    def _take_in(self, record: Record, strand: Strand, acts: list[Act]) -> None:
        """The strand arrives, as bytes."""
        feed = Feed()
        known = {act.id for act in record.all}
        self.fold.unite(
            record.profile, decode_strand(encode_strand(strand), record.profile.frame), self.watermark, feed
        )
        record.acts.setdefault(strand.identity, []).extend(act for act in acts if act.id not in known)
        self._told(record, feed)

    def _told(self, record: Record, feed: Feed) -> None:
        record.index = feed.due.get(record.profile.key, record.index)
        assert record.profile.indexed == record.index
        for transition in feed.transitions:
            self.subscriber.transition(json.loads(transition_record(transition, PUBLISHED_AT)))
        for signal in feed.signals:
            self.subscriber.signal(json.loads(signal_record(signal, PUBLISHED_AT)))
        assert self.subscriber.at_rest() == []
        customer = json.loads(customer_record(record.profile, PUBLISHED_AT))
        for position in record.profile.positions:
            track = self.subscriber.tracks.get((customer["customer_id"], position.journey))
            assert customer["journeys"][position.journey]["stage"] == (track.stage if track else None)
            assert position.seq == (track.seq if track else 0)
        for strand in record.profile.strands:
            assert strand.count == len(recent_of(strand))
        if self.exact:
            self._compare(record)

    def _compare(self, record: Record) -> None:
        """The record is as the plain fold has it of all its acts at once."""
        profile, customer = record.profile, public_key(Key(record.profile.key))
        acts = record.all
        for journey, compiled, position in zip(self.models.plain, self.models.compiled, profile.positions, strict=True):
            plain = plain_fold.fold(journey, acts, self.watermark if acts else None)
            assert (position.stage, position.since) == (plain.stage, NEVER if plain.since is None else plain.since)
            track = self.subscriber.tracks.get((customer, journey.name))
            assert not (track and track.closed)
            history = plain_fold.net_history(customer, journey, plain)
            assert (track.entries if track else {}) == {
                entry: (format_moment(at), to) for entry, (at, to) in history.items()
            }
            names = {timer.rule: timer.signal for timer in compiled.timers.values()}
            holding = sorted(
                (name, due)
                for (who, of, name), known in self.subscriber.signals.items()
                for due in known.holding.values()
                if (who, of) == (customer, journey.name)
            )
            assert holding == sorted((names[one.rule], format_moment(one.due)) for one in plain.signals)
            assert not position.unverified
        for strand in profile.strands:
            plain_counters = counters(record.acts.get(strand.identity, []))
            touches = {channel: n for channel, n in zip(CHANNELS, strand.touches, strict=True) if n}
            assert (touches, strand.company) == (plain_counters.touches, plain_counters.company)
