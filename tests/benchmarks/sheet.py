"""A table as data, shown to people at the prompt or on a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Sheet:
    """The first `texts` columns are words, the others numbers."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1

    def rich(self) -> Table:
        """For the prompt."""
        table = Table(title=self.title, caption=self.caption)
        for place, name in enumerate(self.columns):
            table.add_column(name, justify="left" if place < self.texts else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a page: the title as a heading, the caption below."""
        rule = ["---" if place < self.texts else "---:" for place in range(len(self.columns))]
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.columns, rule, *self.rows)]
        return "\n".join((f"### {self.title}", "", *lines, "", f"{self.caption}."))
