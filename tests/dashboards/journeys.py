"""What customers do: stages, transitions, signals, conversion; and what senders spoil."""

from tests.dashboards.model import JOB, JOURNEY, SINCE, Board, Panel, Query, Row

_OF = 'job="$job", journey=~"$journey"'
_CHANGES = f"journey_stage_changes_total{{{_OF}}}[$__range]"

BOARD = Board(
    "journey-journeys",
    "Journey: journeys",
    "What customers do, and what senders spoil.",
    (
        Row(
            "Stages",
            (
                Panel(
                    "Customers by stage",
                    "Where everybody is now.",
                    "short",
                    (
                        Query(
                            f"sum by (journey, stage) (max by (lane, journey, stage) (journey_customers{{{_OF}}}))",
                            "{{journey}} {{stage}}",
                        ),
                    ),
                    "areas",
                    12,
                ),
                Panel(
                    "Customers now",
                    "The same as numbers.",
                    "short",
                    (
                        Query(
                            "sort_desc(sum by (journey, stage) "
                            f"(max by (lane, journey, stage) (journey_customers{{{_OF}}})))",
                            "{{journey}} {{stage}}",
                        ),
                    ),
                    "bars",
                    12,
                    "blue",
                ),
                Panel(
                    "Stage changes",
                    "From where to where, over the time shown.",
                    "short",
                    (
                        Query(
                            f"sort_desc(sum by (journey, from, to) (increase({_CHANGES})) > 0)",
                            "{{journey}} {{from}} → {{to}}",
                        ),
                    ),
                    "bars",
                    12,
                    "blue",
                    empty="nobody has changed",
                ),
                Panel(
                    "Conversion",
                    "Of all who left a stage in the time shown, the share that went there.",
                    "percentunit",
                    (
                        Query(
                            f"sum by (journey, from, to) (increase({_CHANGES})) "
                            f"/ on (journey, from) group_left sum by (journey, from) (increase({_CHANGES})) > 0",
                            "{{journey}} {{from}} → {{to}}",
                        ),
                    ),
                    "bars",
                    12,
                    "blue",
                    empty="nobody has changed",
                ),
            ),
        ),
        Row(
            "What is published",
            (
                Panel(
                    "Transitions",
                    "More corrected or retracted than usual: a channel comes late.",
                    "eps",
                    (
                        Query(
                            f"sum by (journey, kind) (rate(journey_transitions_total{{{_OF}}}{SINCE}))",
                            "{{journey}} {{kind}}",
                        ),
                    ),
                ),
                Panel(
                    "Signals",
                    "Fired, and taken back because the missing act came late.",
                    "eps",
                    (
                        Query(
                            f"sum by (journey, signal, kind) (rate(journey_signals_total{{{_OF}}}{SINCE}))",
                            "{{journey}} {{signal}} {{kind}}",
                        ),
                    ),
                ),
                Panel(
                    "Versions",
                    "Which version the lanes run; two at a time only during a promote.",
                    "none",
                    (
                        Query(f"min by (journey) (journey_model_version{{{_OF}}})", "{{journey}}, lowest"),
                        Query(f"max by (journey) (journey_model_version{{{_OF}}})", "{{journey}}, highest"),
                    ),
                ),
            ),
        ),
        Row(
            "What senders spoil",
            (
                Panel(
                    "Dead letters",
                    "By reason; `journey tail dlq` shows them.",
                    "eps",
                    (
                        Query(
                            f'sum by (reason) (rate(journey_dead_letters_total{{job="$job"}}{SINCE})) > 0', "{{reason}}"
                        ),
                    ),
                    empty="no dead letters",
                ),
                Panel(
                    "Late",
                    "The share of a channel's events that came too late to move anybody. Informs above 1 %.",
                    "percentunit",
                    (
                        Query(
                            f'sum by (channel) (rate(journey_events_total{{job="$job", outcome="late"}}{SINCE})) '
                            f'/ sum by (channel) (rate(journey_events_read_total{{job="$job"}}{SINCE}) > 0)',
                            "{{channel}}",
                        ),
                    ),
                    steps=((0.01, "orange"),),
                ),
                Panel(
                    "Odd ones",
                    "Not classified by any touch; much older than their arrival; pushed out of a full history.",
                    "eps",
                    (
                        Query(f'sum(rate(journey_unclassified_events_total{{job="$job"}}{SINCE}))', "unclassified"),
                        Query(f'sum(rate(journey_old_events_total{{job="$job"}}{SINCE}))', "old"),
                        Query(f'sum(rate(journey_truncated_total{{job="$job"}}{SINCE}))', "truncated"),
                    ),
                ),
            ),
        ),
    ),
    (JOB, JOURNEY),
)
