"""The simulator's customers: what must be there to look at, and that it is the same at every run."""

from collections import Counter
from itertools import islice, pairwise

import pytest

from pipeline.dev.life import Action, life
from pipeline.dev.people import DAY, person

START = 1_420_416_000_000
YEARS = [list(life(7, person(7, number, START))) for number in range(1, 201)]


def acts(actions: list[Action]) -> Counter[str]:
    return Counter(action.type for action in actions)


def test_a_life_is_a_function_of_its_seed() -> None:
    assert YEARS[11] == list(life(7, person(7, 12, START)))
    assert YEARS[11] != list(life(8, person(8, 12, START)))


def test_actions_come_in_order_and_end_with_the_life() -> None:
    for number, actions in enumerate(YEARS, 1):
        times = [action.at for action in actions]
        assert times == sorted(times)
        assert times[0] >= START
        assert times[-1] < person(7, number, START).ends


KINDS = """
    page_viewed ad_clicked email_opened email_clicked post_liked post_seen product_viewed price_compared cart_added
    cart_updated order_placed call_answered call_made store_visited review_written referral_sent support_requested
    complaint_opened signed_up loyalty_joined coupon_redeemed coupon_sent email_sent
    searched question_asked email_replied deal_lost order_delivered delivery_received order_returned forum_answered
    email_unsubscribed
"""


@pytest.mark.parametrize("kind", KINDS.split())
def test_everything_that_people_do_happens(kind: str) -> None:
    assert any(action.type == kind for actions in YEARS for action in actions)


def test_only_the_company_sends_coupons_mail_and_orders() -> None:
    company = {action.type for actions in YEARS for action in actions if action.actor == "company"}
    assert company == {"coupon_sent", "email_sent", "order_delivered"}


def test_some_carts_are_left_behind_for_a_day() -> None:
    left = 0
    for actions in YEARS:
        for cart in (action for action in actions if action.type == "cart_added"):
            left += not any(a.type == "order_placed" and 0 <= a.at - cart.at <= DAY for a in actions)
    carts = sum(acts(actions)["cart_added"] for actions in YEARS)
    assert 0.1 < left / carts < 0.7


def test_buyers_fall_silent_for_a_quarter_and_some_come_back() -> None:
    gaps: list[int] = []
    for actions in YEARS:
        orders = [action.at for action in actions if action.type == "order_placed"]
        gaps += [later - earlier for earlier, later in pairwise(orders)]
    assert sum(gap > 90 * DAY for gap in gaps) > 20


def test_only_who_ordered_twice_recommends() -> None:
    for actions in YEARS:
        orders = 0
        for action in actions:
            orders += action.type == "order_placed"
            assert orders >= 2 or action.type != "review_written"
            assert orders >= 3 or action.type != "referral_sent"


def test_the_nameless_are_so_until_they_sign_up() -> None:
    seen = 0
    for number, actions in enumerate(YEARS, 1):
        signed_up = [action.at for action in actions if action.type == "signed_up"]
        nameless = [action for action in actions if not action.signed_in]
        seen += bool(nameless)
        assert not nameless or person(7, number, START).anonymous
        assert len(signed_up) <= 1
        for action in nameless:
            assert action.channel in ("web", "social")
            assert not signed_up or action.at < signed_up[0]
    assert seen > 20


def test_each_channel_is_used_by_many() -> None:
    users = Counter(channel for actions in YEARS for channel in {action.channel for action in islice(actions, 200)})
    assert set(users) == {"web", "email", "social", "phone", "store"}
    assert min(users.values()) > 60
