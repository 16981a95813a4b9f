"""What the simulator's people are known by, what each channel names of it, and the truth that is kept of them."""

from collections import Counter, defaultdict
from itertools import islice, pairwise, takewhile

import msgspec

from pipeline.dev.crm import decisions
from pipeline.dev.known_by import KIOSKS, email_of, known_by
from pipeline.dev.life import Action, life
from pipeline.dev.naming import Named, Naming
from pipeline.dev.people import DAY, person
from pipeline.dev.traffic import ordered, people, traffic
from pipeline.dev.truth import Truth, truth_of

START = 1_420_416_000_000
PEOPLE = [person(7, number, START) for number in range(1, 401)]
KNOWN = [known_by(7, who) for who in PEOPLE]


def story(number: int) -> list[tuple[Action, Named]]:
    who = PEOPLE[number]
    naming = Naming(7, who, KNOWN[number])
    return [(action, naming.named(action)) for action in life(7, who)]


STORIES = [story(number) for number in range(120)]


def plain(kind: str, value: str) -> tuple[str, str]:
    """In one spelling, as far as it matters here."""
    if kind == "email":
        return kind, value.strip().lower()
    return kind, value.replace(" ", "").replace("-", "") if kind == "phone" else value


def test_an_identity_belongs_to_one_person_unless_it_is_shared() -> None:
    users: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, known in enumerate(KNOWN):
        for identity in known.identities():
            users[identity].add(number)
    shared = {identity for identity, who in users.items() if len(who) > 1}
    assert {kind for kind, _ in shared} == {"phone", "anonymous"}
    assert {value for kind, value in shared if kind == "anonymous"} <= set(KIOSKS)
    assert 0.01 < len(shared) / len(users) < 0.1


def test_most_people_have_several_identities_and_few_what_is_amiss() -> None:
    assert sum(len(known.identities()) >= 4 for known in KNOWN) > 0.6 * len(KNOWN)
    assert 0 < sum(known.wrong_address is not None for known in KNOWN) < 0.04 * len(KNOWN)
    assert 0 < sum(known.second is not None for known in KNOWN) < 0.1 * len(KNOWN)


def test_a_channel_names_only_what_it_can_know() -> None:
    by_channel: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for told in STORIES:
        for action, named in told:
            kinds = (("customer",) if named.customer_id else ()) + tuple(sorted(named.identities))
            by_channel[action.channel][kinds] += 1
            assert kinds, action
            if action.type != "loyalty_joined":
                assert action.channel == "web" or "anonymous" not in kinds or action.channel == "social"
                assert action.channel == "store" or "loyalty" not in kinds
    for channel, alone in (("web", "anonymous"), ("email", "email"), ("phone", "phone"), ("store", "loyalty")):
        assert by_channel[channel][alone,] > 20
        assert by_channel[channel]["customer", alone] > 20


def test_people_are_known_by_what_is_theirs() -> None:
    for told, who, known in zip(STORIES, PEOPLE, KNOWN, strict=False):
        own = {plain(*identity) for identity in known.identities()} | {("email", known.wrong_address)}
        for _, named in told:
            assert {plain(kind, value) for kind, value in named.identities.items()} <= own
            assert named.customer_id in (None, who.customer_id, known.second)


def test_many_browse_before_they_sign_in_on_the_same_visit() -> None:
    late = 0
    for told in STORIES:
        for (one, before), (other, after) in pairwise(told):
            same_visit = one.channel == other.channel == "web" and other.at - one.at < DAY // 24
            late += same_visit and before.customer_id is None and after.customer_id is not None
    assert late > 100


def test_addresses_and_numbers_are_spelled_in_several_ways() -> None:
    spelled: dict[tuple[str, str], set[str]] = defaultdict(set)
    for told in STORIES:
        for _, named in told:
            for kind, value in named.identities.items():
                spelled[plain(kind, value)].add(value)
    several = Counter(kind for (kind, _), values in spelled.items() if len(values) > 1)
    assert several.keys() == {"email", "phone"}
    assert min(several.values()) > 30


def test_the_crm_merges_what_is_one_and_sometimes_what_is_not() -> None:
    found = [(each, who) for who, known in zip(PEOPLE, KNOWN, strict=True) for each in decisions(7, who, known)]
    assert {each.command for each, _ in found} == {"merge", "split", "block"}
    for each, who in found:
        assert who.born < each.at < who.ends
        assert each.command == "block" or each.customer > each.other
        assert each.command != "block" or each.email == email_of(7, who.number - 1)


def test_orders_come_in_order_and_go_on_where_they_stopped() -> None:
    first = list(islice(ordered(7, START, 300, START), 40))
    assert {each.command for each in first} == {"split", "block"}
    assert [each.at for each in first] == sorted(each.at for each in first)
    since = first[9].at
    assert list(islice(ordered(7, START, 300, since), 20)) == [each for each in first if each.at > since][:20]


def test_the_truth_names_everybody_who_has_been_seen_and_can_be_read_again() -> None:
    until = START + 120 * DAY
    truth = truth_of(7, people(7, START, 80, until))
    owners = {customer: one for one in truth.people for customer in one.customers}
    mistaken = {(one.customer, (one.kind, one.value)) for one in truth.mistakes}
    seen = 0
    for sent in takewhile(lambda each: each.at < until, traffic(7, START, 80)):
        event = msgspec.json.decode(sent.value)
        customer = event.get("customer_id")
        if customer is None:
            continue
        own = {plain(*identity) for identity in owners[customer].identities}
        for kind, value in event.get("identities", {}).items():
            seen += 1
            assert plain(kind, value) in own or (customer, plain(kind, value)) in mistaken
    assert seen > 500
    assert msgspec.json.decode(msgspec.json.encode(truth), type=Truth) == truth
