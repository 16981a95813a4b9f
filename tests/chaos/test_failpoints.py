"""Workers that fail within the lane's protocol: each failpoint once, each action several times, five applications at
once. `make failpoints` does each with each.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.application.failpoints import Failpoint
from pipeline.dev.stack import Stack
from pipeline.worker.failpoints import ACTIONS
from tests.failpoints.rounds import NEEDS_A_PAST, Cell, play
from tests.harness.application import Application
from tests.harness.judging import Verdict

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(240)]

Round = Sequence[Cell]

LIVES: Sequence[Sequence[Round]] = (
    (
        (
            Cell(Failpoint.TAKE_MEMBERSHIP, "raise"),
            Cell(Failpoint.TAKE_FENCE, "delay"),
            Cell(Failpoint.COMMIT_SENT, "kill"),
        ),
        (
            Cell(Failpoint.TAKE_FILL, "delay"),
            Cell(Failpoint.TAKE_RENAME_BEFORE, "raise"),
            Cell(Failpoint.TAKE_RENAME_AFTER, "kill", 2),
        ),
    ),
    (
        (
            Cell(Failpoint.TAKE_BOUNDS, "raise"),
            Cell(Failpoint.TAKE_ACCEPTED, "raise"),
            Cell(Failpoint.COMMIT_PRODUCED, "stop"),
        ),
        (
            Cell(Failpoint.TAKE_REPLAY, "raise"),
            Cell(Failpoint.SEEK_BEFORE, "raise", 3),
            Cell(Failpoint.COMMIT_ANSWERED, "kill"),
        ),
    ),
    (
        (
            Cell(Failpoint.SEEK_AFTER, "raise", 9),
            Cell(Failpoint.BATCH_LOADED, "raise"),
            Cell(Failpoint.BATCH_FOLDED, "stop"),
        ),
        (
            Cell(Failpoint.TICK_BEFORE, "delay"),
            Cell(Failpoint.PROGRESS_READ, "delay"),
            Cell(Failpoint.TICK_ACKNOWLEDGED, "delay"),
            Cell(Failpoint.TICK_ENDS, "kill"),
        ),
    ),
    (
        (
            Cell(Failpoint.BATCH_TAKEN, "raise"),
            Cell(Failpoint.COMMIT_BEGUN, "raise"),
            Cell(Failpoint.BATCH_APPLIED, "stop", 2),
        ),
        (
            Cell(Failpoint.LANE_PARKED, "raise"),
            Cell(Failpoint.LANE_RELEASED, "delay"),
        ),
    ),
    (
        (
            Cell(Failpoint.CLAIM_FOLDED, "raise"),
            Cell(Failpoint.ADOPT_APPLIED, "raise"),
            Cell(Failpoint.RELEASE_APPLIED, "kill"),
        ),
        (
            Cell(Failpoint.CLAIM_APPLIED, "raise"),
            Cell(Failpoint.ADOPT_FOLDED, "raise"),
            Cell(Failpoint.RELEASE_FOLDED, "delay"),
            Cell(Failpoint.GIVE_BACK_FOLDED, "stop"),
        ),
        (Cell(Failpoint.GIVE_BACK_APPLIED, "kill"),),
    ),
)
"""For each application its rounds, in which the last cell is reached after the others."""


def test_the_choice_has_every_failpoint_and_each_action_often_enough() -> None:
    cells = [cell for life in LIVES for cells in life for cell in cells]
    assert {cell.point for cell in cells} == set(Failpoint)
    assert set(Counter(cell.action for cell in cells)) == set(ACTIONS)
    assert min(Counter(cell.action for cell in cells).values()) >= 3
    assert not any(cell.point in NEEDS_A_PAST for life in LIVES for cell in life[0])


def test_a_worker_that_fails_at_any_step_loses_and_doubles_nothing(
    stack: Stack, tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def live(number: int) -> Verdict:
        directory = tmp_path / str(number)
        directory.mkdir()
        with Application(stack, directory, f"{prefix}{number}-") as app:
            return [play(app, cells, f"r{turn}") for turn, cells in enumerate(LIVES[number])][-1]

    with ThreadPoolExecutor(len(LIVES)) as threads:
        verdicts = list(threads.map(live, range(len(LIVES))))
    with capsys.disabled():
        print("", *verdicts, sep="\n")
