"""What `journey capacity` reckons with: the published points that come with the package, and how long topics keep."""

from importlib.resources import files
from typing import Final

import msgspec

from pipeline.adapters.topic_files import topic_file
from pipeline.application.capacity import Kept, Published
from pipeline.errors import UserError

FILE: Final = "capacity.json"


def published() -> Published:
    """UserError if the file is not there or damaged, as in a package that was made without it."""
    try:
        return msgspec.json.decode(files("pipeline.adapters").joinpath(FILE).read_bytes(), type=Published)
    except (FileNotFoundError, msgspec.MsgspecError) as error:
        raise UserError(f"what was measured cannot be read ({error}); install the package anew") from None


def kept(feeds_ms: int | None = None, inputs_ms: int | None = None) -> Kept:
    """By the topics' files, or for so long (ms) if given."""
    feeds = int(_bound("journey.transitions", "retention.ms")) if feeds_ms is None else feeds_ms
    inputs = int(_bound("raw.web", "retention.ms")) if inputs_ms is None else inputs_ms
    changelog = "journey.profiles"
    return Kept(
        feeds_s=feeds / 1000,
        inputs_s=inputs / 1000,
        segment_bytes=_bound(changelog, "segment.bytes"),
        segment_s=_bound(changelog, "segment.ms") / 1000,
        dirty_ratio=_bound(changelog, "min.cleanable.dirty.ratio"),
    )


def _bound(topic: str, setting: str) -> float:
    rule = topic_file(topic).config[setting]
    value = next(bound for bound in (rule.exactly, rule.at_least, rule.at_most) if bound is not None)
    return float(value)
