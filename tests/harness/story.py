"""A page of the docs that tells a story: its files are made, its commands run, and what they said is put into it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.harness.application import Application

DOCS = Path(__file__).parents[2] / "docs"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
YESTERDAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
SINCE_MONDAY = YESTERDAY - MONDAY
"""The stories begin on Monday, and are lived as if that was yesterday."""
WAIT_S = 60.0

ANY_MOMENT: Mapping[str, str] = {r"(as of|timers at) (–|[\d-]+ [\d:]+)": r"\1 2026-03-03 09:00"}
"""When a lane was last at work, and when an order was given."""


def story_in(page: str) -> str:
    """The section `A story` of a page of the docs."""
    found = re.search(r"## A story\n.*?(?=\n## )", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"docs/{page} tells no story"
    return found[0]


@dataclass
class Story:
    """`page`: the text as told, with what the commands really said; `codes`: their exit statuses.

    `varies`: by pattern, what the page has for what is another text each time.
    """

    app: Application
    varies: Mapping[str, str] = field(default_factory=lambda: ANY_MOMENT)
    page: str = ""
    codes: list[int] = field(default_factory=list)

    def live(self, text: str) -> None:
        """Makes the files of the text and runs its commands, in order."""
        place = 0
        for block in re.finditer(
            r"(?:`(?P<file>[\w-]+\.jsonl)`\n\n)?```(?P<kind>\w+)\n(?P<body>.*?)```", text, re.DOTALL
        ):
            if block["kind"] == "json":
                (self.app.directory / block["file"]).write_text(_moved(block["body"], SINCE_MONDAY))
                continue
            shown = re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]
            said = "".join(self._run(step.partition("\n")[0]) for step in shown)
            self.page += text[place : block.start("body")] + said
            place = block.end("body")
        self.page += text[place:]

    def _run(self, line: str) -> str:
        words = shlex.split(line)[1:]
        done = self.app.command(*[self._found(word) for word in words], within_s=WAIT_S)
        self.codes.append(done.returncode)
        self.app.until_at_rest(WAIT_S)
        # How long it took to send a file is not in the page.
        said = done.stdout + done.stderr if words[0] != "ingest" else ""
        said = _moved(said, -SINCE_MONDAY).replace(self.app.settings.prefix, "")
        for pattern, told in self.varies.items():
            said = re.sub(pattern, told, said)
        return f"$ {line}\n" + re.sub(r" +$", "", said, flags=re.MULTILINE)

    def _found(self, word: str) -> str:
        return str(self.app.directory / word) if word.endswith(".jsonl") else word


def _moved(text: str, by: timedelta) -> str:
    """Every date in it, by whole days."""
    return re.sub(r"\d{4}-\d\d-\d\d", lambda day: (datetime.fromisoformat(day[0]) + by).date().isoformat(), text)
