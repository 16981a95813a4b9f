"""Two models compared, at the prompt and as JSON. Customers are named: who may read the topics may read their ids."""

from collections.abc import Iterator
from typing import Final

from rich.table import Table
from rich.text import Text

from pipeline.application.comparison import Comparison, Move, Told
from pipeline.application.replay import Model, Replay
from pipeline.cli.lines import caused, minute
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key, public_key
from pipeline.domain.spec import START

NO_STAGE: Final = "·"
"""Shown for customers who have entered no stage."""


def matrix(comparison: Comparison, old: Model, new: Model) -> Table:
    """Customers by their stage by the one model (down) and by the other (across)."""
    olds = _rows(old, {move.old for move in comparison.moves})
    news = _rows(new, {move.new for move in comparison.moves})
    title = Text(f"{old.title} ↓  {new.title} →", "dim")
    table = Table(box=None, pad_edge=False, header_style="", padding=(0, 2, 0, 0), title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for stage in news:
        table.add_column(_stage(stage, stage not in olds, "new"), justify="right", overflow="fold")
    table.add_column(Text("all", "dim"), justify="right")
    for stage in olds:
        counts = [(comparison.moves[Move(stage, other)], stage != other) for other in news]
        row = [Text(f"{count:,}" if count else NO_STAGE, _style(count, moved)) for count, moved in counts]
        table.add_row(_stage(stage, stage not in news, "gone"), *row, Text(f"{comparison.by_old(stage):,}", "dim"))
    table.add_row(
        Text("all", "dim"),
        *(Text(f"{comparison.by_new(stage):,}", "dim") for stage in news),
        Text(f"{comparison.customers:,}", "dim"),
    )
    return table


def _rows(model: Model, seen: set[str]) -> tuple[str, ...]:
    """The model's stages, and those that another version of it has left customers in."""
    known = (START, *model.journey.stages)
    return (*known, *sorted(seen.difference(known)))


def _style(count: int, moved: bool) -> str:
    return "dim" if not count else "bold yellow" if moved else ""


def _stage(stage: str, changed: bool, what: str) -> Text:
    text = Text(stage or NO_STAGE)
    return text.append(f" ({what})", "yellow") if changed and stage else text


def verdict(comparison: Comparison, new: Model) -> str:
    """In one sentence, for people."""
    if not comparison.customers:
        return "no customers to compare" + _unsettled(comparison)
    share = comparison.elsewhere / comparison.customers
    text = f"{comparison.elsewhere:,} of {comparison.customers:,} customers would be in another stage ({share:.1%})"
    homeless = sum(
        comparison.by_old(stage) for stage in {move.old for move in comparison.moves} - {*new.journey.stages, START}
    )
    if homeless:
        text += f", {homeless:,} of them because {new.title} has no stage of that name"
    return text + _unsettled(comparison)


def _unsettled(comparison: Comparison) -> str:
    return f"; {comparison.unsettled:,} not settled" if comparison.unsettled else ""


def changed_stages(comparison: Comparison, old: Model, new: Model) -> Iterator[str]:
    """What became of the stages that only one of the models has."""
    for stage in old.journey.stages:
        if stage not in new.journey.stages:
            successor = comparison.successor(stage)
            if successor is None:
                yield f"{stage} is gone; nobody is in it"
            else:
                to, count = successor
                of = f"{count:,} of its {comparison.by_old(stage):,} customers"
                yield f"{stage} is gone: {of} would be in {to or NO_STAGE}"
    for stage in new.journey.stages:
        if stage not in old.journey.stages:
            yield f"{stage} is new: {comparison.by_new(stage):,} customers would be in it"


def told(old: Told, new: Told) -> list[tuple[str, int, int]]:
    """Transitions by kind and signals, by the one model and by the other."""
    rows = [
        (f"transitions {kind}", old.transitions[kind], new.transitions[kind])
        for kind in ("entered", "corrected", "retracted", "moved")
    ]
    for name, kind in sorted({*old.signals, *new.signals}):
        what = "" if kind == "fired" else " withdrawn"
        rows.append((f"signal {name}{what}", old.signals[name, kind], new.signals[name, kind]))
    return [row for row in rows if any(row[1:])]


def told_table(old: Model, new: Model, rows: list[tuple[str, int, int]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    for title in (old.title, new.title, ""):
        table.add_column(title, justify="right")
    for what, before, after in rows:
        change = after - before
        table.add_row(
            what, f"{before:,}", f"{after:,}", Text(f"{change:+,}" if change else "", "bold yellow" if change else "")
        )
    return table


def examples(comparison: Comparison, *replays: Replay) -> Iterator[Text]:
    """Some customers who are elsewhere, most frequent move first, each with how the replays brought them there."""
    for move, count in comparison.moves.most_common():
        if move in comparison.examples:
            yield Text.assemble((f"{move.old or NO_STAGE} → {move.new or NO_STAGE}", "bold"), (f"  {count:,}", "dim"))
            for key in comparison.examples[move]:
                came = "  →  ".join(_came(replay.last_entry(key)) for replay in replays)
                yield Text.assemble(f"  {public_key(Key(key)):<18}  ", (came, "dim"))


def _came(entry: Entry | None) -> str:
    return NO_STAGE if entry is None else f"{minute(entry.at)} {caused(entry)}"


def as_json(comparison: Comparison, old: Model, new: Model, old_told: Told, new_told: Told) -> dict[str, object]:
    """What both commands say to programs; a stage is null for customers who have entered none."""
    return {
        "old": _model(old),
        "new": _model(new),
        "customers": comparison.customers,
        "elsewhere": comparison.elsewhere,
        "unsettled": comparison.unsettled,
        "moves": [
            {
                "old": move.old or None,
                "new": move.new or None,
                "customers": count,
                "examples": [public_key(Key(key)) for key in comparison.examples.get(move, ())],
            }
            for move, count in comparison.moves.most_common()
        ],
        "gone": [stage for stage in old.journey.stages if stage not in new.journey.stages],
        "added": [stage for stage in new.journey.stages if stage not in old.journey.stages],
        "told": [{"what": what, "old": before, "new": after} for what, before, after in told(old_told, new_told)],
    }


def _model(model: Model) -> dict[str, object]:
    journey = model.journey
    return {"journey": journey.name, "version": journey.version, "stages": journey.stages}
