"""Cases of a journey as people write them, in a YAML file beside it: what a customer does, and what must come of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pipeline.adapters.yaml_documents import Document, Problem, read, refuse
from pipeline.adapters.yaml_files import LONE_OR_MANY, NOT_EMPTY, Duration, Section, check, closed_set, one_of
from pipeline.application.rehearsal import BEGINNING, Given, raw_event
from pipeline.application.verdict import Expected, Look
from pipeline.domain.duration import LONGEST, parse_span
from pipeline.domain.event import CHANNELS, MAX_ID
from pipeline.domain.spec import START, Actor, JourneySpec

SUFFIX: Final = ".cases.yaml"
"""`shop.yaml` has its cases in `shop.cases.yaml`."""

_START_WORD: Final = "start"


def _moment(value: object) -> object:
    if not isinstance(value, str):
        if value == 0 and not isinstance(value, bool):
            return BEGINNING
        raise PydanticCustomError("moment", "must be a time since the case began, such as 0, 1d or 2h30min")
    since = parse_span(value)
    if since > LONGEST:
        raise PydanticCustomError("moment", "must lie within a hundred years")
    return BEGINNING + since


Moment = Annotated[int, BeforeValidator(_moment)]
"""ms; in a file the time since the case began: `0`, `1d`, `2h30min`."""

Text = Annotated[str, Field(min_length=1)]
Channel = Annotated[str, closed_set("channel", CHANNELS)]


class Event(Section):
    """One thing that the customer does, or the company towards them. `arrives`: when it is sent, if that is later."""

    at: Moment
    channel: Channel
    type: Text
    id: Annotated[str, Field(min_length=1, max_length=MAX_ID)] | None = None
    source: Text | None = None
    actor: Actor = "customer"
    properties: dict[str, Any] = Field(default={})
    arrives: Moment | None = None


class Expectation(Section):
    """One thing that must happen at `at` (`enters` or `signal`), or the stage that the customer must be in then."""

    at: Moment
    enters: Text | None = None
    signal: Text | None = None
    stage: Text | None = None
    from_: Text | None = Field(default=None, alias="from")
    by: Text | None = None
    rule: Text | None = None
    in_: Text | None = Field(default=None, alias="in")
    withdrawn: Moment | None = None


class CaseSection(Section):
    """One customer's story. Silence is listened to until `until`, and as far as anything is given or expected."""

    case: Text
    about: Text | None = None
    given: Annotated[tuple[Event, ...], LONE_OR_MANY, NOT_EMPTY]
    until: Moment | None = None
    expect: Annotated[tuple[Expectation, ...], LONE_OR_MANY] = ()


class CaseFile(Section):
    """The file."""

    grace: dict[Channel, Duration] = Field(default={})
    cases: Annotated[tuple[CaseSection, ...], NOT_EMPTY]


@dataclass(frozen=True, slots=True)
class Case:
    """A case, ready to be played. `place` is file:line of its name."""

    name: str
    about: str
    place: str
    given: tuple[Given, ...]
    until: int
    expected: tuple[Expected, ...]
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of one file; `grace` in ms by channel is what its journey waits for."""

    path: Path
    grace: Mapping[str, int]
    document: Document
    file: CaseFile

    def of(self, journey: JourneySpec) -> tuple[Case, ...]:
        """The cases about `journey`; UserError that lists every stage and signal that it does not have."""
        refuse(_problems(self.document, self.file, journey))
        return tuple(self._case(place, section) for place, section in enumerate(self.file.cases))

    def _case(self, place: int, section: CaseSection) -> Case:
        loc = ("cases", place)
        expected, looks = [], []
        for number, one in enumerate(section.expect):
            line = self.document.mark((*loc, "expect", number)).line
            if one.stage is not None:
                looks.append(Look(one.at, _named(one.stage), line))
            else:
                expected.append(
                    Expected(
                        at=one.at,
                        enters=one.enters,
                        signal=one.signal,
                        came_from=None if one.from_ is None else _named(one.from_),
                        by=one.by,
                        rule=one.rule,
                        within=None if one.in_ is None else _named(one.in_),
                        withdrawn=one.withdrawn,
                        line=line,
                    )
                )
        given = tuple(_given(number, event) for number, event in enumerate(section.given))
        moments = [event.arrives for event in given]
        moments += [moment for one in section.expect for moment in (one.at, one.withdrawn) if moment is not None]
        return Case(
            name=section.case,
            about=" ".join((section.about or "").split()),
            place=f"{self.path}:{self.document.mark((*loc, 'case')).line}",
            given=given,
            until=max([*moments, section.until or BEGINNING]),
            expected=tuple(expected),
            looks=tuple(looks),
        )


def load_cases(path: Path) -> Cases:
    """The cases of a file; UserError that lists every mistake with its place."""
    document = read(path)
    file = check(document, CaseFile)
    return Cases(path, dict.fromkeys(CHANNELS, 0) | file.grace, document, file)


def cases_beside(journey: Path) -> Path:
    """Where the cases of a journey file are, if it has some."""
    return journey.with_name(journey.stem + SUFFIX)


def journey_beside(cases: Path) -> Path:
    """The journey file that a file of cases is about."""
    return cases.with_name(cases.name.removesuffix(SUFFIX) + ".yaml")


def _given(number: int, event: Event) -> Given:
    identifier = event.id or f"event {number + 1}"
    value = raw_event(identifier, event.type, event.at, event.channel, event.source, event.actor, event.properties)
    source = "" if event.source is None else f", {event.source}"
    whose = "" if event.actor == "customer" else ", by the company"
    told = f"{event.type} on {event.channel}{source}{whose}"
    return Given(identifier, event.at, max(event.at, event.arrives or event.at), value, told)


def _named(stage: str) -> str:
    return START if stage == _START_WORD else stage


def _problems(document: Document, file: CaseFile, journey: JourneySpec) -> Iterator[Problem]:
    stages = (*(stage.id for stage in journey.stages), _START_WORD)
    triggers = tuple(trigger.rule for trigger in journey.triggers)
    silent = (silence.rule.partition(":")[0] for silence in journey.silences if silence.to is None)
    signals = tuple(dict.fromkeys((*silent, *triggers)))
    moving = (*(entry.rule for entry in journey.entries), *(silence.rule for silence in journey.silences))
    rules = (*moving, *triggers)
    for place, section in enumerate(file.cases):
        ids = tuple(event.id or f"event {number + 1}" for number, event in enumerate(section.given))
        for number, one in enumerate(section.expect):
            loc = ("cases", place, "expect", number)
            kinds = [key for key in ("enters", "signal", "stage") if getattr(one, key) is not None]
            if len(kinds) != 1:
                yield document.problem(loc, "expect one thing at a time: `enters`, `signal` or `stage`")
            named = {
                "enters": (one.enters, "stage", stages[:-1]),
                "from": (one.from_, "stage", stages),
                "in": (one.in_, "stage", stages),
                "stage": (one.stage, "stage", stages),
                "signal": (one.signal, "signal", signals),
                "rule": (one.rule, "rule", rules),
                "by": (one.by, "event", ids),
            }
            for key, (name, what, known) in named.items():
                if name is not None and name not in known:
                    yield document.problem((*loc, key), *one_of(what, name, known))
            for key, belongs in (("from", "enters"), ("in", "signal"), ("by", None), ("withdrawn", None)):
                if named.get(key, (one.withdrawn,))[0] is not None and (
                    one.stage is not None or (belongs is not None and belongs not in kinds)
                ):
                    yield document.problem((*loc, key), f"`{key}` says nothing here", at_key=True)
