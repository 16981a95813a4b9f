"""Who takes most of a lane, told in bounded memory."""

import sys
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.application.heavy_hitters import (
    COUNTERS,
    EVERY,
    LEAST_ARRIVALS,
    NAMED,
    SAMPLED_FROM,
    WINDOW_S,
    FrequentKeys,
    HeavyHitters,
)
from pipeline.application.intake import NO_EVENT, Arrival, Source
from pipeline.domain.identity import Key
from tests.benchmarks.fold import Read

SOURCE, RECORD = Source("raw.web", "raw"), Read(0, 0, None, None, ())
NOW = 1_000_000.0


def arrivals(keys: Sequence[str]) -> list[Arrival]:
    return [Arrival(Key(key), (), NO_EVENT, None, SOURCE, RECORD, "web") for key in keys]


def crowd(number: int, every: int) -> Iterator[str]:
    """So many keys, no two alike but that one in `every` is the hot one."""
    for place in range(number):
        yield "c:hot" if place % every == 0 else f"anonymous:{place}"


def test_one_with_a_fifth_of_a_million_is_named_in_bounded_memory() -> None:
    hitters, keys = HeavyHitters(), list(crowd(1_000_000, 5))
    for first in range(0, len(keys), 2_000):
        hitters.saw(arrivals(keys[first : first + 2_000]), NOW)
    (name, share), *others = hitters.named(NOW).items()
    assert (name, others) == ("c:hot", [])
    assert 0.2 - 1 / COUNTERS - 0.01 < share < 0.21
    assert len(hitters._present.counts) <= COUNTERS
    assert sys.getsizeof(hitters._present.counts) < 10_000


def test_nobody_is_named_where_all_are_alike() -> None:
    hitters = HeavyHitters()
    for first in range(0, 100_000, 1_000):
        hitters.saw(arrivals([f"anonymous:{number}" for number in range(first, first + 1_000)]), NOW)
    assert hitters.named(NOW) == {}


@pytest.mark.parametrize("size", [1, SAMPLED_FROM - 1, SAMPLED_FROM, SAMPLED_FROM + 1, 5_000])
def test_the_size_of_batches_makes_no_difference(size: int) -> None:
    hitters, keys = HeavyHitters(), list(crowd(60_000, 4))
    for first in range(0, len(keys), size):
        hitters.saw(arrivals(keys[first : first + size]), NOW)
    assert hitters.named(NOW).keys() == {"c:hot"}
    assert hitters.named(NOW)["c:hot"] == pytest.approx(0.25, abs=0.03)
    assert hitters._present.total == pytest.approx(len(keys), abs=EVERY)


def test_the_hottest_come_first_and_few_are_named() -> None:
    hitters = HeavyHitters()
    hitters.saw(arrivals([f"c:{number}" for number in range(1, 11) for _ in range(number * 4)]), NOW)
    assert list(hitters.named(NOW)) == [f"c:{number}" for number in range(10, 10 - NAMED, -1)]


def test_of_a_few_arrivals_nothing_follows() -> None:
    hitters = HeavyHitters()
    hitters.saw(arrivals(["c:only"] * (LEAST_ARRIVALS - 1)), NOW)
    assert hitters.named(NOW) == {}
    hitters.saw(arrivals(["c:only"]), NOW)
    assert hitters.named(NOW) == {"c:only": 1.0}


def test_the_last_full_minute_counts_and_then_it_is_forgotten() -> None:
    hitters = HeavyHitters()
    hitters.saw(arrivals(["c:first"] * LEAST_ARRIVALS), NOW)
    hitters.saw(arrivals(["c:second"] * 4 * LEAST_ARRIVALS), NOW + WINDOW_S)
    assert hitters.named(NOW + WINDOW_S + 1) == {"c:first": 1.0}
    assert hitters.named(NOW + 2 * WINDOW_S) == {"c:second": 1.0}
    assert hitters.named(NOW + 4 * WINDOW_S) == {}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 40)), max_size=60), st.integers(1, 6))
def test_counts_are_bounds_and_whoever_has_a_large_share_is_there(seen: list[tuple[str, int]], counters: int) -> None:
    keys = FrequentKeys(counters)
    for key, weight in seen:
        keys.add(key, weight)
        assert len(keys.counts) <= counters
    true = {name: sum(weight for key, weight in seen if key == name) for name in "abcdefgh"}
    assert keys.total == sum(true.values())
    for name, number in true.items():
        assert number - keys.total / (counters + 1) <= keys.counts.get(name, 0) <= number
