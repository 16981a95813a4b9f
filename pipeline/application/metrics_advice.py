"""What a person does when a metric moves; docs/metrics.md shows it beside each metric."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Advice:
    """`unit` of the values. `do`: what to do when it moves in the wrong way. `runbooks` of the alerts that watch it."""

    unit: str
    do: str
    runbooks: tuple[str, ...] = ()


_EVENTS, _YES_OR_NO, _SECONDS = "events", "0 or 1", "seconds"

ADVICE: Final = {
    "events_read_total": Advice(
        _EVENTS,
        "A channel that falls to zero: ask its sender, then look whether the lane moves.",
        ("JourneyCountsDisagree",),
    ),
    "events_total": Advice(
        _EVENTS,
        "`late` and `dead` are the sender's; `duplicate` rises when a sender tries again; `routed` costs a hop, which "
        "a sender saves that uses the customer's id as the key.",
        ("JourneyEventsLate", "JourneyDeadLetters", "JourneyCountsDisagree"),
    ),
    "commands_read_total": Advice("commands", "Nothing: people send them."),
    "commands_total": Advice("commands", "`dead`: `journey tail dlq` says what was wrong with the command."),
    "transitions_total": Advice(
        "transitions",
        "More `corrected` or `retracted` than usual: a channel comes late. `moved`: a promote carries customers over.",
    ),
    "signals_total": Advice("signals", "`retracted`: the act that the signal had missed came late."),
    "dead_letters_total": Advice(
        "records", "`journey tail dlq` shows each with its reason.", ("JourneyDeadLetters", "JourneyFoldFails")
    ),
    "customers": Advice("customers", "A jump that no promote explains: `journey diff` against the version before."),
    "truncated_total": Advice(
        _EVENTS,
        "A robot, or a customer with more events than `recent_limit` within the lateness: raise it, or filter.",
    ),
    "unclassified_events_total": Advice(_EVENTS, "`journey touches` lists them: add rows, or leave them."),
    "identities_ignored_total": Advice(
        "identities", "`invalid` rises: a sender's form lets anything through. `unknown_kind`: add it to `identities`."
    ),
    "identity_messages_total": Advice(
        "messages", "`release` or `adopt` without end: something merges and splits the same people, see the commands."
    ),
    "identity_refusals_total": Advice(
        "requests", "Somebody claims very many identities: `journey show` says what was refused of whom."
    ),
    "identities_erased_total": Advice(
        "identities",
        "Nobody ordered it: `journey.commands` says who did, and why. `journey erase X --verify` looks for rests.",
    ),
    "old_events_total": Advice(_EVENTS, "Somebody sends history to a live application.", ("JourneyOldEvents",)),
    "timers_parked_total": Advice("customers", "A bug of the program in a timer.", ("JourneyTimersParked",)),
    "model_version": Advice("version", "Lanes of different versions for more than a minute: `journey status`."),
    "carrying_over": Advice(_YES_OR_NO, "1 for hours: the lane does not move, see its state."),
    "breaker_open": Advice(_YES_OR_NO, "The lane stands until a person decides.", ("JourneyBreakerOpen",)),
    "skipped_records_total": Advice(
        "positions", "They are gone. Lengthen retention.", ("JourneyInputLost", "JourneyCompletenessBurn")
    ),
    "lane_state": Advice(
        _YES_OR_NO,
        "The reason says what to mend.",
        ("JourneyLaneUnowned", "JourneyRedisAway", "JourneyKafkaAway", "JourneyAvailabilityBurn"),
    ),
    "lane_lag_records": Advice(
        "positions",
        "Up to the high watermark. It rises and the readable lag does not: a sender's open transaction.",
        ("JourneyLagGrows", "JourneyInputBlocked"),
    ),
    "lane_readable_lag_records": Advice(
        "positions", "Up to the last stable offset. It grows: more comes in than is folded.", ("JourneyLagGrows",)
    ),
    "lane_hottest_identity_ratio": Advice(
        "share from 0 to 1",
        "`journey identity hot` names it. A test account, a kiosk or a bot is stopped at its sender.",
        ("JourneyHotIdentity", "JourneyLagGrows"),
    ),
    "lane_progress_timestamp_seconds": Advice(
        "seconds since 1970",
        "The lag in seconds is `timestamp(x) - x`: no event that waits unread is older.",
        ("JourneyLaneStale", "JourneyFreshnessBurn"),
    ),
    "lane_takes_total": Advice("takes", "Often, without a deployment: see the doubts.", ("JourneyLaneUnsteady",)),
    "lane_doubts_total": Advice(
        "doubts", "The reason says whose fault it is.", ("JourneyLaneUnsteady", "JourneyLaneFenced")
    ),
    "lane_replayed_records_total": Advice("records", "A whole changelog again: Redis was emptied, or put back."),
    "lane_replay_left_records": Advice(
        "positions", "It stands: Kafka does not answer, or a transaction hangs.", ("JourneyLaneReplaying",)
    ),
    "lane_replay_left_seconds": Advice(
        _SECONDS, "Wait so long. Longer than 15 minutes: the take begins anew.", ("JourneyLaneReplaying",)
    ),
    "lane_transactions_total": Advice(
        "transactions",
        "`doubtful` now and then is a rebalance or a broker that went; steadily: Kafka.",
        ("JourneyKafkaAway", "JourneyLaneFenced"),
    ),
    "transaction_seconds": Advice(_SECONDS, "Look at the brokers' disks and load.", ("JourneyKafkaSlow",)),
    "table_load_seconds": Advice(_SECONDS, "As for writes; more misses in the cache read more."),
    "table_apply_seconds": Advice(_SECONDS, "Look at Redis' CPU, memory and disk.", ("JourneyRedisSlow",)),
    "table_failures_total": Advice(
        "failures",
        "`oom`: more memory. `readonly`, `loading`: wait for the failover or the load. `refused`: rights, or a "
        "password. `away`, `timeout`: the server or the way there. `lost`: a table was emptied. "
        "`moved`: somebody else wrote it, or it was put back.",
        ("JourneyRedisAway", "JourneyRedisLost"),
    ),
    "batch_events": Advice(_EVENTS, "Large batches mean that a lane catches up, or that transactions are slow."),
    "batch_bytes": Advice("bytes", "Large with few events: large events; see `max_event_bytes`."),
    "cache_profiles": Advice("profiles", "At its limit: see whether lookups miss."),
    "cache_limit_profiles": Advice("profiles", "The setting `cache_profiles`: nothing moves it while a worker runs."),
    "cache_lookups_total": Advice(
        "lookups", "Many a `miss`: raise `cache_profiles` if there is memory; each costs a read from Redis."
    ),
    "watermark_timestamp_seconds": Advice(
        "seconds since 1970", "It stands: see who holds the timers.", ("JourneySilenceBurn",)
    ),
    "watermark_delay_seconds": Advice(_SECONDS, "As above; on the event clock it has no meaning."),
    "timers_held": Advice(
        _YES_OR_NO,
        "Always one lane is last. While the watermark stands, mend that lane; `journey status` names its topic too.",
        ("JourneySilenceBurn",),
    ),
    "clock_offset_seconds": Advice(
        _SECONDS,
        "The same at all workers: the brokers' clock is wrong. At one: that machine's is.",
        ("JourneyClockSkewed",),
    ),
    "lanes": Advice("lanes", "Nothing: it is a setting.", ("JourneyNoWorker",)),
    "rebalances_total": Advice("rebalances", "One a deployment and worker is usual.", ("JourneyRebalancing",)),
    "loop_delay_seconds": Advice(_SECONDS, "Too little CPU, swapping, or a bug that blocks.", ("JourneyLoopBlocked",)),
    "gc_pause_seconds": Advice(
        _SECONDS,
        "Many objects live in memory: smaller batches, or a smaller cache.",
        ("JourneyLoopBlocked",),
    ),
    "stage_changes_total": Advice(
        "transitions",
        "Fewer from one stage to the next: ask marketing first, then whether a channel is silent. Counts of a worker: "
        "they begin anew with it, so use `rate` or `increase`.",
    ),
    "build_info": Advice("1", "Two versions for longer than a deployment takes: one of them has stopped."),
}
