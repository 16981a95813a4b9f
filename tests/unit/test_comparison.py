"""Two models compared: who would be elsewhere, what became of stages, and how it is said at the prompt."""

import io

from rich.console import Console

from pipeline.application.comparison import Comparison, Move, Told, compare, elsewhere
from pipeline.application.replay import Model
from pipeline.cli import comparison_shown as shown
from pipeline.domain.compile import compile_journey
from pipeline.domain.feed import Feed, Signal, Transition
from pipeline.domain.history import Entry
from pipeline.domain.spec import EntrySpec, JourneySpec, StageSpec
from pipeline.domain.touches import TouchTable

ENTRY = Entry(1, "seen", "seen", "e1", "page_viewed", "web", -1)


def model(version: int, *stages: str) -> Model:
    spec = JourneySpec(
        name="shop",
        version=version,
        stages=tuple(StageSpec(stage, ()) for stage in stages),
        entries=(EntrySpec(stages[0], stages[0], ("viewed",), ("",), 1, None, ()),),
        silences=(),
        fingerprint=f"f{version}",
    )
    return Model(compile_journey(spec, frozenset()), TouchTable(()))


OLD, NEW = model(1, "seen", "choosing", "bought"), model(2, "seen", "deciding", "bought")
BEFORE = {"c:1": "seen", "c:2": "choosing", "c:3": "choosing", "c:4": "choosing", "c:5": "bought"}
AFTER = {"c:1": "seen", "c:2": "deciding", "c:3": "deciding", "c:4": "bought", "c:6": "seen"}
EVERYBODY = [f"c:{number}" for number in range(1, 8)]


def compared(kept: int = 1) -> Comparison:
    return compare(BEFORE, AFTER, EVERYBODY, kept)


def test_everybody_is_counted_once_by_both_models() -> None:
    comparison = compared()
    assert comparison.moves == {
        Move("seen", "seen"): 1,
        Move("choosing", "deciding"): 2,
        Move("choosing", "bought"): 1,
        Move("bought", ""): 1,
        Move("", "seen"): 1,
        Move("", ""): 1,
    }
    assert (comparison.customers, comparison.elsewhere) == (7, 5)
    assert (comparison.by_old("choosing"), comparison.by_new("seen"), comparison.by_new("choosing")) == (3, 2, 0)


def test_examples_are_of_those_who_are_elsewhere_and_few() -> None:
    assert compared().examples == {
        Move("choosing", "deciding"): ["c:2"],
        Move("choosing", "bought"): ["c:4"],
        Move("bought", ""): ["c:5"],
        Move("", "seen"): ["c:6"],
    }
    assert compared(kept=0).examples == {}


def test_a_stage_that_is_gone_has_a_successor() -> None:
    assert compared().successor("choosing") == ("deciding", 2)
    assert compared().successor("deciding") is None
    assert list(shown.changed_stages(compared(), OLD, NEW)) == [
        "choosing is gone: 2 of its 3 customers would be in deciding",
        "deciding is new: 2 customers would be in it",
    ]
    nobody = compare({}, {}, [], 1)
    assert next(shown.changed_stages(nobody, OLD, NEW)) == "choosing is gone; nobody is in it"


def test_only_a_difference_that_lasts_counts_where_one_may_be_ahead() -> None:
    before = elsewhere(BEFORE, {"c:2": "deciding", "c:4": "seen"}, EVERYBODY[:4])
    assert before == {
        "c:1": Move("seen", ""),
        "c:2": Move("choosing", "deciding"),
        "c:3": Move("choosing", ""),
        "c:4": Move("choosing", "seen"),
    }
    now = compare(BEFORE, AFTER, EVERYBODY, 1, lasting=before)
    assert now.moves == {Move("seen", "seen"): 1, Move("choosing", "deciding"): 1, Move("", ""): 1}
    assert now.examples == {Move("choosing", "deciding"): ["c:2"]}
    assert (now.customers, now.elsewhere, now.unsettled) == (3, 1, 4)
    assert shown.verdict(now, OLD) == "1 of 3 customers would be in another stage (33.3%); 4 not settled"


def test_the_verdict_tells_renamed_stages_from_moved_customers() -> None:
    said = "5 of 7 customers would be in another stage (71.4%)"
    assert shown.verdict(compared(), NEW) == f"{said}, 3 of them because shop version 2 has no stage of that name"
    assert shown.verdict(compared(), model(2, "seen", "choosing", "bought")) == said
    assert shown.verdict(compare({}, {}, [], 1), NEW) == "no customers to compare"


def test_the_matrix_shows_every_number_and_marks_what_only_one_has() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(shown.matrix(compared(), OLD, NEW))
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert " ".join(rows[0]) == "shop version 1 ↓ shop version 2 →"
    assert rows[1] == ["·", "seen", "deciding", "(new)", "bought", "all"]
    assert rows[2:] == [
        ["·", "1", "1", "·", "·", "2"],
        ["seen", "·", "1", "·", "·", "1"],
        ["choosing", "(gone)", "·", "·", "2", "1", "3"],
        ["bought", "1", "·", "·", "·", "1"],
        ["all", "2", "2", "2", "1", "7"],
    ]


def test_what_is_told_is_counted_by_kind() -> None:
    told = Told()
    feed = Feed()
    feed.transitions += [
        Transition("c:1", 0, "shop", 1, 1, "entered", "", "seen", ENTRY, ()),
        Transition("c:2", 0, "shop", 1, 1, "entered", "", "bought", ENTRY, ()),
        Transition("c:2", 0, "shop", 1, 2, "retracted", "bought", "", ENTRY, ()),
    ]
    feed.signals += [
        Signal("c:1", 0, "shop", 1, "cart_left", kind, 1, "cart_left", 0, 1, None, False, False, "seen")
        for kind in ("fired", "retracted")
    ]
    told.read(feed)
    assert told.stages == {"c:1": "seen", "c:2": ""}
    assert shown.told(told, Told()) == [
        ("transitions entered", 2, 0),
        ("transitions retracted", 1, 0),
        ("signal cart_left", 1, 0),
        ("signal cart_left withdrawn", 1, 0),
    ]


def test_programs_get_the_same_without_our_keys() -> None:
    content = shown.as_json(compared(), OLD, NEW, Told(), Told())
    assert (content["customers"], content["elsewhere"]) == (7, 5)
    assert (content["gone"], content["added"]) == (["choosing"], ["deciding"])
    assert isinstance(content["moves"], list)
    assert content["moves"][0] == {"old": "choosing", "new": "deciding", "customers": 2, "examples": ["2"]}
    assert {"old": "bought", "new": None, "customers": 1, "examples": ["5"]} in content["moves"]
