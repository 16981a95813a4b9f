"""The real lanes lose and double nothing and go on by themselves, in some hundred simulated worlds (I1 to I7, I9).

More of them: make sim ARGS="--seeds 100000". Bugs planted into the lanes are seen (tests/mutants).
"""

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from tests.mutants.registry import planted
from tests.simulation.__main__ import app
from tests.simulation.cases import Case
from tests.simulation.faults import ARMED, kinds
from tests.simulation.hunt import take
from tests.simulation.shrinking import shrink
from tests.simulation.trace import Trace
from tests.simulation.world import run

ROOT: Final = Path(__file__).parents[2]
TIMES: Final = max(1, int(os.environ.get("JOURNEY_PROPERTY", "0")))
SEEDS: Final = 160 * TIMES
PARTS: Final = 4
TRIES: Final = 120
"""Worlds in which a planted bug must show."""

REGRESSIONS: Final = [
    case
    for line in (Path(__file__).parent / "regressions.txt").read_text().splitlines()
    if (case := line.partition("#")[0].strip())
]
SOME: Final = (3, 17)
"""Seeds that are run twice and must do the same."""


@pytest.fixture(autouse=True)
def collected() -> None:
    """A run does without the garbage collector."""
    gc.collect()


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_or_doubled(part: int) -> None:
    tally = take(range(part, SEEDS, PARTS))
    assert tally.wrong == {}
    assert tally.transactions > 10 * tally.cases
    assert tally.timers > 10 * tally.cases


@pytest.mark.parametrize("name", REGRESSIONS)
def test_what_failed_once_does_not_fail_again(name: str) -> None:
    assert run(Case.parse(name)).wrong is None


def test_every_kind_of_fault_occurs() -> None:
    happened = take(range(SEEDS, SEEDS + 40)).happened
    never = [kind for kind, _ in kinds() if kind not in ARMED and not happened[kind.replace("_", " ")]]
    assert never == []
    for armed in ("kafka commit", "kafka seek", "redis apply", "redis load", "fetch dropped"):
        assert any(kind.startswith(armed) for kind in happened), armed


# ---- one seed, one schedule


def fingerprint(seed: int) -> str:
    return run(Case(seed), Trace(wanted=True)).fingerprint


@pytest.mark.parametrize("seed", SOME)
def test_the_same_seed_is_the_same_run_in_this_process_and_in_another(seed: int) -> None:
    here = fingerprint(seed)
    assert fingerprint(seed) == here
    program = f"from tests.simulation.test_simulation import fingerprint; print(fingerprint({seed}))"
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == here


def test_other_seeds_and_other_schedules_are_other_runs() -> None:
    cases = (Case(3), Case(17), Case(3, None, 1))
    assert len({run(case, Trace(wanted=True)).fingerprint for case in cases}) == len(cases)


@pytest.mark.parametrize("name", ["4711", "4711:3,9,12:2", "4711::0", "4711:*:5"])
def test_a_case_is_its_name(name: str) -> None:
    assert str(Case.parse(name)) == name


# ---- a planted bug


def test_a_failing_case_is_made_small() -> None:
    name = "a_paused_input_is_not_resumed"
    with planted(name):
        found = next(case for seed in range(TRIES) if run(case := Case(seed)).wrong is not None)
        small = shrink(found, most=60)
        again = run(small.case)
    assert small.wrong is not None
    assert again.wrong == small.wrong
    assert small.case.kept is not None
    assert len(small.case.kept) < len(found.plan(kinds()).actions) / 2
    with pytest.raises(ValueError, match="does not fail"):
        shrink(Case(SOME[0]))


# ---- the command


def test_the_command_says_how_many_and_how_many_are_wrong() -> None:
    result = CliRunner().invoke(app, ["--seeds", "2", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "seeds run" in result.output


def test_the_command_shows_a_case_line_by_line() -> None:
    result = CliRunner().invoke(app, ["--replay", str(SOME[0])])
    assert result.exit_code == 0, result.output
    assert "all heals" in result.output
    assert "nothing wrong" in result.output
