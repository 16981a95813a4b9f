"""Single conversations between identities; tests/property/test_stitching.py has all of them at once."""

from collections import deque
from itertools import pairwise

import msgspec
import pytest

from pipeline.domain.encoding import decode_strand, encode_strand
from pipeline.domain.feed import Feed
from pipeline.domain.messages import (
    Adopt,
    AnyMessage,
    Block,
    Claim,
    GiveBack,
    Kept,
    Link,
    Post,
    Refuse,
    Release,
    Seen,
    Unblock,
    decode_message,
    encode_message,
)
from pipeline.domain.ownership import MOST_BLOCKS, MOST_CLAIMS, owner_of, with_claim
from pipeline.domain.profile import Profile, new_profile, new_strand
from pipeline.domain.remembered import recent_of
from pipeline.domain.stitching import MOST_CLAIMED, MOST_HOPS, MOST_STRANDS, Step, Stitching, find_strand, link
from tests.property.sets_fold import SetsFold

EPOCH = 1_700_000_000_000
BROWSER = "anonymous:b"


class Identities:
    """Some profiles whose messages are delivered at once, in order; `said` has all of them."""

    def __init__(self) -> None:
        self.fold = SetsFold()
        self.stitching = Stitching(self.fold)
        self.profiles: dict[str, Profile] = {}
        self.said: list[Post] = []
        self.events = 0

    def __getitem__(self, key: str) -> Profile:
        return self.profiles.setdefault(key, new_profile(key, EPOCH))

    def step(self, to: str, message: AnyMessage) -> Step:
        return self.stitching.handle(self[to], message, None, Feed())

    def tell(self, to: str, message: AnyMessage) -> None:
        waiting = deque([Post(to, message)])
        while waiting:
            post = waiting.popleft()
            waiting.extend(self.step(*post).out)
            self.said.append(post)

    def see(self, primary: str, *named: str) -> str:
        self.events += 1
        message = seen(f"e{self.events}", primary, *named)
        self.tell(primary, message)
        return message.id

    def strands(self, key: str) -> dict[str, list[str]]:
        return {strand.identity: [event.id for event in recent_of(strand)] for strand in self[key].strands}


def seen(identifier: str, primary: str, *named: str, hops: int = 1) -> Seen:
    return Seen(primary, named, hops, identifier, EPOCH, EPOCH + 1, 3, 4, "page", "saw_content", "web")


