"""Who belongs to whom by the checker's own reading, on cases that can be worked out by hand."""

import pytest

from pipeline.checker.plain_links import MOST_CLAIMED, MOST_CLAIMS, MOST_GUESTS, Links, Order

KINDS = ("loyalty", "email", "phone", "anonymous")


def links(*named: tuple[str, str], orders: tuple[Order, ...] = ()) -> Links:
    made = Links(KINDS)
    for customer, identity in named:
        made.name(customer, identity)
    made.obey(orders)
    return made


def test_an_identity_belongs_to_the_one_customer_that_was_named_with_it() -> None:
    found = links(("ann", "email:1"), ("ann", "anonymous:x"))
    assert {found.owner(name) for name in ("ann", "email:1", "anonymous:x")} == {"ann"}
    assert found.owner("email:2") == "email:2"
    assert not found.shared("email:1")


def test_with_two_customers_it_is_nobodys() -> None:
    found = links(("ann", "anonymous:x"), ("bob", "anonymous:x"))
    assert found.owner("anonymous:x") == "anonymous:x"
    assert found.shared("anonymous:x")
    assert list(found.groups().values()) == [["ann", "anonymous:x", "bob"]]


def test_a_merge_goes_to_the_smaller_over_several_steps() -> None:
    merges = (Order("link", "c", "b"), Order("link", "b", "a"))
    found = links(("c", "phone:1"), ("a", "phone:1"), orders=merges)
    assert [found.owner(name) for name in ("c", "b", "a", "phone:1")] == ["a", "a", "a", "a"]


def test_of_several_targets_the_smallest_counts_and_a_block_takes_one_away() -> None:
    merges = (Order("link", "c", "b"), Order("link", "c", "a"))
    assert links(orders=merges).owner("c") == "a"
    assert links(orders=(*merges, Order("block", "c", "a"))).owner("c") == "b"
    assert links(orders=(*merges, Order("block", "c", "a"), Order("unblock", "c", "a"))).owner("c") == "a"


def test_a_block_leaves_a_shared_identity_to_the_other() -> None:
    found = links(("ann", "email:1"), ("bob", "email:1"), orders=(Order("block", "email:1", "ann"),))
    assert found.owner("email:1") == "bob"


def test_what_too_many_name_is_shared_even_where_they_are_one() -> None:
    customers = [f"c{number}" for number in range(MOST_CLAIMS + 1)]
    merges = tuple(Order("link", customer, customers[0]) for customer in customers[1:])
    named = [(customer, "anonymous:kiosk") for customer in customers]
    assert links(*named[:-1], orders=merges).owner("anonymous:kiosk") == "c0"
    assert links(*named, orders=merges).owner("anonymous:kiosk") == "anonymous:kiosk"


@pytest.mark.parametrize(("number", "over"), [(MOST_CLAIMED, False), (MOST_CLAIMED + 1, True)])
def test_a_customer_may_claim_so_many(number: int, over: bool) -> None:
    found = links(*[("ann", f"anonymous:{each}") for each in range(number)])
    (group,) = found.groups().values()
    assert found.over_limit(group) == over


def test_many_customers_of_one_kiosk_are_over_no_limit_of_theirs() -> None:
    """Who counts there does not depend on an order: a kiosk is nobody's."""
    found = links(*[(f"c{each}", "anonymous:kiosk") for each in range(MOST_GUESTS + 5)])
    (group,) = found.groups().values()
    assert not found.over_limit(group)
