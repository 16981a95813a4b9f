"""The words of a journey file and the form of each; what they mean together is for `journey_files`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pipeline.adapters.touch_files import Channels, Identifier, Names, TouchRow
from pipeline.adapters.yaml_files import LONE_OR_MANY, NOT_EMPTY, Duration, Section

MOST_COUNTED: Final = 16
"""The largest `count`: a profile remembers so many times of a touch at most."""

_IN_A_ROW: Final = "which events count is said in the touch table: give them a row of their own, and name that here"

T = TypeVar("T")


def _given(value: object) -> object:
    if value is None:
        raise PydanticCustomError("empty", "must not be empty")
    return value


def _positive(ms: int) -> int:
    if not ms:
        raise PydanticCustomError("positive", "must be more than 0")
    return ms


def _names_to_times(value: object) -> object:
    """A name, or a list of them, is a mapping without times."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, tuple | list):
        return value
    if not all(isinstance(name, str) for name in names):
        raise PydanticCustomError("names", "must be names of touches")
    return dict.fromkeys(names)


def _some(value: dict[str, int | None]) -> dict[str, int | None]:
    if not value:
        raise PydanticCustomError("empty", "must not be empty")
    return value


Given = Annotated[T | None, BeforeValidator(_given)]
"""May be left out, but not left empty."""

Time = Annotated[Duration, AfterValidator(_positive)]
Unless = Annotated[dict[str, Time | None], BeforeValidator(_names_to_times), AfterValidator(_some)]
"""Touches, each with the time for which it counts; None if the file gives none."""
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

    elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(("where", "channel", "source", "type", "actor"), _IN_A_ROW)
    when: Given[Names] = None
    count: Given[Annotated[int, Field(ge=1, le=MOST_COUNTED)]] = None
    within: Given[Time] = None
    if_: Given[Annotated[tuple[AtLeast, ...], LONE_OR_MANY, NOT_EMPTY]] = Field(default=None, alias="if")
    after: Given[Time] = None
    since: Given[Text] = None
    unless: Given[Unless] = None
    wait_for: Given[Channels] = None
    from_: Given[Names] = Field(default=None, alias="from")
    back: bool = False
    repeat: Given[Literal["count"]] = None


class Stage(Section):
    """A stage; the order in the file is the order of the journey.

    `outcome`: touches by which the journey ends here, by the terminal stage that they lead to.
    """

    id: Identifier
    labels: Labels
    map: Map = Map()
    enter: Annotated[tuple[Enter, ...], LONE_OR_MANY] = ()
    stalled: Given[Time] = None
    outcome: dict[str, Names] = Field(default={})
    terminal: bool = False


class Signal(Section):
    """What is told and moves nobody: a silence (`after`), or that a touch was shown (`when`)."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("where", "channel", "source", "type", "actor"), _IN_A_ROW),
        "fields": "a signal says who, in which stage and why; all else of a customer is in journey.customers",
    }
    after: Given[Time] = None
    since: Given[Text] = None
    when: Given[Names] = None
    count: Given[Annotated[int, Field(ge=1, le=MOST_COUNTED)]] = None
    within: Given[Time] = None
    if_: Given[Annotated[tuple[AtLeast, ...], LONE_OR_MANY, NOT_EMPTY]] = Field(default=None, alias="if")
    in_: Given[Names] = Field(default=None, alias="in")
    unless: Given[Unless] = None
    wait_for: Given[Channels] = None
    expires: Given[Time] = None
    once: Given[Text] = None


class CarryOver(Section):
    """Where the customers of the version before go, when this one is promoted."""

    entry: ClassVar[str] = "stage of the version before"
    from_version: Annotated[int, Field(ge=1)]
    stages: dict[str, Text] = Field(default={})


class JourneyFile(Section):
    """A whole journey."""

    elsewhere: ClassVar[Mapping[str, str]] = {"outcome": "`outcome` belongs to the stage that it ends"}
    journey: Identifier
    version: Annotated[int, Field(ge=1)]
    stages: Annotated[tuple[Stage, ...], NOT_EMPTY]
    signals: dict[Identifier, Signal] = Field(default={})
    touches: dict[Identifier, TouchRow] = Field(default={})
    carry_over: Given[CarryOver] = None
