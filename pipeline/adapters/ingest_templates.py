"""Values of an event's fields from the cells of a row: `order_placed`, `{customer}`, `{amount:float}`, `shop-{row}`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic_core import PydanticCustomError

from pipeline.adapters.ingest_files import Row

Value = Callable[[Row], object]
"""What a field gets from a row; None: nothing, the field is left out."""

OF_ROW: Final = ("row", "line", "file")
"""Names that every template knows besides the columns: number of the row, line in the file, the file's own name."""

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}:]+)(?::([^{}]*))?\}|[{}]|[^{}]+")
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "text": (str, "text"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (lambda text: _TRUTHS[text.lower()], "true or false"),
}


class Refused(Exception):
    """A row that is not sent. `reason`: a word or two to count by; the message says it in full."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def well_formed(template: str) -> str:
    """For pydantic: the template, if it can be read."""
    _parts(template)
    return template


def names_in(template: str) -> tuple[str, ...]:
    """The columns (and names of OF_ROW) that a template uses."""
    return tuple(part[0] for part in _parts(template) if isinstance(part, tuple))


def compile_template(template: str, columns: Sequence[str] | None, file: str) -> Value:
    """How a row becomes the value. `columns` None: rows are objects, and a name is a path with dots in them.

    A template that is one placeholder gives the cell itself, converted; among other text, everything is text. An empty
    cell gives None for the whole.
    """
    parts = _parts(template)
    if not any(isinstance(part, tuple) for part in parts):
        constant = "".join(str(part) for part in parts)
        return lambda row: constant
    values = [_constant(part) if isinstance(part, str) else _placeholder(*part, columns, file) for part in parts]
    if len(values) == 1:
        return values[0]

    def joined(row: Row) -> object:
        found = [value(row) for value in values]
        return None if None in found else "".join(str(part) for part in found)

    return joined


def _parts(template: str) -> list[str | tuple[str, str]]:
    """Plain text and (name, kind) in turn."""
    parts: list[str | tuple[str, str]] = []
    for match in _PART.finditer(template):
        text, name, kind = match[0], match[1], match[2]
        if name is not None:
            if kind is not None and kind not in _KINDS:
                raise PydanticCustomError("template", "{message}", {"message": _unknown_kind(kind)})
            parts.append((name.strip(), kind or ""))
        elif text in ("{", "}"):
            message = f"must have a name between braces, as in '{{column}}'; a brace itself is written {text * 2}"
            raise PydanticCustomError("template", "{message}", {"message": message})
        else:
            parts.append(text[0] if text in ("{{", "}}") else text)
    return parts


def _unknown_kind(kind: str) -> str:
    return f"must not have ':{kind}'; what stands behind the colon is one of {', '.join(_KINDS)}"


def _constant(text: str) -> Value:
    return lambda row: text


def _placeholder(name: str, kind: str, columns: Sequence[str] | None, file: str) -> Value:
    if name == "file":
        return lambda row: file
    if name == "row":
        return lambda row: row.number
    if name == "line":
        return lambda row: row.line
    cell = _in_object(tuple(name.split("."))) if columns is None else _in_column(columns.index(name))
    if not kind:
        return cell
    convert, wanted = _KINDS[kind]

    def converted(row: Row) -> object:
        found = cell(row)
        if found is None:
            return None
        try:
            return convert(found if isinstance(found, str) else str(found))
        except (ValueError, KeyError):
            raise Refused("bad value", f"{name} is {str(found)[:40]!r}; {wanted} is expected") from None

    return converted


def _in_column(place: int) -> Value:
    def cell(row: Row) -> object:
        assert not isinstance(row.cells, Mapping)
        return row.cells[place].strip() or None

    return cell


def _in_object(path: Sequence[str]) -> Value:
    def cell(row: Row) -> object:
        found: object = row.cells
        for step in path:
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return None if found == "" else found

    return cell
