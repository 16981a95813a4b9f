"""What this system measures of itself: a closed list, and how the parts report to it.

A metric is named here without the prefix that all share in Prometheus. docs/metrics.md is made of this list.
"""

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

from pipeline.application.lane_record import UNKNOWN_CHANNEL, LaneRecord
from pipeline.application.ports import Failure
from pipeline.domain.event import CHANNELS, Reason
from pipeline.domain.identity import Ignored
from pipeline.domain.messages import MESSAGES
from pipeline.domain.stitching import Refused

PREFIX: Final = "journey_"

OTHER: Final = "other"
"""What stands for a label's value outside its closed list, so that a mistake cannot make series without end."""

NONE: Final = "none"
"""What stands for an empty label value, which Prometheus would take for no label."""

BEGIN: Final = "start"
"""What the stage labels say of customers who are in no stage yet."""

Kind = Literal["counter", "gauge", "histogram"]
Origin = Literal["record", "lane", "worker"]
"""`record`: absolute, from the lane record, so that it adds up over crashes and moves with the lane. `lane`: what this
process saw of a lane; gone when the lane is. `worker`: what concerns the process."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label and what bounds it: its `values`, or in words the thing whose number is bounded."""

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, in base units (seconds, bytes). `buckets` of a histogram are upper bounds in its unit."""

    name: str
    kind: Kind
    origin: Origin
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()


LANE = Label("lane", bound="partitions")
TOPIC = Label("topic", bound="the inputs of a lane")
JOURNEY = Label("journey", bound="the journeys in the settings")
STAGE = Label("stage", bound="the stages of the journey")
SIGNAL = Label("signal", bound="the signals of the journey")
CHANNEL = Label("channel", (*CHANNELS, UNKNOWN_CHANNEL))
OUTCOME = Label("outcome", ("folded", "duplicate", "routed", "late", "erased", "dead"))
STATE = Label("state", ("new", "taking", "running", "waiting", "parked", "stopped"))
CLOCK = Label("clock", ("live", "event"))
WAIT = Label("reason", (NONE, "replaying", "redis", "kafka", "fenced", "breaker", "paused", "retention", "membership"))

ENDS: Final = ("committed", "doubtful")
"""How transactions end."""

_STEP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

METRICS: Final = (
    Metric("events_read_total", "counter", "record", "Raw and routed events read.", (LANE, CHANNEL)),
    Metric(
        "events_total",
        "counter",
        "record",
        "The same events by what became of them. Over all outcomes the sum is events_read_total, exactly.",
        (LANE, CHANNEL, OUTCOME),
    ),
    Metric("commands_read_total", "counter", "record", "Commands read.", (LANE,)),
    Metric(
        "commands_total",
        "counter",
        "record",
        "Commands by what became of them.",
        (LANE, Label("outcome", ("obeyed", "dead"))),
    ),
    Metric(
        "transitions_total",
        "counter",
        "record",
        "Transitions published.",
        (LANE, JOURNEY, Label("kind", ("entered", "corrected", "retracted", "moved"))),
    ),
    Metric(
        "signals_total",
        "counter",
        "record",
        "Signals published.",
        (LANE, JOURNEY, SIGNAL, Label("kind", ("fired", "retracted"))),
    ),
    Metric(
        "dead_letters_total",
        "counter",
        "record",
        "Records sent to the dead letters.",
        (LANE, Label("reason", get_args(Reason))),
    ),
    Metric("customers", "gauge", "record", "Customers who are in a stage now.", (LANE, JOURNEY, STAGE)),
    Metric(
        "truncated_total", "counter", "record", "Events pushed out of a customer's recent ones by their limit.", (LANE,)
    ),
    Metric("unclassified_events_total", "counter", "record", "Events that no row of the touch table fits.", (LANE,)),
    Metric(
        "old_events_total",
        "counter",
        "record",
        "Events far older than their append time: on the live clock their silences are all due at once.",
        (LANE,),
    ),
    Metric(
        "identities_ignored_total",
        "counter",
        "record",
        "Identities passed over in events that name their customer by another one.",
        (LANE, Label("reason", get_args(Ignored))),
    ),
    Metric(
        "identity_messages_total",
        "counter",
        "record",
        "What identities told each other, so that what one person did is under one owner.",
        (LANE, Label("message", MESSAGES)),
    ),
    Metric(
        "identity_refusals_total",
        "counter",
        "record",
        "Links, claims and blocks that were not taken because of a limit, or make no sense.",
        (LANE, Label("reason", get_args(Refused))),
    ),
    Metric("identities_erased_total", "counter", "record", "Identities erased by `journey erase`.", (LANE,)),
    Metric(
        "timers_parked_total", "counter", "record", "Customers whose timers were parked because one raised.", (LANE,)
    ),
    Metric("model_version", "gauge", "record", "Version of the journey that the lane runs.", (LANE, JOURNEY)),
    Metric(
        "carrying_over",
        "gauge",
        "record",
        "1 while customers of the journey may still have to be carried over to the version that the lane runs.",
        (LANE, JOURNEY),
    ),
    Metric("breaker_open", "gauge", "record", "1 while the lane stands until a person resumes it.", (LANE,)),
    Metric(
        "skipped_records_total",
        "counter",
        "record",
        "Positions that retention took unread and that a person gave up.",
        (LANE, TOPIC),
    ),
    Metric(
        "lane_state", "gauge", "lane", "1 for the state that the lane is in, and why it waits.", (LANE, STATE, WAIT)
    ),
    Metric("lane_lag_records", "gauge", "lane", "Positions between the lane and the end of its input.", (LANE, TOPIC)),
    Metric(
        "lane_readable_lag_records",
        "gauge",
        "lane",
        "Of these, the positions that can be read now: up to the last stable offset, before any open transaction.",
        (LANE, TOPIC),
    ),
    Metric(
        "lane_hottest_identity_ratio",
        "gauge",
        "lane",
        "Share of the lane's events and messages that one identity has, of the last minute; 0 if nobody has 5 %.",
        (LANE,),
    ),
    Metric(
        "lane_progress_timestamp_seconds",
        "gauge",
        "lane",
        "Append time before which the lane's raw inputs are folded or routed.",
        (LANE,),
    ),
    Metric("lane_takes_total", "counter", "lane", "How often this worker took the lane.", (LANE,)),
    Metric(
        "lane_doubts_total",
        "counter",
        "lane",
        "How often the lane was in doubt and was taken again.",
        (LANE, WAIT),
    ),
    Metric(
        "lane_replayed_records_total", "counter", "lane", "Records of the changelog read to take the lane.", (LANE,)
    ),
    Metric(
        "lane_replay_left_records",
        "gauge",
        "lane",
        "Positions of the changelog still to be read before the lane is taken; 0 once it is.",
        (LANE,),
    ),
    Metric(
        "lane_replay_left_seconds",
        "gauge",
        "lane",
        "How long that takes, at the pace that the replay had so far.",
        (LANE,),
    ),
    Metric(
        "lane_transactions_total",
        "counter",
        "lane",
        "Transactions by how they ended. Taking the lane again aborts a doubtful one, unless only the answer was lost.",
        (LANE, Label("outcome", ENDS)),
    ),
    Metric(
        "transaction_seconds", "histogram", "worker", "One Kafka transaction, from begin to commit.", buckets=_STEP_S
    ),
    Metric("table_load_seconds", "histogram", "worker", "One read of a batch's profiles from Redis.", buckets=_STEP_S),
    Metric("table_apply_seconds", "histogram", "worker", "One write of a batch's profiles to Redis.", buckets=_STEP_S),
    Metric(
        "batch_events",
        "histogram",
        "worker",
        "Events in one transaction.",
        buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000),
    ),
    Metric(
        "batch_bytes",
        "histogram",
        "worker",
        "Bytes of events in one transaction.",
        buckets=tuple(1024.0 * 4**n for n in range(8)),
    ),
    Metric(
        "table_failures_total",
        "counter",
        "worker",
        "How Redis failed a lane: away, too slow, its own refusal, or a table that is not where it was left.",
        (Label("failure", get_args(Failure)),),
    ),
    Metric("cache_profiles", "gauge", "worker", "Profiles in memory."),
    Metric("cache_limit_profiles", "gauge", "worker", "How many it may be, over all lanes here; none is pinned."),
    Metric(
        "cache_lookups_total",
        "counter",
        "worker",
        "Profiles looked for in memory.",
        (Label("result", ("hit", "miss")),),
    ),
    Metric("watermark_timestamp_seconds", "gauge", "worker", "The watermark of all lanes, as this worker knows it."),
    Metric(
        "watermark_delay_seconds", "gauge", "worker", "How far the watermark is behind the clock; timers wait for it."
    ),
    Metric(
        "timers_held",
        "gauge",
        "worker",
        "1 for a lane, of whatever worker, that holds the watermark back.",
        (Label("holder", bound="partitions"),),
    ),
    Metric(
        "clock_offset_seconds",
        "gauge",
        "worker",
        "The brokers' clock less this machine's, beyond what the way there and back may take.",
    ),
    Metric(
        "lanes",
        "gauge",
        "worker",
        "All lanes of the application, whoever has them, under the clock of the settings; 0 under the other.",
        (CLOCK,),
    ),
    Metric("rebalances_total", "counter", "worker", "Rebalances of the consumer group that this worker went through."),
    Metric(
        "loop_delay_seconds",
        "histogram",
        "worker",
        "How late the main loop ran what it was to run: heartbeats wait as long.",
        buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0),
    ),
    Metric(
        "gc_pause_seconds",
        "histogram",
        "worker",
        "One collection of Python's garbage collector, during which nothing else runs.",
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    ),
    Metric(
        "stage_changes_total",
        "counter",
        "worker",
        "Transitions of every kind that this worker committed, by the stage left and the stage reached.",
        (
            JOURNEY,
            Label("from", bound=f"the stages of the journey, or `{BEGIN}`"),
            Label("to", bound=f"the stages of the journey, or `{BEGIN}`"),
        ),
    ),
    Metric(
        "build_info",
        "gauge",
        "worker",
        "1, with the version of this package and of Python.",
        (Label("version", bound="one a process"), Label("python", bound="one a process")),
    ),
)

BY_NAME: Final = {metric.name: metric for metric in METRICS}


class Metrics(Protocol):
    """Where the parts report; each call costs about a microsecond and never waits.

    A name that is not in the list, another kind or another number of labels is a KeyError, TypeError or ValueError.
    """

    def increment(self, metric: str, amount: float, *labels: str) -> None:
        """Adds to a counter."""

    def set(self, metric: str, value: float, *labels: str) -> None:
        """Sets a gauge."""

    def observe(self, metric: str, value: float, *labels: str) -> None:
        """Adds one value to a histogram."""

    def publish(self, lane: int, record: LaneRecord) -> None:
        """Shows a committed lane record from now on; it is read later, in another thread, so it must not change."""

    def lane_state(self, lane: int, state: str, reason: str) -> None:
        """Shows the one state of a lane, the former one no more; a `stopped` lane is forgotten."""

    def forget(self, lane: int) -> None:
        """Shows nothing of a lane any more: another worker has it."""


class NoMetrics:
    """Measures nothing."""

    def increment(self, metric: str, amount: float, *labels: str) -> None: ...

    def set(self, metric: str, value: float, *labels: str) -> None: ...

    def observe(self, metric: str, value: float, *labels: str) -> None: ...

    def publish(self, lane: int, record: LaneRecord) -> None: ...

    def lane_state(self, lane: int, state: str, reason: str) -> None: ...

    def forget(self, lane: int) -> None: ...
