"""When the breaker opens: so many customers, or such a share of the events, within the window."""

import pytest

from pipeline.application.breaker import BreakerGauge, BreakerPolicy

POLICY = BreakerPolicy(customers=4, share=0.1, at_least=3, window_s=60.0)

Step = tuple[str, float, object]
"""`folded` at a second so many events, or `raised` at a second for a customer (and with so many events in hand)."""


def play(steps: list[Step], policy: BreakerPolicy = POLICY) -> str | None:
    """What the last raise was answered."""
    gauge, answer = BreakerGauge(policy), None
    for what, at, rest in steps:
        if what == "folded":
            assert isinstance(rest, int)
            gauge.folded(at, rest)
        elif what == "reset":
            gauge.reset()
        else:
            key, in_hand = rest if isinstance(rest, tuple) else (str(rest), 0)
            answer = gauge.raised(at, key, in_hand)
    return answer


MANY: Step = ("folded", 0.0, 10_000)

OPENS: dict[str, list[Step]] = {
    "four customers": [MANY, *(("raised", at, f"c{at}") for at in range(4))],
    "a tenth of the events": [("folded", 0.0, 20), *(("raised", 1.0, "anna") for _ in range(3))],
    "nothing but raises": [*(("raised", 0.0, "anna") for _ in range(3))],
    "raises against what is in hand": [*(("raised", 0.0, ("anna", 20)) for _ in range(3))],
    "good events that are too long ago": [MANY, *(("raised", 60.1, "anna") for _ in range(3))],
    "a window that slides": [MANY, ("raised", 0.0, "a"), *(("raised", 59.0, f"c{n}") for n in range(3))],
}


@pytest.mark.parametrize("name", OPENS)
def test_it_opens(name: str) -> None:
    assert play(OPENS[name])
    assert play(OPENS[name][:-1]) is None


STAYS_CLOSED: dict[str, list[Step]] = {
    "three customers of many events": [MANY, *(("raised", at, f"c{at}") for at in range(3))],
    "one customer, many times, of many events": [MANY, *(("raised", 1.0, "anna") for _ in range(900))],
    "exactly a tenth": [("folded", 0.0, 27), *(("raised", 1.0, "anna") for _ in range(3))],
    "a few in the first large batch": [*(("raised", 0.0, ("anna", 10_000)) for _ in range(9))],
    "too few to be a share": [*(("raised", 0.0, "anna") for _ in range(2))],
    "raises that are too long ago": [MANY, *(("raised", 61.0 * at, f"c{at}") for at in range(2)), ("folded", 61.0, 99)],
    "what was before a reset": [
        *(("raised", 0.0, f"c{n}") for n in range(9)),
        ("reset", 0.0, None),
        MANY,
        ("raised", 0.0, "anna"),
    ],
}


@pytest.mark.parametrize("name", STAYS_CLOSED)
def test_it_stays_closed(name: str) -> None:
    assert play(STAYS_CLOSED[name]) is None


def test_it_says_why() -> None:
    assert play(OPENS["four customers"]) == "the fold raised for 4 customers within 60 s"
    assert play(OPENS["a tenth of the events"]) == "the fold raised on 3 of 23 events within 60 s"


def test_the_default_is_twenty_customers_or_one_event_in_a_hundred() -> None:
    policy = BreakerPolicy()
    twenty: list[Step] = [("folded", 0.0, 1_000_000), *(("raised", 1.0, f"c{n}") for n in range(20))]
    assert play(twenty, policy)
    assert play(twenty[:-1], policy) is None
    share: list[Step] = [("folded", 0.0, 594), *(("raised", 1.0, "anna") for _ in range(6))]
    assert play(share, policy) is None
    assert play([("folded", 0.0, 593), *share[1:]], policy)
