"""A customer whose timers are not looked at any more: what they have brought stays, unless an event takes it back."""

import pytest

from pipeline.domain.feed import Feed
from tests.cases.reading import TOUCHES, at
from tests.property.two_folds import CUSTOMER, Sent, TwoFolds, read_models

LABELS = dict.fromkeys(("en", "tr", "pl", "fa"), "a")
JOURNEY = {
    "journey": "case",
    "version": 1,
    "stages": [
        {"id": "keen", "labels": LABELS, "enter": {"when": "carted"}},
        {"id": "cold", "labels": LABELS, "enter": {"after": "8h", "since": "last carted"}},
        {"id": "buyer", "labels": LABELS, "enter": {"when": "ordered"}},
    ],
    "signals": {"reminder": {"after": "1h", "since": "last carted", "unless": "ordered"}},
}
GRACE = dict.fromkeys(("web", "email", "social", "phone", "store"), 300_000)


def sent(identifier: str, kind: str, when: str) -> Sent:
    event = {"id": identifier, "type": kind, "occurred_at": at(when), "customer_id": CUSTOMER}
    return Sent(event, "web", at(when), 0, len(identifier))


def parked() -> TwoFolds:
    """A cart, and the ten hours that made the customer cold and told of it."""
    folds = TwoFolds(read_models(TOUCHES, [JOURNEY], GRACE), lateness=86_400_000, limit=64)
    folds.arrive(sent("a", "carted", "+0s"))
    folds.rise(at("+10h"))
    assert (folds.profile.positions[0].stage, len(folds.published)) == ("cold", 2)
    return folds


def fold_without_watermark(folds: TwoFolds, one: Sent) -> Feed:
    feed = Feed()
    folds.fold.event(folds.profile, folds.profile.key, folds.event(one), None, feed)
    return feed


@pytest.mark.parametrize("when", ["+7h", "+8h", "+9h", "+30h", "+90h"])
def test_what_has_fired_is_not_taken_back(when: str) -> None:
    feed = fold_without_watermark(parked(), sent("bb", "chatted", when))
    assert (feed.transitions, feed.signals) == ([], [])


def test_an_act_in_time_takes_it_back() -> None:
    feed = fold_without_watermark(parked(), sent("bb", "ordered", "+30min"))
    assert [(record.kind, record.to) for record in feed.transitions] == [("corrected", "buyer")]
    assert [record.kind for record in feed.signals] == ["retracted"]


def test_nothing_more_fires_by_time() -> None:
    folds = parked()
    feed = fold_without_watermark(folds, sent("bb", "carted", "+20h"))
    assert (feed.transitions, feed.signals) == ([], [])
    feed = fold_without_watermark(folds, sent("ccc", "chatted", "+21h1ms"))
    assert (feed.transitions, feed.signals) == ([], [])
