"""The links that a pipeline has found against what is true, on people that can be counted on one hand."""

from typing import Any

import pytest

from pipeline.checker.plain_links import Links, Order
from pipeline.checker.truth import Compared, Outcome, compare_truth, read_truth
from tests.unit.identity_rules import KINDS, RULES

TRUTH: dict[str, Any] = {
    "people": [
        {
            "person": "1",
            "customers": ["ann", "till-1"],
            "identities": [["email", "Ann@Example.com"], ["phone", "+48 500 000 001"]],
        },
        {"person": "2", "customers": ["bob"], "identities": [["phone", "+48500000001"], ["anonymous", "b"]]},
        {"person": "3", "customers": ["cy"], "identities": [["anonymous", "c"]]},
    ],
    "mistakes": [{"customer": "cy", "kind": "email", "value": "ann@example.com"}],
    "merged": [["cy", "bob"]],
}


def name(kind: str, value: str) -> str:
    (found,) = read_truth(
        {"people": [{"person": "1", "customers": [], "identities": [[kind, value]]}], "mistakes": [], "merged": []},
        RULES,
    ).users
    return found


EMAIL, PHONE = name("email", "ann@example.com"), name("phone", "+48500000001")
MERGE, WRONG_MERGE = Order("link", "till-1", "ann"), Order("link", "cy", "bob")


def compared(
    owners: dict[str, str], *named: tuple[str, str], orders: tuple[Order, ...] = (), moving: tuple[str, ...] = ()
) -> Compared:
    links = Links(KINDS)
    for customer, identity in named:
        links.name(customer, identity)
    links.obey(orders)
    everybody = {customer: customer for customer in ("ann", "bob", "cy")} | owners
    return compare_truth(read_truth(TRUTH, RULES), links, everybody, moving)


@pytest.mark.parametrize(
    ("outcome", "owners", "named", "orders"),
    [
        ("right", {EMAIL: "ann"}, [("ann", EMAIL)], ()),
        ("right", {"till-1": "ann"}, [], (MERGE,)),
        ("shared_by_people", {PHONE: "bob"}, [("bob", PHONE)], ()),
        ("by_mistake", {EMAIL: "cy"}, [("cy", EMAIL)], ()),
        ("by_merge", {"cy": "bob"}, [], (WRONG_MERGE,)),
        ("by_merge", {"cy": "bob", "anonymous:c": "bob"}, [("cy", "anonymous:c")], (WRONG_MERGE,)),
        ("wrong", {"anonymous:b": "ann"}, [("bob", "anonymous:b")], ()),
        ("wrong", {"bob": "ann"}, [], ()),
        ("alone", {PHONE: PHONE}, [("ann", PHONE), ("bob", PHONE)], ()),
        ("alone", {EMAIL: EMAIL}, [("cy", EMAIL)], (Order("block", EMAIL, "cy"),)),
        ("apart", {EMAIL: EMAIL, "till-1": "till-1"}, [("ann", EMAIL), ("till-1", EMAIL)], ()),
        ("missed", {EMAIL: EMAIL}, [("ann", EMAIL)], ()),
        ("missed", {}, [("ann", EMAIL)], ()),
        ("missed", {"till-1": "till-1"}, [], (MERGE,)),
        ("unnamed", {"anonymous:c": "anonymous:c"}, [], ()),
    ],
)
def test_each_outcome(
    outcome: Outcome, owners: dict[str, str], named: list[tuple[str, str]], orders: tuple[Order, ...]
) -> None:
    found = compared(owners, *named, orders=orders)
    assert outcome in found.outcomes
    assert (found.wrong > 0) == (outcome in ("wrong", "missed"))
    assert len(found.examples) == found.wrong


def test_people_who_are_merely_customers_are_nothing_to_tell() -> None:
    assert not compared({}).outcomes


def test_what_is_under_way_and_what_the_file_does_not_know_is_left_out() -> None:
    found = compared({EMAIL: EMAIL, "anonymous:z": "ann"}, ("ann", EMAIL), moving=(EMAIL,))
    assert not found.outcomes
    assert found.unknown == 1


def test_an_example_says_who_and_why() -> None:
    ((_, said),) = compared({"anonymous:b": "ann"}, ("bob", "anonymous:b")).examples
    assert said == "anonymous:b is with ann; named together with bob; of person 2"


@pytest.mark.parametrize("document", [[], {}, {"people": [{}]}, {"people": 3}, {"people": [], "mistakes": [3]}])
def test_what_is_no_truth_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="no truth file"):
        read_truth(document, RULES)
