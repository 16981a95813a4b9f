"""YAML files checked against a pydantic model: all that is wrong at once, each with its place and what was meant.

Settings, journeys, touch tables, topic files: all are read by `load`. What only a whole file can show wrong is reported
with `Document.problem` and `refuse`, in the same form.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from pipeline.adapters.yaml_documents import Document, Loc, Problem, closest, read, refuse
from pipeline.domain.duration import parse_duration

Model = TypeVar("Model", bound=BaseModel)

FROM_TEXT: Final = "text"
"""In the context of a validation: the values come from a YAML text, not from a program."""

_LONGEST_LIST = 8
_NEEDS: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}


class Section(BaseModel):
    """A mapping in a YAML file: immutable, no unknown keys.

    Keys of `elsewhere` are refused with the sentence that stands there; `entry` is what messages call a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)
    elsewhere: ClassVar[Mapping[str, str]] = {}
    entry: ClassVar[str] = "key"


def load(path: Path, model: type[Model]) -> Model:
    """What the file says, as `model`; UserError that lists every mistake."""
    return check(read(path), model)


def check(document: Document, model: type[Model]) -> Model:
    """The document as `model`, strictly: `"5"` is no number, a sequence is a tuple. UserError with all mistakes."""
    found, mistakes = examine(document, model)
    refuse(problem for _, problem in mistakes)
    assert found is not None
    return found


def examine(document: Document, model: type[Model]) -> tuple[Model | None, list[tuple[Loc, Problem]]]:
    """As `check`, but what is wrong is returned, with its places, and nothing raised."""
    try:
        found = model.model_validate(
            document.value, strict=True, by_alias=True, by_name=False, context={FROM_TEXT: True}
        )
    except ValidationError as error:
        all_details = error.errors(include_url=False)
        return None, [(details["loc"], _problem(document, model, details)) for details in all_details]
    return found, []


def closed_set(what: str, names: tuple[str, ...]) -> BeforeValidator:
    """A validator for text that must be one of `names`; `what` is what they are called, such as channel."""

    def known(value: object) -> object:
        if isinstance(value, str) and value not in names:
            raise unknown(what, value, names)
        return value

    return BeforeValidator(known)


def matching(pattern: str, says: str) -> AfterValidator:
    """A validator for text of a form; `says` completes "must be"."""
    form = re.compile(pattern)

    def fits(value: str) -> str:
        if not form.fullmatch(value):
            raise PydanticCustomError("form", "{message}", {"message": f"must be {says}"})
        return value

    return AfterValidator(fits)


def unknown(what: str, given: str, names: tuple[str, ...]) -> PydanticCustomError:
    """An error of a validator: `given` is not among `names`."""
    return PydanticCustomError("closed_set", "unknown {what} '{given}'", {"what": what, "given": given, "names": names})


def one_of(what: str, given: str, names: tuple[str, ...]) -> tuple[str, str | None]:
    """Message and suggestion for a name that is not among `names`; lists them if none is near and they are few."""
    near = closest(given, names)
    listed = "" if near or not 0 < len(names) <= _LONGEST_LIST else f"; known: {', '.join(names)}"
    return f"unknown {what} '{given}'{listed}", near


def _lone_is_list(value: object) -> object:
    return value if isinstance(value, tuple) else tuple(value) if isinstance(value, list) else (value,)


LONE_OR_MANY: Final = BeforeValidator(_lone_is_list)
"""For a tuple field: one value may stand without brackets."""


def _not_empty(value: tuple[object, ...]) -> tuple[object, ...]:
    if not value:
        raise PydanticCustomError("empty", "must not be empty")
    return value


NOT_EMPTY: Final = AfterValidator(_not_empty)
"""For a tuple field. Pydantic's own limit would also speak up when items are there but wrong."""


def _duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if info.context and info.context.get(FROM_TEXT):
        raise PydanticCustomError("duration", "must be a duration with its unit, such as 90d")
    return value


Duration = Annotated[int, Field(ge=0), BeforeValidator(_duration)]
"""Milliseconds; in a file a text such as `24h`."""


def _problem(document: Document, model: type[BaseModel], details: ErrorDetails) -> Problem:
    loc: Loc = details["loc"]
    kind = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind == "missing":
        return document.problem(loc[:-1], f"the {_section_at(model, loc[:-1]).entry} '{loc[-1]}' is missing")
    if kind == "extra_forbidden":
        return _unknown_key(document, model, loc)
    at_key = loc[-1:] == ("[key]",)
    subject = next((str(step) for step in reversed(loc) if isinstance(step, str) and step != "[key]"), "the file")
    if kind == "closed_set":
        message, near = one_of(context["what"], context["given"], context["names"])
    elif kind == "literal_error":
        names = tuple(context["expected"].replace(" or ", ", ").replace("'", "").split(", "))
        message, near = one_of(subject, str(details["input"]), names)
    elif kind == "value_error":
        message, near = str(context["error"]), None
    elif kind in _NEEDS:
        message, near = f"{subject} {_need(kind, context)}", None
    else:
        text = details["msg"]
        message, near = (f"{subject} {text}" if text.startswith("must ") else text), None
    return document.problem(loc, message, near, at_key)


def _need(kind: str, context: Mapping[str, Any]) -> str:
    numbers = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
    return _NEEDS[kind].format(**numbers)


def _unknown_key(document: Document, model: type[BaseModel], loc: Loc) -> Problem:
    key = str(loc[-1])
    section = _section_at(model, loc[:-1])
    if key in section.elsewhere:
        return document.problem(loc, section.elsewhere[key], at_key=True)
    names = tuple(field.alias or name for name, field in section.model_fields.items())
    return document.problem(loc, *one_of(section.entry, key, names), at_key=True)


def _section_at(model: type[BaseModel], loc: Loc) -> type[Section]:
    return next((found for found in _sections_at(model, loc) if issubclass(found, Section)), Section)


def _sections_at(annotation: Any, loc: Loc) -> Iterator[type[BaseModel]]:
    """The models that may describe the mapping at `loc` under a field of this type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _sections_at(arguments[0], loc)
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from _sections_at(argument, loc)
    elif origin is tuple:
        yield from _sections_at(arguments[0], loc[1:] if loc and isinstance(loc[0], int) else loc)
    elif origin is dict:
        if loc:
            yield from _sections_at(arguments[1], loc[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            yield annotation
        for name, field in annotation.model_fields.items():
            if loc and loc[0] == (field.alias or name):
                yield from _sections_at(field.annotation, loc[1:])
