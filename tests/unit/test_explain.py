"""`journey explain` without servers: what could come next, and what the feed tells of how it came to this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from pipeline.adapters.customer_explained import Explanation, JourneyExplained, explain
from pipeline.adapters.customer_view import Stored
from pipeline.adapters.journey_files import load_files
from pipeline.adapters.published import Cause, LinkCause, PublishedTransition
from pipeline.application.lane_record import ModelMark, first_lane_record
from pipeline.cli import explain as command
from pipeline.cli.explain_lines import show
from pipeline.config import Settings
from pipeline.domain.event import CHANNELS
from pipeline.domain.moments import format_moment
from pipeline.errors import UserError
from tests.cases.reading import FOLDER, at
from tests.property.two_folds import CUSTOMER, Sent, TwoFolds, load_models

DAY = 86_400_000
GRACE = dict.fromkeys(CHANNELS, 300_000) | {"store": DAY}
JOURNEY = """\
journey: shop
version: 3
stages:
  - id: aware
    labels: {en: Aware, tr: a, pl: a, fa: a}
    enter: {when: looked}
  - id: keen
    labels: {en: Keen, tr: a, pl: a, fa: a}
    stalled: 3d
    enter:
      - {when: carted}
      - {from: aware, when: looked, count: 3, within: 7d}
  - id: regular
    labels: {en: Regular, tr: a, pl: a, fa: a}
    enter: {from: keen, when: looked, count: 3}
  - id: buyer
    labels: {en: Buyer, tr: a, pl: a, fa: a}
    enter: {when: ordered}
  - id: fan
    labels: {en: Fan, tr: a, pl: a, fa: a}
    terminal: true
    enter: {from: buyer, when: referred, if: {count: ordered, gte: 2}}
  - id: cold
    labels: {en: Cold, tr: a, pl: a, fa: a}
    terminal: true
    enter: {from: buyer, after: 30d, since: last ordered, unless: looked}
signals:
  reminder:
    after: 1h
    since: last carted
    unless: ordered
  upsell: {when: ordered, count: 2, within: 10d, unless: {complained: 30d, referred: 1d}, once: 5d, wait_for: web}
"""


class Customer:
    """One customer in the journey: what happens to them, and how it is explained."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.journey = folder / "shop.yaml"
        self.journey.write_text(JOURNEY, encoding="utf-8")
        touches = FOLDER / "touches.yaml"
        self.settings = Settings(touches=str(touches), journeys=(str(self.journey),), grace=GRACE, **settings)
        self.folds = TwoFolds(load_models(touches, [self.journey], GRACE), lateness=DAY, limit=64)
        self.record = first_lane_record("app", 1)
        self.told: list[PublishedTransition] = []
        self._number = self._newest = 0

    def lives(self, *steps: tuple[str, str]) -> None:
        """Acts, and `waits` until the watermark has risen. What is published is so at the newest time there was."""
        for what, when in steps:
            self._newest = max(self._newest, at(when))
            if what == "waits":
                self.folds.rise(at(when))
                self.record.watermark = at(when)
            else:
                self._number += 1
                event = {"id": f"e{self._number}", "type": what, "occurred_at": at(when), "customer_id": CUSTOMER}
                self.folds.arrive(Sent(event, "web", at(when), 0, self._number))
            told = {"published_at": format_moment(self._newest)}
            feed = [{**record, **told} for record in self.folds.published if "from" in record]
            self.told += [msgspec.convert(record, PublishedTransition) for record in feed]

    def explained(self, when: str | None = None, told: Sequence[PublishedTransition] | None = None) -> Explanation:
        stored = Stored(self.folds.profile, 0, "topic:7", self.record)
        return explain(
            self.settings, stored, self.told if told is None else told, None, None if when is None else at(when)
        )

    def one(self, when: str | None = None, told: Sequence[PublishedTransition] | None = None) -> JourneyExplained:
        (journey,) = self.explained(when, told).journeys
        return journey

    def text(self, when: str | None = None, width: int = 250) -> str:
        console = Console(width=width, highlight=False)
        with console.capture() as captured:
            show(console, self.explained(when), "en")
        return captured.get()


@pytest.fixture
def customer(tmp_path: Path) -> Customer:
    return Customer(tmp_path)


def line(text: str, part: str) -> str:
    """The line with this in it, spaces made one."""
    (found,) = [" ".join(line.split()) for line in text.splitlines() if part in line]
    return found


