"""Does Kafka keep up: transactions, inputs, the consumer group."""

from tests.dashboards.model import JOB, LANE, SINCE, Board, Panel, Query, Row, quantiles

_OF = 'job="$job", lane=~"$lane"'

BOARD = Board(
    "journey-kafka",
    "Journey: Kafka",
    "Does Kafka keep up?",
    (
        Row(
            "Transactions",
            (
                Panel(
                    "Duration",
                    "From begin to commit. Informs when the 99th percentile is above 2.5 s.",
                    "s",
                    quantiles("journey_transaction_seconds", 0.5, 0.9, 0.99),
                    steps=((2.5, "red"),),
                ),
                Panel(
                    "How they end",
                    "A doubtful one is aborted when the lane is taken again, unless only the answer was lost.",
                    "ops",
                    (
                        Query(
                            f"sum by (outcome) (rate(journey_lane_transactions_total{{{_OF}}}{SINCE}))",
                            "{{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Doubts about Kafka",
                    "`fenced` again and again: another application has this app_id.",
                    "short",
                    (
                        Query(
                            "sum by (reason) (increase("
                            f'journey_lane_doubts_total{{{_OF}, reason=~"kafka|fenced|membership|replaying"}}{SINCE}))',
                            "{{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Size of a transaction",
                    "Bytes of events in one.",
                    "bytes",
                    quantiles("journey_batch_bytes", 0.5, 0.99),
                ),
                Panel(
                    "Events a transaction",
                    "How many share one.",
                    "short",
                    quantiles("journey_batch_events", 0.5, 0.99),
                ),
                Panel(
                    "Rebalances",
                    "Of the consumer group, as each worker saw them. Informs above 5 in 15 minutes.",
                    "short",
                    (Query('sum by (instance) (increase(journey_rebalances_total{job="$job"}[15m]))', "{{instance}}"),),
                    steps=((5, "orange"),),
                ),
            ),
        ),
        Row(
            "Inputs",
            (
                Panel(
                    "Lag up to the high watermark",
                    "All that is in the log.",
                    "short",
                    (Query(f"sum by (topic) (max by (lane, topic) (journey_lane_lag_records{{{_OF}}}))", "{{topic}}"),),
                ),
                Panel(
                    "Lag up to the last stable offset",
                    "What can be read now.",
                    "short",
                    (
                        Query(
                            f"sum by (topic) (max by (lane, topic) (journey_lane_readable_lag_records{{{_OF}}}))",
                            "{{topic}}",
                        ),
                    ),
                ),
                Panel(
                    "Behind open transactions",
                    "What stays between the two: a sender has left a transaction open, and nobody can read past it.",
                    "short",
                    (
                        Query(
                            "sum by (topic) (clamp_min("
                            f"max by (lane, topic) (min_over_time(journey_lane_lag_records{{{_OF}}}{SINCE})) - "
                            "max by (lane, topic) "
                            f"(max_over_time(journey_lane_readable_lag_records{{{_OF}}}{SINCE})), 0))",
                            "{{topic}}",
                        ),
                    ),
                ),
                Panel(
                    "Lost to retention",
                    "Positions that Kafka deleted unread and that a person gave up.",
                    "short",
                    (
                        Query(
                            f"sum by (topic) (max by (lane, topic) (journey_skipped_records_total{{{_OF}}}))",
                            "{{topic}}",
                        ),
                    ),
                    width=12,
                    steps=((1, "red"),),
                ),
                Panel(
                    "Routed events",
                    "Their customer lives in another lane: a hop more, and none with the customer's id as key.",
                    "eps",
                    (
                        Query(
                            f'sum by (channel) (rate(journey_events_total{{{_OF}, outcome="routed"}}{SINCE}))',
                            "{{channel}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
    (JOB, LANE),
)
