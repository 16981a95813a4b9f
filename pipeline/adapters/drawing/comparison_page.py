"""Two models compared as a page of its own: the picture, and the numbers behind it. It names no customer."""

from collections.abc import Sequence

from pipeline.adapters.drawing.layout import missing
from pipeline.adapters.drawing.sankey import sankey
from pipeline.application.comparison import Comparison
from pipeline.application.replay import Model
from pipeline.domain.spec import START


def comparison_page(
    comparison: Comparison, old: Model, new: Model, told: Sequence[tuple[str, int, int]], replayed: str
) -> str:
    """The page in HTML, complete in itself. `told`: what is counted, by the one and by the other; `replayed`: what the
    numbers rest on, in words. UserError if what draws is not installed."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise missing(error) from None
    loader = PackageLoader("pipeline.adapters.drawing", "")
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("comparison.html.j2")
    return template.render(
        comparison=comparison,
        old=old,
        new=new,
        rows=(START, *old.journey.stages),
        columns=(START, *new.journey.stages),
        told=told,
        replayed=replayed,
        picture=Markup(sankey(comparison, old, new)),  # noqa: S704  # Vega escapes every text where it draws it
    )
