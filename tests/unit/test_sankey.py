"""The picture of a comparison: every stage and number is in it, bands are as wide as their customers are many."""

import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from pipeline.adapters.drawing.comparison_page import comparison_page
from pipeline.adapters.drawing.sankey import sankey
from pipeline.application.comparison import Comparison, compare
from pipeline.application.replay import Model
from pipeline.errors import UserError
from tests.cases.compared import PICTURE, compared
from tests.unit.test_comparison import AFTER, BEFORE, EVERYBODY, NEW, OLD, model

SVG = "{http://www.w3.org/2000/svg}"


def drawn(comparison: Comparison, old: Model = OLD, new: Model = NEW) -> ET.Element:
    return ET.fromstring(sankey(comparison, old, new))


def texts(root: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def bands(root: ET.Element) -> list[tuple[float, float]]:
    """How wide each band is where it begins and where it ends, in points."""
    paths = [path.get("d", "") for path in root.iter(f"{SVG}path") if "C" in path.get("d", "")]
    found = []
    for path in paths:
        old0, _, _, new0, new1, _, _, old1 = (float(y) for y in re.findall(r",(-?[\d.]+)", path))
        found.append((old1 - old0, new1 - new0))
    return found


def test_every_stage_is_there_with_its_customers() -> None:
    said = texts(drawn(compare(BEFORE, AFTER, EVERYBODY, 1)))
    for side in (
        ("shop version 1", "no stage 2", "seen 1", "choosing (gone) 3", "bought 1"),
        ("shop version 2", "no stage 2", "seen 2", "deciding (new) 2", "bought 1"),
    ):
        for text in side:
            assert text in [" ".join(each.split()) for each in said]


def test_bands_are_as_wide_as_their_customers_are_many() -> None:
    comparison = compare(BEFORE, AFTER, EVERYBODY, 1)
    found = bands(drawn(comparison))
    assert len(found) == len(comparison.moves)
    assert all(begin == pytest.approx(end, abs=0.01) for begin, end in found)
    narrowest = min(begin for begin, _ in found)
    counts = sorted(round(begin / narrowest) for begin, _ in found)
    assert counts == sorted(comparison.moves.values())


def test_names_from_a_file_cannot_break_the_picture_or_the_page() -> None:
    bad = '<script>"&'
    one = model(1, bad)
    comparison = compare({"c:1": bad}, {"c:1": bad}, ["c:1"], 1)
    assert any(bad in text for text in texts(drawn(comparison, one, one)))
    page = comparison_page(comparison, one, one, [("transitions entered", 1, 2)], "1 event")
    parser = _Page()
    parser.feed(page)
    assert parser.open == []
    assert "script" not in parser.tags


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_without_what_draws_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"customer-journey\[draw\]"):
        sankey(compare({}, {}, [], 0), OLD, NEW)


def test_nobody_to_draw_is_a_picture_too() -> None:
    assert "seen 0" in [" ".join(each.split()) for each in texts(drawn(compare({}, {}, [], 0)))]


def test_the_picture_in_the_docs_is_fresh() -> None:
    fresh = sankey(*compared())
    assert PICTURE.read_text(encoding="utf-8") == fresh, "draw it again: python -m tests.cases.compared"
