"""What `journey capacity` says follows from the points that were measured, and says so where it goes beyond them."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from typer.testing import CliRunner

from pipeline.adapters.capacity_file import kept, published
from pipeline.adapters.metrics_pages import page
from pipeline.application.capacity import CHANGELOG, WORKER, FullSpeed, Kept, Load, Measured, Model, Steady, need
from pipeline.application.capacity_observed import Look, Rate, rate, room
from pipeline.cli.main import app
from pipeline.errors import UserError
from tests.benchmarks import capacity_page, report, results
from tests.benchmarks.report import PUBLISHED
from tests.benchmarks.results import Capacity, Line

runner = CliRunner()
DAY = 86_400


def full(journeys: int = 5, customers: int = 1_000, worker_us: float = 100.0, **more: float) -> FullSpeed:
    """A point whose figures are easy to reckon with."""
    usual = FullSpeed(
        journeys=journeys,
        customers=customers,
        identities=2 * customers,
        lanes=12,
        cache_profiles=100_000,
        events=10_000,
        events_per_second=5_000.0,
        events_per_transaction=500.0,
        worker_us=worker_us,
        redis_us=worker_us / 10,
        broker_us=worker_us / 5,
        lookups=2.0,
        misses=0.0,
        cached=2 * customers,
        worker_mb=100.0 + customers / 100,
        redis_mb=1.0,
        redis_bytes=1_000.0,
        profile_bytes=400.0,
        record_bytes=400.0,
        input_bytes=200.0,
        changelog_bytes=800.0,
        feed_bytes=300.0,
        customers_bytes=100.0,
        hop_bytes=50.0,
        rebuild_s=0.001 * customers,
        rebuild_records=100 * customers,
        rebuild_us=10 + 1e6 / customers,
    )
    return msgspec.structs.replace(usual, **more)


def steady(lanes: int, events: float, transactions: float, cores: float) -> Steady:
    """One that writes 1,000 bytes of changelog and 200 of feeds a transaction beyond what events alone write."""
    return Steady(
        journeys=5,
        customers=1_000,
        lanes=lanes,
        seconds=10.0,
        events_per_second=events,
        transactions_per_second=transactions,
        worker_cores=cores,
        redis_cores=cores / 10,
        broker_cores=cores / 5,
        changelog_bytes_per_second=800 * events + 1_000 * transactions,
        feed_bytes_per_second=300 * events + 200 * transactions,
        customers_bytes_per_second=100 * events,
    )


# Idle: 0.001 cores a lane. 12 lanes at 1,200 events/s commit 200 times a second: each 50 ms after the last, and 10 ms
# until an event comes. 0.012 idle, 0.12 for events at 100 µs, and 0.001 a transaction.
POINTS = Measured(
    full=[full(), full(journeys=1, worker_us=60.0), full(customers=100_000, worker_us=140.0)],
    steady=[steady(4, 0, 0, 0.004), steady(12, 0, 0, 0.012), steady(12, 1_200, 200, 0.332)],
)
KEPT = Kept(feeds_s=30 * DAY, inputs_s=7 * DAY, segment_bytes=1e6, segment_s=DAY, dirty_ratio=0.2)
LOAD = Load(events_per_second=1_200, customers=1_000, journeys=5, kept=KEPT, lanes=12)


def test_at_a_measured_load_it_says_what_was_measured() -> None:
    found = need(POINTS, LOAD)
    assert (found.workers, found.lanes) == (1, 12)
    assert found.events_cores == pytest.approx(0.12)
    assert found.transactions_per_second == pytest.approx(200)
    assert found.cores == pytest.approx(0.332)
    assert found.redis_cores == pytest.approx(0.0332)
    assert found.broker_cores == pytest.approx(0.0664)
    assert found.changelog_gb_a_day == pytest.approx((800 * 1_200 + 1_000 * 200) * DAY / 1e9)
    assert found.feed_gb == pytest.approx((300 * 1_200 + 200 * 200) * 30 * DAY / 1e9)
    assert found.inputs_gb == pytest.approx(1_200 * 250 * 7 * DAY / 1e9)
    assert found.redis_mb == pytest.approx(1e6 / 2**20)
    assert found.worker_mb == pytest.approx(110)
    assert found.most_events_per_second == pytest.approx(10_000)
    assert found.without_one is None
    assert found.extrapolated == ()


@pytest.mark.parametrize(
    ("journeys", "customers", "us"),
    [(5, 1_000, 100), (1, 1_000, 60), (3, 1_000, 80), (5, 100_000, 140), (5, 10_000, 120), (1, 10_000, 72)],
)
def test_an_event_costs_what_lies_on_the_curves(journeys: int, customers: int, us: float) -> None:
    assert Model(POINTS).an_event(WORKER, journeys, customers) == pytest.approx(us * 1e-6)


def test_no_event_is_cheaper_for_more_customers_than_were_measured() -> None:
    cheap = msgspec.structs.replace(POINTS.full[2], worker_us=90.0)
    model = Model(Measured([*POINTS.full[:2], cheap], POINTS.steady))
    assert model.an_event(WORKER, 5, 10_000) == pytest.approx(95e-6)
    assert model.an_event(WORKER, 5, 10_000_000) == pytest.approx(90e-6)


def test_workers_are_as_many_as_the_events_fill_to_the_share_allowed() -> None:
    found = need(POINTS, replace(LOAD, events_per_second=13_000, lanes=None))
    assert found.events_cores == pytest.approx(1.3)
    assert (found.workers, found.lanes) == (3, 12)
    assert found.without_one == pytest.approx(0.65)
    assert need(POINTS, replace(LOAD, events_per_second=13_000, busy=0.7)).workers == 2
    assert found.cores <= found.workers


def test_proposed_lanes_are_shared_evenly() -> None:
    for events in (1_000, 20_000, 50_000, 100_000):
        found = need(POINTS, replace(LOAD, events_per_second=events, lanes=None))
        assert found.lanes % found.workers == 0
        assert found.lanes >= max(12, 2 * found.workers)


def test_fewer_lanes_than_workers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"9 workers are needed and there are 4 lanes.* at least --lanes 9, better 18"):
        need(POINTS, replace(LOAD, events_per_second=50_000, lanes=4))


def test_the_changelog_at_rest_is_what_compaction_leaves() -> None:
    found = need(POINTS, LOAD)
    assert found.changelog_gb_clean == pytest.approx(2_000 * 400 / 1e9)
    assert found.changelog_gb_most == pytest.approx((2_000 * 400 / 0.8 + 12 * 1e6) / 1e9)  # a day would be more
    quiet = need(POINTS, replace(LOAD, events_per_second=0.001, kept=replace(KEPT, segment_s=10)))
    assert quiet.changelog_gb_most == pytest.approx(2_000 * 400 / 0.8 / 1e9, rel=0.01)


def test_a_rebuild_reads_what_lies_there() -> None:
    found = need(POINTS, LOAD)
    a_record = 10e-6  # beside what a rebuild of whatever size takes
    assert found.rebuild_lane_s == pytest.approx(2_000 / 12 * a_record)
    assert found.rebuild_all_s == pytest.approx(2_000 * a_record)
    assert found.rebuild_lane_most_s == pytest.approx((2_000 / 0.8 + 12 * 1e6 / 400) / 12 * a_record)
    assert found.rebuild_all_most_s == pytest.approx(12 * found.rebuild_lane_most_s)


def test_what_an_event_writes_does_not_grow_with_the_number_of_customers() -> None:
    young = msgspec.structs.replace(POINTS.full[2], changelog_bytes=8_000.0)
    points = Measured([*POINTS.full[:2], young], POINTS.steady)
    assert Model(points).an_event(CHANGELOG, 5, 100_000) == 800


def test_what_memory_lacks_costs_a_look_up() -> None:
    crowded = msgspec.structs.replace(POINTS.full[0], cache_profiles=100, misses=1.0, worker_us=150.0)
    points = Measured([*POINTS.full, crowded], POINTS.steady)
    roomy, small = need(points, LOAD), need(points, replace(LOAD, cache_profiles=1_000))
    assert roomy.events_cores == pytest.approx(0.12)
    # half of 2,000 identities are not there: one of two look-ups an event, at 50 µs
    assert small.events_cores == pytest.approx(0.12 + 1_200 * 50e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"customers": 200_000}, "customers: 2e+05, and 1,000 to 1e+05 were measured"),
        ({"customers": 10}, "customers: 10, and"),
        ({"journeys": 6}, "journeys: 6, and 1 to 5 were measured"),
        ({"lanes": 48}, "lanes a worker: 48, and 4 to 12 were measured"),
        ({"events_per_second": 5_900.0}, "events/s a worker: 5,900, and 0 to 5,000 were measured"),
    ],
)
def test_beyond_what_was_measured_it_says_so(change: dict[str, float], said: str) -> None:
    (line,) = need(POINTS, replace(LOAD, **change)).extrapolated  # type: ignore[arg-type]  # each has its field's type
    assert line.startswith(said)


@pytest.mark.parametrize("points", [Measured([], []), Measured(POINTS.full, []), Measured([], POINTS.steady)])
def test_without_points_nothing_is_said(points: Measured) -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        need(points, LOAD)


# What runs


LOOK = Look(at_s=100.0, cpu_s=10.0, events=1_000, transactions=50, mb=200.0, lag=10, lanes=(0, 1), all_lanes=2)


def test_two_looks_make_a_rate() -> None:
    later = replace(LOOK, at_s=110.0, cpu_s=13.0, events=21_000, transactions=2_050, lag=110)
    assert rate(LOOK, later) == Rate(2, 2_000.0, 200.0, 0.3, 200.0, 110, 10.0)


@pytest.mark.parametrize("change", [{"cpu_s": 1.0}, {"transactions": 3}, {"at_s": 100.0}])
def test_a_worker_that_was_started_anew_is_no_measure(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="started anew"):
        rate(LOOK, replace(LOOK, **({"at_s": 110.0, "cpu_s": 11.0} | change)))  # type: ignore[arg-type]  # as above


def test_room_is_between_todays_cost_and_that_without_transactions() -> None:
    busy = Rate(12, 1_200.0, 200.0, 0.332, 200.0, 0, 0.0)
    found = room([busy, busy], Model(POINTS), busy=0.5)
    assert found.events_per_second == 2_400
    assert found.at_least == pytest.approx(1.0 / (0.332 / 1_200))
    assert found.about == pytest.approx(1.0 / 100e-6)


def test_an_event_is_not_reckoned_cheaper_than_it_ever_was() -> None:
    slow = Rate(12, 1_200.0, 200.0, 0.22, 200.0, 0, 0.0)
    assert room([slow], Model(POINTS), busy=1.0).about == pytest.approx(1 / 60e-6)


def test_room_of_idle_workers_is_unknown() -> None:
    with pytest.raises(ValueError, match="no event was processed"):
        room([Rate(12, 0.0, 0.0, 0.01, 100.0, 0, 0.0)], Model(POINTS), busy=0.6)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:9464", "http://127.0.0.1:9464/metrics"),
        ("https://worker:9464", "https://worker:9464/metrics"),
        ("http://worker:9464/metrics", "http://worker:9464/metrics"),
        ("[::1]:9464", "http://[::1]:9464/metrics"),
    ],
)
def test_an_address_becomes_a_page(given: str, url: str) -> None:
    assert page(given) == url


@pytest.mark.parametrize("given", ["worker", "file:///etc/passwd", "", "ftp://worker:1", "worker:port"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"'{given}' is no worker's address; write host:port")):
        page(given)


# The command


NEEDED = ["--events-per-second", "2000", "--customers", "100000"]


def test_the_answer_for_programs() -> None:
    done = runner.invoke(app, ["capacity", *NEEDED, "--lanes", "12", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["need"]["lanes"] == 12
    assert said["need"]["redis_mb"] > 0
    assert said["measured"]["machine"] == published().machine


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--events-per-second is missing"),
        (["--events-per-second", "10"], "--customers is missing"),
        (["--events-per-second", "0", "--customers", "1"], "--events-per-second 0: a number above 0"),
        (["--events-per-second", "nan", "--customers", "1"], "--events-per-second nan: a number above 0"),
        (["--events-per-second", "5", "--customers", "-1"], "--customers -1: a number above 0"),
        ([*NEEDED, "--retention", "30"], "--retention: '30' is not a duration"),
        ([*NEEDED, "--retention", "30day"], "did you mean '30d'?"),
        ([*NEEDED, "--input-retention", "0d"], "--input-retention: it is to be longer"),
        (["--events-per-second", "900000", "--customers", "1", "--lanes", "2"], "and there are 2 lanes"),
        ([*NEEDED, "--page", "127.0.0.1:1"], "--page goes with --observed"),
        ([*NEEDED, "--observed"], "leave --events-per-second and --customers away"),
        (["--observed", "--page", "127.0.0.1"], "is no worker's address"),
        (["--observed", "--page", "127.0.0.1:1", "--over", "1ms"], "no metrics page answers at http://127.0.0.1:1/"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(arguments: Sequence[str], said: str) -> None:
    done = runner.invoke(app, ["capacity", *arguments])
    assert isinstance(done.exception, UserError)
    assert said in done.exception.message


def test_the_topics_say_how_long_they_keep() -> None:
    usual = kept()
    assert (usual.feeds_s, usual.inputs_s) == (30 * DAY, 7 * DAY)
    assert (usual.segment_bytes, usual.segment_s, usual.dirty_ratio) == (128 * 2**20, DAY, 0.3)
    assert kept(1_000, 2_000) == replace(usual, feeds_s=1, inputs_s=2)


# The page and the data


def published_line() -> Line:
    (line,) = (each for each in results.read(PUBLISHED) if isinstance(each.figure, Capacity))
    return line


def test_the_data_is_what_was_published() -> None:
    assert capacity_page.DATA.read_bytes() == capacity_page.data_of(capacity_page.published_of(published_line()))


def test_the_page_is_made_of_the_data() -> None:
    around = report.Published([published_line()]).circumstances(Capacity)
    assert capacity_page.PAGE.read_text() == capacity_page.render(published(), around), (
        "make it anew: python -m tests.benchmarks publish --results-file docs/benchmarks/results.jsonl"
    )


def test_what_the_page_shows_is_what_the_command_says() -> None:
    text = capacity_page.PAGE.read_text()
    lines = [line.strip() for line in re.findall(r"^    (journey capacity .+)$", text, re.MULTILINE)]
    asked = [line for line in lines if "--observed" not in line]
    assert len(asked) == len(capacity_page.EXAMPLES)
    for line in asked:
        done = runner.invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, line
        shown = "\n".join(f"    {said}".rstrip() for said in done.stdout.splitlines())
        assert f"    {line}\n\n{shown}\n" in text


def test_the_published_points_give_a_model() -> None:
    measured = published().measured
    model = Model(measured)
    assert {point.journeys for point in measured.full} >= {1, 5}
    assert len({point.lanes for point in model.idle}) > 1
    assert model.commit_s > 0
    assert model.usual.worker_us > 0
