"""The words of a journey file and the form of each; what they mean together is for `journey_files`."""

from typing import Annotated, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pipeline.adapters.touch_files import Channels, Identifier, Names
from pipeline.adapters.yaml_files import LONE_OR_MANY, NOT_EMPTY, Duration, Section

MOST_COUNTED: Final = 16
"""The largest `count`: a profile remembers so many times of a touch at most."""

T = TypeVar("T")


def _given(value: object) -> object:
    if value is None:
        raise PydanticCustomError("empty", "must not be empty")
    return value


def _positive(ms: int) -> int:
    if not ms:
        raise PydanticCustomError("positive", "must be more than 0")
    return ms


def _plain(value: object) -> object:
    if isinstance(value, dict):
        raise PydanticCustomError("unless", "a time for each touch of `unless` is not supported yet: give names")
    return value


Given = Annotated[T | None, BeforeValidator(_given)]
"""May be left out, but not left empty."""

Time = Annotated[Duration, AfterValidator(_positive)]
Unless = Annotated[Names, BeforeValidator(_plain)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], LONE_OR_MANY]


class Labels(Section):
    """What a stage is called in each language of the people who work with it."""

    entry: ClassVar[str] = "label"
    en: Text
    tr: Text
    pl: Text
    fa: Text


class Map(Section):
    """The journey map of a stage, for people; nothing here decides."""

    actions: Texts = ()
    motivation: Texts = ()
    questions: Texts = ()
    pain_points: Texts = ()


class AtLeast(Section):
    """The customer has shown the touch `count` so many times or more."""

    count: str
    gte: Annotated[int, Field(ge=1)]


class Enter(Section):
    """A rule by which a customer enters the stage: by a touch (`when`) or by a silence (`after`)."""

    planned: ClassVar[frozenset[str]] = frozenset({"repeat", "where", "channel", "source"})
    when: Given[Names] = None
    count: Given[Annotated[int, Field(ge=1, le=MOST_COUNTED)]] = None
    within: Given[Time] = None
    if_: Given[Annotated[tuple[AtLeast, ...], LONE_OR_MANY, NOT_EMPTY]] = Field(default=None, alias="if")
    after: Given[Time] = None
    since: Given[Text] = None
    unless: Given[Unless] = None
    from_: Given[Names] = Field(default=None, alias="from")
    back: bool = False


class Stage(Section):
    """A stage; the order in the file is the order of the journey."""

    planned: ClassVar[frozenset[str]] = frozenset({"outcome", "terminal"})
    id: Identifier
    labels: Labels
    map: Map = Map()
    enter: Annotated[tuple[Enter, ...], LONE_OR_MANY] = ()
    stalled: Given[Time] = None


class Signal(Section):
    """A trigger that moves nobody: a silence since a touch or since a stage was entered."""

    planned: ClassVar[frozenset[str]] = frozenset({"when", "count", "within", "if", "fields"})
    after: Time
    since: Text
    in_: Given[Names] = Field(default=None, alias="in")
    unless: Given[Unless] = None
    wait_for: Given[Channels] = None
    expires: Given[Time] = None
    once: Given[Text] = None


class JourneyFile(Section):
    """A whole journey."""

    planned: ClassVar[frozenset[str]] = frozenset({"touches", "outcome"})
    journey: Identifier
    version: Annotated[int, Field(ge=1)]
    stages: Annotated[tuple[Stage, ...], NOT_EMPTY]
    signals: dict[Identifier, Signal] = Field(default={})
