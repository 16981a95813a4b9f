"""Journeys from YAML: what each word becomes, what is refused where, the built-in files, the examples of the page."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import pytest

from pipeline.adapters.journey_files import MODELS, built_in_journeys, load_journey, load_models, load_touches
from pipeline.config import GRACE, Settings, load
from pipeline.domain.event import CHANNELS
from pipeline.domain.spec import ANY, START, Condition, EntrySpec, JourneySpec, SilenceSpec, TouchSpec, TriggerSpec
from pipeline.errors import UserError
from tests.unit.broken_files import broken_files, expected, messages

ROOT = Path(__file__).parents[2]
TOUCHES = load_touches(Path(__file__).parent / "broken" / "touches.yaml")
DAY = 86_400_000
L = "labels: {en: A, tr: A, pl: A, fa: A}"


def journey(folder: Path, *more: str, signals: str = "", clock_is_event: bool = False) -> JourneySpec:
    """A journey of awareness, then the stages of `more`, each as the inside of a mapping without its labels."""
    stages = "".join(f"  - {{{L}, {stage}}}\n" for stage in ("id: awareness, enter: {when: saw}", *more))
    path = folder / "journey.yaml"
    path.write_text(f"journey: some\nversion: 3\nstages:\n{stages}signals: {{{signals}}}\n", encoding="utf-8")
    return load_journey(path, TOUCHES, GRACE, clock_is_event, odd=True)


def entry(rule: str, to: str, touches: tuple[str, ...], froms: tuple[str, ...]) -> EntrySpec:
    return EntrySpec(rule, to, touches, froms, 1, None, ())


@pytest.mark.parametrize("path", broken_files("journeys"))
def test_refuses_a_journey(path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        load_journey(path, TOUCHES, GRACE, clock_is_event=False)
    assert messages(path, refusal.value) == expected(path)


@pytest.mark.parametrize("path", broken_files("touches"))
def test_refuses_a_touch_table(path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        load_touches(path)
    assert messages(path, refusal.value) == expected(path)


def test_reads_a_touch_table_in_order(tmp_path: Path) -> None:
    path = tmp_path / "touches.yaml"
    path.write_text(
        "touches:\n"
        "  compared: {type: page_viewed, where: {path: [/a, 5], cart.gift: true, coupon: null}}\n"
        "  seen: {type: [page_viewed, post_seen], channel: web, source: [search, friend]}\n"
        "  sent: {type: coupon_sent, actor: company}\n"
    )
    assert load_touches(path) == (
        TouchSpec(
            "compared",
            frozenset({"page_viewed"}),
            None,
            None,
            "customer",
            (
                Condition(("path",), ("/a", 5)),
                Condition(("cart", "gift"), (True,)),
                Condition(("coupon",), (None,)),
            ),
        ),
        TouchSpec(
            "seen",
            frozenset({"page_viewed", "post_seen"}),
            frozenset({"web"}),
            frozenset({"search", "friend"}),
            "customer",
            (),
        ),
        TouchSpec("sent", frozenset({"coupon_sent"}), None, None, "company", ()),
    )


@pytest.mark.parametrize(
    ("rule", "spec"),
    [
        ("when: cart", entry("two", "two", ("cart",), (START, "awareness"))),
        ("when: [cart, saw, cart]", entry("two", "two", ("cart", "saw"), (START, "awareness"))),
        ("when: cart, from: start", entry("two", "two", ("cart",), (START,))),
        ("when: cart, from: [awareness, start]", entry("two", "two", ("cart",), ("awareness", START))),
        ("when: cart, from: '*', back: true", entry("two", "two", ("cart",), (START, "awareness", "three"))),
        ("when: cart, from: three, back: true", entry("two", "two", ("cart",), ("three",))),
        (
            "when: cart, count: 16, within: 7d",
            EntrySpec("two", "two", ("cart",), (START, "awareness"), 16, 7 * DAY, ()),
        ),
        ("when: cart, count: 3", EntrySpec("two", "two", ("cart",), (START, "awareness"), 3, None, ())),
        (
            "when: cart, if: {count: ordered, gte: 2}",
            EntrySpec("two", "two", ("cart",), (START, "awareness"), 1, None, (("ordered", 2),)),
        ),
        (
            "when: cart, if: [{count: ordered, gte: 2}, {count: saw, gte: 9}]",
            EntrySpec("two", "two", ("cart",), (START, "awareness"), 1, None, (("ordered", 2), ("saw", 9))),
        ),
    ],
)
def test_a_rule_by_a_touch(tmp_path: Path, rule: str, spec: EntrySpec) -> None:
    # `three` has a way of its own, so that the rule under test may leave `two` out of reach of the others.
    read = journey(tmp_path, f"id: two, enter: [{{{rule}}}]", "id: three, enter: {from: awareness, when: referred}")
    assert next(found for found in read.entries if found.to == "two") == spec


@pytest.mark.parametrize(
    ("rule", "spec"),
    [
        (
            "after: 90d, since: last ordered, from: two",
            SilenceSpec("three", "three", 90 * DAY, ("ordered",), ("two",), (), DAY, None),
        ),
        (
            "after: 30d, since: last any",
            SilenceSpec("three", "three", 30 * DAY, (ANY,), (START, "awareness", "two"), (), DAY, None),
        ),
        (
            "after: 3d, since: entered, unless: [viewed]",
            SilenceSpec("three", "three", 3 * DAY, None, ("awareness", "two"), ("viewed",), 300_000, None),
        ),
        (
            "after: 3d, since: last cart, from: '*'",
            SilenceSpec("three", "three", 3 * DAY, ("cart",), (START, "awareness", "two"), (), DAY, None),
        ),
    ],
)
def test_a_rule_by_a_silence(tmp_path: Path, rule: str, spec: SilenceSpec) -> None:
    read = journey(tmp_path, "id: two, enter: {when: cart}", f"id: three, enter: {{{rule}}}")
    assert read.silences == (spec,)


def test_numbers_the_rules_of_a_stage_and_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    read = journey(
        tmp_path,
        "id: two, stalled: 3d, enter: [{when: cart}, {after: 9d, since: last saw}, {when: viewed}]",
        "id: three, enter: {from: two, when: ordered}",
        signals="reminder: {after: 1h, since: last cart, unless: ordered}",
    )
    assert [found.rule for found in read.entries] == ["awareness", "two", "two/3", "three"]
    assert [found.rule for found in read.silences] == ["two/2", "stalled:two", "reminder"]
    assert (read.name, read.version) == ("some", 3)
    assert [stage.id for stage in read.stages] == ["awareness", "two", "three"]
    assert read.stages[0].labels == (("en", "A"), ("tr", "A"), ("pl", "A"), ("fa", "A"))


@pytest.mark.parametrize(
    ("signal", "spec"),
    [
        (
            "after: 1h, since: last cart, unless: ordered",
            SilenceSpec("s", None, 3_600_000, ("cart",), None, ("ordered",), DAY, None),
        ),
        (
            "after: 1h, since: last cart, unless: [ordered], wait_for: [web], expires: 24h, once: per_cart",
            SilenceSpec("s", None, 3_600_000, ("cart",), None, ("ordered",), 300_000, DAY),
        ),
        (
            "after: 1h, since: last cart, in: [start, two]",
            SilenceSpec("s", None, 3_600_000, ("cart",), (START, "two"), (), DAY, None),
        ),
        (
            "after: 1d, since: entered two, unless: viewed, once: per_entry",
            SilenceSpec("s", None, DAY, None, ("two",), ("viewed",), DAY, None),
        ),
        ("after: 1d, since: entered, in: two", SilenceSpec("s", None, DAY, None, ("two",), (), DAY, None)),
        ("after: 1d, since: last any", SilenceSpec("s", None, DAY, (ANY,), None, (), DAY, None)),
    ],
)
def test_a_signal(tmp_path: Path, signal: str, spec: SilenceSpec) -> None:
    read = journey(
        tmp_path,
        "id: two, enter: {when: cart}",
        "id: three, enter: {from: two, when: ordered}",
        signals=f"s: {{{signal}}}",
    )
    assert read.silences == (spec,)


@pytest.mark.parametrize(
    ("signal", "spec"),
    [
        ("when: ordered, in: two", TriggerSpec("s", ("ordered",), ("two",), 1, None, (), (), None, DAY, None)),
        (
            "when: [cart, saw], count: 2, within: 7d, unless: {viewed: 30d, ordered: 1d}, once: per_entry, expires: 1d",
            TriggerSpec(
                "s", ("cart", "saw"), None, 2, 7 * DAY, (), (("viewed", 30 * DAY), ("ordered", DAY)), "entry", DAY, DAY
            ),
        ),
        (
            "when: cart, if: {count: saw, gte: 2}, unless: ordered, once: 30d, wait_for: web",
            TriggerSpec("s", ("cart",), None, 1, None, (("saw", 2),), (("ordered", None),), 30 * DAY, 300_000, None),
        ),
        ("when: cart, once: per_customer", TriggerSpec("s", ("cart",), None, 1, None, (), (), "customer", 0, None)),
    ],
)
def test_a_signal_by_a_touch(tmp_path: Path, signal: str, spec: TriggerSpec) -> None:
    read = journey(
        tmp_path,
        "id: two, enter: {when: cart}",
        "id: three, enter: {from: two, when: ordered}",
        signals=f"s: {{{signal}}}",
    )
    assert read.triggers == (spec,)
    assert read.silences == ()


def test_an_outcome_is_a_rule_into_a_terminal_stage_that_others_do_not_lead_out_of(tmp_path: Path) -> None:
    read = journey(
        tmp_path,
        "id: two, enter: {when: cart, repeat: count}, outcome: {lost: [viewed, referred]}",
        "id: lost, terminal: true",
        "id: three, enter: [{when: ordered}, {from: '*', when: referred}, {from: lost, when: cart}]",
    )
    assert [(found.rule, found.to, found.froms) for found in read.entries[1:]] == [
        ("two", "two", (START, "awareness", "two")),
        ("two/lost", "lost", ("two",)),
        ("three", "three", (START, "awareness", "two")),
        ("three/2", "three", (START, "awareness", "two")),
        ("three/3", "three", ("lost",)),
    ]
    assert [found.repeat for found in read.entries] == [False, True, False, False, False, False]
    assert [stage.terminal for stage in read.stages] == [False, False, True, False]


def test_a_silence_since_the_last_of_several_and_for_some_channels(tmp_path: Path) -> None:
    read = journey(tmp_path, "id: two, enter: {after: 3d, since: last cart or ordered, wait_for: web}")
    assert read.silences == (
        SilenceSpec("two", "two", 3 * DAY, ("cart", "ordered"), (START, "awareness"), (), 300_000, None),
    )


OWN = f"""\
journey: NAME
version: 1
touches: {{ROW}}
stages: [{{id: guest, {L}, enter: {{when: joined}}, terminal: true}}]
"""


def own(folder: Path, *rows: str) -> tuple[str, ...]:
    """Paths of journeys, each with a row of its own."""
    for number, row in enumerate(rows):
        text = OWN.replace("NAME", f"j{number}").replace("ROW", row)
        (folder / f"j{number}.yaml").write_text(text, encoding="utf-8")
    return tuple(str(folder / f"j{number}.yaml") for number in range(len(rows)))


def test_rows_that_journeys_bring_along_stand_behind_the_shared_ones(tmp_path: Path) -> None:
    row = "joined: {type: webinar_joined}"
    touches, specs = load_models(Settings(journeys=own(tmp_path, row, row)))
    assert touches[:-1] == load_touches(MODELS / "touches.yaml")
    assert touches[-1] == TouchSpec("joined", frozenset({"webinar_joined"}), None, None, "customer", ())
    assert [spec.touches for spec in specs] == [touches[-1:], touches[-1:]]


@pytest.mark.parametrize("other", ["joined: {type: seminar_joined}", "joined: {type: webinar_joined, channel: web}"])
def test_refuses_rows_of_two_journeys_for_one_name_or_event(tmp_path: Path, other: str) -> None:
    paths = own(tmp_path, "joined: {type: webinar_joined}", other)
    with pytest.raises(UserError, match="the journeys 'j0' and 'j1' bring touches along that one event may be"):
        load_models(Settings(journeys=paths))


@pytest.mark.parametrize(
    ("more", "rule", "grace"),
    [
        ("stalled: 3d, enter: {when: saw}", "stalled:two", 300_000),  # only `cart`, of the web, leaves
        ("stalled: 3d, enter: {when: saw, count: 2}", "stalled:two", 300_000),
    ],
)
def test_stalled_waits_for_the_touches_that_leave_the_stage(tmp_path: Path, more: str, rule: str, grace: int) -> None:
    read = journey(tmp_path, f"id: two, {more}", "id: three, enter: {from: two, when: cart}")
    assert {found.rule: found.grace_ms for found in read.silences} == {rule: grace}
    slower = journey(tmp_path, f"id: two, {more}", "id: three, enter: {from: two, when: [cart, ordered]}")
    assert {found.rule: found.grace_ms for found in slower.silences} == {rule: DAY}


def test_nothing_waits_on_event_time(tmp_path: Path) -> None:
    read = journey(
        tmp_path,
        "id: two, stalled: 3d, enter: {when: cart}",
        "id: three, enter: {from: two, after: 9d, since: last ordered}",
        "id: four, enter: {from: [two, three], when: ordered}",
        signals="s: {after: 1h, since: last cart, unless: ordered, wait_for: store}",
        clock_is_event=True,
    )
    assert [found.grace_ms for found in read.silences] == [0, 0, 0]


BASE = f"""\
journey: base
version: 1
stages:
  - {{id: awareness, {L}, enter: {{when: saw}}}}
  - {{id: decision, {L}, enter: {{when: [cart, viewed]}}, stalled: 14d}}
  - {{id: customer, {L}, enter: {{from: decision, when: ordered}}, terminal: true}}
