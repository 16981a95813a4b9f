"""A YAML text that remembers where each value stands, so that a mistake found late can still be pointed at.

YAML 1.2, one document a file. Refused with their place: doubled keys, tabs, tags, aliases, and yes, no, on and off
without quotes, which some take for truth and YAML 1.2 for text.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.reader import ReaderError

from pipeline.errors import UserError

Scalar = str | int | float | bool | None
Value = Scalar | tuple["Value", ...] | dict[str, "Value"]
Loc = tuple[str | int, ...]
"""The way from the root to a value: keys of mappings and places in lists, from 0."""

_TAG: Final = "tag:yaml.org,2002:"
_USER_INFO: Final = re.compile(r"(?:.*?://|[^@]*?[:/]+ *|)(?P<secret>.*)@")
_QUERY: Final = re.compile(r"(?<=[?&]password=)[^&\s]*")
_HIDDEN: Final = "***"
_LOOK_LIKE_TRUTH: Final = frozenset({"yes", "no", "on", "off"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a text came from: a file, or (`lines` False) a variable, in which line and column tell people nothing."""

    name: str
    text: str
    lines: bool = True


@functools.lru_cache(maxsize=2)
def _lines(text: str) -> list[str]:
    """A file with thousands of mistakes asks for its lines as often."""
    return text.splitlines()


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source; line and column count characters from 1."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}" if self.source.lines else self.source.name

    def excerpt(self) -> str:
        """The line, passwords of URLs hidden, and a caret under the place."""
        lines = _lines(self.source.text)
        line = lines[self.line - 1] if self.line <= len(lines) else ""
        number = str(self.line) if self.source.lines else "="
        indent = self.column - 1
        if (found := _USER_INFO.match(line)) and indent > found.start("secret"):
            after = max(indent - found.end("secret"), -len(_HIDDEN))
            indent = found.start("secret") + len(_HIDDEN) + after
        shown = hide_passwords(line.replace("\t", " "))
        return f"  {number} | {shown}\n  {' ' * len(number)} | {' ' * indent}^"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place; `suggestion` is what was probably meant."""

    mark: Mark
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean '{self.suggestion}'?" if self.suggestion else ""
        return f"{self.mark}: {self.message}{hint}\n{self.mark.excerpt()}"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place; the entries of a mapping have the place of their key as well."""

    mark: Mark
    content: "Scalar | tuple[Node, ...] | Mapping[str, tuple[Mark, Node]]"

    @property
    def value(self) -> Value:
        """The plain value; lists are tuples."""
        if isinstance(self.content, tuple):
            return tuple(node.value for node in self.content)
        if isinstance(self.content, Mapping):
            return {key: node.value for key, (_, node) in self.content.items()}
        return self.content


@dataclass(frozen=True, slots=True)
class Document:
    """A whole YAML text."""

    root: Node

    @property
    def value(self) -> Value:
        return self.root.value

    def mark(self, loc: Loc, at_key: bool = False) -> Mark:
        """The place of the value at `loc`, or of its key. Steps that are not in the text are passed over, so what is
        missing is placed at what should hold it, and a lone value may be addressed as the first of a list."""
        node, mark = self.root, self.root.mark
        for step in loc:
            content = node.content
            if isinstance(content, Mapping) and isinstance(step, str) and step in content:
                key, node = content[step]
                mark = key if at_key else node.mark
            elif isinstance(content, tuple) and isinstance(step, int) and step < len(content):
                node = content[step]
                mark = node.mark
        return mark

    def problem(self, loc: Loc, message: str, suggestion: str | None = None, at_key: bool = False) -> Problem:
        """Something wrong at `loc`, for `refuse`."""
        return Problem(self.mark(loc, at_key), message, suggestion)

    def overlaid(self, key: str, other: "Document") -> "Document":
        """This document with the entry `key` of its root taken from `other`, which keeps its own places."""
        content = self.root.content if isinstance(self.root.content, Mapping) else {}
        return Document(Node(self.root.mark, {**content, key: (other.root.mark, other.root)}))


