"""Why a customer is where they are: every change with its cause and the line of its rule, and what could come next.

What happened is read from the published transitions, what could happen from the profile. Times are event time in ms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pipeline.adapters.customer_view import CustomerView, JourneyView, Stored, newest_of, view
from pipeline.adapters.journey_files import ReadJourney, running_files
from pipeline.adapters.kafka.feed_reader import FeedReader
from pipeline.adapters.published import Cause, EventCause, LinkCause, PublishedTransition, TimerCause, transition
from pipeline.adapters.told_history import ToldHistory
from pipeline.adapters.yaml_documents import closest
from pipeline.application.outlook import Outlook, look_ahead
from pipeline.config import Settings
from pipeline.domain.compile import Journey, compile_journey
from pipeline.domain.extremes import NEVER
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key, public_key
from pipeline.domain.moments import format_moment, parse_moment
from pipeline.domain.profile import Position
from pipeline.domain.spec import START
from pipeline.domain.touches import TouchTable
from pipeline.domain.uniting import CUT, LINKED, UNITED
from pipeline.errors import UserError

_SKEW: Final = 60_000
"""How far brokers' clocks may be apart, in ms: how much earlier than the profile its first record may seem to be."""


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the history: the customer came to the stage `to`. `came_from` is empty for the start.

    `touch`: what the event counted as, as long as it is remembered, and `done_by` the identity that it came with, if
    that is another than the customer's own. `line`: where the rule stands in the journey's
    file, None if that has another version. `told`: the record; None if it is no longer in the feed. `taken_back`: the
    record that took the change back; then where it came from is not said.
    """

    at: int
    came_from: str
    to: str
    cause: Cause
    touch: str | None
    line: int | None
    told: PublishedTransition | None
    taken_back: PublishedTransition | None = None
    done_by: str | None = None


@dataclass(frozen=True, slots=True)
class JourneyExplained:
    """One journey. `history`: what holds and what was taken back, by event time, as far as was asked for.

    `stage` and `since` are those of the time that was asked for; `next`: the change that came after it. `known`: the
    stage that subscribers had been told by then, None if that is not asked. `outlook` is for the present only;
    `why_not`: why there is none. `path`: the journey's file, None if the settings do not name it.
    """

    view: JourneyView
    path: Path | None
    lines: Mapping[str, int]
    stage: str
    since: int
    history: Sequence[Change]
    next: Change | None
    known: str | None
    outlook: Outlook | None
    why_not: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """`at`: the time that was asked for, None for now."""

    customer: CustomerView
    at: int | None
    journeys: Sequence[JourneyExplained]


async def read_told(settings: Settings, stored: Stored) -> list[PublishedTransition]:
    """The transitions that made the profile, in the order of their log; UserError if Kafka does not answer."""
    profile = stored.profile
    key = public_key(Key(profile.key)).encode()
    async with FeedReader(settings.brokers, [settings.topic("journey.transitions")], key) as reader:
        # The profile's first transition was appended after the event that created it.
        records = await reader.everything_of(key, max(0, profile.epoch - _SKEW))
    seqs = {position.journey: position.seq for position in profile.positions}
    found = [transition(record) for record in records]
    return [
        one
        for one in found
        if one.seq <= seqs.get(one.journey, 0) and one.id.endswith(f":{one.journey}:{profile.epoch}:{one.seq}")
    ]


def explain(
    settings: Settings, stored: Stored, told: Sequence[PublishedTransition], only: str | None, at: int | None
) -> Explanation:
    """The explanation of one journey, or of all; as it is now, or as it was at a time.

    UserError if the customer has no place in the journey, or a journey's file has a mistake.
    """
    touches, files = running_files(settings, stored.models)
    company = TouchTable(touches).company
    models = {read.spec.name: _Model(path, read, compile_journey(read.spec, company)) for path, read in files.items()}
    customer = view(stored, {name: (model.read.spec, model.compiled) for name, model in models.items()})
    names = [journey.name for journey in customer.journeys]
    if only is not None and only not in names:
        near = closest(only, names)
        hint = f"did you mean '{near}'?" if near else f"known: {', '.join(names)}"
        raise UserError(f"{customer.customer} has no place in a journey '{only}'; {hint}")
    journeys = [
        _Explaining(settings, stored, customer, position, journey, models.get(journey.name)).explain(
            [one for one in told if one.journey == journey.name], at
        )
        for position, journey in zip(stored.profile.positions, customer.journeys, strict=True)
        if only in (None, journey.name)
    ]
    return Explanation(customer, at, journeys)


@dataclass(frozen=True, slots=True)
class _Model:
    path: Path
    read: ReadJourney
    compiled: Journey


@dataclass(frozen=True, slots=True)
class _Explaining:
    """One position of a profile, on its way to an explanation."""

    settings: Settings
    stored: Stored
    customer: CustomerView
    position: Position
    view: JourneyView
    model: _Model | None

    def explain(self, told: Sequence[PublishedTransition], at: int | None) -> JourneyExplained:
        history = ToldHistory()
        for record in told:
            history.take(record)
        changes = [*self._forgotten(told), *map(self._change, _in_order(history, told))]
        held = [
            replace(change, came_from=_left(change) or (before.to if before else ""))
            for before, change in zip([None, *changes], changes, strict=False)
        ]
        gone = [replace(self._change(one.told), taken_back=one.by) for one in history.taken_back]
        shown = [change for change in held if at is None or change.at <= at]
        after = held[len(shown)] if len(shown) < len(held) else None
        gone = [change for change in gone if at is None or change.at <= at]
        outlook, why_not = self._outlook() if at is None else (None, "")
        return JourneyExplained(
            view=self.view,
            path=self.model.path if self.model else None,
            lines=self.model.read.lines if self.model else {},
            stage=self.view.stage if at is None else shown[-1].to if shown else START,
            since=self.view.since if at is None else shown[-1].at if shown else NEVER,
            # Of one moment, what was taken back stands before what holds instead.
            history=sorted([*gone, *shown], key=lambda change: change.at),
            next=after,
            known=None if at is None else self._known(told, at),
            outlook=outlook,
            why_not=why_not,
        )

    def _change(self, told: PublishedTransition) -> Change:
        event = told.cause.event
        return Change(
            at=parse_moment(told.occurred_at),
            came_from="",
            to=told.to or "",
            cause=told.cause,
            touch=self._touch(event.id) if event else None,
            line=self._line(told.cause.rule, told.version),
            told=told,
            done_by=self.customer.done_by.get(event.id) if event else None,
        )

    def _forgotten(self, told: Sequence[PublishedTransition]) -> Iterable[Change]:
        """What the profile still knows of the time before the first record that the feed has."""
        if told and told[0].seq == 1:
            return
        known = {(each.cause.rule, parse_moment(each.occurred_at)) for each in told}
        for entry in self.view.history:
            if (entry.rule, entry.at) not in known:
                yield Change(
                    at=entry.at,
                    came_from="",
                    to=entry.to,
                    cause=_cause(entry),
                    touch=self._touch(entry.event),
                    line=self._line(entry.rule),
                    told=None,
                    done_by=self.customer.done_by.get(entry.event),
                )

    def _touch(self, event: str) -> str | None:
        return next((seen.touch for seen in self.customer.recent if seen.id == event), None)

    def _line(self, rule: str, version: int | None = None) -> int | None:
        if self.model is None or version not in (None, self.model.read.spec.version):
            return None
        return self.model.read.lines.get(rule)

    def _known(self, told: Sequence[PublishedTransition], at: int) -> str | None:
        """With `clock: event` publication and event time cannot be compared."""
        if self.settings.clock == "event":
            return None
        return next((each.to or "" for each in reversed(told) if parse_moment(each.published_at) <= at), "")

    def _outlook(self) -> tuple[Outlook | None, str]:
        """What could come next, or why that cannot be said."""
        if self.model is None:
            return None, "these settings do not name this journey, so nothing is known of its rules"
        spec, record = self.model.read.spec, self.stored.record
        mark = record.models.get(spec.name) if record else None
        if mark is not None and mark.fingerprint != spec.fingerprint:
            theirs = f"{self.model.path} has other rules, version {spec.version}"
            return None, f"the lane runs version {mark.version}, and {theirs}"
        if self.customer.joined:
            return None, f"all that it does counts for {self.customer.joined}"
        if self.stored.profile.parked:
            return None, f"timers are parked: {self.stored.profile.parked}"
        newest = newest_of(self.stored.profile)
        return look_ahead(spec, self.model.compiled, self.position.track, self.stored.watermark, newest), ""


def _in_order(history: ToldHistory, told: Sequence[PublishedTransition]) -> list[PublishedTransition]:
    """What holds, and between it where another version of the journey led, or that the customer joined another; what
    was before that is closed."""
    moves = [one for one in told if one.kind == "moved"]
    return sorted(
        [*history.net(), *moves], key=lambda one: (sum(move.seq < one.seq for move in moves), one.occurred_at)
    )


def _left(change: Change) -> str:
    """The stage from which the customer has joined another."""
    told = change.told
    return told.from_ or "" if told is not None and told.into is not None else ""


def _cause(entry: Entry) -> Cause:
    if entry.rule == LINKED and entry.type in (UNITED, CUT):
        change: Final = "united" if entry.type == UNITED else "cut"
        return Cause(entry.rule, link=LinkCause(change, public_key(Key(entry.channel))))
    if entry.event:
        return Cause(entry.rule, EventCause(entry.event, entry.type, entry.channel))
    if entry.since >= 0:
        return Cause(entry.rule, timer=TimerCause(entry.rule, format_moment(entry.since), format_moment(entry.at)))
    return Cause(entry.rule)
