"""Customers of one version of a journey under another: what they keep, and which of their silences go on.

What both versions keep goes over: the last time of the same touches, the count of the same touch, the times that a
rule of the same name and size counts. What only the new one keeps begins with the switch. See docs/semantics.md.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pipeline.domain.compile import Journey, Timer
from pipeline.domain.extremes import FAR, NEVER
from pipeline.domain.profile import Event, Pending, Track, track_of
from pipeline.domain.spec import START, SilenceSpec
from pipeline.domain.track import arrange, first_stage_timer, step

MOVED = "@moved"
"""The rule of an entry that a switch has made; no rule of a journey can be called that."""

STAY, MAP, REFOLD = "stay", "map", "re-fold"

T = TypeVar("T")


class Carry:
    """How customers come from the version `former` to the version `journey` of one journey.

    `stages`: where those of a stage go, None to have them folded again; who is in none of them stays. `at`: when it was
    decided (ms). `watermark`: up to where time has passed under the former version, NEVER if that is not known.
    """

    def __init__(
        self, former: Journey, journey: Journey, stages: Mapping[str, str | None], at: int, watermark: int
    ) -> None:
        self.former = former
        self.journey = journey
        self.stages = dict(stages)
        self.at = at
        self.watermark = watermark

    def way(self, stage: str) -> str:
        """What becomes of those who are in a stage: STAY, MAP or REFOLD."""
        if stage == START:
            return STAY
        if stage in self.stages:
            return REFOLD if self.stages[stage] is None else MAP
        return STAY if stage in self.journey.stages else REFOLD

    def convert(self, track: Track, closed: int) -> Track:
        """A track of the former version as one of the new; every stage timer of it is due after `closed`."""
        return self._converted(track, self._target(track.stage), closed)

    def again(self, base: Track, events: Sequence[Event], closed: int) -> Track:
        """The remembered `events` folded by the new version, from where the customer was before them.

        Every stage timer of it is due after `closed`, the moment of the last of all before.
        """
        target = START if self.way(base.stage) == REFOLD else self._target(base.stage)
        track = self._converted(base, target, base.since)
        for event in events:
            track = step(self.journey, track, event, [])
        pending: list[Pending] = []
        for due, rule, since in track.pending:
            timer: Timer = self.journey.timers[rule]
            if timer.to is not None:
                pending.append((max(due, closed + 1), rule, since))
            elif not self._over(timer, due):
                pending.append((due, rule, since))
        return self._with_pending(track, pending)

    def _target(self, stage: str) -> str:
        return self.stages.get(stage) or stage

    def _converted(self, track: Track, stage: str, closed: int) -> Track:
        old, new = self.former.slots, self.journey.slots
        made = track_of(
            stage,
            track.since if stage != START else NEVER,
            FAR,
            (),
            _kept(old[0], track.last, new[0], NEVER),
            _kept(old[1], track.counts, new[1], 0),
            _kept(old[2], track.windows, new[2], ()),
        )
        pending: list[Pending] = []
        for silence in self.journey.spec.silences:
            pending += self._silence(silence, track, made, closed)
        told_at_once = {trigger.rule for trigger in self.journey.spec.triggers}
        for one in track.pending:
            if one[1] in told_at_once and one[0] == one[2] and not self._told(one):
                pending.append(one)
        return self._with_pending(made, pending)

    def _with_pending(self, track: Track, pending: list[Pending]) -> Track:
        arranged = arrange(self.journey, pending)
        settle_at = first_stage_timer(self.journey, arranged)
        return track_of(track.stage, track.since, settle_at, arranged, track.last, track.counts, track.windows)

    def _silence(self, silence: SilenceSpec, track: Track, made: Track, closed: int) -> list[Pending]:
        """The silence as it goes on: since when it did, if the former version had it, else since what is known."""
        timer: Timer = self.journey.timers[silence.rule]
        counts = silence.froms is None or made.stage in silence.froms
        former = self._former(silence)
        begun: list[int] = []
        if former is not None:
            # One that was over before the stage was left waits for its grace alone, wherever the customer is.
            begun += [
                since
                for due, rule, since in track.pending
                if rule == silence.rule and not self._told((due, rule, since)) and (counts or due < track.since)
            ]
        if counts and (former is None or not (former.froms is None or track.stage in former.froms)):
            begun += self._begun(silence, made)
        found: list[Pending] = []
        for since in dict.fromkeys(begun):
            due = since + timer.after
            if timer.to is not None:
                found.append((max(due, closed + 1), timer.rule, since))
            elif not self._over(timer, due):
                found.append((due, timer.rule, since))
        return found

    def _former(self, silence: SilenceSpec) -> SilenceSpec | None:
        """The same silence of the former version, whatever its length and its stages."""
        for other in self.former.spec.silences:
            if (
                other.rule == silence.rule
                and (other.to is None) == (silence.to is None)
                and _same(other.since, silence.since)
                and _same(other.unless, silence.unless)
            ):
                found: SilenceSpec = other
                return found
        return None

    def _begun(self, silence: SilenceSpec, made: Track) -> list[int]:
        """Since when a silence lasts that the former version did not have; empty if that cannot be known."""
        if silence.since is None:
            return [] if made.since == NEVER else [made.since]
        last = self._last(silence.since, made)
        if last is None or last == NEVER:
            return []
        if not set(silence.unless) <= set(silence.since):
            broken = self._last(silence.unless, made)
            if broken is None or broken > last:
                return []
        return [last]

    def _last(self, touches: tuple[str, ...], made: Track) -> int | None:
        """When the last of these touches was, None if the former version did not keep it."""
        wanted = frozenset(touches)
        if wanted not in self.former.slots[0] or wanted not in self.journey.slots[0]:
            return None
        return made.last[self.journey.slots[0].index(wanted)]

    def _over(self, timer: Timer, due: int) -> bool:
        """Whether a signal would have been told by now: it is not told any more then."""
        return timer.to is None and self.watermark != NEVER and self.watermark >= due + timer.grace

    def _told(self, pending: Pending) -> bool:
        """Whether a signal that was pending under the former version has been told."""
        timer: Timer = self.former.timers[pending[1]]
        return self._over(timer, pending[0])


def _kept(old: Sequence[object], values: tuple[T, ...], new: Sequence[object], empty: T) -> tuple[T, ...]:
    """The values in the order of the new slots; `empty` for a slot that there was not."""
    places = {slot: place for place, slot in enumerate(old)}
    return tuple([values[places[slot]] if slot in places else empty for slot in new])


def _same(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    return (one is None) == (other is None) and set(one or ()) == set(other or ())