NEXT = {
    "counted within a time": (
        [("looked", "+0s"), ("looked", "+2d")],
        "keen/2",
        "→ keen looked; 2 of 3 within 7d, the oldest until 2026-01-08 00:00 keen/2, shop.yaml:12",
    ),
    "what is counted grows old": (
        [("looked", "+0s"), ("looked", "+2d"), ("waits", "+7d")],
        "keen/2",
        "→ keen looked; 1 of 3 within 7d, the oldest until 2026-01-10 00:00 keen/2, shop.yaml:12",
    ),
    "counted since the stage": (
        [("looked", "+0s"), ("carted", "+1h"), ("looked", "+2h")],
        "shop.yaml:15",
        "→ regular looked; 1 of 3 in the stage regular, shop.yaml:15",
    ),
    "counted in all": (
        [("ordered", "+0s")],
        "shop.yaml:22",
        "→ fan referred; ordered in all 1 of 2 fan, shop.yaml:22",
    ),
    "a stage timer": (
        [("ordered", "+0s"), ("waits", "+1d")],
        "shop.yaml:26",
        (
            "2026-01-31 00:00 → cold 30d after the last ordered, 2026-01-01 00:00; "
            "waits for late events until timers are at 2026-02-01 00:00 cold, shop.yaml:26"
        ),
    ),
    "a broken silence": (
        [("ordered", "+0s"), ("looked", "+1h")],
        "shop.yaml:26",
        "→ cold 30d after the next ordered cold, shop.yaml:26",
    ),
    "a silence in the stage": (
        [("carted", "+0s")],
        "shop.yaml:9",
        (
            "2026-01-04 00:00 ! stalled 3d in the stage, since 2026-01-01 00:00; "
            "waits for late events until timers are at 2026-01-05 00:00 stalled:keen, shop.yaml:9"
        ),
    ),
    "a silence that was told": (
        [("carted", "+0s"), ("waits", "+2d")],
        "shop.yaml:28",
        "! reminder 1h after the next carted reminder, shop.yaml:28",
    ),
    "a signal by a touch": (
        [("ordered", "+0s")],
        "shop.yaml:32",
        "! upsell ordered; 1 of 2 within 10d, the oldest until 2026-01-11 00:00 upsell, shop.yaml:32",
    ),
    "what forbids a signal": (
        [("complained", "+0s"), ("referred", "+1d"), ("ordered", "+2d")],
        "shop.yaml:32",
        (
            "! upsell ordered; 1 of 2 within 10d, the oldest until 2026-01-13 00:00; "
            "not before 2026-01-31 00:00, because of complained upsell, shop.yaml:32"
        ),
    ),
    "a signal that was told": (
        [("ordered", "+0s"), ("ordered", "+1d"), ("waits", "+2d")],
        "shop.yaml:32",
        (
            "! upsell ordered; 1 of 2 within 10d, the oldest until 2026-01-12 00:00; "
            "told already, not again before 2026-01-07 00:00 upsell, shop.yaml:32"
        ),
    ),
}


@pytest.mark.parametrize("name", NEXT)
def test_what_could_come_next(customer: Customer, name: str) -> None:
    steps, part, says = NEXT[name]
    customer.lives(*steps)
    assert line(customer.text(), part) == says


def test_a_rule_is_a_way_only_where_it_applies(customer: Customer) -> None:
    customer.lives(("carted", "+0s"))
    outlook = customer.one().outlook
    assert outlook is not None
    assert [way.rule for way in outlook.ways] == ["regular", "buyer", "upsell"]
    assert [(timer.rule, timer.due is not None) for timer in outlook.timers] == [
        ("reminder", True),
        ("stalled:keen", True),
    ]


def test_what_time_has_done_since_the_last_event_is_seen(customer: Customer) -> None:
    customer.lives(("ordered", "+0s"), ("waits", "+31d"))
    assert customer.one().stage == "cold"
    outlook = customer.one().outlook
    assert outlook is not None
    assert [way.to for way in outlook.ways] == [None]


def test_every_change_has_its_cause_and_the_line_of_its_rule(customer: Customer) -> None:
    customer.lives(("looked", "+0s"), ("ordered", "+1d"), ("waits", "+33d"))
    text = customer.text()
    assert line(text, "shop.yaml:6") == "2026-01-01 00:00 · → aware looked on web (looked, event e1) aware, shop.yaml:6"
    assert line(text, "shop.yaml:18") == (
        "2026-01-02 00:00 aware → buyer ordered on web (ordered, event e2) buyer, shop.yaml:18"
    )
    assert line(text, "buyer → cold") == (
        "2026-02-01 00:00 buyer → cold 30d of silence since 2026-01-02 00:00 cold, shop.yaml:26"
    )


