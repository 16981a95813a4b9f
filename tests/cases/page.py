"""The cases as the tables at the end of docs/semantics.md. `python -m tests.cases.page` writes them there."""

from pathlib import Path

from tests.cases.reading import FOLDER, Case, CaseFile, read_cases

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
BEGIN, END = "<!-- cases: written by `python -m tests.cases.page` -->\n", "<!-- end of the cases -->\n"


def tables() -> str:
    """All cases as Markdown."""
    touches = (FOLDER / "touches.yaml").read_text(encoding="utf-8")
    return "\n".join((f"```yaml\n{touches}```\n", *map(_file, read_cases())))


def with_tables(page: str) -> str:
    """The page with the cases between their marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _file(file: CaseFile) -> str:
    head = f"### {file.about}\n\n```yaml\n{file.written}\n```\n"
    return "\n".join((head, *map(_case, file.cases)))


def _case(case: Case) -> str:
    rules = ", ".join(map(str, case.rules))
    settings = "" if case.limit == 64 else f", {case.limit} events remembered"
    rows = [
        f"| {step.told}{'' if step.outcome in {'', 'accepted'} else f': {step.outcome}'} | {'<br>'.join(step.says)} |"
        for step in case.steps
    ]
    table = "\n".join(("| what happens | what is published |", "|---|---|", *rows))
    name = case.name[0].upper() + case.name[1:]
    return f"**{name}** (rule{'s' * (len(case.rules) > 1)} {rules}{settings}). {case.about}\n\n{table}\n"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
