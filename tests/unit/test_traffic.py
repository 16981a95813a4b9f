"""What the simulated channels send: a fixed sequence, in order of sending, never later than promised."""

from collections import Counter
from itertools import islice, pairwise

import pytest

from pipeline.adapters.identity_kinds import identities_for_counting
from pipeline.config import Settings
from pipeline.dev.traffic import LONGEST_DELAY, Delivery, traffic
from pipeline.domain.event import decode, moment, named
from pipeline.domain.identity import public_key

START = 1_420_416_000_000
HOUR = 3_600_000
IDENTITIES = identities_for_counting(Settings())
SENT = list(islice(traffic(7, START, 80), 30_000))


def events_by_id() -> dict[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = {}
    for delivery in SENT:
        found.setdefault(decode(delivery.value, 262_144, 32).id, []).append(delivery)
    return found


def test_is_in_order_of_sending() -> None:
    assert all(one.at <= next_one.at for one, next_one in pairwise(SENT))
    assert SENT[0].at >= START


def test_nothing_is_sent_before_it_happened_or_later_than_promised() -> None:
    delays = [delivery.at - delivery.occurred_at for delivery in SENT]
    assert min(delays) >= 0
    assert max(delays) <= LONGEST_DELAY


@pytest.mark.parametrize("stopped_after", [0, 1, 999, 20_000])
def test_goes_on_where_it_stopped(stopped_after: int) -> None:
    since = SENT[stopped_after].at
    assert list(islice(traffic(7, START, 80, since), 500)) == [d for d in SENT if d.at > since][:500]


def test_every_record_is_a_valid_event_and_no_key_says_an_address_or_a_number() -> None:
    for delivery in SENT:
        event = decode(delivery.value, 262_144, 32)
        primary = public_key(named(event, IDENTITIES).primary)
        personal = primary.startswith(("email:", "phone:"))
        assert (delivery.key == primary.encode()) != personal
        assert not personal or delivery.key.startswith(b"contact-")
        assert moment(event) == delivery.occurred_at


def test_an_id_stands_for_one_event_and_a_few_are_sent_twice() -> None:
    sendings = events_by_id()
    assert all(len({(d.channel, d.value) for d in same}) == 1 for same in sendings.values())
    assert Counter(len(same) for same in sendings.values()).keys() == {1, 2}
    assert 0.005 < 1 - len(sendings) / len(SENT) < 0.02


def test_channels_are_late_in_their_own_way() -> None:
    typical = {
        channel: sorted(d.at - d.occurred_at for d in SENT if d.channel == channel)
        for channel in ("web", "phone", "store")
    }
    middle = {channel: delays[len(delays) // 2] for channel, delays in typical.items()}
    assert middle["web"] < 3_000
    assert 5 * 60_000 < middle["phone"] < 2 * HOUR
    assert middle["store"] > 5 * HOUR


def test_says_up_to_when_everything_was_sent() -> None:
    delays = []
    for place, delivery in enumerate(SENT[:20_000]):
        assert delivery.complete < delivery.occurred_at
        delays.append(delivery.at - delivery.complete)
        if place % 500 == 0:
            assert all(later.occurred_at > delivery.complete for later in SENT[place:])
    assert max(delays) <= LONGEST_DELAY + HOUR
    assert sum(delays) / len(delays) < 24 * HOUR


def test_some_visits_are_nameless_and_sign_up_names_both() -> None:
    nameless = {d.key for d in SENT if d.key.startswith(b"anonymous:")}
    named = [decode(d.value, 262_144, 32) for d in SENT if b'"signed_up"' in d.value]
    assert len(nameless) > 10
    assert named
    assert all(event.customer_id and event.identities for event in named)
    assert {f"anonymous:{(event.identities or {})['anonymous']}".encode() for event in named} & nameless
