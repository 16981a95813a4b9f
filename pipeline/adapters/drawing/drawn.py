"""A journey file, drawn in any of the forms."""

from pathlib import Path
from typing import Final, Literal, get_args

from pipeline.adapters.drawing.mermaid import mermaid
from pipeline.adapters.drawing.page import page
from pipeline.adapters.drawing.svg import svg
from pipeline.adapters.journey_files import find_touches, load_journey
from pipeline.adapters.journey_language import JourneyFile
from pipeline.adapters.touch_files import load_touches
from pipeline.adapters.yaml_files import load
from pipeline.application.chart import chart_of
from pipeline.config import Settings
from pipeline.domain.compile import compile_journey
from pipeline.domain.touches import TouchTable

Format = Literal["svg", "mermaid", "html"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


def drawn(settings: Settings, path: Path, form: Format, language: str) -> str:
    """The journey in `path` as text in this form; UserError on a mistake in it, or if what draws is not installed."""
    touches = load_touches(find_touches(settings.touches))
    spec = load_journey(path, touches, settings.grace, settings.clock == "event")
    chart = chart_of(spec, compile_journey(spec, TouchTable((*touches, *spec.touches)).company))
    if form == "svg":
        return svg(chart, language)
    if form == "mermaid":
        return mermaid(chart, language)
    return page(chart, {stage.id: stage.map for stage in load(path, JourneyFile).stages}, language)
