"""The JSON Schema of journey files, made of the words in `journey_language`, so that editors complete and check them.

`python -m pipeline.adapters.journey_schema` writes schemas/journey/v1.schema.json. A schema says the form of each word;
what the words mean together, `journey lint` judges.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from pipeline.adapters.journey_language import JourneyFile
from pipeline.adapters.schemas import folder
from pipeline.domain.event import CHANNELS

_IDENTIFIER: Final = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}
_DURATION: Final = {"type": "string", "pattern": "^\\s*[0-9]+ ?(ms|s|min|h|d)\\s*$", "examples": ["1h", "90d"]}
_NAMES: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_CHANNEL: Final = {"enum": list(CHANNELS)}
_VALUE: Final = {"type": ["string", "number", "boolean", "null"]}


def _lone_or_many(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


_FORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "after": _DURATION,
    "within": _DURATION,
    "stalled": _DURATION,
    "expires": _DURATION,
    "journey": _IDENTIFIER,
    "id": _IDENTIFIER,
    "when": _NAMES,
    "from": _NAMES,
    "in": _NAMES,
    "type": _NAMES,
    "source": _NAMES,
    "channel": _lone_or_many(_CHANNEL),
    "wait_for": _lone_or_many(_CHANNEL),
    "since": {
        "type": "string",
        "pattern": "^(last \\S+( or \\S+)*|entered( \\S+)?)$",
        "examples": ["last ordered", "last any", "entered"],
    },
    "unless": {"anyOf": [*_NAMES["anyOf"], {"type": "object", "minProperties": 1, "additionalProperties": _DURATION}]},
    "once": {"type": "string", "examples": ["per_entry", "per_customer", "30d"]},
    "where": {"type": "object", "additionalProperties": _lone_or_many(_VALUE)},
    "outcome": {"type": "object", "additionalProperties": _NAMES},
}
"""What a word takes where the model alone does not say it: a validator reads it from a text."""

_MEANINGS: Final = {
    "JourneyFile.journey": "The name, by which all that is published knows the journey.",
    "JourneyFile.version": "To be raised when a rule changes; labels and map may change freely.",
    "JourneyFile.stages": "In the order of the journey. Of several rules that fit, the first in the file is taken.",
    "JourneyFile.signals": "What is told and moves nobody, by name.",
    "JourneyFile.touches": "Rows of this journey alone, asked after the shared touch table.",
    "JourneyFile.carry_over": "Where the customers of the version before go, when this one is promoted.",
    "CarryOver.from_version": "The version that they come from.",
    "CarryOver.stages": "Stages of that version, each with a stage of this one, `stay` or `re-fold`; others stay.",
    "Stage.id": "The stage's name in rules and in what is published.",
    "Stage.labels": "What people call the stage, in four languages.",
    "Stage.map": "The journey map, for people; it decides nothing.",
    "Stage.enter": "The rule, or rules, by which a customer comes here.",
    "Stage.stalled": "Fires the signal `stalled` when a customer has been here for so long.",
    "Stage.outcome": "Which touches end the journey here, by the terminal stage that they lead to.",
    "Stage.terminal": "Whether a journey may end here.",
    "Enter.when": "A touch, or one of these, moves the customer.",
    "Enter.count": "How many touches it takes.",
    "Enter.within": "The newest `count` touches lie in a span shorter than this; without, they count since the entry.",
    "Enter.if": "How often the customer has shown touches in all; of a list, all must hold.",
    "Enter.after": "A silence of so long moves the customer.",
    "Enter.since": "What the silence counts from: `last` and a touch, `last any`, or `entered`.",
    "Enter.unless": "Touches that break the silence too.",
    "Enter.wait_for": "The channels that a silence waits for, if not all that could break it.",
    "Enter.from": "The stages that the rule applies in; without, the start and every stage above. `*`: all that go on.",
    "Enter.back": "Whether it is meant that the rule leads back to an earlier stage.",
    "Enter.repeat": "`count`: the rule fits in its own stage too, and enters it once more.",
    "Signal.after": "A silence of so long is told.",
    "Signal.since": "What the silence counts from: `last` and a touch, `last any`, `entered` and a stage.",
    "Signal.when": "That a touch, or one of these, was shown is told.",
    "Signal.count": "How many touches it takes.",
    "Signal.within": "The newest `count` touches lie in a span shorter than this; without, they count since the entry.",
    "Signal.if": "How often the customer has shown touches in all; of a list, all must hold.",
    "Signal.in": "Only in these stages.",
    "Signal.unless": "Touches that break the silence; with `when`: that forbid it for the time beside them, or ever.",
    "Signal.wait_for": "The channels that it waits for, if not all that could cancel it.",
    "Signal.expires": "Of what use it is: for so long after it was due.",
    "Signal.once": "How often it is told: per_entry, per_customer, or once in a time.",
    "AtLeast.count": "The touch that is counted.",
    "AtLeast.gte": "The customer has shown it so many times or more.",
    "Map.actions": "What customers do in this stage.",
    "Map.motivation": "Why they do it.",
    "Map.questions": "What they ask.",
    "Map.pain_points": "What hinders them.",
    "Labels.en": "In English.",
    "Labels.tr": "In Turkish.",
    "Labels.pl": "In Polish.",
    "Labels.fa": "In Persian.",
    "TouchRow.type": "The event's type is this, or one of these.",
    "TouchRow.channel": "It came by this channel, or one of these.",
    "TouchRow.source": "Its source is this, or one of these.",
    "TouchRow.actor": "Who did it: the customer, or the company, whose acts move no stage and break no silence.",
    "TouchRow.where": "Properties, `outer.inner` for one inside another, that have this value, or one of these.",
}


def journey_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a journey file."""
    made = JourneyFile.model_json_schema()
    definitions: dict[str, Any] = {name: _section(name, found) for name, found in made.pop("$defs").items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:journey:journey:v1",
        "title": "Journey v1",
        "description": "A journey in YAML, as docs/journeys.md describes it. `journey lint` says what a schema cannot.",
        **_section("JourneyFile", made),
        "$defs": definitions,
    }


def _section(name: str, made: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        word: {"description": _MEANINGS[f"{name}.{word}"], **(_FORMS.get(word) or _field(word, form))}
        for word, form in made["properties"].items()
        if (name, word) != ("AtLeast", "count")
    }
    if name == "AtLeast":
        properties = {"count": {"description": _MEANINGS["AtLeast.count"], "type": "string"}, **properties}
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": made["required"]} if "required" in made else {}),
        "properties": properties,
    }


def _field(word: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """The form of a word without what is meant for programs: null, which a file may not say, titles and defaults."""
    form = {key: value for key, value in made.items() if key not in ("title", "default", "description")}
    if "anyOf" in form:
        (form,) = ({**one} for one in form["anyOf"] if one != {"type": "null"})
    if form.get("type") == "array" and word != "stages":
        form = _lone_or_many(form["items"])
    if word == "stages":
        form["minItems"] = 1
    if word in ("signals", "touches"):
        form["propertyNames"] = {"pattern": _IDENTIFIER["pattern"]}
    return form


def written() -> str:
    """The text of the schema's file."""
    return json.dumps(journey_schema(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    (folder() / "journey").mkdir(exist_ok=True)
    (folder() / "journey" / "v1.schema.json").write_text(written(), encoding="utf-8")
