"""The story of docs/erasure.md on a real Kafka and Redis, with a worker: its commands and what they say."""

from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from tests.harness.application import Application
from tests.harness.story import ANY_MOMENT, Story, story_in

pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0
VARIES = {
    **ANY_MOMENT,
    # Counted from the newest record on.
    r"until [\d-]+ [\d:]+ and a segment more \((\S+) 7d\)": r"until 2026-03-10 09:00 and a segment more (\1 7d)",
    r"until [\d-]+ [\d:]+ and a segment more \((\S+) 30d\)": r"until 2026-04-02 09:00 and a segment more (\1 30d)",
    # Events that are taken together make fewer records.
    r"(journey\.(?:customers|transitions))  \d+ records?": r"\1  7 records",
    r"(journey\.events)  \d+ records?": r"\1  8 records",
    r"(journey\.profiles)  \d+ records?": r"\1  9 records",
    r"[\d,]+ records in all topics": "194 records in all topics",
}


def test_the_story_is_as_the_docs_tell_it(stack: Stack, tmp_path: Path) -> None:
    told = story_in("erasure.md")
    with Application(
        stack, tmp_path, "erasure-story-", journeys=["five-stage"], touches="touches", lateness="3d"
    ) as app:
        app.worker().until_ready(WAIT_S)
        story = Story(app, VARIES)
        story.live(told)
        assert story.page.splitlines() == told.splitlines()
        assert set(story.codes) == {0}
