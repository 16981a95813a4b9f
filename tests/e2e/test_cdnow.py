"""Real orders through the whole pipeline: its counts against those that a few lines work out from the file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_pipeline_counts_what_the_file_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.cdnow", "--json", "--data", str(tmp_path / "stack")]
    command += ["--kafka-port", "0", "--redis-port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=390, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    counts = json.loads(done.stdout)
    assert counts["pipeline"] == counts["expected"]
    assert counts["pipeline"] == {
        "orders": 69_659,
        "customers": 23_570,
        "first_orders": 23_570,
        "lapses": 31_654,
        "win_backs": 11_385,
    }
