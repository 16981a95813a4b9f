"""How far everything has been read, and the watermark that follows from it (I9).

A lane proves its progress after the fact: a tick on `journey.progress` is acknowledged at T0, the ends of its inputs
are asked for after that, and once the lane has committed up to those ends, all that was acknowledged before T0 is
folded or routed. The watermark is the least progress of all lanes, taken once what they routed has arrived as well.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.application.ports import ProgressRecord

_NEVER = -1
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Proof:
    """All that was acknowledged before `ticked_at` (ms; the tick has `offset`) is read once `end` is reached."""

    ticked_at: int
    offset: int
    end: int


class LaneProgress:
    """The progress of one instance of a lane; nothing of it survives a restart but what was published.

    `raw`: the topics whose progress is a time; `events`: the topic of routed records, whose progress is the offset of a
    tick. With an event clock the times are the punctuation of the lane record instead.
    """

    def __init__(self, raw: Sequence[str], events: str) -> None:
        self._events_topic = events
        self._times = dict.fromkeys(raw, _NEVER)
        self._events = _NEVER
        self._ticked = _NEVER
        self._proofs: dict[str, deque[Proof]] = {topic: deque() for topic in (*raw, events)}

    def ticked(self, ticked_at: int, offset: int, ends: Mapping[str, int | None]) -> None:
        """Remembers what would prove that everything before the tick is read; an unknown end proves nothing."""
        if offset <= self._ticked:  # the ticks' topic was made anew: its former offsets say nothing in this one
            self._events = _NEVER
            self._proofs[self._events_topic].clear()
        self._ticked = offset
        for topic, proofs in self._proofs.items():
            end = ends.get(topic)
            if end is None or (proofs and proofs[-1].ticked_at >= ticked_at):
                continue
            if len(proofs) >= _KEPT:
                proofs.pop()
            proofs.append(Proof(ticked_at, offset, end))

    def committed(self, positions: Mapping[str, int], appended: Mapping[str, int]) -> None:
        """The lane has committed up to `positions`; `appended`: append time of the last committed record of a topic."""
        for topic, proofs in self._proofs.items():
            position = positions.get(topic, 0)
            while proofs and proofs[0].end <= position:
                proof = proofs.popleft()
                if topic == self._events_topic:
                    self._events = max(self._events, proof.offset)
                else:
                    self._times[topic] = max(self._times[topic], proof.ticked_at)
        for topic, time in appended.items():
            if topic in self._times:
                self._times[topic] = max(self._times[topic], time)

    def raw(self) -> tuple[int | None, str]:
        """The least progress of the raw topics, None if one has none yet, and the topic that holds it."""
        topic = min(self._times, key=self._times.__getitem__)
        time = self._times[topic]
        return (None if time == _NEVER else time), topic

    def events(self) -> int | None:
        return None if self._events == _NEVER else self._events


def punctuated(topics: Sequence[str], punctuation: Mapping[str, int]) -> tuple[int | None, str]:
    """The same as `LaneProgress.raw` by an event clock: the least punctuation, None if a topic has none yet."""
    topic = min(topics, key=lambda name: punctuation.get(name, _NEVER))
    return punctuation.get(topic), topic


@dataclass(slots=True)
class _Said:
    raw: int
    events: int


@dataclass(frozen=True, slots=True)
class _Sample:
    raw: int
    mark: int
    hops: int


class Watermark:
    """The watermark as one worker knows it, from the records of `journey.progress` in their order.

    `lanes`: P. `hops`: how many times a record may be routed. `value` is None until every lane has proven something.
    """

    def __init__(self, lanes: int, hops: int) -> None:
        self._lanes = lanes
        self._hops = hops
        self._world = ""
        self._said: dict[int, _Said] = {}
        self._sample: _Sample | None = None
        self._read = _NEVER
        self.value: int | None = None

    def enter(self, world: str) -> None:
        """Says which application and changelog this is; another world's progress is forgotten."""
        if world != self._world:
            self._world, self._said, self._sample, self.value = world, {}, None, None

    def observe(self, offset: int, record: ProgressRecord) -> None:
        """Takes the next record of the topic, and begins anew with a topic that does."""
        if offset <= self._read:
            self._said.clear()
            self._sample = None
        self._read = offset
        if record.world != self._world or not 0 <= record.lane < self._lanes:
            return
        said = self._said.setdefault(record.lane, _Said(_NEVER, _NEVER))
        said.raw = max(said.raw, _NEVER if record.raw is None else record.raw)
        if record.events is not None and record.events < offset:  # what lies ahead is an offset of a former topic
            said.events = max(said.events, record.events)
        if len(self._said) < self._lanes:
            return
        sample = self._sample
        if sample is not None and min(s.events for s in self._said.values()) >= sample.mark:
            sample = _Sample(sample.raw, offset, sample.hops + 1)
        if sample is None:
            sample = _Sample(min(s.raw for s in self._said.values()), offset, 0)
        if sample.hops >= self._hops:
            if sample.raw != _NEVER:
                self.value = sample.raw if self.value is None else max(self.value, sample.raw)
            sample = None
        self._sample = sample

    def holder(self) -> int:
        """The lane that holds all timers: the first that has said nothing yet, else the one with the least progress."""
        silent = set(range(self._lanes)) - self._said.keys()
        if silent:
            return min(silent)
        return min(self._said, key=lambda lane: self._said[lane].raw)
