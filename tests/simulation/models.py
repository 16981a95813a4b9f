"""The journeys of the simulation: silences of seconds, so that timers fire all the time, and graces that differ."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from pipeline.adapters.journey_files import brought, read_journey, read_touches
from pipeline.adapters.yaml_documents import Source, parse
from pipeline.application.rulebook import Rulebook
from pipeline.checker import plain_journey
from pipeline.domain.carry import Carry
from pipeline.domain.compile import Journey
from pipeline.domain.fold import Fold
from pipeline.domain.spec import JourneySpec, TouchSpec
from tests.property.two_folds import Models, read_models

LABELS: Final = dict.fromkeys(("en", "tr", "pl", "fa"), "-")
GRACE: Final = {"web": 1_000, "email": 1_000, "social": 1_000, "phone": 1_000, "store": 4_000}
"""ms by channel."""

LONGEST: Final = 30_000
"""No silence is longer than this many ms, graces and silences after it included."""

LATENESS: Final = 86_400_000
LIMIT: Final = 1_000

KINDS: Final = ("viewed", "carted", "ordered", "asked")

TOUCHES: Final[dict[str, Any]] = {
    "touches": {
        "viewed": {"type": "viewed"},
        "carted": {"type": "carted", "channel": "web"},
        "ordered": {"type": "ordered", "channel": ["web", "store"]},
        "asked": {"type": "asked", "channel": "web"},
    }
}

JOURNEYS: Final[list[dict[str, Any]]] = [
    {
        "journey": "shop",
        "version": 1,
        "stages": [
            {"id": "seen", "labels": LABELS, "enter": {"when": "viewed"}},
            {
                "id": "bought",
                "labels": LABELS,
                "enter": {"when": "ordered", "from": ["start", "seen", "lapsed"], "back": True},
            },
            {
                "id": "lapsed",
                "labels": LABELS,
                "enter": {"after": "12s", "since": "last ordered", "from": "bought", "back": True},
            },
        ],
        "signals": {
            "cart_left": {"after": "5s", "since": "last carted", "unless": "ordered", "expires": "20s"},
            "quiet": {"after": "3s", "since": "last any", "unless": "asked", "wait_for": "web"},
        },
    },
    {
        "journey": "care",
        "version": 1,
        "stages": [
            {"id": "open", "labels": LABELS, "enter": {"when": "asked", "from": ["start", "done"], "back": True}},
            {"id": "urgent", "labels": LABELS, "enter": {"when": "asked", "count": 2, "within": "6s", "from": "open"}},
            {
                "id": "done",
                "labels": LABELS,
                "enter": {"after": "8s", "since": "last any", "from": ["open", "urgent"], "back": True},
            },
        ],
    },
]


@cache
def models() -> Models:
    """Both readings of them, the pipeline's and the checker's."""
    return read_models(TOUCHES, JOURNEYS, GRACE)


OTHER_SHOP: Final[dict[str, Any]] = {
    "journey": "shop",
    "stages": [
        {"id": "seen", "labels": LABELS, "enter": {"when": ["viewed", "asked"]}},
        {"id": "keen", "labels": LABELS, "enter": {"when": "carted", "from": ["start", "seen"]}},
        {
            "id": "bought",
            "labels": LABELS,
            "enter": {"when": "ordered", "from": ["start", "seen", "keen", "gone"], "back": True},
        },
        {
            "id": "gone",
            "labels": LABELS,
            "enter": {"after": "9s", "since": "last ordered", "from": "bought", "back": True},
        },
    ],
    "signals": {
        "cart_left": {"after": "7s", "since": "last carted", "unless": "ordered", "expires": "20s"},
        "keen_left": {"after": "4s", "since": "entered keen", "unless": "viewed"},
    },
}
"""What `shop` is in its even versions; in the others it is as above."""

WAYS: Final[tuple[dict[str, str | None], ...]] = (
    {"keen": "seen", "gone": "lapsed"},
    {"lapsed": "gone", "seen": None},
)
"""Where customers go who come to an odd version, and to an even one."""


def version_of_shop(version: int) -> dict[str, Any]:
    """The document of that version."""
    rules = OTHER_SHOP if version % 2 == 0 else JOURNEYS[0]
    ways = {stage: "re-fold" if to is None else to for stage, to in WAYS[1 - version % 2].items()}
    carry = {"carry_over": {"from_version": version - 1, "stages": ways}} if version > 1 else {}
    return {**rules, "version": version, **carry}


@cache
def plain_shop(even: bool) -> plain_journey.Journey:
    """The checker's reading of it."""
    return plain_journey.read_journey(version_of_shop(2 if even else 1), models().rows, GRACE)


@cache
def touches() -> tuple[TouchSpec, ...]:
    return read_touches(parse(Source("touches", json.dumps(TOUCHES))))


def read(text: str) -> JourneySpec:
    """The journey in a text."""
    return read_journey(parse(Source("promoted", text)), touches(), GRACE, odd=True).spec


def rulebook() -> Rulebook:
    """What a worker knows: the files of versions 1, and how to read others."""
    texts = [json.dumps(journey) for journey in JOURNEYS]

    def rows(specs: Sequence[JourneySpec]) -> tuple[TouchSpec, ...]:
        return (*touches(), *brought(specs))

    def new_fold(journeys: Sequence[Journey], company: frozenset[str], carries: Mapping[str, Carry]) -> Fold:
        return Fold(journeys, company, LATENESS, LIMIT, carries)

    return Rulebook([(text, read(text)) for text in texts], read, rows, new_fold, "1")
