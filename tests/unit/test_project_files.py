"""The files that set the project up: what they promise to a person at the prompt."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def normal(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement)[0]).lower()


def test_make_alone_lists_every_target() -> None:
    shown = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert re.findall(r"^  make ([\w-]+) +\S", shown, re.MULTILINE) == phony[1].split()


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c \"import sys; sys.version_info=(3, 10); sys.version='3.10.13 '; $2\"\n"
    )
    old.chmod(0o755)
    command = ["make", "-s", "-C", str(ROOT), "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"This needs Python 3.11 or newer; {old} is 3.10.13. Choose another one: make PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", LOCK, re.MULTILINE)


def test_every_locked_version_is_exact_and_has_a_hash() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(entries) > 50
    assert [
        entry for entry in entries if not re.match(r"[\w.\[\],-]+==\S+( ; [^\\]+)? \\\n\s+--hash=sha256:", entry)
    ] == []


def test_the_lock_covers_what_the_project_asks_for() -> None:
    locked = {normal(line) for line in LOCK.splitlines() if "==" in line}
    asked = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["dev"],
        *PROJECT["project"]["optional-dependencies"]["draw"],
        *PROJECT["dependency-groups"]["test"],
        *PROJECT["dependency-groups"]["build"],
    ]
    assert {normal(requirement) for requirement in asked} - locked == set()


def test_every_exclusion_has_its_reason_beside_it() -> None:
    lines = iter((ROOT / "pyproject.toml").read_text().splitlines())
    for line in lines:
        if line == "ignore = [":
            break
    ignored = list(iter(lambda: next(lines), "]"))
    assert ignored
    assert [line for line in ignored if "# " not in line] == []


def test_the_run_of_all_checks_can_be_started() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)


SKIPPING = """
import pytest

def test_skipped():
    pytest.skip("no such tool")

@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "module", "expected", "status"),
    [
        ("", SKIPPING, "1 skipped, 1 xfailed", 0),
        ("true", SKIPPING, "skipped, which is a failure with CI=true: Skipped: no such tool", 1),
        ("true", "import pytest\npytest.skip('no tool', allow_module_level=True)", "CI=true: Skipped: no tool", 2),
        ("true", "def test_nothing_is_skipped():\n    pass", "1 passed", 0),
    ],
)
def test_a_skip_is_a_failure_where_nobody_looks(
    tmp_path: Path, ci: str, module: str, expected: str, status: int
) -> None:
    (tmp_path / "test_it.py").write_text(module)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "CI": ci}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert expected in done.stdout
    assert done.returncode == status