signals:
  reminder: {{after: 1h, since: last cart, unless: [ordered], expires: 24h, wait_for: web}}
"""


def fingerprint(folder: Path, text: str, touches: tuple[TouchSpec, ...] = TOUCHES, clock_is_event: bool = False) -> str:
    path = folder / "base.yaml"
    path.write_text(text, encoding="utf-8")
    return load_journey(path, touches, GRACE, clock_is_event).fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("journey: base", "journey: other"),
        ("en: A", "en: Another label"),
        ("enter: {when: saw}}", "map: {actions: [Looks]}, enter: {when: saw}}"),
        ("{when: [cart, viewed]}", "{when: [viewed, cart], from: [awareness, start]}"),
        ("stalled: 14d", "stalled: 336h"),
        ("wait_for: web", "wait_for: [web, store]"),
        ("unless: [ordered]", "unless:   ordered"),
    ],
)
def test_what_decides_nothing_keeps_the_fingerprint(tmp_path: Path, old: str, new: str) -> None:
    assert old in BASE
    assert fingerprint(tmp_path, BASE.replace(old, new)) == fingerprint(tmp_path, BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{when: [cart, viewed]}", "{when: cart}"),
        ("{when: [cart, viewed]}", "{when: [cart, viewed], count: 2}"),
        ("{when: [cart, viewed]}", "{when: [cart, viewed], from: awareness}"),
        ("stalled: 14d", "stalled: 15d"),
        ("unless: [ordered]", "unless: [ordered, referred]"),
        ("expires: 24h", "expires: 25h"),
        ("id: customer", "id: client"),
    ],
)
def test_what_decides_changes_the_fingerprint(tmp_path: Path, old: str, new: str) -> None:
    assert old in BASE
    assert fingerprint(tmp_path, BASE.replace(old, new)) != fingerprint(tmp_path, BASE)


def test_the_fingerprint_is_the_same_in_every_process_and_mode(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, BASE) == fingerprint(tmp_path, BASE, clock_is_event=True)
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(tmp_path, BASE))


def test_the_touches_that_a_journey_names_are_part_of_its_fingerprint(tmp_path: Path) -> None:
    before = fingerprint(tmp_path, BASE)
    named = tuple(replace(row, channels=None) if row.name == "cart" else row for row in TOUCHES)
    shadowing = (TouchSpec("gift", frozenset({"cart_added"}), None, None, "customer", ()), *TOUCHES)
    unrelated = (TouchSpec("gift", frozenset({"gift_sent"}), None, None, "customer", ()), *TOUCHES)
    behind = (*TOUCHES, TouchSpec("gift", frozenset({"cart_added"}), None, None, "customer", ()))
    assert fingerprint(tmp_path, BASE, named) != before
    assert fingerprint(tmp_path, BASE, shadowing) != before
    assert fingerprint(tmp_path, BASE, unrelated) == before
    assert fingerprint(tmp_path, BASE, behind) == before


CUSTOMER_ACTS = (
    "page_viewed",
    "ad_clicked",
    "email_opened",
    "email_clicked",
    "post_liked",
    "post_seen",
    "product_viewed",
    "price_compared",
    "cart_added",
    "cart_updated",
    "order_placed",
    "call_answered",
    "call_made",
    "store_visited",
    "review_written",
    "review_posted",
    "referral_sent",
    "support_requested",
    "complaint_opened",
    "signed_up",
    "loyalty_joined",
    "coupon_redeemed",
    "community_joined",
    "deal_lost",
    "video_watched",
    "searched",
    "post_shared",
    "email_written",
    "email_replied",
    "question_asked",
    "delivery_received",
    "order_returned",
    "forum_answered",
    "case_study_joined",
    "email_unsubscribed",
)
COMPANY_ACTS = ("coupon_sent", "email_sent", "call_placed", "ad_shown", "offer_made", "order_delivered")


def test_the_shared_table_classifies_every_act_on_every_channel() -> None:
    rows = load_touches(MODELS / "touches.yaml")
    for actor, acts in (("customer", CUSTOMER_ACTS), ("company", COMPANY_ACTS)):
        for act in acts:
            plain = [row for row in rows if row.actor == actor and row.types and act in row.types and not row.where]
            assert [row.channels for row in plain] == [None], f"{act} is left unclassified on some channel"
    assert {act for row in rows for act in row.types or ()} == {*CUSTOMER_ACTS, *COMPANY_ACTS}


def five_stage() -> JourneySpec:
    (spec,) = load_models(Settings(journeys=("five-stage",)))[1]
    return spec


@pytest.mark.parametrize("path", built_in_journeys(), ids=str)
def test_a_built_in_journey_is_called_like_its_file(path: Path) -> None:
    spec = load_journey(path, load_touches(MODELS / "touches.yaml"), GRACE, clock_is_event=False)
    assert spec.name == path.stem


@pytest.mark.parametrize(
    ("stage", "touch", "rule"),
    [
        *((stage, "ordered", "retention") for stage in (START, "awareness", "consideration", "purchase")),
        ("retention", "ordered", "retention"),
        ("purchase", "chose_rival", "purchase/lost"),
        ("lost", "ordered", "retention/2"),
        ("advocacy", "ordered", None),
        ("lapsed", "ordered", "retention/3"),
        ("lapsed", "saw_content", None),
        (START, "saw_content", "awareness"),
        (START, "compared", "consideration"),
        ("awareness", "cart", "purchase"),
        ("consideration", "cart", "purchase"),
        ("retention", "cart", None),
        ("retention", "referred", "advocacy"),
        ("retention", "reviewed", "advocacy"),
        ("lapsed", "referred", None),
    ],
)
def test_five_stages_move(stage: str, touch: str, rule: str | None) -> None:
    fitting = [entry.rule for entry in five_stage().entries if touch in entry.touches and stage in entry.froms]
    assert fitting[:1] == ([rule] if rule else [])


def test_five_stages_count_and_fall_silent() -> None:
    spec = five_stage()
    by_rule = {entry.rule: entry for entry in spec.entries}
    assert by_rule["advocacy"].at_least == (("ordered", 2),)
    assert (by_rule["consideration/2"].count, by_rule["consideration/2"].within_ms) == (3, 7 * DAY)
    assert spec.silences == (
        SilenceSpec("stalled:consideration", None, 14 * DAY, None, ("consideration",), (), DAY, None),
        SilenceSpec("stalled:purchase", None, 7 * DAY, None, ("purchase",), (), DAY, None),
        SilenceSpec("lapsed", "lapsed", 90 * DAY, ("ordered",), ("retention", "advocacy"), (), DAY, None),
        SilenceSpec("cart_abandoned", None, 3_600_000, ("cart",), None, ("ordered", "chose_rival"), 300_000, DAY),
        SilenceSpec("churn_risk", None, 45 * DAY, ("ordered",), ("retention",), ("redeemed_coupon",), DAY, None),
        SilenceSpec("referral_due", None, 14 * DAY, None, ("advocacy",), ("referred", "joined_loyalty"), DAY, None),
    )
    (upsell,) = spec.triggers
    assert (upsell.rule, upsell.count, upsell.within_ms, upsell.once) == ("upsell_ready", 2, 90 * DAY, 90 * DAY)
    assert [dict(stage.labels)["fa"] for stage in spec.stages[:5]] == ["آگاهی", "ملاحظه", "خرید", "نگهداری", "حمایت"]


def work_rule(stage: str, kind: str, views: int) -> str | None:
    """The table of the common work; `views` includes this event."""
    if kind == "order_placed" and stage in (START, "awareness", "consideration", "lapsed"):
        return "purchase"
    if stage == START:
        return "awareness"
    if stage == "awareness" and (kind in ("cart_added", "email_clicked") or (kind == "product_viewed" and views >= 3)):
        return "consideration"
    if stage == "lapsed":
        return "consideration"
    if stage == "purchase" and kind in ("order_placed", "support_requested"):
        return "retention"
    if stage in ("purchase", "retention") and kind in ("referral_sent", "review_written"):
        return "advocacy"
    return None


WORK_TYPES = (
    "page_viewed",
    "ad_clicked",
    "email_opened",
    "email_clicked",
    "post_liked",
    "product_viewed",
    "cart_added",
    "order_placed",
    "call_answered",
    "store_visited",
    "review_written",
    "referral_sent",
    "support_requested",
)


def test_the_common_work_says_what_its_table_says() -> None:
    settings = load(ROOT / "examples" / "work" / "settings.yaml", {})
    touches, (spec,) = load_models(settings)
    assert settings.application == "work-event"
    for stage in (START, *(stage.id for stage in spec.stages)):
        for kind in WORK_TYPES:
            for views in range(1, 4):
                touch = next(row.name for row in touches if kind in (row.types or ()))
                fitting = (e.to for e in spec.entries if touch in e.touches and stage in e.froms and e.count <= views)
                assert next(fitting, None) == work_rule(stage, kind, views), (stage, kind, views)
    assert all(entry.within_ms is None for entry in spec.entries)
    assert spec.silences == (
        SilenceSpec("lapsed", "lapsed", 30 * DAY, (ANY,), ("purchase", "retention", "advocacy"), (), 0, None),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"journeys": ("five-stag",)},
            (
                "setting journeys: there is no journey 'five-stag' built in, and a path ends in .yaml; "
                "did you mean 'five-stage'?"
            ),
        ),
        (
            {"touches": "table"},
            "setting touches: there is no touch table 'table' built in, and a path ends in .yaml; built in: touches",
        ),
        ({"journeys": ("nowhere/some.yaml",)}, "nowhere/some.yaml: no such file"),
    ],
)
def test_refuses_a_model_that_is_not_there(settings: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        load_models(Settings.model_validate(settings))
    assert refusal.value.message == message


def test_refuses_two_journeys_of_one_name() -> None:
    path = str(MODELS / "five-stage.yaml")
    with pytest.raises(UserError) as refusal:
        load_models(Settings(journeys=("five-stage", path)))
    assert refusal.value.message == f"{path}: the journey 'five-stage' is loaded already: give it another name"


def examples() -> Iterator[tuple[str, str, str]]:
    """(kind, YAML, the refusal that follows or nothing) of every example on the page."""
    page = (ROOT / "docs" / "journeys.md").read_text(encoding="utf-8")
    for found in re.finditer(r"```yaml (\w+)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", page, re.DOTALL):
        yield found[1], found[2], (found[3] or "").rstrip("\n")


EXAMPLES = list(examples())


def test_every_example_on_the_page_is_known() -> None:
    page = (ROOT / "docs" / "journeys.md").read_text(encoding="utf-8")
    assert len(EXAMPLES) == page.count("```yaml") > 10
    assert sum(bool(refusal) for _, _, refusal in EXAMPLES) == page.count("```text")


@pytest.mark.parametrize(("kind", "text", "refusal"), EXAMPLES, ids=[f"{n}-{e[0]}" for n, e in enumerate(EXAMPLES)])
def test_the_page_says_what_is_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, text: str, refusal: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table = next(found for of, found, _ in EXAMPLES if of == "touches")
    whole = next(found for of, found, _ in EXAMPLES if of == "journey")
    stages = whole[: whole.index("signals:")]
    Path("touches.yaml").write_text(text if kind == "touches" else table, encoding="utf-8")
    example = f"  - id: example\n    {L}\n    terminal: true\n" + indent(text, "    ")
    Path("journey.yaml").write_text(
        {
            "touches": whole,
            "journey": text,
            "rule": stages + example,
            "signals": stages + text,
            "carry": re.sub(r"version: \d+", "version: 2", stages, count=1) + text,
        }[kind],
        encoding="utf-8",
    )
    said = ""
    try:
        load_journey(Path("journey.yaml"), load_touches(Path("touches.yaml")), GRACE, clock_is_event=False)
    except UserError as error:
        said = error.message
    assert said == refusal


def test_grace_is_known_of_every_channel() -> None:
    assert set(GRACE) == set(CHANNELS)
