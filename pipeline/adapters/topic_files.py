"""The topics as files: `schemas/topics/<name>.yaml` says what each is for, what is on it and how it must be set.

A setting that is `required` keeps a worker from starting where it differs: what the lanes promise would not hold.
The others are recommended: they cost time or disk, not correctness.
"""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.adapters.schemas import folder
from pipeline.adapters.yaml_files import Section, load, matching
from pipeline.domain.duration import parse_duration

Role = Literal["input", "commands", "events", "feed", "table", "changelog", "progress", "dead-letters"]
Value = int | float | str
LANES: Final = "lanes"
"""For a number of partitions: as many as there are lanes."""

Text = Annotated[str, Field(min_length=1)]
SchemaReference = Annotated[str, matching(r"[a-z][a-z-]*/v[1-9]\d*", "a schema and its version, such as transition/v1")]


class Rule(Section):
    """What a setting must be: one of `exactly`, `at_least`, `at_most`, and why."""

    exactly: Value | None = None
    at_least: Value | None = None
    at_most: Value | None = None
    required: bool = False
    why: Text

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.exactly, self.at_least, self.at_most)) != 1:
            raise ValueError("one of 'exactly', 'at_least' and 'at_most' is needed")
        return self


class RecordKind(Section):
    """One kind of record on a topic; `value` and `headers` name schemas, where there are any."""

    what: Text
    key: Text
    value: SchemaReference | None = None
    headers: SchemaReference | None = None


class TopicFile(Section):
    """One topic, named without the prefix. Settings are those of Kafka; times among them may be durations (`7d`)."""

    name: Text
    role: Role
    owner: Text
    description: Text
    partitions: Rule
    records: Annotated[tuple[RecordKind, ...], Field(min_length=1)]
    config: dict[str, Rule]

    @field_validator("config")
    @classmethod
    def _durations(cls, config: dict[str, Rule], info: ValidationInfo) -> dict[str, Rule]:
        return {name: _in_ms(rule) if name.endswith(".ms") else rule for name, rule in config.items()}

    @property
    def schemas(self) -> Iterator[str]:
        """References of all schemas that its records have."""
        for kind in self.records:
            yield from (reference for reference in (kind.value, kind.headers) if reference)


def _in_ms(rule: Rule) -> Rule:
    bounds = {name: getattr(rule, name) for name in ("exactly", "at_least", "at_most")}
    return rule.model_copy(
        update={name: parse_duration(value) for name, value in bounds.items() if isinstance(value, str)}
    )


@cache
def topic_files() -> tuple[TopicFile, ...]:
    """All of them, by name. UserError if one is wrong."""
    return tuple(load(path, TopicFile) for path in sorted((folder() / "topics").glob("*.yaml")))


def topic_file(name: str) -> TopicFile:
    """The file of one topic, by its name without the prefix; LookupError if there is none."""
    for file in topic_files():
        if file.name == name:
            return file
    raise LookupError(f"no file schemas/topics/{name}.yaml")
