"""Rows out of files of any size: text, gzip or in a zip archive; delimited, in fixed columns, or JSON lines."""

import contextlib
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol, Self, cast

import msgspec

from pipeline.adapters.yaml_documents import closest
from pipeline.errors import UserError

MEMBER: Final = "!"
"""Stands between an archive and the path inside it: `data.whl!folder/orders.txt`."""

_decode_line = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `line` (in the file) and `number` (of the rows, headings not counted) begin at 1.

    `cells` in the order of the columns, or the object of a JSON line. `problem`: why it could not be taken apart.
    """

    line: int
    number: int
    cells: Sequence[str] | Mapping[str, object]
    problem: str = ""


class Opened:
    """A file that is being read as text; what is no UTF-8 comes as surrogates. `size` and `done` count bytes."""

    def __init__(self, name: str, encoding: str = "utf-8") -> None:
        self.name = name
        self._open = contextlib.ExitStack()
        try:
            stream, self._raw, self.size = _open(name, self._open)
        except OSError as error:
            self.close()
            raise UserError(f"{name}: cannot be read: {error.strerror or error}") from None
        codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        self.text: IO[str] = io.TextIOWrapper(stream, codec, errors="surrogateescape", newline="")

    @property
    def done(self) -> int:
        return self._raw.tell()

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stem(name: str) -> str:
    """The file's own name without folders and endings, to tell the rows of several files apart."""
    return Path(name.rpartition(MEMBER)[2]).name.split(".")[0]


def _open(name: str, owner: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes], int]:
    """The bytes inside, the stream whose position shows the progress, and where that will end."""
    archive, _, member = name.partition(MEMBER)
    path = Path(archive)
    if not path.exists():
        near = closest(path.name, [other.name for other in path.parent.iterdir()]) if path.parent.is_dir() else None
        raise UserError(f"{archive}: no such file" + (f"; did you mean '{path.with_name(near)}'?" if near else ""))
    if member:
        return _open_member(path, member, owner)
    raw = owner.enter_context(path.open("rb"))
    size = path.stat().st_size
    if path.suffix == ".gz":
        return _unzipped(raw, owner), raw, size
    if zipfile.is_zipfile(path):
        raise UserError(f"{archive} is an archive; name the file in it: '{archive}{MEMBER}{_some_member(path)}'")
    return raw, raw, size


def _open_member(path: Path, member: str, owner: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes], int]:
    try:
        archive = owner.enter_context(zipfile.ZipFile(path))
    except zipfile.BadZipFile:
        raise UserError(f"{path} is no zip archive, so there is no '{member}' in it") from None
    try:
        size = archive.getinfo(member).file_size
    except KeyError:
        near = closest(member, archive.namelist())
        raise UserError(
            f"{path} holds no '{member}'"
            + (f"; did you mean '{near}'?" if near else f"; one is '{_some_member(path)}'")
        ) from None
    stream = owner.enter_context(archive.open(member))
    if member.endswith(".gz"):
        return _unzipped(stream, owner), stream, size
    return stream, stream, size


def _unzipped(stream: IO[bytes], owner: contextlib.ExitStack) -> IO[bytes]:
    unzipped = gzip.open(stream, "rb")  # noqa: SIM115  # closed by its owner
    owner.callback(unzipped.close)
    return cast(IO[bytes], unzipped)


def _some_member(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        texts = [name for name in names if name.endswith((".csv", ".txt", ".jsonl", ".gz"))]
        return (texts or names or ["path"])[0]


class Layout(Protocol):
    """How the rows of a file are taken apart."""

    def __call__(self, lines: IO[str]) -> Iterator[tuple[int, Sequence[str] | Mapping[str, object], str]]:
        """Line number, cells, and what was wrong if anything was; empty lines are left out."""


def delimited(delimiter: str) -> Layout:
    """Cells with one character between them, quoted as CSV where needed."""

    def rows(lines: IO[str]) -> Iterator[tuple[int, Sequence[str], str]]:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.line_num, (), str(error)
                continue
            if cells:
                yield reader.line_num, cells, ""

    return rows


def whitespace(lines: IO[str]) -> Iterator[tuple[int, Sequence[str], str]]:
    """Cells with any number of spaces or tabs between them."""
    for number, line in enumerate(lines, 1):
        if cells := line.split():
            yield number, cells, ""


def fixed(spans: Sequence[tuple[int, int]]) -> Layout:
    """Cells at fixed places: first and last character, counted from 1."""

    def rows(lines: IO[str]) -> Iterator[tuple[int, Sequence[str], str]]:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, [line[first - 1 : last].strip() for first, last in spans], ""

    return rows


def json_lines(lines: IO[str]) -> Iterator[tuple[int, Mapping[str, object], str]]:
    """One JSON object a line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = _decode_line(line)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            yield number, {}, f"not JSON: {error}"
            continue
        yield (number, found, "") if isinstance(found, dict) else (number, {}, "not a JSON object")


def read_rows(
    opened: Opened, layout: Layout, columns: Callable[[Sequence[str] | None], int], header: bool
) -> Iterator[Row]:
    """The rows of a file. `columns` is told the headings (None if there are none) and answers how many cells there are.

    A row with another number of cells has a `problem`; JSON lines have no headings.
    """
    rows = layout(opened.text)
    expected = -1
    if not header:
        expected = columns(None)
    number = 0
    try:
        for line, cells, problem in rows:
            if expected < 0:
                expected = columns([str(cell).strip() for cell in cells])
                continue
            number += 1
            if not problem and not isinstance(cells, Mapping) and len(cells) != expected:
                problem = f"{len(cells)} cells where {expected} are expected"
            yield Row(line, number, cells, problem)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise UserError(f"{opened.name}: damaged after row {number}: {error}", 1) from None
