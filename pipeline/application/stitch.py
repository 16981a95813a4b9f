"""One batch through the fold.

Arrivals and due timers in, everything to be written out. Synchronous and deterministic.
"""

import traceback
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.application.intake import Arrival, Batch, Intake
from pipeline.application.lane_record import LaneRecord
from pipeline.application.ports import Entry, Headers
from pipeline.application.records import customer_record, signal_record, transition_record
from pipeline.application.routing import posted, sent_on, with_origin
from pipeline.domain.encoding import decode, encode
from pipeline.domain.erasing import Erasure, Mark, decode_mark, encode_mark, is_blank, is_old, reborn
from pipeline.domain.event import CHANNELS
from pipeline.domain.feed import Feed, Transition
from pipeline.domain.fold import Fold
from pipeline.domain.identity import Key, public_key
from pipeline.domain.messages import AnyMessage, Erase, Forget, Seen
from pipeline.domain.packing import NO_NAMES
from pipeline.domain.profile import Profile, life_of, new_profile
from pipeline.domain.stitching import Refused, Step, Stitching
from pipeline.domain.strands import claims_all

SLICE = 2_000
"""Events folded before the event loop gets a turn: about 20 ms of work."""

PARKED_KEPT = 1_000
"""How many customers with parked timers a lane record names; one that it has forgotten waits for an event."""

_FOLDED: Final[Mapping[str, str]] = {
    "folded": "folded", "duplicate": "duplicate", "late": "late", "erased": "erased"
}  # fmt: skip

NO_MARKS: Final[Mapping[str, bytes]] = {}


