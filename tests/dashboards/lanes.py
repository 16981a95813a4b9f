"""Which lane does not move, since when, and what for?"""

from tests.dashboards.model import JOB, LANE, SINCE, Board, Panel, Query, Row, quantiles

_OF = 'job="$job", lane=~"$lane"'

BOARD = Board(
    "journey-lanes",
    "Journey: lanes",
    "Which lane does not move, since when, and what for?",
    (
        Row(
            "State",
            (
                Panel(
                    "Lanes by state",
                    "How many lanes say what of themselves; the reason is why one waits.",
                    "short",
                    (
                        Query(
                            f"count by (state, reason) (max by (lane, state, reason) (journey_lane_state{{{_OF}}}))",
                            "{{state}} ({{reason}})",
                        ),
                    ),
                    "areas",
                ),
                Panel(
                    "Lag in seconds",
                    "No event that waits unread in the lane is older. Promised are 10 s, a page comes at 60 s.",
                    "s",
                    (Query(f"job_lane:journey_lane_age_seconds:min{{{_OF}}}", "lane {{lane}}"),),
                    steps=((10, "orange"), (60, "red")),
                ),
                Panel(
                    "Lag in positions",
                    "Up to the high watermark, over all inputs of a lane.",
                    "short",
                    (
                        Query(
                            f"sum by (lane) (max by (lane, topic) (journey_lane_lag_records{{{_OF}}}))", "lane {{lane}}"
                        ),
                    ),
                ),
                Panel(
                    "Events",
                    "Read by each lane. A lane far above the others has a customer, or a key, with most of the events.",
                    "eps",
                    (Query(f"sum by (lane) (rate(journey_events_read_total{{{_OF}}}{SINCE}))", "lane {{lane}}"),),
                    width=6,
                ),
                Panel(
                    "The hottest identity",
                    "Its share of what a lane does, of the last minute. `journey identity hot` names it.",
                    "percentunit",
                    (
                        Query(
                            f"max by (lane) (journey_lane_hottest_identity_ratio{{{_OF}}})",
                            "lane {{lane}}",
                        ),
                    ),
                    steps=((0.25, "red"),),
                    width=6,
                ),
                Panel(
                    "Doubts",
                    "How often a lane was not sure where it stood and was taken again, by reason.",
                    "short",
                    (
                        Query(
                            f"sum by (lane, reason) (increase(journey_lane_doubts_total{{{_OF}}}{SINCE})) > 0",
                            "lane {{lane}} {{reason}}",
                        ),
                    ),
                    empty="no doubts",
                    width=6,
                ),
                Panel(
                    "Breaker",
                    "1: the lane has stopped itself and waits for a person.",
                    "none",
                    (Query(f"max by (lane) (journey_breaker_open{{{_OF}}})", "lane {{lane}}"),),
                    steps=((1, "red"),),
                    width=6,
                ),
            ),
        ),
        Row(
            "Taking a lane",
            (
                Panel(
                    "Replay: time left",
                    "How long the lane's changelog still takes, at the pace so far; 0 once it is in hand.",
                    "s",
                    (Query(f"max by (lane) (journey_lane_replay_left_seconds{{{_OF}}})", "lane {{lane}}"),),
                    steps=((600, "orange"),),
                ),
                Panel(
                    "Replay: positions left",
                    "Of the changelog. It stands: Kafka does not answer, or a transaction hangs.",
                    "short",
                    (Query(f"max by (lane) (journey_lane_replay_left_records{{{_OF}}})", "lane {{lane}}"),),
                ),
                Panel(
                    "Replay: pace",
                    "Records of the changelog that are read.",
                    "eps",
                    (
                        Query(
                            f"sum by (lane) (rate(journey_lane_replayed_records_total{{{_OF}}}{SINCE}))",
                            "lane {{lane}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Timers",
            (
                Panel(
                    "Age of the watermark",
                    "Silence is told so much later than its grace. A page comes when it is above 60 s for long.",
                    "s",
                    (Query('job:journey_watermark_age_seconds:max{job="$job"}', "the oldest"),),
                    steps=((30, "orange"), (60, "red")),
                ),
                Panel(
                    "Who holds the timers",
                    "One lane is always last. While the watermark stands, it is the one to mend.",
                    "none",
                    (Query('max by (holder) (journey_timers_held{job="$job"}) == 1', "lane {{holder}}"),),
                ),
                Panel(
                    "Parked timers",
                    "Customers whose timers raised: a bug of the program.",
                    "short",
                    (Query(f"sum by (lane) (increase(journey_timers_parked_total{{{_OF}}}{SINCE}))", "lane {{lane}}"),),
                    steps=((1, "red"),),
                ),
            ),
        ),
        Row(
            "Workers",
            (
                Panel(
                    "Delay of the main loop",
                    "How late it runs what it was to run; heartbeats wait as long. Informs above 1 s.",
                    "s",
                    quantiles("journey_loop_delay_seconds", 0.5, 0.99, by="instance"),
                    steps=((1, "red"),),
                    width=6,
                ),
                Panel(
                    "Pauses of the garbage collector",
                    "The share of time in which a worker stands for it.",
                    "percentunit",
                    (
                        Query(
                            f'sum by (instance) (rate(journey_gc_pause_seconds_sum{{job="$job"}}{SINCE}))',
                            "{{instance}}",
                        ),
                    ),
                    steps=((0.05, "orange"),),
                    width=6,
                ),
                Panel(
                    "Clocks",
                    "How far the brokers' clock and that of a worker's machine are apart. Informs above 1 s.",
                    "s",
                    (Query('abs(journey_clock_offset_seconds{job="$job"})', "{{instance}}"),),
                    steps=((1, "red"),),
                    width=6,
                ),
                Panel(
                    "Events a batch",
                    "Large ones: lanes catch up, or transactions are slow.",
                    "short",
                    quantiles("journey_batch_events", 0.5, 0.99),
                    width=6,
                ),
            ),
        ),
    ),
    (JOB, LANE),
)
