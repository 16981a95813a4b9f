"""The pictures of the built-in journeys in docs/models. `python -m tests.cases.pictures` draws them."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.adapters.drawing.drawn import drawn
from pipeline.adapters.journey_files import built_in_journeys
from pipeline.config import Settings

FOLDER = Path(__file__).parents[2] / "docs" / "models"
OWN_LANGUAGE = {
    "buying": "tr",
    "customer-management": "tr",
    "five-stage": "fa",
    "lifecycle": "tr",
    "purchase-cycle": "pl",
}
"""The language of each journey's source; each is drawn in this and in English."""


def pictures() -> Iterator[tuple[Path, str]]:
    """Where each picture is, and what it shows today."""
    for path in built_in_journeys():
        for language in ("en", OWN_LANGUAGE[path.stem]):
            yield FOLDER / f"{path.stem}.{language}.svg", drawn(Settings(), path, "svg", language)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, picture in pictures():
        file.write_text(picture, encoding="utf-8")