@pytest.mark.parametrize(
    "message",
    [
        seen("e1", "c:1", BROWSER, "email:0f"),
        Claim("c:1", "c:0"),
        Adopt(BROWSER, b"\0\xff"),
        Release("c:1", ""),
        Kept("c:1"),
        GiveBack(b""),
        Refuse("c:1"),
        Link(BROWSER, "c:1"),
        Block("c:1"),
        Unblock("c:1"),
    ],
)
def test_a_message_survives_its_encoding(message: AnyMessage) -> None:
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize(
    "data", [b"", b"\x93", b"\x91\xa5claim", b"\x92\xa7promise\xa3c:1", b"\x93\xa5claim\xa3c:1\x07"]
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_message(data)


@pytest.mark.parametrize(
    ("key", "claims", "blocked", "owner"),
    [
        (BROWSER, {}, (), ""),
        (BROWSER, {"c:1": "c:1"}, (), "c:1"),
        (BROWSER, {"c:2": "c:1", "c:1": "c:1"}, (), "c:1"),
        (BROWSER, {"c:1": "c:1", "c:2": "c:2"}, (), ""),
        (BROWSER, {"c:1": "c:1", "c:2": "c:2"}, ("c:1",), "c:2"),
        (BROWSER, {"c:1": ""}, (), ""),
        (BROWSER, {"c:1": "", "c:2": "c:2"}, (), "c:2"),
        (BROWSER, {f"c:{n}": "c:0" for n in range(MOST_CLAIMS)}, (), "c:0"),
        (BROWSER, {f"c:{n}": "c:0" for n in range(MOST_CLAIMS + 1)}, ("c:1", "c:2"), ""),
        ("c:9", {"c:5": "c:1", "c:2": "c:2"}, (), "c:2"),
        ("c:9", {"c:5": "c:1", "c:2": "c:2"}, ("c:2",), "c:1"),
        ("c:9", {"c:5": "c:1", "c:2": ""}, (), "c:1"),
        ("c:9", {"c:5": "c:1"}, ("c:5", "c:7"), ""),
    ],
)
def test_the_owner_is_a_function_of_claims_and_blocks(
    key: str, claims: dict[str, str], blocked: tuple[str, ...], owner: str
) -> None:
    assert owner_of(key, claims, blocked) == owner


@pytest.mark.parametrize(("key", "most"), [(BROWSER, MOST_CLAIMS + 1), ("c:99", MOST_CLAIMS)])
def test_of_too_many_claims_the_smallest_are_kept_in_whatever_order(key: str, most: int) -> None:
    numbers = [5, 3, 11, 0, 7, 12, 1, 9, 2, 10, 4, 8, 6]
    for order in (numbers, numbers[::-1]):
        claims: dict[str, str] = {}
        for number in order:
            claims = with_claim(key, claims, f"c:{number:02}", f"c:{number:02}")
        assert claims == {f"c:{number:02}": f"c:{number:02}" for number in range(most)}


def test_what_a_visitor_did_follows_to_the_customer() -> None:
    them = Identities()
    before = them.see(BROWSER)
    named = them.see("c:1", BROWSER)
    after = them.see(BROWSER)
    assert them.strands("c:1") == {"c:1": [named], BROWSER: [before, after]}
    assert (them[BROWSER].to, them.strands(BROWSER)) == ("c:1", {})


def test_a_visitor_of_whom_nothing_is_known_sends_nothing() -> None:
    them = Identities()
    them.see("c:1", BROWSER)
    assert [post.message for post in them.said if not isinstance(post.message, Seen)] == [Claim("c:1", "c:1")]
    assert them[BROWSER].to == "c:1"


def test_whom_two_customers_claim_belongs_to_nobody() -> None:
    them = Identities()
    first, _, _ = them.see(BROWSER), them.see("c:1", BROWSER), them.see("c:2", BROWSER)
    after = them.see(BROWSER)
    assert them.strands(BROWSER) == {BROWSER: [first, after]}
    them.tell(*link("c:1", "c:2"))
    assert them.strands("c:1")[BROWSER] == [first, after]


def test_a_merge_takes_nothing_out_again() -> None:
    them = Identities()
    visit, sign_up, bought = them.see(BROWSER), them.see("c:2", BROWSER), them.see("c:1")
    them.tell(*link("c:2", "c:1"))
    assert them.strands("c:1") == {"c:1": [bought], "c:2": [sign_up], BROWSER: [visit]}
    assert (them[BROWSER].to, them["c:2"].to, them.fold.cuts) == ("c:1", "c:1", 0)


def test_a_split_gives_back_all_that_came_along() -> None:
    them = Identities()
    visit, sign_up, bought = them.see(BROWSER), them.see("c:2", BROWSER), them.see("c:1")
    them.tell(*link("c:2", "c:1"))
    them.tell("c:2", Block("c:1"))
    assert them.strands("c:1") == {"c:1": [bought]}
    assert them.strands("c:2") == {"c:2": [sign_up], BROWSER: [visit]}
    them.tell("c:2", Unblock("c:1"))
    assert them.strands("c:1") == {"c:1": [bought], "c:2": [sign_up], BROWSER: [visit]}


def test_chains_of_merges_become_short() -> None:
    them = Identities()
    chain = [f"c:{number}" for number in range(9)]
    for smaller, larger in pairwise(chain):
        them.see(larger)
        them.tell(*link(smaller, larger))
    assert {them[key].to for key in chain[1:]} == {"c:0"}


def test_a_block_can_come_before_anything_is_known() -> None:
    them = Identities()
    them.tell(BROWSER, Block("c:1"))
    visit = them.see(BROWSER)
    them.see("c:1", BROWSER)
    assert them.strands(BROWSER) == {BROWSER: [visit]}
    them.tell(BROWSER, Unblock("c:1"))
    assert them.strands("c:1")[BROWSER] == [visit]


def test_records_without_links_stay_without() -> None:
    them = Identities()
    them.tell(BROWSER, Block("c:1"))
    them.tell(BROWSER, Unblock("c:1"))
    assert them[BROWSER].links is None


def test_an_event_with_too_many_hops_is_dead_and_a_strand_never_is() -> None:
    them = Identities()
    them.see("c:1", BROWSER)
    assert them.step(BROWSER, seen("x", BROWSER, hops=MOST_HOPS - 1)).outcome == "routed"
    assert them.step(BROWSER, seen("x", BROWSER, hops=MOST_HOPS)) == ("dead", [], [])


def test_the_sixteenth_identity_is_not_claimed() -> None:
    them = Identities()
    many = [f"anonymous:{number:02}" for number in range(MOST_CLAIMED + 1)]
    step = them.step("c:1", seen("e", "c:1", *many))
    assert (step.outcome, step.refused) == ("folded", ["too_many_claimed"])
    assert [post.to for post in step.out] == many[:-1]
    links = them["c:1"].links
    assert links is not None
    assert links.refused == {"too_many_claimed": 1}


def full() -> Identities:
    """c:1 has strands of as many others as there is room for."""
    them = Identities()
    them.see("c:1")
    for number in range(MOST_STRANDS - 1):
        them.see(f"anonymous:{number:02}")
        them.tell(*link(f"anonymous:{number:02}", "c:1"))
    assert len(them["c:1"].strands) == MOST_STRANDS
    return them


def test_a_strand_for_which_there_is_no_room_goes_home_and_stays_there() -> None:
    them = full()
    visit = them.see("c:2")
    them.tell(*link("c:2", "c:1"))
    assert them["c:2"].to == ""  # c:1 has claimed as many as it may
    them.tell("c:2", Claim("c:1", "c:1"))
    assert (them["c:2"].to, them.strands("c:2")) == ("", {"c:2": [visit]})
    assert len(them["c:1"].strands) == MOST_STRANDS


def test_an_event_that_would_open_a_strand_too_many_goes_home_with_it() -> None:
    them = full()
    step = them.step("c:1", seen("e", BROWSER))
    assert (step.outcome, step.refused) == ("folded", ["too_many_strands"])
    refusal, returned = step.out
    assert refusal == Post(BROWSER, Refuse("c:1"))
    assert returned.to == BROWSER
    assert isinstance(returned.message, GiveBack)
    strand = decode_strand(returned.message.strand, them[BROWSER].frame)
    assert [event.id for event in recent_of(strand)] == ["e"]


def test_a_link_asks_again_after_a_refusal() -> None:
    them = full()
    them.tell("anonymous:00", Refuse("c:1"))
    assert them["anonymous:00"].to == ""
    them.tell(*link("anonymous:00", "c:1"))
    assert them["anonymous:00"].to == "c:1"


def test_there_are_only_so_many_blocks() -> None:
    them = Identities()
    for number in range(MOST_BLOCKS):
        assert them.step(BROWSER, Block(f"c:{number}")).refused == []
    assert them.step(BROWSER, Block("c:0")).refused == []
    assert them.step(BROWSER, Block("c:more")).refused == ["too_many_blocks"]


def test_whoever_shares_with_too_many_is_shared_for_good() -> None:
    them = Identities()
    for number in range(MOST_CLAIMS + 2):
        them.see(f"c:{number}", BROWSER)
    for number in range(1, MOST_CLAIMS + 2):
        them.tell(BROWSER, Block(f"c:{number}"))
    links = them[BROWSER].links
    assert links is not None
    assert (them[BROWSER].to, links.refused) == ("", {"too_many_claims": 1})


@pytest.mark.parametrize(("one", "other"), [("c:1", "c:1"), (BROWSER, BROWSER), (BROWSER, "email:0f")])
def test_a_link_needs_a_customer_and_another(one: str, other: str) -> None:
    with pytest.raises(ValueError, match="a link needs a customer"):
        link(one, other)


@pytest.mark.parametrize(
    ("one", "other", "post"),
    [
        ("c:1", BROWSER, Post("c:1", Link(BROWSER, "c:1"))),
        (BROWSER, "c:1", Post("c:1", Link(BROWSER, "c:1"))),
        ("c:1", "c:2", Post("c:1", Link("c:2", "c:1"))),
        ("c:2", "c:1", Post("c:1", Link("c:2", "c:1"))),
        ("c:10", "c:9", Post("c:10", Link("c:9", "c:10"))),
    ],
)
def test_a_link_goes_to_the_customer_of_two_to_the_smaller(one: str, other: str, post: Post) -> None:
    assert link(one, other) == post


@pytest.mark.parametrize("message", [Link("c:1", "c:2"), Link("c:1", "c:1"), Link(BROWSER, "email:0f")])
def test_a_link_that_makes_no_sense_is_refused(message: Link) -> None:
    assert Identities().step(message.customer, message) == ("told", [], ["no_customer"])


def test_a_release_meets_whoever_came_through_the_customer() -> None:
    them = Identities()
    for identity in ("c:2", BROWSER, "anonymous:a"):
        strand = encode_strand(new_strand(them["c:1"].frame, identity))
        them.step("c:1", Adopt(identity, strand))
    assert find_strand(them["c:1"], BROWSER) is not None
    returned, *kept = them.step("c:1", Release("c:2", "")).out
    assert isinstance(returned.message, GiveBack)
    assert kept == [Post("anonymous:a", Kept("c:1")), Post(BROWSER, Kept("c:1"))]
    assert them.step(BROWSER, Kept("c:1")).out == [Post("c:1", Release(BROWSER, ""))]