class FoldRaised(Exception):
    """The fold raised on one arrival: a bug. The batch must be done again without it, on profiles loaded anew."""

    def __init__(self, arrival: Arrival, trace: str, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.arrival = arrival
        self.trace = trace


class TimerRaised(Exception):
    """The fold raised on a customer's timers. They are to be parked, and the batch done again."""

    def __init__(self, key: str, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.key = key


@dataclass(slots=True)
class Effects:
    """What a batch did. `profiles` and `customers`: changed profiles and changed public states, encoded, by key; None
    for those that are gone. `marks` of the erased, by their keys; `left`: journeys and stages that they were in.

    `parked`: whose timers it parked; `returned`: whose came back from that. `due`: how many customers' timers it looked
    at. `published_at` (RFC 3339) dates what is published. `carried_to`: the cursor behind the customers whom it looked
    at for whether they must be carried over, 0 behind the last; None if there was no need. `sent`: records for other
    identities, each with whom it is for, in order; `routed`: events among them by channel. `astray`: events that have
    been sent on too often. `refused`: what was asked of identities and not done, by reason.
    """

    published_at: str
    feed: Feed = field(default_factory=Feed)
    profiles: dict[str, bytes | None] = field(default_factory=dict)
    customers: dict[str, bytes | None] = field(default_factory=dict)
    marks: dict[str, Mark | None] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    due: int = 0
    carried_to: int | None = None
    sent: list[tuple[str, Entry]] = field(default_factory=list)
    routed: dict[str, int] = field(default_factory=dict)
    astray: list[Arrival] = field(default_factory=list)
    refused: dict[Refused, int] = field(default_factory=dict)


class Stitch:
    """Folds the batches of one lane. `code`, of the program and its rules, marks what parked a customer's timers.

    `names` are those of the lane record, by which its profiles are encoded; who holds the lane sets them.

    Profiles come and go encoded: a profile is a handful of objects only while its customer's events are folded, one
    right after the other. Objects that are kept are spread over memory, and fetching them from there cost more than
    decoding does.
    """

    def __init__(self, fold: Fold, intake: Intake, code: str, erasure: Erasure | None = None) -> None:
        self._fold = fold
        self.erasure = erasure or Erasure()
        self._stitching = Stitching(fold, self.erasure.later)
        self.code = code
        self.intake = intake
        self.names = NO_NAMES

    def vocabulary(self) -> list[str]:
        """All that these rules may put into profiles, but for what events bring along."""
        of_journeys = [name for journey in self._fold.journeys for name in journey.names]
        return ["", *CHANNELS, *of_journeys, *self.intake.table.names]

    def fold(
        self,
        arrivals: Sequence[Arrival],
        stored: Mapping[str, bytes | None],
        watermark: int | None,
        batch: Batch,
        effects: Effects,
        parked: Container[str] | None = None,
        marks: Mapping[str, bytes] = NO_MARKS,
    ) -> Iterator[None]:
        """Folds all arrivals, giving way after each slice; raises FoldRaised. `stored`: everybody's profile, encoded.
        `marks`: by key of those who were erased and are not back, or are to be erased once more.

        Customer by customer, each in the order of arrival. With `parked`, what is due for them then fires at once, as
        `let_time_pass` would have it but without making objects of the profile again; not for customers who are in it.
        Raises TimerRaised in that case.
        """
        by_customer: dict[str, list[Arrival]] = {}
        for arrival in arrivals:
            theirs = by_customer.get(arrival.key)
            if theirs is None:
                by_customer[arrival.key] = [arrival]
            else:
                theirs.append(arrival)
        folded = 0
        for key, theirs in by_customer.items():
            if marks and key in marks:
                self.fold_erased(key, theirs, decode_mark(marks[key]), stored[key], watermark, batch, effects, parked)
            else:
                self.fold_customer(key, theirs, stored[key], watermark, batch, effects, parked)
            folded += len(theirs)
            if folded >= SLICE:
                folded = 0
                yield

    def fold_customer(
        self,
        key: str,
        arrivals: list[Arrival],
        stored: bytes | None,
        watermark: int | None,
        batch: Batch,
        effects: Effects,
        parked: Container[str] | None,
    ) -> None:
        """Folds some events of one customer, and what is due then; raises FoldRaised or TimerRaised."""
        profile = self._open(key, stored, arrivals[0].appended)
        self._fold_into(profile, arrivals, stored is None, watermark, batch, effects, parked)

    def _fold_into(
        self,
        profile: Profile,
        arrivals: list[Arrival],
        fresh: bool,
        watermark: int | None,
        batch: Batch,
        effects: Effects,
        parked: Container[str] | None,
    ) -> None:
        """The same, into an opened profile; `fresh`: nobody has stored it yet."""
        fold, feed, counts = self._fold, effects.feed, batch.counts
        key, life = profile.key, life_of(profile)
        if profile.parked:
            watermark = None
        told, owner = len(feed.transitions) + len(feed.signals), profile.to
        touched = bool(fold.carries) and self._carried(profile, arrivals[0], feed)
        for place, arrival in enumerate(arrivals):
            if life and arrival.message is None and is_old(arrival.event, life):
                counts[arrival.channel].erased += 1
                continue
            try:
                if arrival.message is None and not profile.to and not arrival.others:
                    outcome: str | None = fold.event(profile, key, arrival.event, watermark, feed)
                else:
                    outcome = self._stitched(profile, arrival, watermark, effects)
                    touched = True
            except Exception as error:  # a bug of the rules must cost one event, not the lane
                raise FoldRaised(arrival, traceback.format_exc(), error) from error
            if outcome is None:
                continue
            if outcome == "gone":
                mark = self._let_go(profile, arrival.message, fresh, effects)
                self.fold_erased(key, arrivals[place + 1 :], mark, None, watermark, batch, effects, parked)
                return
            tally = counts[arrival.channel]
            if outcome == "folded":
                tally.folded += 1
                touched = True
            elif outcome == "late":
                tally.late += 1
                touched = True
            elif outcome == "erased":
                tally.erased += 1
            else:
                tally.duplicate += 1
        if touched and not (fresh and is_blank(profile)):
            if parked is not None and watermark is not None and key not in parked and not fold.carries:
                self._settle(profile, watermark, effects)
            effects.profiles[key] = encode(profile)
            leads_elsewhere = profile.to != owner and _is_told(profile)
            if leads_elsewhere or len(feed.transitions) + len(feed.signals) > told:
                effects.customers[key] = customer_record(profile, effects.published_at)

    def fold_erased(
        self,
        key: str,
        arrivals: list[Arrival],
        mark: Mark,
        stored: bytes | None,
        watermark: int | None,
        batch: Batch,
        effects: Effects,
        parked: Container[str] | None,
    ) -> None:
        """The same of one who was erased: without a record until something begins anew, if ever something does.

        `stored`: the record of one who has come back already, and may be told to be erased again.
        """
        if stored is not None:
            arrivals = [each for each in arrivals if not _is_order(each.message, mark.order)]
            if arrivals:
                self.fold_customer(key, arrivals, stored, watermark, batch, effects, parked)
            return
        for place, arrival in enumerate(arrivals):
            if arrival.appended > mark.until and not isinstance(arrival.message, Erase):
                effects.marks[self.erasure.mark_key(key)] = None
                self.fold_customer(key, arrivals[place:], None, watermark, batch, effects, parked)
                return
            message = arrival.message or self._seen(Key(key), arrival)
            step = self._stitching.handle_erased(key, mark, message)
            if step is None:
                profile = reborn(key, mark, arrival.appended, self.names)
                self._fold.align(profile)
                rest = [each for each in arrivals[place:] if not _is_order(each.message, mark.order)]
                self._fold_into(profile, rest, True, watermark, batch, effects, parked)
                return
            self._carry_out(step, arrival, effects)
            if step.outcome == "gone" and isinstance(message, Erase):
                mark = effects.marks[self.erasure.mark_key(key)] = self.erasure.mark(
                    message.at, mark.epoch, message.order
                )
            elif step.outcome == "erased":
                batch.counts[arrival.channel].erased += 1

    def _let_go(self, profile: Profile, message: AnyMessage | None, fresh: bool, effects: Effects) -> Mark:
        """Nothing but a mark is left of the identity."""
        assert isinstance(message, Erase | Forget), "nothing else erases"
        key, told = profile.key, _is_told(profile)
        effects.feed.due[key] = None
        effects.profiles[key] = None
        if told or not fresh:
            effects.customers[key] = None
        effects.left += [(position.journey, position.stage) for position in profile.positions if position.stage]
        mark = self.erasure.mark(message.at, profile.epoch, message.order if isinstance(message, Erase) else "")
        effects.marks[self.erasure.mark_key(key)] = mark
        return mark

    def _seen(self, key: Key, arrival: Arrival) -> Seen:
        """An event of a raw topic as a message."""
        event = arrival.event
        return Seen(
            key, arrival.others, 0, event.id, event.at, event.appended, event.partition, event.offset,
            event.type, event.touch, event.channel,
        )  # fmt: skip

    def _stitched(self, profile: Profile, arrival: Arrival, watermark: int | None, effects: Effects) -> str | None:
        """Tells the identity what arrived; None if that is no event, or one that is not folded here."""
        feed, event, message = effects.feed, arrival.event, arrival.message
        if message is None or type(message) is Seen:
            primary = profile.key if message is None else message.primary
            if (
                not profile.to
                and not life_of(profile)
                and (not arrival.others or claims_all(profile, primary, arrival.others))
            ):
                return self._fold.event(profile, primary, event, watermark, feed)
        if message is None:
            message = self._seen(Key(profile.key), arrival)
        step = self._stitching.handle(profile, message, watermark, feed)
        self._carry_out(step, arrival, effects)
        if step.outcome == "gone":
            return "gone"
        return _FOLDED.get(step.outcome)

    def _carry_out(self, step: Step, arrival: Arrival, effects: Effects) -> None:
        """What came of a message leaves."""
        for reason in step.refused:
            effects.refused[reason] = effects.refused.get(reason, 0) + 1
        for post in step.out:
            if type(post.message) is Seen:
                entry = sent_on(Key(post.to), post.message, self._came_with(arrival))
                effects.routed[arrival.channel] = effects.routed.get(arrival.channel, 0) + 1
            else:
                entry = posted(post)
            effects.sent.append((post.to, entry))
        if step.outcome == "dead":
            effects.astray.append(arrival)

    def _came_with(self, arrival: Arrival) -> Headers:
        if arrival.message is not None:
            return arrival.record.headers
        return with_origin(arrival.source.topic, self.intake.partition, arrival.record)

    def _settle(self, profile: Profile, watermark: int, effects: Effects) -> None:
        """Fires what is due; TimerRaised."""
        if profile.indexed is None or profile.indexed > watermark:
            return
        effects.due += 1
        try:
            self._fold.time(profile, watermark, effects.feed)
        except Exception as error:  # likewise: it costs one customer's timers
            raise TimerRaised(profile.key, error) from error

    def let_time_pass(
        self, keys: Sequence[str], stored: Mapping[str, bytes | None], watermark: int, effects: Effects
    ) -> Iterator[None]:
        """Fires what is due for these customers, giving way after each slice; raises TimerRaised."""
        feed = effects.feed
        for first in range(0, len(keys), SLICE):
            for key in keys[first : first + SLICE]:
                if _is_gone(key, effects):
                    continue
                profile = self._reopen(key, stored, effects)
                told = len(feed.transitions) + len(feed.signals)
                if profile.parked:
                    profile.indexed = feed.due[key] = None
                else:
                    try:
                        if self._fold.carries:
                            self._fold.carry_over(profile, feed)
                        self._fold.time(profile, watermark, feed)
                    except Exception as error:  # likewise: it costs one customer's timers
                        raise TimerRaised(key, error) from error
                effects.profiles[key] = encode(profile)
                if len(feed.transitions) + len(feed.signals) > told:
                    effects.customers[key] = customer_record(profile, effects.published_at)
            yield

    def carry_over(
        self, keys: Sequence[str], stored: Mapping[str, bytes | None], watermark: int | None, effects: Effects
    ) -> Iterator[None]:
        """Brings these customers under the versions that hold now, where they are not, giving way after each slice;
        raises TimerRaised."""
        feed = effects.feed
        for first in range(0, len(keys), SLICE):
            for key in keys[first : first + SLICE]:
                if _is_gone(key, effects):
                    continue
                profile = self._reopen(key, stored, effects)
                told = len(feed.transitions) + len(feed.signals)
                if profile.parked:
                    continue
                try:
                    carried = self._fold.carry_over(profile, feed)
                    if carried and watermark is not None:
                        self._fold.time(profile, watermark, feed)
                except Exception as error:  # likewise
                    raise TimerRaised(key, error) from error
                if carried:
                    effects.profiles[key] = encode(profile)
                    if len(feed.transitions) + len(feed.signals) > told:
                        effects.customers[key] = customer_record(profile, effects.published_at)
            yield

    def _carried(self, profile: Profile, arrival: Arrival, feed: Feed) -> bool:
        """Whether the customer had to be carried over first; FoldRaised on the first arrival."""
        try:
            return self._fold.carry_over(profile, feed)
        except Exception as error:  # likewise
            raise FoldRaised(arrival, traceback.format_exc(), error) from error

    def park(self, key: str, stored: Mapping[str, bytes | None], why: str, effects: Effects) -> None:
        """Leaves the customer's timers alone until another version of the code or a model comes."""
        if _is_gone(key, effects):
            return
        profile = self._reopen(key, stored, effects)
        profile.parked = f"{self.code} {why}"[:300]
        profile.indexed = effects.feed.due[key] = None
        effects.parked.append(key)
        effects.profiles[key] = encode(profile)

    def _open(self, key: str, data: bytes | None, epoch: int) -> Profile:
        """The profile of `data`, or a new one created by a record appended at `epoch`."""
        profile = new_profile(key, epoch, self.names) if data is None else decode(data, self.names)
        self._fold.align(profile)
        if profile.parked and not profile.parked.startswith(f"{self.code} "):
            profile.parked = ""
        return profile

    def _reopen(self, key: str, stored: Mapping[str, bytes | None], effects: Effects) -> Profile:
        """The profile as the batch has it by now; not for one that it has erased."""
        return self._open(key, effects.profiles.get(key) or stored[key], 0)


@dataclass(slots=True)
class Written:
    """The records of a batch by what they are for; profiles as (field, value)."""

    transitions: list[Entry]
    signals: list[Entry]
    customers: list[Entry]
    profiles: list[tuple[bytes, bytes | None]]


def _is_gone(key: str, effects: Effects) -> bool:
    """Whether the batch has erased the identity, and it is not back."""
    return key in effects.profiles and effects.profiles[key] is None


def _is_order(message: AnyMessage | None, order: str) -> bool:
    """Whether it is the order by which the identity was erased, once more."""
    return isinstance(message, Erase) and message.order == order


def _is_told(profile: Profile) -> bool:
    """Whether subscribers have ever heard of it."""
    return any(position.seq or position.occurrences for position in profile.positions)


def write_out(effects: Effects) -> Written:
    """All of it as the records that will be sent."""
    feed, published_at = effects.feed, effects.published_at
    transitions: list[Entry] = [
        (public_key(Key(each.key)).encode(), transition_record(each, published_at), ()) for each in feed.transitions
    ]
    signals: list[Entry] = [
        (public_key(Key(each.key)).encode(), signal_record(each, published_at), ()) for each in feed.signals
    ]
    customers: list[Entry] = [(public_key(Key(key)).encode(), value, ()) for key, value in effects.customers.items()]
    profiles: list[tuple[bytes, bytes | None]] = [(key.encode(), data) for key, data in effects.profiles.items()]
    profiles += [(key.encode(), None if mark is None else encode_mark(mark)) for key, mark in effects.marks.items()]
    return Written(transitions, signals, customers, profiles)


def bring_up_to_date(record: LaneRecord, batch: Batch, effects: Effects, code: str) -> None:
    """Adds what the batch did to the totals of the lane record. `code` is what parked timers are parked by."""
    for channel, counted in batch.counts.items():
        total = record.totals[channel]
        total.read += counted.read
        total.folded += counted.folded
        total.duplicate += counted.duplicate
        total.routed += counted.routed
        total.late += counted.late
        total.erased += counted.erased
        total.dead += counted.dead
    for channel, count in effects.routed.items():
        record.totals[channel].routed += count
    for kind, count in batch.told.items():
        record.messages[kind] = record.messages.get(kind, 0) + count
    for refused, count in effects.refused.items():
        record.refused[refused] = record.refused.get(refused, 0) + count
    record.commands.read += batch.commands.read
    record.commands.obeyed += batch.commands.obeyed
    record.commands.dead += batch.commands.dead
    for reason in batch.reasons:
        record.dead[reason] = record.dead.get(reason, 0) + 1
    for topic, moment in batch.punctuation.items():
        record.punctuation[topic] = max(record.punctuation.get(topic, 0), moment)
    for transition in effects.feed.transitions:
        _count_transition(record, transition)
    for signal in effects.feed.signals:
        by_kind = record.signals.setdefault(signal.journey, {})
        name = f"{signal.signal}:{signal.kind}"
        by_kind[name] = by_kind.get(name, 0) + 1
    for journey, stage in effects.left:
        stages = record.stages.setdefault(journey, {})
        stages[stage] = stages.get(stage, 0) - 1
    record.erased += sum(mark is not None for mark in effects.marks.values())
    record.truncated += effects.feed.truncated
    record.unclassified += effects.feed.unclassified
    record.parked += len(effects.parked)
    for key in (*effects.returned, *(key for key, data in effects.profiles.items() if data is None)):
        record.parked_by.pop(key, None)
    for key in effects.parked:
        record.parked_by[key] = code
    for key in list(record.parked_by)[:-PARKED_KEPT]:
        del record.parked_by[key]
    record.old += batch.old
    for why, count in batch.ignored.items():
        record.ignored[why] = record.ignored.get(why, 0) + count


def _count_transition(record: LaneRecord, transition: Transition) -> None:
    kinds = record.transitions.setdefault(transition.journey, {})
    kinds[transition.kind] = kinds.get(transition.kind, 0) + 1
    stages = record.stages.setdefault(transition.journey, {})
    if transition.from_:
        stages[transition.from_] = stages.get(transition.from_, 0) - 1
    if transition.to:
        stages[transition.to] = stages.get(transition.to, 0) + 1