def test_on_a_narrow_terminal_the_rule_stands_behind_the_cause(customer: Customer) -> None:
    customer.lives(("looked", "+0s"))
    text = customer.text(width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "looked on web (looked, event e1) aware, shop.yaml:6" in " ".join(text.split())


def test_what_was_taken_back_stands_between_with_what_took_it(customer: Customer) -> None:
    customer.lives(("carted", "+2h"), ("ordered", "+1h"))
    history = customer.one().history
    assert [(change.came_from, change.to, change.taken_back is not None) for change in history] == [
        ("", "buyer", False),
        ("", "keen", True),
    ]
    gone = history[1].taken_back
    assert gone is not None
    assert (gone.kind, gone.entry) == ("corrected", f"{CUSTOMER}:shop:buyer:e2")
    assert line(customer.text(), "(→ keen)") == (
        "2026-01-01 02:00 (→ keen) carted on web (carted, event e1) told 2026-01-01 02:00, taken back "
        "2026-01-01 02:00 for ordered on web at 2026-01-01 01:00 keen, shop.yaml:11"
    )


def test_what_silence_brought_and_an_act_took_back(customer: Customer) -> None:
    customer.lives(("ordered", "+0s"), ("mailed", "+31d"), ("looked", "+30d"))
    changes = [(change.to, change.taken_back.kind if change.taken_back else None) for change in customer.one().history]
    assert changes == [("buyer", None), ("cold", "retracted")]


def test_what_is_told_once_more_is_as_old_as_it_was(customer: Customer) -> None:
    """The late cart comes between two moves; the second stays the newest entry and is told again for that."""
    customer.lives(("looked", "+0s"), ("ordered", "+2h"), ("carted", "+1h"))
    assert [record.kind for record in customer.told] == ["entered", "entered", "corrected", "corrected"]
    seqs = {change.to: change.told.seq for change in customer.one().history if change.told}
    assert seqs == {"aware": 1, "keen": 3, "buyer": 2}


def test_as_it_was_by_what_is_known_today(customer: Customer) -> None:
    """The cart was told to nobody before the second day."""
    customer.lives(("looked", "+0s"), ("ordered", "+1d"), ("carted", "+1h"))
    then = customer.one("+2h")
    assert (then.stage, then.since, then.known, then.outlook) == ("keen", at("+1h"), "aware", None)
    assert then.next is not None
    assert (then.next.came_from, then.next.to, then.next.at) == ("keen", "buyer", at("+1d"))
    text = customer.text("+2h")
    assert (
        line(text, "then keen")
        == "2026-01-02 00:00 then keen → buyer ordered on web (ordered, event e2) buyer, shop.yaml:18"
    )
    assert line(text, "by then") == "by then subscribers had been told: aware"
    assert "what could come next" not in text
    assert customer.one("+1d").known == "buyer"


def test_before_and_beyond_what_is_known(customer: Customer) -> None:
    customer.lives(("looked", "+1h"), ("waits", "+2h"))
    assert (customer.one("+0s").stage, customer.one("+0s").since, customer.one("+0s").known) == ("", -1, "")
    assert "before anything is known of this customer" in customer.text("+0s")
    assert "of silences it is known only up to 2026-01-01 02:00" in customer.text("+3h")
    assert customer.one("+3h").next is None


def test_with_event_time_nobody_knows_what_was_known(tmp_path: Path) -> None:
    customer = Customer(tmp_path, clock="event")
    customer.lives(("looked", "+0s"), ("carted", "+1h"))
    assert customer.one("+30min").known is None


def test_a_line_is_that_of_the_version_that_decided(customer: Customer) -> None:
    customer.lives(("looked", "+0s"), ("carted", "+1h"))
    old = [msgspec.structs.replace(customer.told[0], version=2), customer.told[1]]
    assert [change.line for change in customer.one(told=old).history] == [None, 11]


def test_where_another_version_led_stands_between_what_was_before_and_after(customer: Customer) -> None:
    customer.lives(("looked", "+0s"), ("carted", "+1h"), ("ordered", "+1d"))
    looked, carted, ordered = customer.told
    moved = msgspec.structs.replace(carted, kind="moved", to="regular", entry="@moved", cause=Cause("@moved"), seq=2)
    ordered = msgspec.structs.replace(ordered, version=4)
    history = customer.one(told=[looked, moved, ordered]).history
    assert [(change.came_from, change.to) for change in history] == [
        ("", "aware"),
        ("aware", "regular"),
        ("regular", "buyer"),
    ]


def test_who_has_joined_another_has_no_history_but_that(customer: Customer) -> None:
    customer.lives(("looked", "+0s"), ("carted", "+1h"))
    looked, carted = customer.told
    cause = Cause("@linked", link=LinkCause("joined", "another"))
    joined = msgspec.structs.replace(carted, kind="moved", to=None, into="another", entry="@linked", cause=cause)
    history = customer.one(told=[looked, joined]).history
    assert [(change.came_from, change.to, change.cause.link) for change in history] == [("aware", "", cause.link)]
    customer.folds.profile.to = "c:another"
    assert customer.one().why_not == "all that it does counts for another"
    assert "has joined another: look there" in customer.text()


def test_acts_of_other_identities_say_whose_they_were(customer: Customer) -> None:
    customer.lives(("looked", "+0s"), ("carted", "+1h"))
    customer.folds.profile.strands[0].identity = "anonymous:b-17"
    assert [change.done_by for change in customer.one().history] == ["anonymous:b-17", "anonymous:b-17"]
    assert "of anonymous:b-17)" in customer.text()
    assert "with anonymous:b-17 (2 acts)" in customer.text()


def test_a_profile_whose_strands_have_left_has_no_times(customer: Customer) -> None:
    customer.lives(("looked", "+0s"))
    customer.folds.profile.strands = ()
    assert "no acts here" in customer.text()


def test_no_outlook_by_other_rules_than_those_of_the_lane(customer: Customer) -> None:
    customer.lives(("looked", "+0s"))
    _, files = load_files(customer.settings)
    fingerprint = files[customer.journey].spec.fingerprint
    customer.record.models = {"shop": ModelMark(3, fingerprint, "", [], [])}
    assert customer.one().outlook is not None
    customer.record.models = {"shop": ModelMark(2, "0" * 16, "", [], [])}
    journey = customer.one()
    assert (journey.outlook, journey.stage) == (None, "aware")
    assert "the lane runs version 2, and" in customer.text()
    customer.record.models = {}
    customer.folds.profile.parked = "the fold raised"
    assert customer.one().why_not == "timers are parked: the fold raised"


def test_what_the_feed_has_lost_is_shown_as_far_as_the_profile_knows_it(customer: Customer) -> None:
    customer.lives(("looked", "+0s"), ("carted", "+1h"), ("ordered", "+3d"))
    history = customer.one(told=customer.told[2:]).history
    assert [(change.came_from, change.to, change.told is None) for change in history] == [
        ("", "aware", True),
        ("aware", "keen", True),
        ("keen", "buyer", False),
    ]


def test_a_journey_that_the_customer_is_not_in(customer: Customer) -> None:
    customer.lives(("looked", "+0s"))
    stored = Stored(customer.folds.profile, 0, "topic:7", customer.record)
    with pytest.raises(UserError, match="has no place in a journey 'shp'; did you mean 'shop'"):
        explain(customer.settings, stored, [], "shp", None)


def test_a_journey_that_the_settings_do_not_name(tmp_path: Path) -> None:
    customer = Customer(tmp_path)
    customer.lives(("looked", "+0s"))
    customer.settings = customer.settings.model_copy(update={"journeys": ("buying",), "touches": "touches"})
    journey = customer.one()
    assert (journey.stage, journey.path, journey.outlook, journey.history[0].line) == ("aware", None, None, None)
    assert "these settings do not name this journey" in journey.why_not


def test_only_the_newest_changes_are_shown(customer: Customer) -> None:
    customer.lives(("looked", "+0s"))
    many = [msgspec.structs.replace(customer.told[0], entry=f"e{n}", seq=n) for n in range(1, 26)]
    history = customer.one(told=many).history
    assert len(history) == 25
    customer.told = many
    assert line(customer.text(), "earlier") == "5 earlier; --json has them all"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01", at("+1d") - 1),
        ("2026-01-01 09:30", at("+9h30min")),
        ("2026-01-01T09:30:15", at("+9h30min15s")),
        ("2026-01-01T09:30:00.5+02:00", at("+7h30min500ms")),
    ],
)
def test_times_that_people_write(text: str, moment: int) -> None:
    assert command._moment(text) == moment


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-01-01 25:00", "", "1767225600000", "1900-01-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="is no time: write 2026-01-31"):
        command._moment(text)
