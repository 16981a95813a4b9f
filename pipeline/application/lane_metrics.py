"""What a lane reports of itself while it goes on: how far its replay is, and who went from which stage to which."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.application.metrics import BEGIN, ENDS, Metrics
from pipeline.application.ports import Clock, Fenced, KafkaDoubt, OpenTransaction, Record, TableDoubt
from pipeline.domain.compile import Journey
from pipeline.domain.feed import Transition


class ReplayMeter:
    """How far the replay of a lane's changelog has come, and how long it still takes at the pace that it had so far.

    Counted in positions: compaction has left gaps, so that nobody knows how many records are to come.
    """

    def __init__(self, lane: int, metrics: Metrics, clock: Clock) -> None:
        self._lane = str(lane)
        self._metrics = metrics
        self._clock = clock
        self._start = self._end = 0
        self._began = 0.0
        self.replayed = 0

    def begin(self, start: int, end: int) -> None:
        """Positions [start, end) are read from now on."""
        self._start, self._end, self._began = start, end, self._clock.monotonic()
        self._metrics.set("lane_replay_left_records", max(0, end - start), self._lane)

    def read(self, records: Sequence[Record]) -> None:
        """These records are in hand."""
        if not records:
            return
        self.replayed += len(records)
        reached = records[-1].offset + 1
        took = self._clock.monotonic() - self._began
        left = max(0, self._end - reached)
        self._metrics.increment("lane_replayed_records_total", len(records), self._lane)
        self._metrics.set("lane_replay_left_records", left, self._lane)
        self._metrics.set("lane_replay_left_seconds", took * left / (reached - self._start), self._lane)

    def done(self) -> None:
        """The lane is in hand."""
        self._metrics.set("lane_replay_left_records", 0, self._lane)
        self._metrics.set("lane_replay_left_seconds", 0, self._lane)


def begin_counts(metrics: Metrics, lane: int) -> None:
    """Shows what may go wrong with the zero that a rate begins with: else the first time would not count."""
    metrics.increment("lane_replayed_records_total", 0, str(lane))
    for kind in (KafkaDoubt, Fenced, OpenTransaction, TableDoubt):
        metrics.increment("lane_doubts_total", 0, str(lane), kind.reason)
    for outcome in ENDS:
        metrics.increment("lane_transactions_total", 0, str(lane), outcome)


def count_stage_changes(metrics: Metrics, transitions: Iterable[Transition]) -> None:
    """Counts committed transitions by where they led from and to."""
    pairs = Counter((transition.journey, transition.from_, transition.to) for transition in transitions)
    for (journey, source, target), count in pairs.items():
        metrics.increment("stage_changes_total", count, journey, source or BEGIN, target or BEGIN)


def begin_stage_changes(metrics: Metrics, journeys: Iterable[Journey]) -> None:
    """Shows every change that the rules name with the zero that a rate begins with."""
    for journey in journeys:
        rules = [(entry.froms, entry.to) for entry in journey.spec.entries]
        rules += [(silence.froms or (), silence.to) for silence in journey.spec.silences if silence.to]
        for sources, target in rules:
            for source in sources:
                metrics.increment("stage_changes_total", 0, journey.name, source or BEGIN, target)
