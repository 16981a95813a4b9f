"""The picture of a comparison in docs/authoring.md. `python -m tests.cases.compared` draws it."""

from pathlib import Path
from typing import Final

from pipeline.adapters.drawing.sankey import sankey
from pipeline.adapters.identity_kinds import identities_for_counting
from pipeline.adapters.journey_files import find_journey, find_touches, read_journey
from pipeline.adapters.touch_files import load_touches
from pipeline.adapters.yaml_documents import Source, parse
from pipeline.application.comparison import Comparison, compare
from pipeline.application.intake import Limits
from pipeline.application.intake import Source as Input
from pipeline.application.replay import Conditions, Model, Replay
from pipeline.config import GRACE, Settings
from pipeline.dev.traffic import traffic
from pipeline.domain.compile import compile_journey
from pipeline.domain.touches import TouchTable
from tests.fakes.kafka.log import FakeRecord

PICTURE: Final = Path(__file__).parents[2] / "docs" / "diff.svg"
BEGINNING: Final = 1_767_225_600_000  # 2026-01-01
DAY: Final = 86_400_000
CHANGES: Final = {
    "version: 3": "version: 4",
    "consideration": "thinking",
    "after: 90d": "after: 45d",
}
"""What the candidate changes in five-stage, text by text."""


def models() -> tuple[Model, Model]:
    """The five stages, and the candidate."""
    touches = load_touches(find_touches("touches"))
    text = find_journey("five-stage").read_text(encoding="utf-8")
    found = []
    for changes in ({}, CHANGES):
        changed = text
        for old, new in changes.items():
            assert old in changed, f"five-stage.yaml does not say '{old}' any more"
            changed = changed.replace(old, new)
        spec, *_ = read_journey(parse(Source("five-stage.yaml", changed)), touches, GRACE)
        table = TouchTable((*touches, *spec.touches))
        found.append(Model(compile_journey(spec, table.company), table))
    return found[0], found[1]


def compared() -> tuple[Comparison, Model, Model]:
    """Simulated customers of 150 days, by both."""
    settings = Settings()
    old, new = models()
    conditions = Conditions(
        Limits(future_ms=None, old_ms=None),
        False,
        1,
        settings.lateness,
        settings.recent_limit,
        identities=identities_for_counting(settings),
    )
    replays = [Replay(model, conditions) for model in (old, new)]
    until = BEGINNING + 150 * DAY
    for offset, sent in enumerate(traffic(7, BEGINNING, 250)):
        if sent.at >= until:
            break
        record = FakeRecord(offset, sent.at, sent.key, sent.value)
        for replay in replays:
            replay.take(Input(f"raw.{sent.channel}", "raw", sent.channel), 0, [record])
    for replay in replays:
        replay.pass_time(until)
    before, after = replays
    return compare(before.told.stages, after.told.stages, before.profiles, 3), old, new


if __name__ == "__main__":
    PICTURE.write_text(sankey(*compared()), encoding="utf-8")
