"""Several identities, their own records and one owner whom they join and leave, beside the plain fold of it all.

Each record is in a lane of its own, which may go over to other versions of the journeys when the others do not yet.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.application.records import customer_record, signal_record, transition_record
from pipeline.checker import plain_fold, plain_switch
from pipeline.checker.net_history import Subscriber
from pipeline.checker.plain_admission import Act, act_of, counters
from pipeline.checker.plain_switch import Switch
from pipeline.domain.carry import Carry
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
    """One record and, by identity, the acts that its strands should hold. `index`: its score in the index of timers.

    `models`, `fold`: of its lane. `parts`: the acts that each version so far found here; `own`: those of them that are
    its own. `switches`: by journey, what led from one version to the next. `carried`: whether it is under the versions
    of its lane. `linked_since`: whether a strand came or went after the first switch, here or where it came from: the
    versions did not decide about the same acts, then, and what the strand had closed stays so.
    """

    profile: Profile
    models: Models
    fold: Fold
    acts: dict[str, list[Act]] = field(default_factory=dict)
    index: int | None = None
    parts: list[list[Act]] = field(default_factory=lambda: [[]])
    own: list[list[Act]] = field(default_factory=lambda: [[]])
    switches: dict[str, list[Switch]] = field(default_factory=dict)
    carried: bool = True
    linked_since: bool = False

    @property
    def all(self) -> list[Act]:
        return sorted(act for acts in self.acts.values() for act in acts)


class Linked:
    """All records of a few identities, and one subscriber of the feed. Raises AssertionError where something is wrong.

    `exact`: nothing is ever late or pushed out, so all must be as if all events had always been one customer's.
    """

    def __init__(self, models: Models, identities: Sequence[str], lateness: int, limit: int, exact: bool) -> None:
        self.models, self.lateness, self.exact = models, lateness, exact
        self.limit = limit
        self.names = Names([name for journey in models.compiled for name in journey.names][::2])
        self.records: dict[str, Record] = {}
        for number, key in enumerate((OWNER, *identities)):
            profile = new_profile(key, 1_000 + number, self.names)
            fold = Fold(models.compiled, models.table.company, lateness, limit)
            fold.align(profile)
            self.records[key] = Record(profile, models, fold, {key: []})
        self.owned: set[str] = set()
        self.watermark: int | None = None
        self.subscriber = Subscriber()

    def arrive(self, identity: str, sent: Sent, astray: bool = False) -> str:
        """An event of the identity arrives where it belongs, or `astray` at its own record."""
        record = self.records[OWNER if identity in self.owned and not astray else identity]
        self._sweep(record)
        feed = Feed()
        outcome = record.fold.event(record.profile, identity, event_for(record.models, sent), self.watermark, feed)
        act = act_of(sent.event, sent.channel, record.models.rows, sent.appended, sent.partition, sent.offset)
        if self.exact and not record.linked_since:
            known = any(other.id == act.id for other in record.all)
            assert outcome == ("duplicate" if known else "folded")
        if outcome == "folded":
            record.acts.setdefault(identity, []).append(act)
            record.parts[-1].append(act)
            if identity == record.profile.key:
                record.own[-1].append(act)
        self._told(record, feed)
        return outcome

    def rise(self, by: int) -> None:
        self.watermark = (self.watermark or 0) + by
        for record in self.records.values():
            self._sweep(record)
            feed = Feed()
            record.fold.time(record.profile, self.watermark, feed)
            self._told(record, feed)

    def switch(self, key: str, models: Models, stages: Mapping[str, str | None], at: int, swept: bool) -> None:
        """The lane of this record goes over to other versions; `stages`: where customers go.

        `swept`: the record is carried over now, else when it is touched next.
        """
        record = self.records[key]
        self._sweep(record)
        time = NEVER if self.watermark is None else self.watermark
        pairs = list(zip(record.models.compiled, models.compiled, strict=True))
        carries = {new.name: Carry(old, new, stages, at, time) for old, new in pairs if old.version != new.version}
        for old, new, compiled in zip(record.models.plain, models.plain, models.compiled, strict=True):
            if compiled.name in carries:
                switch = Switch(old, new, compiled.version, stages, self.watermark, {})
                record.switches.setdefault(new.name, []).append(switch)
        record.models = models
        record.fold = Fold(models.compiled, models.table.company, self.lateness, self.limit, carries)
        record.parts.append([])
        record.own.append([])
        record.carried = False
        if swept:
            self._sweep(record)

    def _sweep(self, record: Record) -> None:
        """Carries the customer over, if that is still to be done, and lets time pass as the lane does then."""
        if record.carried:
            return
        record.carried = True
        record.fold.align(record.profile)
        feed = Feed()
        assert record.fold.carry_over(record.profile, feed)
        assert not record.fold.carry_over(record.profile, Feed())
        if self.watermark is not None:
            record.fold.time(record.profile, self.watermark, feed)
        self._told(record, feed)

    def unite(self, identity: str) -> None:
        """The identity's own record gives all it has to the owner."""
        record, owner = self.records[identity], self.records[OWNER]
        self._sweep(record)
        feed = Feed()
        strands = record.fold.leave(record.profile, OWNER, feed)
        record.profile.to = OWNER
        moving, record.acts = record.acts, {}
        self._relink(record)
        self._told(record, feed)
        assert {strand.identity for strand in strands} >= {name for name, acts in moving.items() if acts}
        for strand in strands:
            self._take_in(owner, strand, moving.get(strand.identity, []), record)
        self.owned.add(identity)

    def cut(self, identity: str) -> None:
        """The owner gives the identity's strand back."""
        record, owner = self.records[identity], self.records[OWNER]
        self._sweep(owner)
        feed = Feed()
        strand = owner.fold.cut(owner.profile, identity, self.watermark, feed)
        moving = owner.acts.pop(identity, [])
        self._relink(owner)
        self._told(owner, feed)
        self.owned.discard(identity)
        record.profile.to = ""
        assert strand is not None or not moving
        if strand is not None:
            self._take_in(record, strand, moving, owner)

    def reload(self) -> None:
        for record in self.records.values():
            profile = decode(encode(record.profile), self.names)
            assert encode(profile) == encode(record.profile)
            record.fold.align(profile)
            record.profile = profile

    def _take_in(self, record: Record, strand: Strand, acts: list[Act], source: Record) -> None:
        """The strand arrives from `source`, as bytes."""
        self._sweep(record)
        record.linked_since |= source.linked_since or bool(source.switches)
        feed = Feed()
        known = {act.id for act in record.all}
        record.fold.unite(
            record.profile, decode_strand(encode_strand(strand), record.profile.frame), self.watermark, feed
        )
        record.acts.setdefault(strand.identity, []).extend(act for act in acts if act.id not in known)
        self._relink(record)
        self._told(record, feed)

    def _relink(self, record: Record) -> None:
        """A strand came or went."""
        if record.switches:
            record.linked_since = True
        else:
            record.parts = [record.all]

    def _told(self, record: Record, feed: Feed) -> None:
        record.index = feed.due.get(record.profile.key, record.index)
        assert record.profile.indexed == record.index
        for transition in feed.transitions:
            self.subscriber.transition(json.loads(transition_record(transition, PUBLISHED_AT)))
        for signal in feed.signals:
            self.subscriber.signal(json.loads(signal_record(signal, PUBLISHED_AT)))
        assert not (wrong := self.subscriber.at_rest()), wrong
        customer = json.loads(customer_record(record.profile, PUBLISHED_AT))
        for position in record.profile.positions:
            track = self.subscriber.tracks.get((customer["customer_id"], position.journey))
            assert customer["journeys"][position.journey]["stage"] == (track.stage if track else None)
            entries = [(entry.rule, entry.event or entry.at) for entry in position.history]
            assert len(set(entries)) == len(entries), "two entries with one id"
            assert position.seq == (track.seq if track else 0)
        for strand in record.profile.strands:
            assert strand.count == len(recent_of(strand))
        if self.exact and not record.linked_since:
            self._compare(record)

    def assert_alone(self, key: str) -> None:
        """The record is where its own acts lead through all versions, as if there had never been a link."""
        record = self.records[key]
        for journey, position in zip(self.models.plain, record.profile.positions, strict=True):
            switches = record.switches.get(journey.name, [])
            parts = record.own if switches else [[act for part in record.own for act in part]]
            plain = plain_switch.live(journey, switches, parts, self.watermark, self.lateness).position
            assert (position.stage, position.since) == (plain.stage, NEVER if plain.since is None else plain.since)
            assert not position.unverified

    def _compare(self, record: Record) -> None:
        """The record is as the plain fold has it of all its acts at once."""
        profile, customer = record.profile, public_key(Key(record.profile.key))
        acts = record.all
        for journey, position in zip(self.models.plain, profile.positions, strict=True):
            watermark = self.watermark if acts else None
            switches = record.switches.get(journey.name, [])
            # A journey that stays as it is has no parts.
            parts = record.parts if switches else [acts]
            plain = plain_switch.live(journey, switches, parts, watermark, self.lateness).position
            assert (position.stage, position.since) == (plain.stage, NEVER if plain.since is None else plain.since)
            track = self.subscriber.tracks.get((customer, journey.name))
            assert record.switches or not (track and track.closed)
            history = plain_fold.net_history(customer, journey, plain)
            assert ({**track.closed, **track.entries} if track else {}) == {
                entry: (format_moment(at), to) for entry, (at, to) in history.items()
            }
            names = {
                rule.rule: rule.signal
                for version in [journey, *(switch.journey for switch in switches)]
                for rule in version.waiting
            }
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
