"""I4 and I5: a lane's table in Redis against its changelog, byte for byte, also while a worker goes on writing."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.checker.findings import Findings
from pipeline.checker.lane_changelog import MARK, Changelog
from pipeline.checker.plain_profile import Unreadable, indexed, until_of


@dataclass(frozen=True, slots=True)
class TableRead:
    """A lane in Redis. `first` and `last`: its `@pos` before and after everything else was read; they differ if a
    worker wrote meanwhile, and what was read may then be as of any position between them.

    `due`: the index of timers, customer's key -> ms.
    """

    name: str
    first: bytes | None
    last: bytes | None
    fields: dict[bytes, bytes]
    due: dict[bytes, int]


def check_table(table: TableRead, changelog: Changelog, changelog_id: str, findings: Findings) -> None:
    """Compares all fields and the index; `changelog_id` is the topic's id, which is part of every position."""
    if table.first is None or table.last is None:
        if changelog.newest is not None or table.fields:
            findings.add("table", table.name, f"no @pos, but {len(table.fields)} fields; the changelog is not empty")
        return
    positions = []
    for position in (table.first, table.last):
        topic_id, _, offset = position.decode(errors="replace").rpartition(":")
        if topic_id != changelog_id or not offset.isdecimal():
            findings.add("table", f"{table.name} @pos", f"{topic_id}:{offset} is no place in {changelog_id}")
            return
        positions.append(int(offset))
    first, last = positions
    if last > changelog.newest_at:
        findings.add("ahead", f"{table.name} @pos", f"{last}, the changelog is committed to {changelog.newest_at}")
        return
    if last not in changelog.positions:
        findings.add("table", f"{table.name} @pos", f"{last} is not the position of a lane record")
    known = set(changelog)
    findings.checked["Redis fields"] += len(table.fields)
    findings.checked["index entries"] += len(table.due)
    for key in known | table.fields.keys():
        wanted = changelog.values_between(key, first, last)
        name = f"{table.name} {key.decode(errors='replace')}"
        if table.fields.get(key) not in wanted:
            how = "is missing" if key not in table.fields else "should not be there" if wanted == [None] else "is stale"
            findings.add("table", name, f"{how}; @pos is {last}")
        if key.startswith(MARK):
            scores = [None if value is None else until_of(value) for value in wanted]
            if table.due.get(key) not in scores:
                findings.add("table", f"{name} (index)", f"{table.due.get(key)}, the mark says {scores[-1]}")
        elif not key.startswith(b"@"):
            scores = list(_scores(wanted))
            if table.due.get(key) not in scores:
                findings.add("table", f"{name} (index)", f"{table.due.get(key)}, the profile says {scores[-1]}")
    for key in table.due.keys() - table.fields.keys():
        if changelog.value(key, last) is None and key not in known:
            findings.add("table", f"{table.name} {key.decode(errors='replace')} (index)", "nobody of that name")


def _scores(values: Iterable[bytes | None]) -> Iterable[int | None]:
    for value in values:
        try:
            yield None if value is None else indexed(value)
        except Unreadable:
            yield None
