"""Is it well, and what does the journey look like in numbers?"""

from tests.dashboards.model import JOB, SINCE, Board, Panel, Query, Row

BOARD = Board(
    "journey-overview",
    "Journey: overview",
    "Is it well? If all tiles are green, customers get their stage changes in time.",
    (
        Row(
            "Is it well?",
            (
                Panel(
                    "Lanes that run",
                    "The share of all lanes that run. Below 100 % some customers get no stage changes.",
                    "percentunit",
                    (
                        Query(
                            '(count(max by (lane) (journey_lane_state{job="$job", state="running"})) or vector(0)) '
                            '/ max(journey_lanes{job="$job"})',
                            "run",
                        ),
                    ),
                    "stat",
                    4,
                    "red",
                    ((0.5, "orange"), (1, "green")),
                ),
                Panel(
                    "Oldest unread event",
                    "No event that waits unread anywhere is older. Promised are 10 s.",
                    "s",
                    (Query('max(job_lane:journey_lane_age_seconds:min{job="$job"})', "at most"),),
                    "stat",
                    4,
                    steps=((10, "orange"), (60, "red")),
                ),
                Panel(
                    "Silence is told up to",
                    "The age of the watermark: what has gone quiet is told so much later than its grace, at most.",
                    "s",
                    (Query('job:journey_watermark_age_seconds:max{job="$job"}', "ago"),),
                    "stat",
                    4,
                    steps=((30, "orange"), (60, "red")),
                ),
                Panel(
                    "Alerts",
                    "How many alerts fire.",
                    "short",
                    (Query('count(ALERTS{job="$job", alertstate="firing"}) or vector(0)', "fire"),),
                    "stat",
                    4,
                    steps=((1, "orange"),),
                ),
                Panel(
                    "Error budgets left",
                    "Of 30 days: 100 % is all, below 0 the promise is broken.",
                    "percentunit",
                    (Query('slo:period_error_budget_remaining:ratio{job="$job"}', "{{slo}}"),),
                    "stat",
                    8,
                    "red",
                    ((0, "orange"), (0.25, "green")),
                ),
            ),
        ),
        Row(
            "The journey in numbers",
            (
                Panel(
                    "Events read",
                    "By channel. A channel that falls to nothing: ask its sender first.",
                    "eps",
                    (
                        Query(
                            f'sum by (channel) (rate(journey_events_read_total{{job="$job"}}{SINCE})) > 0',
                            "{{channel}}",
                        ),
                    ),
                    "areas",
                ),
                Panel(
                    "What became of them",
                    "Over all outcomes the sum is what was read, exactly.",
                    "eps",
                    (Query(f'sum by (outcome) (rate(journey_events_total{{job="$job"}}{SINCE}))', "{{outcome}}"),),
                    "areas",
                ),
                Panel(
                    "Stage changes",
                    "Published, by journey and kind.",
                    "eps",
                    (
                        Query(
                            f'sum by (journey, kind) (rate(journey_transitions_total{{job="$job"}}{SINCE}))',
                            "{{journey}} {{kind}}",
                        ),
                    ),
                ),
                Panel(
                    "Customers by stage",
                    "Where everybody is now.",
                    "short",
                    (
                        Query(
                            'sum by (journey, stage) (max by (lane, journey, stage) (journey_customers{job="$job"}))',
                            "{{journey}} {{stage}}",
                        ),
                    ),
                    "areas",
                ),
                Panel(
                    "Signals",
                    "Published: silences and others.",
                    "eps",
                    (
                        Query(
                            "sum by (journey, signal) "
                            f'(rate(journey_signals_total{{job="$job", kind="fired"}}{SINCE}))',
                            "{{journey}} {{signal}}",
                        ),
                    ),
                ),
                Panel(
                    "Dead letters",
                    "Records that are no valid events, by reason; `journey tail dlq` shows them.",
                    "eps",
                    (
                        Query(
                            f'sum by (reason) (rate(journey_dead_letters_total{{job="$job"}}{SINCE})) > 0', "{{reason}}"
                        ),
                    ),
                    empty="no dead letters",
                ),
            ),
        ),
        Row(
            "What it costs",
            (
                Panel(
                    "Backlog",
                    "Positions that all lanes have still to read.",
                    "short",
                    (Query('job:journey_lane_lag_records:sum{job="$job"}', "positions"),),
                ),
                Panel(
                    "CPU",
                    "Of each worker, in cores. One core is all that a worker can use for folding.",
                    "short",
                    (
                        Query(
                            f'sum by (instance) (rate(process_cpu_seconds_total{{job="$job"}}{SINCE}))', "{{instance}}"
                        ),
                    ),
                    steps=((0.9, "orange"),),
                ),
                Panel(
                    "Memory",
                    "Resident, of each worker.",
                    "bytes",
                    (Query('process_resident_memory_bytes{job="$job"}', "{{instance}}"),),
                ),
            ),
        ),
    ),
    (JOB,),
)
