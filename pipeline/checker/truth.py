"""What whoever made the traffic knows of its people, against the links that the pipeline has found.

docs/check.md has the form of the file. An identity of several people, or one written down by mistake, may rightly be
linked with one of them; two people in one customer without such a reason are a wrong link.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.checker.plain_identity import IdentityRules, names
from pipeline.checker.plain_links import MOST_CLAIMS, Links

Outcome = Literal["right", "shared_by_people", "by_mistake", "by_merge", "wrong", "alone", "apart", "missed", "unnamed"]

OUTCOMES: Mapping[Outcome, str] = {
    "right": "with the customer of the person whose they are",
    "shared_by_people": "of several people, and with one of them: nobody else has claimed them so far",
    "by_mistake": "with somebody else, who gave them by mistake",
    "by_merge": "with somebody else, into whom their customer was merged by mistake",
    "wrong": "with somebody else, for no reason: WRONG",
    "alone": "claimed by several, or kept apart by an order, so rightly with nobody",
    "apart": "claimed by two customer ids of one person that nobody has merged",
    "missed": "named together with their person's customer, and not with it: MISSED",
    "unnamed": "never named together with a customer: nobody can know",
}
"""What becomes of an identity, for people."""

WRONG: Collection[Outcome] = ("wrong", "missed")


@dataclass(slots=True)
class Truth:
    """People by what they are known by, as public keys. `mistakes`: (customer, identity); `merged`: person -> those
    with whom a customer id of theirs was merged by mistake, directly or over others.
    """

    users: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    mistakes: set[tuple[str, str]] = field(default_factory=set)
    merged: dict[str, set[str]] = field(default_factory=dict)
    people: int = 0


@dataclass(slots=True)
class Compared:
    """`outcomes`: how many identities; `examples` of what is wrong; `unknown`: linked, and of no person in the file."""

    people: int
    kept: int
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    examples: list[tuple[Outcome, str]] = field(default_factory=list)
    unknown: int = 0

    @property
    def wrong(self) -> int:
        return sum(self.outcomes[outcome] for outcome in WRONG)


def read_truth(document: Any, rules: IdentityRules) -> Truth:
    """The truth of a decoded file; ValueError that says what is wrong with it."""
    truth = Truth()
    try:
        for person in document["people"]:
            truth.people += 1
            for customer in person["customers"]:
                truth.users[customer].add(person["person"])
            for kind, value in person["identities"]:
                for name in _public(kind, value, rules):
                    truth.users[name].add(person["person"])
        for mistake in document["mistakes"]:
            for name in _public(mistake["kind"], mistake["value"], rules):
                truth.mistakes.add((mistake["customer"], name))
        for pair in document["merged"]:
            together = {one for customer in pair for one in truth.users[customer]}
            together |= {other for one in together for other in truth.merged.get(one, ())}
            truth.merged.update(dict.fromkeys(together, together))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"no truth file: {error!r}") from None
    return truth


def _public(kind: str, value: str, rules: IdentityRules) -> list[str]:
    return names({"identities": {kind: value}}, rules)


def compare_truth(
    truth: Truth, links: Links, owners: Mapping[str, str], moving: Collection[str], kept: int = 20
) -> Compared:
    """`owners`: each identity of which anything is known, and to whom it belongs by its own record, itself if to
    nobody. `links`: what events and orders name together. What is `moving` is left out.
    """
    compared = Compared(truth.people, kept)
    at = defaultdict[str, list[str]](list)
    for name, owner in owners.items():
        if links.is_customer(name):
            at[owner].append(name)
    for name in sorted({*owners, *links.named} - set(moving)):
        owner = owners.get(name, name)
        if name not in truth.users and not _mistaken(truth, name, links.named.get(name, ())):
            compared.unknown += owner != name
            continue
        linked = owner != name
        outcome = _linked(truth, links, name, at[owner]) if linked else _unlinked(truth, links, name)
        if outcome is None:
            continue
        compared.outcomes[outcome] += 1
        if outcome in WRONG and sum(of == outcome for of, _ in compared.examples) < kept:
            compared.examples.append((outcome, "; ".join(_told(truth, links, name, owner))))
    return compared


def _linked(truth: Truth, links: Links, name: str, customers: Iterable[str]) -> Outcome:
    """`customers`: the customer ids of the owner."""
    users = truth.users.get(name, set())
    others = [customer for customer in customers if customer != name]
    mine = [customer for customer in others if truth.users.get(customer, set()) & users]
    if not mine and not links.is_customer(name):
        return "by_mistake" if _mistaken(truth, name, others) else "wrong"
    if len(users) > 1:
        return "shared_by_people"
    strangers = {person for customer in others for person in truth.users.get(customer, ())} - users
    if not strangers:
        return "right"
    return "by_merge" if all(strangers <= truth.merged.get(user, set()) for user in users) else "wrong"


def _unlinked(truth: Truth, links: Links, name: str) -> Outcome | None:
    """None for a customer who is simply a customer."""
    named = links.named.get(name, set())
    if not named:
        return None if links.is_customer(name) else "unnamed"
    if links.owner(name) != name:
        return "missed"
    people = {person for customer in named for person in truth.users.get(customer, ())}
    return "apart" if len(people) == 1 and links.shared(name) and len(named) <= MOST_CLAIMS else "alone"


def _mistaken(truth: Truth, name: str, customers: Iterable[str]) -> bool:
    return any((customer, name) in truth.mistakes for customer in customers)


def _told(truth: Truth, links: Links, name: str, owner: str) -> Iterator[str]:
    yield f"{name} is {'alone' if owner == name else f'with {owner}'}"
    yield f"named together with {', '.join(sorted(links.named.get(name, ()))) or 'nobody'}"
    yield f"of person {', '.join(sorted(truth.users.get(name, ()))) or 'unknown'}"
