"""What a file was in a commit, if it lies in a repository of git."""

import subprocess
from pathlib import Path


def committed(path: Path, revision: str) -> str | None:
    """The text of the file in that revision; None if git, the repository, the revision or the file is not there."""
    if revision.startswith("-"):
        return None
    try:
        shown = subprocess.run(
            ["git", "show", f"{revision}:./{path.name}"],
            cwd=path.resolve().parent,
            capture_output=True,
            check=False,
        )
    except OSError:
        return None
    return shown.stdout.decode("utf-8", "replace") if shown.returncode == 0 else None
