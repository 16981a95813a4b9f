"""A healthy application of two workers with a lane each, as Prometheus sees it; tests change what they are about."""

from tests.alerts.promtool import MINUTE, Course

WORKERS = {"a:9464": "0", "b:9464": "1"}
"""By instance: the lane it has."""

HISTOGRAMS = ("journey_transaction_seconds", "journey_table_apply_seconds", "journey_loop_delay_seconds")


def always(value: float) -> Course:
    return lambda _: value


def gone(_: float) -> None:
    """The course of a series that is not there."""


def growing(per_s: float, start: float = 0.0) -> Course:
    return lambda second: start + per_s * second


def between(first: float, last: float, inside: Course, outside: Course) -> Course:
    """One course from minute `first` up to minute `last`, and another around it."""
    return lambda second: (inside if first * MINUTE <= second < last * MINUTE else outside)(second)


def counted(second: float, first: float, last: float, per_s: float) -> float:
    """What a counter says that counts from minute `first` to minute `last` only."""
    return per_s * (min(max(second, first * MINUTE), last * MINUTE) - first * MINUTE)


def counting(first: float, last: float, per_s: float) -> Course:
    """The course of such a counter."""
    return lambda second: counted(second, first, last, per_s)


def standing(first: float, last: float) -> Course:
    """Progress that stands still from minute `first` to minute `last`, else is a second old."""
    return between(first, last, always(first * MINUTE), growing(1, -1))


def named(metric: str, **labels: str) -> str:
    """A series of the application."""
    written = ",".join(f'{name}="{value}"' for name, value in {"job": "journey", **labels}.items())
    return f"{metric}{{{written}}}"


def of_lane(metric: str, lane: str, **labels: str) -> str:
    """A series that the lane's worker shows."""
    instance = next(instance for instance, held in WORKERS.items() if held == lane)
    return named(metric, instance=instance, lane=lane, **labels)


def state(lane: str, state: str = "running", reason: str = "none") -> str:
    return of_lane("journey_lane_state", lane, state=state, reason=reason)


def healthy() -> dict[str, Course]:
    """Ten events a second and lane, all folded."""
    series: dict[str, Course] = {}
    for instance, lane in WORKERS.items():
        series |= {
            named("up", instance=instance): always(1),
            named("journey_lanes", instance=instance, clock="live"): always(2),
            named("journey_lanes", instance=instance, clock="event"): always(0),
            named("journey_watermark_timestamp_seconds", instance=instance): growing(1, -2),
            named("journey_rebalances_total", instance=instance): always(1),
            named("journey_table_failures_total", instance=instance, failure="lost"): always(0),
            named("journey_clock_offset_seconds", instance=instance): always(0.2),
            named("process_start_time_seconds", instance=instance): always(1000),
            state(lane): always(1),
            of_lane("journey_lane_progress_timestamp_seconds", lane): growing(1, -1),
            of_lane("journey_breaker_open", lane): always(0),
            of_lane("journey_lane_lag_records", lane, topic="raw.web"): always(0),
            of_lane("journey_lane_readable_lag_records", lane, topic="raw.web"): always(0),
            of_lane("journey_events_read_total", lane, channel="web"): growing(10),
            of_lane("journey_events_total", lane, channel="web", outcome="folded"): growing(10),
            of_lane("journey_events_total", lane, channel="web", outcome="late"): always(0),
            of_lane("journey_events_total", lane, channel="web", outcome="dead"): always(0),
            of_lane("journey_dead_letters_total", lane, reason="fold_error"): always(0),
            of_lane("journey_dead_letters_total", lane, reason="not_json"): always(0),
            of_lane("journey_skipped_records_total", lane, topic="raw.web"): always(0),
            of_lane("journey_old_events_total", lane): always(0),
            of_lane("journey_lane_hottest_identity_ratio", lane): always(0.06),
            of_lane("journey_timers_parked_total", lane): always(0),
        }
        for histogram in HISTOGRAMS:
            for bound in ("0.01", "10.0", "+Inf"):
                series[named(f"{histogram}_bucket", instance=instance, le=bound)] = growing(4)
    return series


def slow(histogram: str, first: float, last: float) -> dict[str, Course]:
    """Half of what the histogram sees takes up to ten seconds, from minute `first` to minute `last`."""

    def quick(second: float) -> float:
        return 4 * second - counted(second, first, last, 2)

    return {named(f"{histogram}_bucket", instance=instance, le="0.01"): quick for instance in WORKERS}


def without(*instances: str, first: float, last: float) -> dict[str, Course]:
    """These workers are down from minute `first` to minute `last`: all that they show is not there."""
    return {
        name: between(first, last, always(0) if name.startswith("up{") else gone, course)
        for name, course in healthy().items()
        if any(f'instance="{instance}"' in name for instance in instances)
    }
