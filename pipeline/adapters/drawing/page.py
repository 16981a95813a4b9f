"""The journey map as a page of its own: what customers do, want, ask and suffer in each stage, and the picture."""

from collections.abc import Iterable, Mapping
from typing import Final

from pipeline.adapters.drawing.layout import missing
from pipeline.adapters.drawing.svg import RIGHT_TO_LEFT, svg
from pipeline.adapters.journey_language import Map
from pipeline.application.chart import Chart
from pipeline.domain.spec import START

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "actions": "Actions",
        "motivation": "Motivation",
        "questions": "Questions",
        "pain_points": "Pain points",
        "entered": "Entered by",
        "signals": "Signals",
    },
    "tr": {
        "actions": "Eylemler",
        "motivation": "Motivasyon",
        "questions": "Sorular",
        "pain_points": "Sorunlu noktalar",
        "entered": "Giriş",
        "signals": "Sinyaller",
    },
    "pl": {
        "actions": "Działania",
        "motivation": "Motywacja",
        "questions": "Pytania",
        "pain_points": "Trudności",
        "entered": "Wejście",
        "signals": "Sygnały",
    },
    "fa": {
        "actions": "اقدام‌ها",
        "motivation": "انگیزه",
        "questions": "پرسش‌ها",
        "pain_points": "نقاط درد",
        "entered": "ورود",
        "signals": "نشانه‌ها",
    },
}
"""What the rows are called; the third article gives the Turkish ones."""

LANGUAGES: Final = tuple(_WORDS)


def page(chart: Chart, maps: Mapping[str, Map], language: str) -> str:
    """The page in HTML, complete in itself; `maps` by stage. UserError if what draws is not installed."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise missing(error) from None
    loader = PackageLoader("pipeline.adapters.drawing", "")
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("page.html.j2")
    words = _WORDS[language]
    picture = svg(chart, language)
    return template.render(
        chart=chart,
        maps={stage: found.model_dump() for stage, found in maps.items()},
        language=language,
        right_to_left=language in RIGHT_TO_LEFT,
        words=words,
        rows=[(words[key], key) for key in Map.model_fields],
        names=_names,
        picture=Markup(picture),  # noqa: S704  # every text in it is escaped where it is drawn
    )


def _names(stages: Iterable[str]) -> str:
    return ", ".join("start" if stage == START else stage for stage in stages)
