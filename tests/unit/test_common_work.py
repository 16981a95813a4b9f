"""The common work is the same bytes for everybody, and its judge sees what is wrong."""

import hashlib
from collections.abc import Callable, Sequence

import pytest

from tests.benchmarks import common_work
from tests.benchmarks.cost import make_work
from tests.benchmarks.loading import Work
from tests.benchmarks.oracle import LAPSED, Judgement, Transition, expected, judge

Output = list[Transition]


@pytest.fixture(scope="module")
def work() -> Work:
    return make_work(common_work.events(100_000, 10_000))


@pytest.fixture(scope="module")
def right(work: Work) -> Sequence[Transition]:
    return work.wanted


def test_the_same_bytes_and_transitions_as_published(work: Work) -> None:
    digest = hashlib.sha256()
    for _, value in work.events:
        digest.update(value)
    assert digest.hexdigest().startswith("2495e33113b5374e")
    assert len(work.wanted) == 22_669
    assert all(220 <= len(value) <= 280 for _, value in work.events)
    assert expected(work.events) == work.wanted


def test_a_transition_lies_where_its_event_does(work: Work) -> None:
    places = work.places(4)
    assert len(places) == len(work.wanted)
    ends = [0] * 4
    for partition, end in places.values():
        ends[partition] = max(ends[partition], end)
    assert 99_000 < sum(ends) <= 100_000


def test_the_right_output_is_right(right: Sequence[Transition]) -> None:
    assert judge(right, right) == Judgement(len(right), 0, 0, 0, 0)


def test_a_lapse_need_not_name_an_event(right: Sequence[Transition]) -> None:
    assert judge(right, [each._replace(cause="") if each.target == LAPSED else each for each in right]).correct
    assert any(each.target == LAPSED for each in right)


def lose_the_last(output: Output) -> Output:
    return output[:-1]


def repeat_the_last(output: Output) -> Output:
    return [*output, output[-1]]


def publish_one_too_many(output: Output) -> Output:
    return [*output, output[-1]._replace(seq=output[-1].seq + 1)]


def name_another_event(output: Output) -> Output:
    return [*output[:-1], output[-1]._replace(cause="another")]


def date_it_otherwise(output: Output) -> Output:
    return [*output[:-1], output[-1]._replace(occurred_at="2025-01-01T00:00:00.000Z")]


def disorder(output: Output) -> Output:
    second = next(number for number, each in enumerate(output) if each.seq == 2)
    return [output[second], *output[:second], *output[second + 1 :]]


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lose_the_last, (1, 0, 0, 0)),
        (repeat_the_last, (0, 0, 1, 1)),
        (publish_one_too_many, (0, 1, 0, 0)),
        (name_another_event, (1, 1, 0, 0)),
        (date_it_otherwise, (1, 1, 0, 0)),
        (disorder, (0, 0, 0, 3)),
    ],
)
def test_the_judge_sees_what_is_wrong(
    right: Sequence[Transition], plant: Callable[[Output], Output], found: tuple[int, int, int, int]
) -> None:
    judgement = judge(right, plant(list(right)))
    assert (judgement.missing, judgement.surplus, judgement.doubled, judgement.gaps) == found
    assert not judgement.correct