class Refused(UserError):
    """A UserError that still knows its problems one by one."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def closest(word: str, among: Iterable[str]) -> str | None:
    """Which of `among` was probably meant, if any is near."""
    known = {name.casefold(): name for name in among}
    near = get_close_matches(word.casefold(), known, n=1, cutoff=0.6)
    return known[near[0]] if near else None


def refuse(problems: Iterable[Problem]) -> None:
    """Raises Refused with all problems in the order of their places; does nothing if there are none."""
    ordered = sorted(problems, key=lambda p: (p.mark.source.name, p.mark.line, p.mark.column))
    if ordered:
        raise Refused(tuple({str(problem): problem for problem in ordered}.values()))


def read(path: Path) -> Document:
    """The document in a file; UserError if it cannot be read or is no YAML as described above."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        siblings = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        near = closest(path.name, siblings)
        raise UserError(
            f"{path}: no such file" + (f"; did you mean '{path.with_name(near)}'?" if near else "")
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8") from None
    return parse(Source(str(path), text))


def parse(source: Source) -> Document:
    """The document in a text; an empty one is None. UserError as with `read`."""
    lines = enumerate(_lines(source.text), 1)
    refuse(
        Problem(Mark(source, number, line.index("\t") + 1), "a tab: write spaces instead")
        for number, line in lines
        if "\t" in line
    )
    try:
        tree = YAML(typ="safe", pure=True).compose(source.text)
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise _not_yaml(source, (at.line + 1, at.column + 1) if at else (1, 1), what) from None
    except ReaderError as error:
        what = f"the character U+{int(error.character):04X} is not allowed"
        raise _not_yaml(source, _line_and_column(source.text, error.position), what) from None
    except YAMLError as error:
        raise _not_yaml(source, (1, 1), str(error)) from None
    except RecursionError:
        raise _not_yaml(source, (1, 1), "nested too deeply to be read") from None
    if tree is None:
        return Document(Node(Mark(source, 1, 1), None))
    build = _Builder(source)
    document = Document(build.node(tree))
    refuse(build.problems)
    return document


class _Builder:
    """Turns the nodes of the parser into ours, and notes what is refused."""

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._seen: set[int] = set()

    def node(self, tree: YamlNode) -> Node:
        mark = Mark(self._source, tree.start_mark.line + 1, tree.start_mark.column + 1)
        if id(tree) in self._seen:
            self._refuse(mark, f"'&{tree.anchor}' is used by an alias: write the value out wherever it is needed")
            return Node(mark, None)
        self._seen.add(id(tree))
        if not str(tree.tag).startswith(_TAG):
            self._refuse(mark, f"the tag '{tree.tag}' means nothing here")
        if isinstance(tree, SequenceNode):
            return Node(mark, tuple(self.node(item) for item in tree.value))
        if isinstance(tree, MappingNode):
            return Node(mark, self._entries(tree))
        if isinstance(tree, ScalarNode) and not tree.style and str(tree.value).lower() in _LOOK_LIKE_TRUTH:
            meant = "true" if str(tree.value).lower() in ("yes", "on") else "false"
            self._refuse(mark, f"'{tree.value}' is text in YAML 1.2: write {meant}, or quote the text")
        return Node(mark, _scalar(tree))

    def _entries(self, tree: MappingNode) -> dict[str, tuple[Mark, Node]]:
        entries: dict[str, tuple[Mark, Node]] = {}
        for key, value in tree.value:
            mark = Mark(self._source, key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key, ScalarNode):
                self._refuse(mark, "a key must be plain text")
            elif key.value in entries:
                self._refuse(
                    mark, f"the key '{key.value}' stands here twice, first in line {entries[key.value][0].line}"
                )
            else:
                entries[key.value] = (mark, self.node(value))
        return entries

    def _refuse(self, mark: Mark, message: str) -> None:
        self.problems.append(Problem(mark, message))


def _scalar(tree: YamlNode) -> Scalar:
    """By YAML 1.2's core schema; what is neither null, truth nor number is text (a date too)."""
    text = str(tree.value)
    kind = str(tree.tag).removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in ("int", "float"):
        return _number(text.replace("_", ""))
    return text


def _number(text: str) -> Scalar:
    for convert in (int, lambda digits: int(digits, 0), float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def _not_yaml(source: Source, place: tuple[int, int], what: str) -> UserError:
    return Refused((Problem(Mark(source, *place), f"not YAML: {what}"),))


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def hide_passwords(line: str) -> str:
    """The text with `***` for all between `://` and the last `@` (a URL that is not well formed hides more, not less),
    and for a `password` in a query."""
    if found := _USER_INFO.match(line):
        line = line[: found.start("secret")] + _HIDDEN + line[found.end("secret") :]
    return _QUERY.sub(_HIDDEN, line)
