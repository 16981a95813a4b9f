"""The journeys of the simulation: silences of seconds, so that timers fire all the time, and graces that differ."""

from functools import cache
from typing import Any, Final

from tests.property.two_folds import Models, read_models

LABELS: Final = dict.fromkeys(("en", "tr", "pl", "fa"), "-")
GRACE: Final = {"web": 1_000, "email": 1_000, "social": 1_000, "phone": 1_000, "store": 4_000}
"""ms by channel."""

LONGEST: Final = 30_000
"""No silence is longer than this many ms, graces and silences after it included."""

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
