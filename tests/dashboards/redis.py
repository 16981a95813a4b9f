"""Does Redis keep up: reads, writes, refusals, and the cache that spares it."""

from tests.dashboards.model import JOB, SINCE, Board, Panel, Query, Row, quantiles

BOARD = Board(
    "journey-redis",
    "Journey: Redis",
    "Does Redis keep up?",
    (
        Row(
            "Tables",
            (
                Panel(
                    "Writes",
                    "One write of a batch's profiles, after its commit. Informs when the 99th percentile is above 1 s.",
                    "s",
                    quantiles("journey_table_apply_seconds", 0.5, 0.9, 0.99),
                    steps=((1, "red"),),
                ),
                Panel(
                    "Reads",
                    "One read of the profiles that are not in memory.",
                    "s",
                    quantiles("journey_table_load_seconds", 0.5, 0.9, 0.99),
                    steps=((1, "red"),),
                ),
                Panel(
                    "Writes a second",
                    "One a transaction.",
                    "ops",
                    (
                        Query(
                            f'sum by (instance) (rate(journey_table_apply_seconds_count{{job="$job"}}{SINCE}))',
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Failures",
            (
                Panel(
                    "Failures",
                    "`oom`, `readonly`, `loading`, `refused`: its own words. `moved`: a table is elsewhere.",
                    "short",
                    (
                        Query(
                            f'sum by (failure) (increase(journey_table_failures_total{{job="$job"}}{SINCE}))',
                            "{{failure}}",
                        ),
                    ),
                    steps=((1, "orange"),),
                ),
                Panel(
                    "Lanes that wait for Redis",
                    "They go on by themselves.",
                    "short",
                    (
                        Query(
                            'count(max by (lane) (journey_lane_state{job="$job", reason="redis"})) or vector(0)',
                            "lanes",
                        ),
                    ),
                    steps=((1, "red"),),
                ),
                Panel(
                    "Rebuilding",
                    "Positions of the changelog still to be read into Redis, over all lanes.",
                    "short",
                    (Query('sum(max by (lane) (journey_lane_replay_left_records{job="$job"}))', "positions"),),
                ),
            ),
        ),
        Row(
            "Cache",
            (
                Panel(
                    "Found in memory",
                    "The share of profiles that need no read. Low: raise cache_profiles, if there is memory.",
                    "percentunit",
                    (
                        Query(
                            f'sum(rate(journey_cache_lookups_total{{job="$job", result="hit"}}{SINCE})) '
                            f'/ sum(rate(journey_cache_lookups_total{{job="$job"}}{SINCE}))',
                            "hits",
                        ),
                    ),
                ),
                Panel(
                    "Profiles in memory",
                    "Of each worker.",
                    "short",
                    (Query('journey_cache_profiles{job="$job"}', "{{instance}}"),),
                ),
                Panel(
                    "Cache in use",
                    "The share of its limit; none is pinned.",
                    "percentunit",
                    (
                        Query(
                            'journey_cache_profiles{job="$job"} / journey_cache_limit_profiles{job="$job"}',
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
    (JOB,),
)
